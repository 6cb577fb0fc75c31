from pathlib import Path

import pytest
from harness import Edit, RunPipeline, append, explain, write

pytestmark = pytest.mark.usefixtures("types")


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
    "Ruff linter": (append("src/*/__init__.py", FAULT), "S101"),
    "Ruff formatter": (append("src/*/__init__.py", "\n\nA = {  1:2 }\n"), "would be reformatted"),
    "mypy": (append("src/*/__init__.py", '\n\nB: int = "1"\n'), "Incompatible types"),
    "actionlint": (
        write(
            ".github/workflows/other.yml",
            "on: push\njobs: {a: {runs-on: nowhere, steps: [{run: echo}]}}\n",
        ),
        "nowhere",
    ),
    "zizmor": (
        write(
            ".github/workflows/unpinned.yml",
            "on: push\njobs: {a: {runs-on: ubuntu-24.04, steps: [{uses: actions/checkout@v7}]}}\n",
        ),
        "unpinned-uses",
    ),
    "shellcheck": (write("careless.sh", "#!/bin/bash\nrm $1\n"), "SC2086"),
    "hadolint": (write("Dockerfile", "FROM debian\n"), "DL3006"),
}
TESTS = {
    "Run the tests": (
        append("tests/test_double.py", "\n\ndef test_false() -> None:\n    assert not 1\n"),
        "test_false",
    ),
    "Judge the coverage": (
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
"""By step: an edit that plants a fault, and what the step has to say of it."""


@pytest.mark.parametrize(("job_id", "faults"), [("lint", LINTS), ("test", TESTS)])
def test_each_step_finds_its_fault(
    quick_pipeline: RunPipeline, job_id: str, faults: dict[str, tuple[Edit, str]]
) -> None:
    def plant(tree: Path) -> None:
        for edit, _ in faults.values():
            edit(tree)

    run = quick_pipeline("ci", "push", edit=plant, job=job_id)
    job = run.find_job(job_id)
    assert run.conclusion == "failure"
    failed = [step.name for step in job.failed_steps]
    for step, (_, message) in faults.items():
        assert step in failed
        assert message in job.summary
    assert len([note for note in job.annotations if note["level"] == "error"]) >= len(faults)


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
