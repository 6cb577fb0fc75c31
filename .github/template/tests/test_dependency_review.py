import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import costs
import pytest
import yaml
from audit.license_check import Policy
from audit.policy import CONFIG, read_options
from audit.vulnerability_scan import ACCEPTED, read_accepted
from engine import ROOT
from fakes.fake_advisories import Advisory, FakeAdvisories
from fakes.github_api import FakeGitHub
from fakes.github_security import Security
from harness import RunPipeline, explain, make_quick, said
from origin import create
from wheels import make_wheel
from workflows import load

WORKFLOW = ".github/workflows/dependency-review.yml"
FORK = {"pull_request.head.repo": {"full_name": "somebody/widget", "fork": True}}


@pytest.fixture
def advisories() -> Iterator[FakeAdvisories]:
    with FakeAdvisories() as fake:
        yield fake


def stub(tree: Path, **commands: tuple[str, ...]) -> None:
    """Replace the steps of jobs of the workflow by commands; the first of them is the scan."""
    workflow = yaml.safe_load((tree / WORKFLOW).read_text().replace("\non:", '\n"on":'))
    for name, (first, *rest) in commands.items():
        steps = [{"id": "scan", "run": first}, *({"run": command} for command in rest)]
        workflow["jobs"][name]["steps"] = steps
    (tree / WORKFLOW).write_text(yaml.dump(workflow, sort_keys=False))


def test_policy_denies_every_spelling_and_is_taken_by_the_action() -> None:
    options = read_options(ROOT / CONFIG)
    assert options["fail-on-severity"] == "moderate"
    spellings = [f"{kind}GPL-3.0{end}" for kind in ("A", "") for end in ("", "-only", "-or-later")]
    assert options["deny-licenses"] == spellings
    assert all(Policy.read(ROOT / CONFIG).looked_into), "of this ecosystem"


def test_change_of_the_lock_is_shown_by_git() -> None:
    attributes = (ROOT / ".gitattributes").read_text()
    assert "-diff" not in attributes
    assert "linguist-generated" not in attributes


def test_example_of_an_accepted_advisory_is_one(tmp_path: Path) -> None:
    assert not read_accepted(ROOT / ACCEPTED)
    example = (ROOT / ACCEPTED).read_text().partition("#\n")[2]
    file = tmp_path / "accepted.toml"
    file.write_text(re.sub("^# ", "", example, flags=re.MULTILINE))
    assert read_accepted(file)


def test_updates_that_are_switched_on_need_a_token(run_pipeline: RunPipeline) -> None:
    variables = {"TEMPLATE_REPOSITORY": "octo-org/template"}
    run = run_pipeline(
        "dependency-review", "workflow_dispatch", job="template", variables=variables
    )
    assert run.find_job("template").conclusion == "failure"
    assert "gh secret set TEMPLATE_UPDATE_TOKEN --env template" in said(run, "error")


@pytest.mark.parametrize("cancelled", [False, True])
def test_scan_that_somebody_cancels_says_nothing_in_the_issue(
    monkeypatch: pytest.MonkeyPatch, cancelled: bool
) -> None:
    monkeypatch.setitem(costs.STATUS, "cancelled()", cancelled)
    values = {"github.event_name": "schedule", "github.event.repository.fork": False}
    condition = load(ROOT / WORKFLOW)["jobs"]["issue"]["if"]
    assert costs.evaluate(condition, values) is not cancelled


@pytest.mark.parametrize(
    ("branch", "runs"), [("main", True), ("feat/x", False), ("1/merge", False)]
)
def test_updates_are_proposed_from_the_default_branch_alone(branch: str, runs: bool) -> None:
    known = {"repository.default_branch": "main", "repository.fork": False}
    values = {f"github.event.{name}": value for name, value in known.items()}
    values |= {"github.ref_name": branch, "vars.TEMPLATE_REPOSITORY": "octo-org/template"}
    assert costs.evaluate(load(ROOT / WORKFLOW)["jobs"]["template"]["if"], values) is runs


