"""What a pull request costs is bounded, and what is skipped is what the change cannot break."""

from pathlib import Path

import pytest
from checks.changes import touches
from costs import SMALL, Planned, plan
from engine import ROOT
from events import Event
from harness import RunPipeline, append, explain, make_small, make_source, write
from workflows import find_workflows, load

AT_ONCE = 20
"""What GitHub's free plan runs at the same time."""

BILLED = 30
"""Minutes that a pull request may cost in a private repository."""


def plan_pull_request(*files: str) -> list[Planned]:
    return plan(ROOT, Event.parse("pull_request"), touches(files))


@pytest.mark.parametrize(
    ("file", "bound"),
    [
        ("README.md", 13),
        ("tests/unit/test_app.py", 22),
        ("src/app/app.py", 22),
        ("Dockerfile", 22),
        (".github/workflows/ci.yml", 22),
        ("uv.lock", 25),
        ("a file that nobody thought of", 25),
    ],
)
def test_jobs_of_a_pull_request_are_bounded(file: str, bound: int) -> None:
    planned = plan_pull_request(file)
    assert len(planned) <= bound
    # A verdict waits for all the others of its pipeline.
    assert len([job for job in planned if job.id != "summary"]) <= AT_ONCE


@pytest.mark.parametrize("event", ["push:main", "push:v1.2.3", "merge_group"])
def test_jobs_of_other_events_are_bounded(event: str) -> None:
    assert len([job for job in plan(ROOT, Event.parse(event)) if job.id != "summary"]) <= AT_ONCE


def test_artifacts_do_not_pile_up() -> None:
    kept = {
        step["with"]["name"]: step["with"].get("retention-days")
        for path in find_workflows(ROOT).values()
        for job in load(path)["jobs"].values()
        for step in job.get("steps", [])
        if step.get("uses", "").startswith("actions/upload-artifact@")
    }
    for name in ("performance-history", "release-files"):  # later pushes read it; a run may be late
        assert kept.pop(name) is None
    assert {*kept.values()} == {"30"}, "GitHub keeps them for 90 days, and Free has 500 MB"


@pytest.mark.parametrize("edited", ["body.from", "title.from"])
def test_edit_of_text_runs_small_jobs_only(edited: str) -> None:
    overrides = {"changes": {}, f"changes.{edited}": "before"}
    planned = plan(ROOT, Event.parse("pull_request:edited", overrides))
    assert {job.runner for job in planned} == {"ubuntu-slim"}
    assert len(planned) == 6 + (edited == "title.from")


@pytest.mark.parametrize(
    "pipeline", sorted({job.pipeline for job in plan_pull_request("README.md")} - {"ci"})
)
def test_documents_run_what_was_planned(
    quick_pipeline: RunPipeline, tmp_path: Path, pipeline: str
) -> None:
    git = make_source(tmp_path / "source", make_small)
    (git.directory / "README.md").write_text("new words\n")
    run = quick_pipeline(pipeline, "pull_request", source=git.directory, small=False)
    assert run.conclusion == "success", explain(run)
    ran = {job.id for job in run.jobs if job.conclusion == "success"}
    assert ran == {job.id for job in plan_pull_request("README.md") if job.pipeline == pipeline}


ROWS = {
    "pull request: documents": plan_pull_request("README.md"),
    "pull request: a workflow": plan_pull_request(".github/workflows/ci.yml"),
    "pull request: the Dockerfile": plan_pull_request("Dockerfile"),
    "pull request: tests": plan_pull_request("tests/unit/test_app.py"),
    "pull request: the app": plan_pull_request("src/app/app.py"),
    "pull request: `uv.lock`, or what no list names": plan_pull_request("uv.lock"),
    "its title edited": plan(ROOT, Event.parse("pull_request:edited")),
    "merge queue": plan(ROOT, Event.parse("merge_group")),
    "push to `main`": plan(ROOT, Event.parse("push:main")),
    "push of a tag": plan(ROOT, Event.parse("push:v1.2.3")),
}


@pytest.mark.parametrize("row", ROWS)
def test_reference_has_the_jobs(row: str) -> None:
    planned = ROWS[row]
    once = [job for job in planned if job.id.rpartition("/")[2] != "summary"]
    small = [job for job in planned if job.runner == SMALL]
    lines = (ROOT / "docs/ci-cd.md").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith(f"| {row} |"))
    jobs, most, billed, minutes = (int(part) for part in line.strip("| ").split(" | ")[1:])
    assert billed <= BILLED
    assert (jobs, most, minutes) == (len(planned), len(once), len(small))


FAULTS = {
    "the app": ("pr", "test", append("src/*/__init__.py", "\n\nassert double(1) == 1\n")),
    "code that is unsafe": ("pr", "security", append("src/*/__init__.py", '\n\neval("1")\n')),
    "a test": ("pr", "test", append("tests/test_double.py", "\n\nassert not 1\n")),
    "a test, for CI": ("ci", "test", append("tests/test_double.py", "\n\nassert not 1\n")),
    "the Dockerfile": ("docker", "lint", write("Dockerfile", "FROM debian\n")),
    "a workflow": ("ci", "lint", write(".github/workflows/x.yml", "on: push\njobs: {}\n")),
    "a script": ("ci", "lint", append(".github/scripts/image/image.sh", "\nrm $1\n")),
    "a script in Python": ("pr", "security", append(".github/scripts/lib/git.py", "\neval('1')\n")),
    "a document's program": ("pr", "security", write("docs/conf.py", "eval('1')\n")),
    "a file nobody thought of": ("pr", "test", write("conftest.py", "assert not 1\n")),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_fault_is_caught_by_the_pull_request_that_brings_it(
    quick_pipeline: RunPipeline, tmp_path: Path, kind: str
) -> None:
    pipeline, job, edit = FAULTS[kind]
    git = make_source(tmp_path / "source", make_small)
    edit(git.directory)
    run = quick_pipeline(pipeline, "pull_request", source=git.directory, small=False, job=job)
    assert run.find_job(job).conclusion == "failure", explain(run)
