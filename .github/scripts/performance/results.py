"""What each performance test leaves: one shape of result, for the report and the history.

The folder of a test holds `result.json` (a `Result`), `report.md` (the same for people), and what
the tool itself wrote.
"""

import json
import math
import re
import shutil
import signal
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from lib.workflow_commands import annotate, summarize

REFUSED = re.compile(r'["<>:|*?\\\r\n]')
RESULT, REPORT = "result.json", "report.md"
MALFORMED = (AttributeError, LookupError, TypeError, ValueError)
"""What reading a result raises that has something else somewhere than a result has there."""
NONE = "-"
"""What stands for a number that is not known."""
TIMES = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))


class MeasureError(Exception):
    """Something cannot be measured, or its result cannot be read; the text says what, and why."""


@dataclass(frozen=True)
class Result:
    """What a test measured.

    Attributes:
        figures: Those that are known of `p50`, `p95`, `p99` and `query` (milliseconds),
            `throughput` (requests per second), `errors` (part of 1) and `memory` (bytes).
        verdict: How it compares with the base, in a few words.
        base: Full commit that it was compared with; empty without one.
        ratios: Time / time of the base by benchmark, of those that could be judged.
        peaks: The most that each memory test held at a time, in bytes.
        off: Why nothing was measured; empty if it was.
    """

    figures: Mapping[str, float] = field(default_factory=dict)
    verdict: str = ""
    base: str = ""
    ratios: Mapping[str, float] = field(default_factory=dict)
    peaks: Mapping[str, float] = field(default_factory=dict)
    off: str = ""

    def write(self, folder: Path, report: str = "") -> None:
        """Leave it in the folder of its test, with a report for people as Markdown."""
        (folder / RESULT).write_text(json.dumps(asdict(self), indent=2), encoding="utf-8")
        (folder / REPORT).write_text(report, encoding="utf-8")


def interpret(content: Mapping[str, Any]) -> Result:
    """Return the result that JSON describes.

    Raises:
        ValueError, or another of `MALFORMED`: It is malformed.
    """
    figures, ratios, peaks = (
        {str(name): float(value) for name, value in content[kind].items()}
        for kind in ("figures", "ratios", "peaks")
    )
    if not all(0 <= value < math.inf for value in (figures | ratios | peaks).values()):
        raise ValueError("a number is negative or infinite")
    verdict, base, off = (str(content[name]) for name in ("verdict", "base", "off"))
    return Result(figures, verdict, base, ratios, peaks, off)


def read(folder: Path) -> tuple[Result, str]:
    """Return what a test left: its result, and its report as Markdown.

    Raises:
        MeasureError: It is missing or malformed.
    """
    try:
        content, report = ((folder / name).read_text(encoding="utf-8") for name in (RESULT, REPORT))
        return interpret(json.loads(content)), report
    except OSError as error:
        raise MeasureError("the result is missing; the summary of the job says why") from error
    except MALFORMED as error:
        raise MeasureError(f"the result is malformed: {error!r}") from error


def prepare(name: str) -> Path:
    """Return the folder of a test's results below the current one; what it held is removed.

    Raises:
        MeasureError: It cannot be made.
    """
    folder = Path.cwd() / name
    try:
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir()
    except OSError as error:
        raise MeasureError(f"{name} cannot take the results: {error}") from error
    return folder


def rename_for_upload(folder: Path) -> None:
    """Take out of the names of files what the action that keeps them refuses: names of tests.

    See https://github.com/actions/toolkit, `path-and-artifact-name-validation.ts`.
    """
    for file in [file for file in folder.rglob("*") if REFUSED.search(file.name)]:
        new = file.with_name(REFUSED.sub("_", file.name))
        while new.exists():
            new = new.with_name(f"_{new.name}")
        file.rename(new)


def leave_out(title: str, text: str, folder: Path) -> int:
    """Say that a test is off, and why, and note it for the report; return exit code 0."""
    annotate("notice", title, text)
    summarize(f"### ⚪ {title}\n\n{text}\n")
    Result(off=text).write(folder)
    return 0


def end_cleanly() -> None:
    """Turn SIGTERM, by which a run is cancelled, into an exception: what was started is ended."""

    def stop(number: int, _frame: FrameType | None) -> None:
        sys.exit(128 + number)

    signal.signal(signal.SIGTERM, stop)


def format_time(seconds: float | None) -> str:
    """Return a time with three digits and a unit that fits; `-` for none."""
    if seconds is None:
        return NONE
    size, unit = next((one for one in TIMES if seconds >= one[0]), TIMES[-1])
    return f"{seconds / size:.3g} {unit}"
