from pathlib import Path

import pytest
from engine import ROOT, Job
from fakes.github_api import FakeGitHub
from harness import RunPipeline, append, explain, make_small, make_source, said
from origin import create

pytestmark = pytest.mark.usefixtures("types")

HOSTILE = {
    "a command": "feat: $(touch CANARY) `touch CANARY`",
    "an end of the string": "feat: \"; touch CANARY; echo '",
    "an expression": "feat: ${{ github.token }}",
    "a workflow command": "::set-output name=title::feat",
    "an old workflow command": "feat: ##[add-mask]secret ##[error]made up",
    "a line break": "feat: x\n::error::made up\n",
    "markdown": "feat: ``` \x60\x60\x60\x60 <img src=x onerror=alert(1)> | [a](javascript:b)",
    "ten thousand characters": "feat: " + "x" * 10_000,
    "right-to-left marks": "feat: \u202etxt.exe",
    "an option": "--help",
}
ACCEPTED = {
    "a command",
    "an end of the string",
    "an expression",
    "an old workflow command",
    "markdown",
}


def check_title(quick_pipeline: RunPipeline, title: str) -> Job:
    run = quick_pipeline(
        "pr",
        "pull_request:edited",
        job="validate",
        overrides={"pull_request.title": title.replace("CANARY", str(ROOT / "canary"))},
    )
    return run.find_job("validate")


def test_green(quick_pipeline: RunPipeline) -> None:
    run = quick_pipeline("pr", "pull_request:opened")
    assert {job.id: job.conclusion for job in run.jobs} == dict.fromkeys(
        ("validate", "quality", "test", "security", "summary"), "success"
    )
    assert all(job.summary for job in run.jobs)


def test_new_base_branch_runs_everything(quick_pipeline: RunPipeline) -> None:
    overrides = {"changes": {}, "changes.base.ref.from": "develop"}
    run = quick_pipeline("pr", "pull_request:edited", overrides=overrides)
    assert {job.conclusion for job in run.jobs} == {"success"}, explain(run)


def test_merge_queue_reports_and_judges_the_title_of_its_pull_request(
    quick_pipeline: RunPipeline,
) -> None:
    github = FakeGitHub()
    github.resources["/repos/octo-org/widget/pulls/1"] = {"title": "Wrong"}
    run = quick_pipeline("pr", "merge_group", github=github)
    assert run.find_job("validate").conclusion == "failure"
    assert run.find_job("test").conclusion == "success"
    assert run.find_job("summary").conclusion == "failure"
    github.resources["/repos/octo-org/widget/pulls/1"] = {"title": "fix: right"}
    run = quick_pipeline("pr", "merge_group", github=github)
    assert run.conclusion == "success", explain(run)


@pytest.mark.parametrize("setting", ["PR_BODY", "COMMIT_MESSAGES"])
def test_description_that_a_squash_takes_over_is_judged(
    quick_pipeline: RunPipeline, setting: str
) -> None:
    overrides = {
        "pull_request.body": "Bumps a from 1 to 2.\n- chore: release 2 [skip ci]",
        "pull_request.base.repo.squash_merge_commit_message": setting,
    }
    run = quick_pipeline("pr", "pull_request", job="validate", overrides=overrides)
    job = run.find_job("validate")
    assert job.conclusion == ("failure" if setting == "PR_BODY" else "success")
    assert ("The description has [skip ci]" in said(run, "error")) == (setting == "PR_BODY")


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_title_is_judged_by_the_rule_alone(quick_pipeline: RunPipeline, kind: str) -> None:
    job = check_title(quick_pipeline, HOSTILE[kind])
    assert job.conclusion == ("success" if kind in ACCEPTED else "failure")
    assert not (ROOT / "canary").exists()
    assert not job.find_step("Check the title").outputs
    assert all(note["title"].startswith("Title of the pull") for note in job.annotations)
    assert len(job.summary) < 3_000
    lines = job.summary.splitlines()
    assert sum(line.startswith("### ") for line in lines) == 2  # what changed, and the title
    assert all("##[" not in line for step in job.steps for line in step.log)
    first = next(line for line in lines if line.startswith("```"))
    assert first.removesuffix("text") in lines


