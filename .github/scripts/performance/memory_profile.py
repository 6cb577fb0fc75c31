#!/usr/bin/env python3
"""Run the tests in `tests/memory` under pytest-memray, and draw where each of them took memory.

A test over its `limit_memory` marker fails. Sizes include what Python's own allocator hands out.

FOLDER gets `flamegraph-*.html` (one for each test, for a browser without a network), memray's
recordings `*.bin`, the peaks in `metadata/`, and `report.txt`: the ten tests that took most, with
the places where they did. Without such tests it gets `off.txt`, which says so.

It ends with 1 if a test fails, or if the tests cannot run.
"""

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from lib import processes
from lib.workflow_commands import annotate, show_end, summarize
from performance import baseline
from performance.baseline import CommandError

TITLE = "Memory profile"
TESTS = "tests/memory"
TOP = 10
HEADING = " MEMRAY REPORT "
"""Where pytest-memray's part of the output starts."""
OPTIONS = (
    *("-v", "--tb=short", "--no-cov", "--numprocesses=0", "-p", "no:cacheprovider"),
    *("--memray", f"--most-allocations={TOP}", "--trace-python-allocators"),
)


def profile(folder: Path, seconds: float) -> int:
    """Run the tests; return 0 if all passed, else 1.

    Args:
        folder: An empty folder for the results.
        seconds: How long all tests together may take, and then each flame graph.

    Raises:
        CommandError: Nothing was recorded, or it cannot be drawn, or it took too long.
    """
    paths = (f"--memray-bin-path={folder}", "--memray-bin-prefix=run")
    done = _run(["pytest", TESTS, *OPTIONS, *paths], seconds)
    print(done.stdout)
    recordings = sorted(folder.glob("*.bin"))
    if not recordings:
        raise CommandError(f"pytest-memray recorded nothing:\n{done.stdout}")
    _, _, found = done.stdout.partition(HEADING)
    report, _, _ = found.lstrip("=\n").replace(f"{Path.cwd()}/", "").partition("\nCreated ")
    (folder / "report.txt").write_text(report, encoding="utf-8")
    mark, result = ("❌", "a test failed") if done.returncode else ("✅", "all within their limits")
    failure = show_end(done.stdout) if done.returncode else ""
    summarize(f"### {mark} {TITLE}: {result}\n\n{failure}\n{show_end(report, len(report))}")
    if done.returncode:
        annotate("error", TITLE, "A test failed; its output names the limit. See the summary.")
    for file in recordings:
        graph = folder / f"flamegraph-{file.stem.removeprefix('run-')}.html"
        drawn = _run(["memray", "flamegraph", "--no-web", f"--output={graph}", str(file)], seconds)
        if drawn.returncode:
            raise CommandError(f"memray cannot draw {file.name}:\n{drawn.stdout}")
    return 1 if done.returncode else 0


def _run(arguments: Sequence[str], seconds: float) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", *arguments]
    try:
        return processes.run(
            command, seconds, environment=baseline.clean_environment(), errors=subprocess.STDOUT
        )
    except subprocess.TimeoutExpired as error:
        text = f"{arguments[0]} did not end within {seconds:g} s and was cut off:\n{error.output}"
        raise CommandError(text) from error


def main(arguments: Sequence[str] | None = None) -> int:
    """Profile; return 1 if a test fails or cannot run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--output", type=Path, default=Path("memory-results"), metavar="FOLDER")
    add("--timeout", type=baseline.positive, default=120.0, help="seconds for all tests (120)")
    options = parser.parse_args(arguments)
    baseline.end_cleanly()
    try:
        folder = baseline.prepare(options.output)
        if baseline.leave_out(TITLE, TESTS, folder):
            return 0
        return profile(folder, options.timeout)
    except CommandError as error:
        baseline.refuse(TITLE, "the tests did not run", error)
        return 1


if __name__ == "__main__":
    sys.exit(main())