def test_green_in_a_new_repository(run_pipeline: RunPipeline, advisories: FakeAdvisories) -> None:
    environment = advisories.environment
    run = run_pipeline(
        "dependency-review", "pull_request", edit=make_quick, environment=environment
    )
    assert run.conclusion == "success", explain(run)
    assert {job.id: job.conclusion for job in run.jobs} == {
        "review": "success",
        "vulnerabilities": "success",
        "licenses": "success",
        "outdated": "success",
        "issue": "skipped",
        "template": "skipped",
        "summary": "success",
    }
    review = run.find_job("review")
    assert "GitHub's dependency review is off" in review.summary
    assert "Dependency graph → Enable" in review.summary
    assert "### 📦 Changes of the lock file" in review.summary
    scan = run.find_job("vulnerabilities")
    for database in (r"uv audit \(OSV\)", "Safety"):
        assert re.search(rf"\| {database} \| \d+ \| 0 \|", scan.summary)
    assert re.search(r"Locked packages: \d+ of production, \d+ of development", scan.summary)
    assert "a copy answered, not the database itself" in scan.summary
    assert "✅ Licence check" in run.find_job("licenses").summary
    assert "Outdated check" in run.find_job("outdated").summary
    assert {path.name for path in run.artifacts.iterdir()} == {
        "safety-scan-results",
        "license-report",
        "outdated-report",
    }
    reports = (
        "safety-scan-results/safety",
        "license-report/production",
        "license-report/development",
    )
    for name in reports:
        suffix = "txt" if "safety" in name else "md"
        assert (run.artifacts / f"{name}.{suffix}").stat().st_size
        assert json.loads((run.artifacts / f"{name}.json").read_text())


def test_planted_vulnerabilities(run_pipeline: RunPipeline) -> None:
    planted = Advisory("anyio"), Advisory("ruff", "GHSA-dddd-eeee-ffff", "")
    with FakeAdvisories(*planted) as fake:
        run = run_pipeline(
            "dependency-review",
            "workflow_dispatch",
            job="vulnerabilities",
            environment=fake.environment,
            secrets={"SAFETY_API_KEY": "a-key"},
        )
    job = run.find_job("vulnerabilities")
    assert [step.name for step in job.failed_steps] == ["Scan"]
    assert "| anyio | " in job.summary
    assert "| production |" in job.summary
    assert "| ruff | " in job.summary
    assert "uv lock --upgrade-package" in job.summary
    assert "uv audit (OSV), Safety" in job.summary
    errors = [note["text"] for note in job.annotations if note["level"] == "error"]
    assert any(text.startswith("anyio ") and "(production)" in text for text in errors)
    assert any(text.startswith("ruff ") and "(development)" in text for text in errors)
    report = json.loads(job.find_step("Scan").outputs["report"])
    assert "| anyio | " in report
    assert "| ruff | " in report
    assert (run.artifacts / "safety-scan-results/report.md").exists()


def test_scan_that_cannot_look_is_red(
    run_pipeline: RunPipeline, advisories: FakeAdvisories
) -> None:
    advisories.down = {"safety", "uv"}
    run = run_pipeline(
        "dependency-review",
        "pull_request",
        job="vulnerabilities",
        environment=advisories.environment | {"UV_HTTP_RETRIES": "0"},
    )
    job = run.find_job("vulnerabilities")
    assert job.conclusion == "failure"
    assert "Could not scan" in job.summary
    assert "✅" not in job.summary
    report = json.loads(job.find_step("Scan").outputs["report"])
    for row in ("uv audit (OSV)", "Safety"):
        assert f"| {row} | could not scan: " in report


LICENSES = {
    "expression": "License-Expression: MIT AND GPL-3.0-only",
    "classifier": "Classifier: License :: OSI Approved :: GNU General Public License v3 (GPLv3)",
    "free-text": "License: GNU GPL v3",
    "affero": "License-Expression: AGPL-3.0-or-later",
    "lesser": "License-Expression: LGPL-3.0-only",
    "either": "License-Expression: MIT OR GPL-3.0-only",
    "nameless": "Summary: no licence at all",
}


