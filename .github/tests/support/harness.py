"""What the tests of the pipelines share: small copies of this repository, and edits to them."""

import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from containers import ContainersError, adapt, docker
from engine import ROOT, Run
from origin import Git, create
from repository.rename_project import PROOF

CI = """name: CI
on:
  workflow_call:
jobs:
  check:
    name: Check
    runs-on: ubuntu-24.04
    steps:
      - uses: actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1
      - name: Check
        run: echo checked
"""
"""A quick workflow to call in the place of CI."""

RunPipeline = Callable[..., Run]
Edit = Callable[[Path], None]


def report_to(folder: str) -> str:
    """Return a script that leaves a report in a folder, in the place of one that takes long."""
    return f"""import os, pathlib, sys

pathlib.Path("{folder}").mkdir()
pathlib.Path("{folder}/report.txt").touch()
with open(os.environ["GITHUB_STEP_SUMMARY"], "a") as summary:
    summary.write("### " + sys.argv[0])
"""


def leave_out_what_pipelines_do_not_use(tree: Path) -> None:
    """Remove half of the files: each job checks them out and looks at them."""
    for name in (*PROOF, ".github/runner", ".github/tests"):
        shutil.rmtree(tree / name, ignore_errors=True)


def make_small(tree: Path) -> None:
    """Replace the app and its tests by a function and a test: pipelines run in seconds then."""
    leave_out_what_pipelines_do_not_use(tree)
    package = next((tree / "src").iterdir())
    for folder in (package, tree / "tests"):
        shutil.rmtree(folder)
        folder.mkdir()
    (package / "__init__.py").write_text(
        '"""A small package."""\n\n\ndef double(number: int) -> int:\n'
        '    """Return twice the number."""\n    return 2 * number\n'
    )
    (tree / "tests/test_double.py").write_text(
        f"from {package.name} import double\n\n\ndef test_double() -> None:\n"
        "    assert double(2) == 4\n"
    )


def make_quick(tree: Path, environment: str | Path = sys.prefix) -> None:
    """Let the jobs use packages that are installed already, instead of installing their own.

    Args:
        tree: The copy.
        environment: The virtual environment that has them; the one of this process if not given.
    """
    leave_out_what_pipelines_do_not_use(tree)
    setup = tree / ".github/actions/setup/action.yml"
    setup.write_text(re.sub("uv sync .*", f"ln -sfn {environment} .venv", setup.read_text()))


def append(path: str, text: str) -> Edit:
    """Return an edit that adds text to the files that match a pattern."""

    def edit(tree: Path) -> None:
        for file in tree.glob(path):
            file.write_text((file.read_text() if file.exists() else "") + text)

    return edit


def write(path: str, text: str) -> Edit:
    """Return an edit that makes a file."""

    def edit(tree: Path) -> None:
        (tree / path).write_text(text)

    return edit


def replace(path: str, old: str, new: str) -> Edit:
    """Return an edit that replaces text in a file."""

    def edit(tree: Path) -> None:
        text = (tree / path).read_text()
        assert old in text
        (tree / path).write_text(text.replace(old, new))

    return edit


def explain(run: Run) -> str:
    """Return what failed in a run, or did not end, for the message of an assertion."""
    lines = [run.error]
    for job in run.jobs:
        running = (step for step in job.steps if step.outcome == "running")
        lines += [f"{job.name} / {step.name} did not end" for step in running]
        for step in job.failed_steps:
            log = "".join(line for part in job.find_parts(step) for line in part.log)
            lines.append(f"{job.name} / {step.name}:\n{log[-2000:]}")
    return "\n".join(lines)


def said(run: Run, level: str) -> str:
    """Return the annotations of a level, one a line, each behind its title."""
    notes = (note for job in run.jobs for note in job.annotations if note["level"] == level)
    return "\n".join(f"{note.get('title', '')}: {note['text']}" for note in notes)


def prepare(edit: Edit | None = None) -> Edit:
    """Return an edit for the engine that is here, without an installation in each job."""

    def change(tree: Path) -> None:
        adapt(tree)
        make_quick(tree)
        if edit:
            edit(tree)

    return change


def start_anew(directory: Path) -> Git:
    """Return a copy of this repository whose branch main has no commit yet."""
    git = create(ROOT, directory)
    for ref in git("for-each-ref", "--format=%(refname)").splitlines():
        git("update-ref", "-d", ref)
    git("symbolic-ref", "HEAD", "refs/heads/main")
    return git


def make_source(directory: Path, edit: Edit | None = None) -> Git:
    """Make a repository with one commit on main: whatever runs there is about that commit."""
    git = start_anew(directory)
    prepare(edit)(git.directory)
    git.save("feat: start")
    return git


def find_digest(host: str, tag: str, image: str = "octo-org/widget") -> str:
    """Return the digest of a tag; nothing if the registry does not have it."""
    try:
        text = docker("buildx", "imagetools", "inspect", f"{host}/{image}:{tag}")
    except ContainersError:
        return ""
    return next(line.split()[1] for line in text.splitlines() if line.startswith("Digest:"))


def inputs_of(run: Run, action: str) -> list[dict[str, str]]:
    """Return what an action was given, each time that a run used it."""
    return [record["inputs"] for record in run.records if record["action"] == action]
