import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from engine import ROOT
from fakes.github_api import FakeGitHub
from fakes.github_security import Security
from harness import RunPipeline, append, explain, make_small, said, write
from origin import create

FAULT = '\n\neval("1")\n'
FORK = {"pull_request.head.repo": {"full_name": "somebody/widget", "fork": True}}


def github(**features: bool) -> FakeGitHub:
    fake = FakeGitHub()
    fake.security = Security(**features)
    return fake


@pytest.mark.parametrize("event", ["push", "pull_request"])
def test_green_in_a_new_repository(run_pipeline: RunPipeline, event: str) -> None:
    run = run_pipeline("codeql", event)
    assert run.conclusion == "success", explain(run)
    job = run.find_job("analyze")
    assert "Code scanning is off" in job.summary
    assert "Settings →" in job.summary
    assert "Nothing was found." in job.summary
    for language in ("actions", "python"):
        file = run.artifacts / f"codeql-results/{language}-filtered.sarif"
        assert json.loads(file.read_text())["runs"]
    uploads = [record for record in run.records if record["action"].endswith("upload-sarif")]
    assert not uploads
    analyses = [record["inputs"] for record in run.records if record["action"].endswith("analyze")]
    assert {analysis["upload"] for analysis in analyses} == {"never"}


@pytest.mark.parametrize("event", ["push", "pull_request"])
def test_grave_finding_stops_where_github_cannot_judge(
    run_pipeline: RunPipeline, event: str
) -> None:
    edit = append("src/*/__init__.py", FAULT)
    run = run_pipeline("codeql", event, edit=edit)
    job = run.find_job("analyze")
    assert run.conclusion == "failure"
    assert [step.name for step in job.failed_steps] == ["Show the results"]
    assert "| ❌ error |  | S307 | src/" in job.summary
    assert [note["title"] for note in job.annotations if note["level"] == "error"] == ["CodeQL"]
    assert "S307" in (run.artifacts / "codeql-results/python-filtered.sarif").read_text()


def test_fault_in_a_pipeline_is_found(run_pipeline: RunPipeline) -> None:
    text = "on: push\njobs: {a: {runs-on: ubuntu-24.04, steps: [{uses: actions/checkout@v7}]}}\n"
    edit = write(".github/workflows/other.yml", text)
    run = run_pipeline("codeql", "pull_request", edit=edit, job="analyze")
    assert "unpinned-uses | .github/workflows/other.yml:2" in run.find_job("analyze").summary


@pytest.mark.parametrize(("event", "end"), [("push", "success"), ("pull_request", "failure")])
def test_results_are_uploaded_where_github_takes_them(
    run_pipeline: RunPipeline, event: str, end: str
) -> None:
    fake = github(code_scanning=True)
    edit = append("src/*/__init__.py", FAULT)
    run = run_pipeline("codeql", event, edit=edit, job="analyze", github=fake)
    job = run.find_job("analyze")
    assert job.conclusion == end, "no pull request has to pass GitHub's own check"
    if end == "failure":
        assert [step.name for step in job.failed_steps] == ["Show the results"]
        assert "dismiss it under Security" in job.summary
    assert "S307" in job.summary
    categories = ["/language:actions/", "/language:python/"]
    uploaded = [upload["runs"][0] for upload in fake.security.uploads]
    assert [run["automationDetails"]["id"] for run in uploaded] == categories
    assert [result["ruleId"] for result in uploaded[1]["results"]] == ["S307"]
    inputs = {record["action"].split("/")[-1]: record["inputs"] for record in run.records}
    assert inputs["analyze"]["upload"] == "failure-only"


