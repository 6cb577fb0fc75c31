"""The commit that a change is compared with: its tree, its own environment, commands in both."""

import math
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from lib.markdown import fence, quote
from lib.workflow_commands import annotate, summarize

INSTALL_SECONDS = 300
GIT_SECONDS = 60
LAST_LINES = 40
OURS, OFF = ".performance-results", "off.txt"
"""Marks a folder of results as ours; says why there are no results."""
UNWANTED = {
    "GITHUB_STEP_SUMMARY",
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONPATH",
    "UV_PROJECT_ENVIRONMENT",
    "VIRTUAL_ENV",
}
UV = os.environ.get("UV") or "uv"


class NoBaselineError(Exception):
    """There is nothing to compare with; the text says why."""


class ShallowError(Exception):
    """The commit to compare with was not checked out; the text says how to get it."""


class CommandError(Exception):
    """A command failed or took too long; the text says which, and what it printed last."""


@dataclass(frozen=True)
class Tree:
    """A checked out commit.

    Attributes:
        name: What it is called in messages.
        folder: Where it is.
        python: The interpreter of its environment.
        commit: The full commit; empty if it is the current tree, which may differ from any.
    """

    name: str
    folder: Path
    python: Path
    commit: str = ""

    def run(
        self, arguments: Sequence[str], seconds: float, variables: Mapping[str, str] | None = None
    ) -> str:
        """Run a Python module in this tree and return what it printed.

        Args:
            arguments: The module and its arguments.
            seconds: How long it may take.
            variables: Environment variables to add.

        Raises:
            CommandError: It failed, or was cut off.
        """
        return run([str(self.python), "-m", *arguments], self.folder, seconds, variables)


def run(
    command: Sequence[str],
    folder: Path,
    seconds: float,
    variables: Mapping[str, str] | None = None,
) -> str:
    """Run a command and return what it printed; end it with all its children after some seconds.

    Raises:
        CommandError: It failed, was cut off, or could not be started.
    """
    try:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=clean_environment() | dict(variables or {}),
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
    except OSError as error:
        raise CommandError(str(error)) from error
    shown = " ".join(Path(it).name if it == command[0] else it for it in command[:4])
    try:
        output, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        _end(process)
        output, _ = process.communicate()
        raise CommandError(
            f"{shown} did not end within {seconds:g} s and was cut off; it printed last:\n"
            f"{_find_end(output)}"
        ) from None
    except BaseException:
        _end(process)
        raise
    if process.returncode:
        raise CommandError(f"{shown} ended with {process.returncode}:\n{_find_end(output)}")
    return output


def find_commit(reference: str, folder: Path) -> str:
    """Return the full commit that a reference names.

    Raises:
        NoBaselineError: There is none.
        ShallowError: It may exist, but only a part of the history was checked out.
    """
    command = ["git", "rev-parse", "--verify", "--quiet", "--end-of-options"]
    try:
        return run([*command, f"{reference}^{{commit}}"], folder, GIT_SECONDS).strip()
    except CommandError:
        pass
    try:
        shallow = run(["git", "rev-parse", "--is-shallow-repository"], folder, GIT_SECONDS)
    except CommandError as error:
        raise NoBaselineError(f"this is no Git repository: {error}") from error
    if shallow.strip() == "true":
        raise ShallowError(
            f"{reference} was not checked out: give actions/checkout 'fetch-depth: 2' for HEAD^1, "
            "'fetch-depth: 0' for any other commit"
        )
    raise NoBaselineError(f"there is no commit {reference} in this repository")


@contextmanager
def check_out(reference: str, groups: Sequence[str]) -> Iterator[Tree]:
    """Check a commit out beside the current tree, with its own locked environment.

    The tree is removed in the end, whatever happens.

    Args:
        reference: The commit, such as `HEAD^1`.
        groups: Dependency groups to install.

    Raises:
        NoBaselineError: There is no such commit, or it cannot be installed.
        ShallowError: It may exist, but only a part of the history was checked out.
    """
    here = Path.cwd()
    commit = find_commit(reference, here)
    try:
        with tempfile.TemporaryDirectory(prefix="baseline-") as directory:
            folder = Path(directory) / "tree"
            run(["git", "worktree", "add", "--detach", str(folder), commit], here, GIT_SECONDS)
            yield Tree("the baseline", folder, _install(folder, groups), commit)
    finally:
        run(["git", "worktree", "prune"], here, GIT_SECONDS)


def find_current() -> Tree:
    """Return the current tree with the environment that this process runs in."""
    return Tree("the change", Path.cwd(), Path(sys.executable))


def end_cleanly() -> None:
    """Turn SIGTERM, by which a run is cancelled, into an exception that cleans up."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        sys.exit("Cancelled.")

    signal.signal(signal.SIGTERM, stop)


def refuse(title: str, what: str, error: Exception) -> None:
    """Say in the log, as an annotation and in the job summary what could not be measured."""
    first = str(error).partition("\n")[0]
    annotate("error", title, f"{what[0].upper()}{what[1:]}: {quote(first)}")
    summarize(f"### ❌ {title}: {what}\n\n{fence(str(error))}\n")
    print(error)


def prepare(output: Path) -> Path:
    """Return the folder of the results, emptied and marked as ours.

    Raises:
        CommandError: It holds something that is not ours, or cannot be made.
    """
    try:
        if output.exists() and any(output.iterdir()):
            if not (output / OURS).is_file():
                raise CommandError(
                    f"{output} is not empty and holds no results of an earlier run: choose "
                    "another --output, or empty it yourself"
                )
            shutil.rmtree(output)
        output.mkdir(parents=True, exist_ok=True)
        (output / OURS).touch()
    except OSError as error:
        raise CommandError(f"{output} cannot take the results: {error}") from error
    return output.resolve()


def leave_out(title: str, tests: str, folder: Path) -> bool:
    """Say that there are no tests of a kind, and note it for the report; False if there are."""
    if any(Path(tests).glob("**/test_*.py")):
        return False
    text = f"There are no tests in {tests}: this part is off."
    annotate("notice", title, text)
    summarize(f"### ⚪ {title}\n\n{text}\n")
    (folder / OFF).write_text(text, encoding="utf-8")
    return True


def positive(text: str) -> float:
    """Read an option of the command line that is a number above 0.

    Raises:
        ValueError: It is none.
    """
    value = float(text)
    if not 0 < value < math.inf:
        raise ValueError(text)
    return value


def _install(folder: Path, groups: Sequence[str]) -> Path:
    environment = folder / ".venv"
    options = [
        "--locked",
        f"--python={sys.executable}",  # both run on the same Python
        "--no-default-groups",
        *(f"--group={it}" for it in groups),
    ]
    try:
        run(
            [UV, "sync", "--quiet", *options],
            folder,
            INSTALL_SECONDS,
            {"UV_PROJECT_ENVIRONMENT": str(environment)},
        )
    except CommandError as error:
        raise NoBaselineError(f"the baseline cannot be installed: {error}") from error
    programs = "Scripts" if os.name == "nt" else "bin"
    return environment / programs / "python"


def clean_environment() -> dict[str, str]:
    """Return our environment without what leads into it, or makes each start compile again."""
    return {
        name: value
        for name, value in os.environ.items()
        if name not in UNWANTED and not name.startswith(("COVERAGE_", "COV_CORE_", "PYTEST_XDIST_"))
    }


def _end(process: subprocess.Popen[str]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _find_end(output: str) -> str:
    lines = [line for line in output.splitlines() if line.strip()]
    return "\n".join(lines[-LAST_LINES:])
