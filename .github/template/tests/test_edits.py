"""What the owner of a copy may change, one thing at a time: nothing turns red but real faults."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from platform import python_version

import pytest
from copies import execute
from harness import RunPipeline, explain
from origin import Git
from workflows import find_workflows

NIGHTLY = """name: Nightly
on:
  schedule:
    - cron: "17 4 * * *"
jobs:
  report:
    runs-on: ubuntu-latest
    timeout-minutes: 5
    permissions: {contents: read}
    steps:
      - uses: actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1
        with: {persist-credentials: false}
      - run: echo reported
"""
OWN_ACTION = """
      - uses: acme/own-action@0123456789abcdef0123456789abcdef01234567 # v1.0.0
"""
NEW_JOB = """
  extra:
    name: Extra
    runs-on: ubuntu-24.04
    timeout-minutes: 5
    permissions: {}
    steps:
      - run: echo extra
"""

pytestmark = pytest.mark.usefixtures("types")


def change(path: Path, old: str, new: str) -> None:
    """Replace a regular expression in a file, at least once."""
    text, count = re.subn(old, new, path.read_text(), flags=re.MULTILINE)
    assert count, old
    path.write_text(text)


def comment_everywhere(tree: Path) -> None:
    for path in find_workflows(tree).values():
        path.write_text("# a comment of ours\n" + path.read_text() + "# and another\n" * 120)


def rename_a_job(tree: Path) -> None:
    change(tree / ".github/workflows/ci.yml", r"^  test:$", "  tests-of-ours:")
    change(tree / ".github/workflows/ci.yml", r"(needs: \[.*)\btest\b", r"\1tests-of-ours")
    change(tree / ".github/workflows/ci.yml", r"name: Lint$", "name: our lint")


def use_an_own_action(tree: Path) -> None:
    change(tree / ".github/workflows/ci.yml", r"\n\n  test:$", OWN_ACTION + "\n  test:")


def add_a_workflow(tree: Path) -> None:
    (tree / ".github/workflows/nightly.yaml").write_text(NIGHTLY)


def add_a_python(tree: Path) -> None:
    change(tree / ".github/workflows/ci.yml", r'\["3\.13"\]', '["3.13", "3.14"]')


def choose_another_python(tree: Path) -> None:
    """Only how it is written is another one: whatever else is installed here, this one is."""
    change(tree / ".github/workflows/ci.yml", r'\["3\.13"\]', f'["{python_version()}"]')


def ask_for_more_coverage(tree: Path) -> None:
    change(tree / "pyproject.toml", r"^fail_under = \d+", "fail_under = 95")


def choose_tests(tree: Path) -> None:
    change(tree / ".github/workflows/ci.yml", r"pytest tests/ ", "pytest tests/unit tests/api ")


def add_a_smoke_test(tree: Path) -> None:
    (tree / "tests/smoke/test_more.py").write_text("def test_more() -> None:\n    assert True\n")


EDITS: dict[str, Callable[[Path], None]] = {
    edit.__name__: edit
    for edit in (
        comment_everywhere, use_an_own_action, rename_a_job, add_a_workflow, add_a_python,
        choose_another_python, ask_for_more_coverage, choose_tests, add_a_smoke_test,
    )
}  # fmt: skip


@pytest.mark.parametrize("edit", EDITS)
def test_stays_green(copy: Path, edit: str) -> None:
    EDITS[edit](copy)
    execute(copy, "actionlint", "-shellcheck=")  # no edit has a shell script
    execute(copy, "zizmor", "--offline", "--no-progress", "--quiet", ".github")
    execute(copy, "python", ".github/scripts/checks/workflow_rules.py")
    execute(copy, "ruff", "check", ".")


def test_tests_that_read_the_workflows_stay_green_with_all_edits(copy: Path) -> None:
    for edit in EDITS.values():
        if edit is not choose_another_python:  # a second change of the same line
            edit(copy)
    readers = ("checks/test_workflow_rules.py", "workflows", "repository/test_setup_github.py")
    tests = [f".github/tests/{reader}" for reader in readers]
    execute(copy, "pytest", *tests, "-q", "-n0", "--assert=plain", "-m", "not slow")


def test_line_length_of_the_app_is_not_the_machinerys(copy: Path) -> None:
    change(copy / "pyproject.toml", r"^line-length = 100", "line-length = 88")
    execute(copy, "ruff", "check", ".github", "deploy")
    execute(copy, "ruff", "format", "--check", ".github", "deploy")
    execute(copy, "ruff", "format", "src", "tests")


def test_job_that_the_verdict_does_not_know_is_red_with_the_fix(copy: Path) -> None:
    change(copy / ".github/workflows/ci.yml", r"\n  summary:$", NEW_JOB + "\n  summary:")
    with pytest.raises(AssertionError, match="Add to `needs:`: extra"):
        execute(copy, "python", ".github/scripts/checks/workflow_rules.py")


@pytest.mark.parametrize(
    "edit", ["comment_everywhere", "rename_a_job", "use_an_own_action", "choose_another_python"]
)
def test_runs_green(renamed: Git, quick_pipeline: RunPipeline, edit: str) -> None:
    run = quick_pipeline("ci", "push", source=renamed.directory, edit=EDITS[edit])
    assert run.conclusion == "success", explain(run)
    assert (run.artifacts / "coverage.xml").exists()
    outcomes = {step.name: step.outcome for job in run.jobs for step in job.steps}
    assert outcomes["Set up the machinery's tests"] == "success"
    if edit == "use_an_own_action":
        notes = [note["text"] for job in run.jobs for note in job.annotations]
        assert any(text.startswith("no stand-in: left out") for text in notes)


def test_coverage_below_the_threshold_is_red(renamed: Git, quick_pipeline: RunPipeline) -> None:
    def edit(tree: Path) -> None:
        ask_for_more_coverage(tree)
        (package,) = (tree / "src").iterdir()
        with (package / "__init__.py").open("a") as file:
            file.write(
                '\n\ndef never(value: int) -> int:\n    """Return it."""\n    return value\n'
            )

    source = renamed.directory
    run = quick_pipeline("pr", "pull_request", job="test", source=source, edit=edit)
    assert run.find_job("test").conclusion == "failure"


def test_machinery_tests_deleted_and_then_the_runner(copy: Path) -> None:
    for folder in ("tests", "runner"):
        shutil.rmtree(copy / ".github" / folder)
        execute(copy, "ruff", "check", ".")
        execute(copy, "mypy")
        execute(copy, "python", ".github/scripts/checks/workflow_rules.py")
