"""Run the programs that know, and hand over what was found out: the same way in all audits."""

import os
import subprocess
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from lib import processes
from lib.workflow_commands import refuse, summarize

type Done = subprocess.CompletedProcess[str]

UV = os.environ.get("UV") or "uv"


class NotKnownError(Exception):
    """Somebody gave no answer that could be relied on."""


def run(  # noqa: PLR0913
    command: Sequence[str],
    *,
    seconds: float = 300,
    name: str = "",
    codes: Collection[int] = (0,),
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Done:
    """Run a program to its end; `stdout` and `stderr` are apart.

    Args:
        command: The program and its arguments.
        seconds: After which it is given up.
        name: What it is called in an error.
        codes: The exit codes that are an answer.
        folder: Where it runs; here if not given.
        environment: All of its environment variables; ours if not given.

    Raises:
        NotKnownError: It could not be started, took longer, or ended with another code.
    """
    name = name or Path(command[0]).name
    variables = {**(os.environ if environment is None else environment), "NO_COLOR": "1"}
    try:
        done = processes.run(
            command, seconds, folder=folder, environment=variables, errors=subprocess.PIPE
        )
    except subprocess.TimeoutExpired as error:
        raise NotKnownError(f"{name}: no answer in {seconds:g} seconds") from error
    except OSError as error:
        raise NotKnownError(f"{name}: {error}") from error
    if done.returncode in codes:
        return done
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()][-4:]
    reason = " ".join(lines) or "no reason given"
    raise NotKnownError(f"{name}: {reason} (exit code {done.returncode})")


def hand_over(report: str, folder: Path | None = None) -> None:
    """Print a report, add it to the job summary, and put it into a folder, if one is given."""
    if folder:
        (folder / "report.md").write_text(report, encoding="utf-8")
    summarize(report)
    print(report)


def give_up(title: str, error: Exception) -> int:
    """Say why an audit does not know; return its exit code."""
    refuse(title, f"Nothing is known. {error}")
    return 2