def test_wrong_title_is_quoted_and_corrected(quick_pipeline: RunPipeline) -> None:
    job = check_title(quick_pipeline, "Fixed(API) the thing")
    (note,) = job.annotations
    assert "Title: Fixed(API) the thing" in note["text"]
    assert "It must be a type" in note["text"]
    assert "Example: feat: say what changes" in note["text"]
    assert "Fixed(API) the thing" in job.summary


def test_title_is_read_as_it_stands_now(quick_pipeline: RunPipeline) -> None:
    run = quick_pipeline(
        "pr",
        "pull_request:opened",
        job="validate",
        overrides={"pull_request.title": "Wrong when the event fired"},
        github=FakeGitHub(pull_request={"title": "fix: right by now"}),
    )
    job = run.find_job("validate")
    assert job.conclusion == "success"
    assert "fix: right by now" in job.summary
    assert "As it stands now" in job.summary


@pytest.mark.parametrize("status", [401, 403, 404, 500])
def test_title_of_the_event_counts_when_github_does_not_answer(
    quick_pipeline: RunPipeline, status: int
) -> None:
    run = quick_pipeline(
        "pr", "pull_request:opened", job="validate", github=FakeGitHub(status=status)
    )
    job = run.find_job("validate")
    assert job.conclusion == "success"
    assert "As it stood when the event fired" in job.summary
    assert [note["level"] for note in job.annotations] == ["warning"]


def test_pre_commit_checks_changed_files_only(quick_pipeline: RunPipeline, tmp_path: Path) -> None:
    source = tmp_path / "source"
    fault = "one line  \n"

    git = create(ROOT, source)
    make_small(source)
    (source / "unchanged.txt").write_text(fault)
    git.save("chore: start")

    def change(name: str) -> Job:
        run = quick_pipeline(
            "pr",
            "pull_request",
            source=source,
            small=False,
            job="quality",
            edit=lambda tree: (tree / name).write_text(fault if "bad" in name else "fine\n"),
        )
        return run.find_job("quality")

    assert change("good.txt").conclusion == "success"
    job = change("bad.txt")
    assert job.conclusion == "failure"
    assert [step.name for step in job.failed_steps] == ["Pre-commit on the changed files"]
    assert "bad.txt" in job.summary
    (note,) = job.annotations
    assert note["text"].startswith("No white space at the end of a line: Failed — Ended with ")
    assert "unchanged.txt" not in job.summary


FAULTS = {
    "quality": ("Ruff linter", "\n\nassert double(1)\n", "S101"),
    "test": ("Run the tests", "\n\nassert not 1\n", "AssertionError"),
    "security": ("Ruff security rules", '\n\neval("1")\n', "S307"),
}


def test_each_job_finds_its_fault(quick_pipeline: RunPipeline) -> None:
    edit = append("src/*/__init__.py", "".join(text for _, text, _ in FAULTS.values()))
    run = quick_pipeline("pr", "pull_request", edit=edit)
    for job_id, (step, _, message) in FAULTS.items():
        job = run.find_job(job_id)
        assert step in [failed.name for failed in job.failed_steps]
        assert message in job.summary
        assert [note for note in job.annotations if note["level"] == "error"]
    assert run.find_job("validate").conclusion == "success"
    assert run.find_job("summary").conclusion == "failure"


def test_migration_that_the_version_before_cannot_live_with_is_a_warning(
    quick_pipeline: RunPipeline, tmp_path: Path
) -> None:
    source = make_source(tmp_path / "source", make_small)
    (package,) = (source.directory / "src").iterdir()
    (package / "migrations").mkdir()
    (package / "migrations/0002.sql").write_text("ALTER TABLE x DROP COLUMN double;\n")
    source.save("feat: contract")
    options = {"source": source.directory, "small": False, "job": "quality"}
    run = quick_pipeline("pr", "pull_request:opened", **options)
    assert run.find_job("quality").conclusion == "success", explain(run)
    assert "migrations/0002.sql:1 drops double" in said(run, "warning")
    assert "This is no gate" in run.find_job("quality").summary