def plant(tree: Path) -> None:
    """Make production depend on packages with these licences."""
    file = tree / "pyproject.toml"
    sources = "\n[tool.uv.sources]\n"
    for name, line in LICENSES.items():
        wheel = make_wheel(tree, name, line=line)
        sources += f'{name} = {{ path = "{wheel.name}" }}\n'
    names = "".join(f'  "{name}",\n' for name in LICENSES)
    content = file.read_text().replace("dependencies = [\n", f"dependencies = [\n{names}", 1)
    file.write_text(content + sources)
    subprocess.run(["uv", "lock", "--quiet"], cwd=tree, check=True)


def test_planted_licences(run_pipeline: RunPipeline) -> None:
    run = run_pipeline("dependency-review", "workflow_dispatch", job="licenses", edit=plant)
    job = run.find_job("licenses")
    assert [step.name for step in job.failed_steps] == ["Judge the licences"]
    forbidden = {note["text"].split(":")[0] for note in job.annotations if note["level"] == "error"}
    assert forbidden == {"expression", "classifier", "free-text", "affero"}
    unknown = [note["text"] for note in job.annotations if note["level"] == "warning"]
    assert unknown == ["nameless: the job summary says what to do."]
    assert "| ⚠️ unknown | nameless |" in job.summary
    assert "| lesser |" not in job.summary
    assert "allow-dependencies-licenses" in job.summary
    listed = json.loads((run.artifacts / "license-report/production.json").read_text())
    assert {package["Name"] for package in listed} >= LICENSES.keys()
    assert "| lesser " in (run.artifacts / "license-report/production.md").read_text()


Review = Callable[..., Any]


@pytest.fixture
def review(run_pipeline: RunPipeline) -> Review:
    """Return a function that runs the review of a pull request where the graph is on."""

    def execute(*changes: dict[str, Any], **options: Any) -> Any:
        fake = FakeGitHub()
        fake.security = Security(dependency_graph=True)
        fake.security.changes = [*changes]
        environment = {"AUDIT_SERVICE_URL": "http://127.0.0.1:1", "UV_HTTP_RETRIES": "0"}
        return run_pipeline(
            "dependency-review",
            "pull_request",
            job="review",
            github=fake,
            environment=environment,
            **options,
        )

    return execute


def change(name: str, **more: Any) -> dict[str, Any]:
    return {
        "change_type": "added",
        "manifest": "uv.lock",
        "ecosystem": "pypi",
        "name": name,
        "version": "1.0",
        "package_url": f"pkg:pypi/{name}@1.0",
        "license": "MIT",
        "source_repository_url": None,
        "scope": "runtime",
        "vulnerabilities": [],
        **more,
    }


BAD = {
    "a vulnerability": change(
        "bad", vulnerabilities=[{"severity": "moderate", "advisory_ghsa_id": "GHSA-1"}]
    ),
    "a licence": change("bad", license="AGPL-3.0-or-later"),
}


@pytest.mark.parametrize("fault", BAD)
def test_review_by_github(review: Review, fault: str) -> None:
    run = review(change("good"), BAD[fault])
    job = run.find_job("review")
    assert [step.name for step in job.failed_steps] == ["Review the dependencies"]
    assert "bad: " in job.summary
    assert "good" not in job.summary
    inputs = next(record for record in run.records if "dependency-review" in record["action"])[
        "inputs"
    ]
    assert inputs == {
        "comment-summary-in-pr": "always",
        "config-file": "./.github/dependency-review-config.yml",
    }


def test_fork_gets_no_comment_but_the_same_summary(review: Review) -> None:
    run = review(change("good"), overrides=FORK)
    job = run.find_job("review")
    assert job.conclusion == "success"
    assert "may only read" in job.summary
    assert "No vulnerabilities or license issues found." in job.summary
    inputs = next(record for record in run.records if "dependency-review" in record["action"])[
        "inputs"
    ]
    assert inputs["comment-summary-in-pr"] == "never"


