from pathlib import Path

import pytest
from harness import RunPipeline, append, explain, write


@pytest.mark.parametrize("event", ["push", "pull_request"])
def test_green(quick_pipeline: RunPipeline, event: str) -> None:
    run = quick_pipeline("ci", event)
    assert run.conclusion == "success", explain(run)
    assert {job.id: job.conclusion for job in run.jobs} == dict.fromkeys(
        ("lint", "test", "summary"), "success"
    )
    assert all(job.summary for job in run.jobs)
    assert "| test | ✅ success |" in run.find_job("summary").summary
    assert "<coverage" in (run.artifacts / "coverage.xml/coverage.xml").read_text()


FAULT = "\n\nassert double(1)\n"

LINTS = {
    "a style error": ("lint", "Ruff linter", append("src/*/__init__.py", FAULT), "S101"),
    "a format error": (
        "lint",
        "Ruff formatter",
        append("src/*/__init__.py", "\n\nA = {  1:2 }\n"),
        "would be reformatted",
    ),
    "a type error": (
        "lint",
        "mypy",
        append("src/*/__init__.py", '\n\nA: int = "1"\n'),
        "Incompatible types",
    ),
    "a workflow error": (
        "lint",
        "actionlint",
        write(".github/workflows/other.yml", "on: push\njobs: {a: {runs-on: nowhere}}\n"),
        "nowhere",
    ),
    "an unpinned action": (
        "lint",
        "zizmor",
        write(
            ".github/workflows/other.yml",
            "on: push\njobs: {a: {runs-on: ubuntu-24.04, steps: [{uses: actions/checkout@v7}]}}\n",
        ),
        "unpinned-uses",
    ),
    "a careless script": (
        "lint",
        "shellcheck",
        write("careless.sh", "#!/bin/bash\nrm $1\n"),
        "SC2086",
    ),
    "a careless Dockerfile": (
        "lint",
        "hadolint",
        write("Dockerfile", "FROM debian\n"),
        "DL3006",
    ),
}
TESTS = {
    "a failing test": (
        "test",
        "Run the tests",
        append("tests/test_double.py", "\n\ndef test_false() -> None:\n    assert not 1\n"),
        "test_false",
    ),
    "too little coverage": (
        "test",
        "Judge the coverage",
        append(
            "src/*/__init__.py",
            "\n\ndef triple(number: int) -> int:\n"
            '    """Return three times the number."""\n'
            + "".join(f"    number += {i}\n" for i in range(9))
            + "    return 3 * number\n",
        ),
        "is less than fail-under",
    ),
}


@pytest.mark.parametrize("fault", [*LINTS, *TESTS])
def test_red(quick_pipeline: RunPipeline, fault: str) -> None:
    job_id, step, edit, message = (LINTS | TESTS)[fault]
    run = quick_pipeline("ci", "push", edit=edit, job=job_id)
    job = run.find_job(job_id)
    assert run.conclusion == "failure"
    assert step in [failed.name for failed in job.failed_steps]
    assert "❌" in job.summary
    assert message in job.summary
    assert [note for note in job.annotations if note["level"] == "error"]


def test_red_run_ends_in_a_red_summary(quick_pipeline: RunPipeline) -> None:
    def edit(tree: Path) -> None:
        append("src/*/__init__.py", FAULT)(tree)

    run = quick_pipeline("ci", "push", edit=edit)
    assert run.find_job("lint").conclusion == "failure"
    assert run.find_job("test").conclusion == "success"
    summary = run.find_job("summary")
    assert summary.conclusion == "failure"
    assert "| lint | ❌ failure |" in summary.summary
    assert [note["text"] for note in summary.annotations] == ["lint (failure)"]