@pytest.mark.parametrize("event", ["pull_request", "merge_group"])
def test_pull_request_is_about_the_files_that_it_changes(
    run_pipeline: RunPipeline, tmp_path: Path, event: str
) -> None:
    git = create(ROOT, tmp_path / "source")
    make_small(git.directory)
    append("src/*/__init__.py", FAULT)(git.directory)
    git.save("chore: start")
    faults = {"src/new file.py": "exec('1')\n", "src/тест.py": "exec('2')\n"}
    for name, text in faults.items():
        (git.directory / name).write_text(text)
    (git.directory / "conftest.py").write_text("exec('3')\n")
    fake = github(code_scanning=True)
    fake.security.dismissed = [("S102", name, 1) for name in faults]
    options: dict[str, Any] = {"source": git.directory, "small": False, "job": "analyze"}
    run = run_pipeline("codeql", event, github=fake, **options)
    job = run.find_job("analyze")
    assert job.conclusion == "success"
    log = json.loads((run.artifacts / "codeql-results/python-filtered.sarif").read_text())
    assert fake.security.uploads[1:] == ([log] if event == "pull_request" else [])
    places = [
        result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
        for result in log["runs"][0]["results"]
    ]
    assert len(places) == 2
    assert all("src/" in place and "__init__" not in place for place in places)
    assert "2 kept" in job.summary


def test_token_that_may_only_read_uploads_nothing(run_pipeline: RunPipeline) -> None:
    fake = github(code_scanning=True)
    edit = append("src/*/__init__.py", FAULT)
    options: dict[str, Any] = {"overrides": FORK, "github": fake, "job": "analyze"}
    run = run_pipeline("codeql", "pull_request", edit=edit, **options)
    job = run.find_job("analyze")
    assert job.conclusion == "failure", "nobody else would judge"
    assert "may only read" in job.summary
    assert "S307" in job.summary
    assert not fake.security.uploads


def test_default_setup_in_the_way_is_said(run_pipeline: RunPipeline) -> None:
    fake = github(code_scanning=True, default_setup=True)
    run = run_pipeline("codeql", "push", github=fake, job="analyze")
    job = run.find_job("analyze")
    assert job.conclusion == "success"
    assert "Switch to advanced" in job.summary
    assert "Switch to advanced" in said(run, "notice")
    assert not fake.security.uploads


def test_results_that_github_refuses_are_judged_here(run_pipeline: RunPipeline) -> None:
    fake = github(code_scanning=True, default_setup=True)
    edit = append("src/*/__init__.py", FAULT)
    run = run_pipeline("codeql", "push", edit=edit, github=fake, job="analyze")
    assert [step.name for step in run.find_job("analyze").failed_steps][2:] == ["Show the results"]


def test_results_are_uploaded_after_the_switch_to_advanced(run_pipeline: RunPipeline) -> None:
    fake = github(code_scanning=True, default_setup=True)
    options: dict[str, Any] = {"github": fake, "job": "analyze"}
    run_pipeline("codeql", "push", **options)
    fake.security.default_setup = False
    run_pipeline("codeql", "push", **options)
    assert len(fake.security.uploads) == 2


def test_refused_upload_is_explained(run_pipeline: RunPipeline) -> None:
    fake = github(code_scanning=True)
    fake.faults = ["POST .*/code-scanning/sarifs"]
    run = run_pipeline("codeql", "push", github=fake, job="analyze")
    job = run.find_job("analyze")
    assert [step.name for step in job.failed_steps][1:] == ["Show the results"]
    assert "GitHub did not take the results" in job.summary


def test_scheduled_run_does_not_start_in_a_fork(run_pipeline: RunPipeline) -> None:
    run = run_pipeline("codeql", "schedule", overrides={"repository.fork": True})
    assert {job.id: job.conclusion for job in run.jobs} == {
        "analyze": "skipped",
        "fuzz": "skipped",
    }


def test_configuration() -> None:
    config = yaml.safe_load((ROOT / ".github/codeql/config.yml").read_text())
    assert config["queries"] == [{"uses": "security-and-quality"}]
    assert config["packs"]["python"] == ["codeql/python-queries:AlertSuppression.ql"]
    assert "tests" in config["paths-ignore"]
    assert any(".venv" in path for path in config["paths-ignore"])
