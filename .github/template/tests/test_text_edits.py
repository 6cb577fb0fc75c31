"""Edits of a pull request's text: no test runs again, and no check becomes greener than it was."""

from pathlib import Path
from typing import Any

import pytest
from costs import describe, evaluate
from engine import ROOT, Run
from events import Event
from fakes.github_api import FakeGitHub
from fakes.github_runs import WorkflowRun
from harness import RunPipeline, explain, said
from lib.triggers import starts_on
from origin import Git
from workflows import find_workflows, load

VERDICTS = {
    "ci": "CI summary",
    "codeql": "Analyze",
    "dependency-review": "Dependency summary",
    "docker": "Docker summary",
    "performance": "Performance summary",
    "pr": "PR summary",
}
"""The check of each pipeline that may be required."""
EARLIER = {
    "green": ("completed", "success", "success"),
    "red": ("completed", "failure", "failure"),
    "cancelled": ("completed", "cancelled", "cancelled"),
    "going on": ("in_progress", None, "success"),
    "waiting": ("queued", None, "success"),
}
"""The status and conclusion of the run of the commit's checks, and the conclusion of one job."""


def edit_text(
    quick_pipeline: RunPipeline,
    name: str,
    runs: list[WorkflowRun],
    *,
    edited: str = "body.from",
    title: str = "fix: as it was",
) -> Run:
    """Run a pipeline on an edit of the text; the runs that were before are about its commit."""
    github = FakeGitHub()

    def remember(tree: Path) -> None:
        git = Git(tree)
        git.save("feat: change")
        for run in runs:
            run.workflow, run.sha = f"{name}.yml", run.sha or git.find("HEAD")
        github.runs.runs = runs

    github.runs.now = {"Test suite": "skipped", VERDICTS[name]: None}
    overrides = {"changes": {}, f"changes.{edited}": "before", "pull_request.title": title}
    return quick_pipeline(
        name, "pull_request:edited", edit=remember, github=github, overrides=overrides
    )


def find_verdict(run: Run) -> str:
    """Return how the one job that runs ended; the others were skipped."""
    ran = [job for job in run.jobs if job.conclusion != "skipped"]
    return {job.name: job.conclusion for job in ran if job.id != "validate"}.popitem()[1]


def make_run(jobs: dict[str, str], number: int = 7, *, sha: str = "") -> WorkflowRun:
    """Return a run that ended, red if one of its jobs is."""
    conclusion = "failure" if "failure" in jobs.values() else "success"
    return WorkflowRun(number, "", sha, jobs, conclusion=conclusion)


def test_verdicts_are_all() -> None:
    event = {"action": "edited", "pull_request": {"base": {"ref": "main"}}}
    started = {
        name
        for name, path in find_workflows(ROOT).items()
        if starts_on(load(path), "pull_request", event)
    }
    assert started == VERDICTS.keys()


@pytest.mark.parametrize("name", VERDICTS)
@pytest.mark.parametrize(
    ("event", "overrides", "cancels"),
    [
        ("pull_request:synchronize", {}, True),
        ("pull_request:edited", {"changes": {"base": {"ref": {"from": "develop"}}}}, True),
        ("pull_request:edited", {"changes": {"body": {"from": "before"}}}, False),
        ("push", {}, False),
    ],
)
def test_only_new_code_cancels_a_run(
    name: str, event: str, overrides: dict[str, Any], cancels: bool
) -> None:
    happened = Event.parse(event, overrides)
    expression = load(find_workflows(ROOT)[name])["concurrency"]["cancel-in-progress"]
    assert evaluate(expression, describe(happened)) is cancels


@pytest.mark.parametrize(
    ("name", "earlier"),
    [
        *((name, earlier) for name in VERDICTS for earlier in ("green", "red")),
        *(("ci", earlier) for earlier in ("cancelled", "going on", "waiting", "none")),
        *(("ci", earlier) for earlier in ("another commit's", "another request's")),
    ],
)
def test_edit_repeats_the_verdict(quick_pipeline: RunPipeline, name: str, earlier: str) -> None:
    status, conclusion, job = EARLIER.get(earlier, EARLIER["green"])
    jobs = {"Something": "success", VERDICTS[name]: job}
    if earlier == "red" and name == "pr":
        jobs["Security"] = job
    before = WorkflowRun(7, "", "", jobs, status, conclusion)
    if earlier == "another commit's":
        before.sha = "0" * 40
    if earlier == "another request's":
        before.pull_requests = [2]
    if name == "docker":
        before.pull_requests = []  # as of a fork's pull request
    run = edit_text(quick_pipeline, name, [] if earlier == "none" else [before])
    assert find_verdict(run) == ("success" if earlier == "green" else "failure"), explain(run)
    assert sum(job.conclusion != "skipped" for job in run.jobs) == 1


@pytest.mark.parametrize("last", ["green", "red"])
def test_last_whole_run_counts(quick_pipeline: RunPipeline, last: str) -> None:
    red, green = (8, 7) if last == "red" else (7, 8)
    edit = make_run({VERDICTS["ci"]: "success"}, 9)
    edit.title = "Text edited"
    run = edit_text(
        quick_pipeline,
        "ci",
        [
            edit,
            make_run({"Something": "success", VERDICTS["ci"]: "success"}, green),
            make_run({"Something": "failure", VERDICTS["ci"]: "failure"}, red),
        ],
    )
    assert find_verdict(run) == ("success" if last == "green" else "failure")
    assert ("Something (failure in run 8)" in said(run, "error")) == (last == "red")


VALIDATE = "Validate the title"
TITLE_WAS_WRONG = {VALIDATE: "failure", "PR summary": "failure"}


@pytest.mark.parametrize(
    ("edited", "earlier", "title", "green"),
    [
        ("title.from", {}, "fix: mended", True),
        ("title.from", TITLE_WAS_WRONG, "fix: mended", True),
        ("title.from", {}, "Broken", False),
        ("title.from", {"PR summary": "failure"}, "fix: mended", True),
        ("title.from", {"Test suite": "failure", "PR summary": "failure"}, "fix: x", False),
        ("title.from", TITLE_WAS_WRONG | {"Test suite": "failure"}, "fix: mended", False),
        ("title.from", {"Test suite": "cancelled", "PR summary": "failure"}, "fix: x", False),
        ("body.from", TITLE_WAS_WRONG, "fix: mended before", True),
        ("body.from", TITLE_WAS_WRONG, "Broken", False),
        ("body.from", {}, "Broken", False),
    ],
)
def test_title_is_judged_as_it_stands_now(
    quick_pipeline: RunPipeline, edited: str, earlier: dict[str, str], title: str, green: bool
) -> None:
    before = make_run({VALIDATE: "success", "Test suite": "success"} | earlier)
    run = edit_text(quick_pipeline, "pr", [before], edited=edited, title=title)
    valid = "failure" if title == "Broken" else "success"
    assert {job.id: job.conclusion for job in run.jobs} == {
        "validate": valid if edited == "title.from" else "skipped",
        "quality": "skipped",
        "test": "skipped",
        "security": "skipped",
        "summary": "success" if green else "failure",
    }, explain(run)


def test_github_that_does_not_answer_makes_nothing_green(quick_pipeline: RunPipeline) -> None:
    github = FakeGitHub()
    github.faults = ["GET .*/runs"]
    overrides = {"changes": {}, "changes.body.from": "before"}
    run = quick_pipeline("ci", "pull_request:edited", github=github, overrides=overrides)
    assert find_verdict(run) == "failure"
    assert "cannot be asked" in said(run, "error")
