"""The commit that a change is compared with: its tree, its own environment, commands in both."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lib import processes
from lib.git import Git
from lib.markdown import quote
from lib.workflow_commands import annotate
from performance.results import MeasureError

GROUP = "test"
"""What is installed to run benchmarks."""
INSTALL_SECONDS = 300
LAST_LINES = 40
UNWANTED = (
    "COVERAGE_", "COV_CORE_", "GITHUB_STEP_SUMMARY", "PYTEST_XDIST_", "PYTHONDONTWRITEBYTECODE",
    "PYTHONPATH", "UV_PROJECT_ENVIRONMENT", "VIRTUAL_ENV",
)  # fmt: skip
"""Beginnings of the names of what leads into our environment, or makes each start compile again."""


class NoBaselineError(MeasureError):
    """There is nothing to compare with; the text says why."""


@dataclass(frozen=True)
class Tree:
    """A checked out commit.

    Attributes:
        name: `base` or `change`.
        folder: Where it is.
        python: The interpreter of its environment.
        commit: The full commit; empty if it is the current tree, which may differ from any.
    """

    name: str
    folder: Path
    python: Path
    commit: str = ""


def run(
    command: Sequence[str | Path], folder: Path, seconds: float, *, codes: Sequence[int] = (0,),
    **variables: str,
) -> "subprocess.CompletedProcess[str]":  # fmt: skip
    """Run a command without what leads into our own environment; return its code and output.

    Args:
        command: The program and its arguments.
        folder: Where it runs.
        seconds: How long it may take; then it is ended, with all that it started.
        codes: The exit codes that are no failure.
        variables: Environment variables to add.

    Raises:
        MeasureError: It failed, was cut off, or could not be started; has what it printed last.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(UNWANTED)}
    try:
        done = processes.run(command, seconds, folder=folder, environment=kept | variables)
    except OSError as error:
        raise MeasureError(str(error)) from error
    except subprocess.TimeoutExpired as error:
        ended, output = f"did not end within {seconds:g} s and was cut off", str(error.output)
    else:
        if done.returncode in codes:
            return done
        ended, output = f"ended with {done.returncode}", done.stdout
    shown = " ".join([Path(command[0]).name, *map(str, command[1:4])])
    last = [line for line in output.splitlines() if line.strip()][-LAST_LINES:]
    raise MeasureError("\n".join([": ".join([f"{shown} {ended}", *last[-1:]]), *last]))


def draw(title: str, command: Sequence[str | Path], folder: Path, seconds: float) -> None:
    """Run a command that draws what was measured; a warning says so where it cannot."""
    try:
        run(command, folder, seconds)
    except MeasureError as error:
        annotate("warning", title, f"Not drawn: {quote(str(error).partition('\n')[0])}")


def find_commit(reference: str, git: Git) -> str:
    """Return the full commit that a reference names.

    Raises:
        NoBaselineError: There is none.
        MeasureError: It may exist, but only a part of the history was checked out.
        GitError: There is no Git repository.
    """
    if commit := git.find(reference):
        return commit
    if git("rev-parse", "--is-shallow-repository") == "true":
        raise MeasureError(
            f"{reference} was not checked out: give actions/checkout 'fetch-depth: 2' for HEAD^1, "
            "'fetch-depth: 0' for any other commit"
        )
    raise NoBaselineError(f"there is no commit {reference} in this repository")


@contextmanager
def check_out(reference: str) -> Iterator[Tree]:
    """Check a commit out beside the current tree, with its own locked environment.

    The tree is removed in the end, whatever happens.

    Args:
        reference: The commit, such as `HEAD^1`.

    Raises:
        NoBaselineError: There is no such commit, or it cannot be installed.
        MeasureError: It may exist, but only a part of the history was checked out.
        GitError: There is no Git repository.
    """
    git = Git(Path.cwd())
    commit = find_commit(reference, git)
    # both run on the same Python
    install = ["uv", "sync", "--quiet", "--locked", "--no-default-groups", f"--group={GROUP}"]
    install.append(f"--python={sys.executable}")
    with tempfile.TemporaryDirectory(prefix="baseline-") as directory:
        folder = Path(directory) / "tree"
        git("worktree", "add", "--quiet", "--detach", str(folder), commit)
        try:
            try:
                run(install, folder, INSTALL_SECONDS)
            except MeasureError as error:
                raise NoBaselineError(f"the base cannot be installed: {error}") from error
            yield Tree("base", folder, folder / ".venv/bin/python", commit)
        finally:
            # this one alone: another may be on a disk that is away
            git("worktree", "remove", "--force", str(folder))
