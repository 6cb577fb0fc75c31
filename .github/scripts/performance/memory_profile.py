#!/usr/bin/env python3
"""Run the tests in `tests/memory` under pytest-memray, and draw where each of them took memory.

A test over its `limit_memory` marker fails. Sizes include what Python's own allocator hands out.
The report has the ten tests that took most, with the places where they did. It ends with 1 if a
test fails, or if the tests cannot run.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from lib.workflow_commands import annotate, refuse, show_end, summarize
from performance.baseline import draw, run
from performance.results import (
    MeasureError,
    Result,
    end_cleanly,
    leave_out,
    prepare,
    rename_for_upload,
)

TITLE, TESTS = "Memory profile", "tests/memory"
HEADING = " MEMRAY REPORT "
"""Where pytest-memray's part of the output starts."""
OPTIONS = (
    *("-v", "--tb=short", "--no-cov", "--numprocesses=0", "-p", "no:cacheprovider"),
    *("--memray", "--most-allocations=10", "--trace-python-allocators"),
)
SECONDS = 120
"""How long all tests together may take, and then each flame graph."""


def profile(folder: Path) -> int:
    """Run the tests; return 0 if all passed, else 1.

    Args:
        folder: An empty folder for the results.

    Raises:
        MeasureError: The tests do not run, or take too long.
    """
    paths = (f"--memray-bin-path={folder}", "--memray-bin-prefix=run")
    command = [sys.executable, "-m", "pytest", TESTS, *OPTIONS, *paths]
    done = run(command, Path.cwd(), SECONDS, codes=(0, 1))
    print(done.stdout)
    _, _, found = done.stdout.partition(HEADING)
    text, _, _ = found.lstrip("=\n").replace(f"{Path.cwd()}/", "").partition("\nCreated ")
    kept = [json.loads(file.read_text()) for file in folder.glob("metadata/*.metadata")]
    peaks = {one["test_id"]: one["peak_memory"] for one in kept}
    if not (kept or done.returncode):
        return leave_out(TITLE, f"No test ran in {TESTS}: all were skipped.", folder)
    report = show_end(text, len(text))
    Result({"memory": max(peaks.values(), default=0)}, peaks=peaks).write(folder, report)
    mark, said = ("❌", "a test failed") if done.returncode else ("✅", "all within their limits")
    failure = show_end(done.stdout) if done.returncode else ""
    summarize(f"### {mark} {TITLE}: {said}\n\n{failure}\n{report}")
    if done.returncode:
        annotate("error", TITLE, "A test failed; its output names the limit. See the summary.")
    rename_for_upload(folder)
    for file in folder.glob("*.bin"):
        graph = folder / f"flamegraph-{file.stem.removeprefix('run-')}.html"
        command = [sys.executable, "-m", "memray", "flamegraph", "--no-web", f"--output={graph}"]
        draw(TITLE, [*command, file], folder, SECONDS)
    return done.returncode


def main(arguments: Sequence[str] | None = None) -> int:
    """Profile; return 1 if a test fails or cannot run."""
    argparse.ArgumentParser(description=__doc__).parse_args(arguments)
    end_cleanly()
    try:
        folder = prepare("memory-results")
        if any(Path(TESTS).glob("**/test_*.py")):
            return profile(folder)
        return leave_out(TITLE, f"There are no tests in {TESTS}: this part is off.", folder)
    except MeasureError as error:
        print(error)
        refuse(TITLE, f"The tests did not run: {error}")
        return 1


if __name__ == "__main__":
    sys.exit(main())