def test_lock_is_compared_with_the_base(review: Review, tmp_path: Path) -> None:
    git = create(ROOT, tmp_path / "source")
    lock = git.directory / "uv.lock"
    complete = lock.read_text()
    head, *packages = complete.split("[[package]]\n")
    kept = [
        package.replace('version = "', 'version = "0.', 1)
        if package.startswith('name = "structlog"')
        else package
        for package in packages
        if not package.startswith('name = "iniconfig"')
    ]
    lock.write_text("[[package]]\n".join([head, *kept]))
    git.save("chore: start")
    lock.write_text(complete)
    run = review(source=git.directory, small=False)
    job = run.find_job("review")
    assert job.conclusion == "success"
    assert "Packages that changed: 2, to look at: 0." in job.summary
    assert not [note for note in job.annotations if note["level"] == "warning"]


FOUND = "| anyio | 4.0 | 5.0 | It's bad |"
CLEAN = "Nothing was found."
BLIND = "**Could not scan.**"


def run_schedule(
    run_pipeline: RunPipeline, fake: FakeGitHub, found: str, upload: str = "exit 0", **options: Any
) -> Any:
    """Run on schedule with these findings, and a command that comes after the scan."""

    def edit(tree: Path) -> None:
        text = json.dumps(found).replace("'", "'\\''")
        scan = f"echo 'report={text}' >>\"$GITHUB_OUTPUT\"\nexit {int(found != CLEAN)}\n"
        stub(tree, vulnerabilities=(scan, upload), licenses=("exit 0",), outdated=("exit 0",))

    return run_pipeline("dependency-review", "schedule", edit=edit, github=fake, **options)


def test_scheduled_failure_keeps_one_issue(run_pipeline: RunPipeline) -> None:
    fake = FakeGitHub()
    run = run_schedule(run_pipeline, fake, CLEAN, upload="exit 1")
    assert run.find_job("summary").conclusion == "failure"
    assert "Nothing was found" in run.find_job("issue").summary
    assert not fake.issues.all, "what is not the scan's makes the run red, and no issue"
    for _ in range(2):
        run = run_schedule(run_pipeline, fake, FOUND)
        assert run.find_job("issue").conclusion == "success"
        assert run.find_job("summary").conclusion == "failure"
    (issue,) = fake.issues.all
    assert "| anyio | 4.0 | 5.0 |" in issue.body
    assert "It's bad" in issue.body
    assert issue.labels == ["security", "dependencies", "automated"]
    run_schedule(run_pipeline, fake, BLIND)
    assert "Could not scan" in issue.body
    assert "anyio" not in issue.body
    run = run_schedule(run_pipeline, fake, CLEAN)
    assert run.conclusion == "success", explain(run)
    assert len(fake.issues.all) == 1
    assert "nothing is left" in run.find_job("issue").summary
    assert not fake.unexpected


def test_scheduled_run_does_not_start_in_a_fork(run_pipeline: RunPipeline) -> None:
    fake = FakeGitHub()
    run = run_schedule(run_pipeline, fake, FOUND, overrides={"repository.fork": True})
    conclusions = {job.id: job.conclusion for job in run.jobs}
    assert conclusions.pop("summary") == "success"
    assert set(conclusions.values()) == {"skipped"}
    assert not fake.requests


def test_lock_from_another_place_is_red(review: Review, tmp_path: Path) -> None:
    git = create(ROOT, tmp_path / "source")
    lock = git.directory / "uv.lock"
    git.save("chore: start")
    lock.write_text(lock.read_text().replace('{ url = "https://', '{ url = "https://evil.example/'))
    job = review(source=git.directory, small=False).find_job("review")
    assert [step.name for step in job.failed_steps] == ["Compare the lock files"]
    assert "evil.example" in job.summary
    assert "allow-registries" in job.summary
