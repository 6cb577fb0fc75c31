#!/usr/bin/env python3
"""Profile the memory of the tests in `tests/memory`, and compare it with that of a base commit.

The tests run under pytest-memray; their `limit_memory` markers are the limits, and a test over its
limit fails. A test whose peak grew by more than the threshold is a warning. Sizes include what
Python's own allocator hands out.

The base comes from Git: `actions/checkout` needs `fetch-depth: 2` for HEAD^1, `fetch-depth: 0` for
any other commit.

FOLDER gets `flamegraph-*.html` (one for each test, for a browser without a network), the recordings
`change/*.bin`, `report.md`, and `report.json`:

  verdict    "ok", "more" (a peak grew), "failed" (a test failed, as one over its limit does) or
             "no-baseline"
  reason     why there is no baseline, or what the failed tests printed; else empty
  base       full commit that was compared with, else empty
  threshold  growth that is accepted, as a part of 1
  tests      list of
    name     file and test
    verdict  "same", "less", "more", "new", "removed" or "recorded" (no baseline)
    change   peak memory in bytes; null if removed
    base     the same of the base; null without one
    ratio    change / base; null without one
  sites      the ten places that held most memory at the peak of a test, list of
    test     file and test
    size     bytes
    count    allocations
    place    function, file and line that allocated
    caller   the project's own function, file and line that led there; empty if there is none

It ends with 1 if a test fails, or if the tests cannot run.
"""

import argparse
import json
import re
import shutil
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from lib.markdown import message, plain, quote, table
from lib.units import NONE, format_size
from lib.workflow_commands import annotate, summarize
from memray import FileReader
from performance import baseline
from performance.baseline import CommandError, NoBaselineError, ShallowError, Tree

TITLE = "Memory profile"
TESTS = "tests/memory"
GROUPS = ("test",)
TOP = 10
NOTICEABLE_BYTES = 100_000
"""A smaller growth is not one: imports, caches and garbage come and go."""
MARKS = {
    "more": "🔴 more",
    "less": "🟢 less",
    "same": "⚪ same",
    "new": "🆕 new",
    "removed": "🗑️ removed",
    "recorded": "📝 recorded",
}
LONGEST_NAME = 200

type Frame = tuple[str, str, int]
"""Function, file and line."""


@dataclass(frozen=True)
class Recording:
    """What pytest-memray kept of a test.

    Attributes:
        name: File and test.
        peak: Most memory that it held at a time, in bytes.
        file: What memray reads.
    """

    name: str
    peak: int
    file: Path


@dataclass(frozen=True)
class Comparison:
    """The peak of one test; `report.json` explains the attributes."""

    name: str
    verdict: str
    change: int | None = None
    base: int | None = None
    ratio: float | None = None


@dataclass(frozen=True)
class Site:
    """A place that allocates; `report.json` explains the attributes."""

    test: str
    size: int
    count: int
    place: str
    caller: str


def compare(
    change: Mapping[str, int], base: Mapping[str, int] | None, threshold: float
) -> list[Comparison]:
    """Judge the peak of every test.

    Args:
        change: Bytes by test.
        base: Those of the base; none without a baseline.
        threshold: Growth that is accepted, as a part of 1.
    """
    before = base or {}
    found = []
    for name, peak in change.items():
        if name not in before:
            found.append(Comparison(name, "recorded" if base is None else "new", peak))
            continue
        ratio = peak / max(before[name], 1)
        verdict = "same"
        if abs(peak - before[name]) >= NOTICEABLE_BYTES:
            verdict = "more" if ratio > 1 + threshold else verdict
            verdict = "less" if ratio < 1 / (1 + threshold) else verdict
        found.append(Comparison(name, verdict, peak, before[name], ratio))
    removed = [Comparison(it, "removed", base=before[it]) for it in before if it not in change]
    return found + removed


def record(tree: Tree, folder: Path, timeout: float) -> tuple[list[Recording], str]:
    """Run the tests of a tree; return what was recorded, and what they printed if they failed.

    Args:
        tree: Whose tests.
        folder: Where the recordings go.
        timeout: Seconds for all tests.

    Raises:
        NoBaselineError: There are none.
        CommandError: Nothing was recorded.
    """
    if not list(tree.folder.glob(f"{TESTS}/**/test_*.py")):
        raise NoBaselineError(f"{tree.name} has no tests in {TESTS}")
    failure = ""
    try:
        tree.run(
            [
                *(
                    "pytest",
                    TESTS,
                    "-v",
                    "--tb=short",
                    "--numprocesses=0",
                    "-p",
                    "no:cacheprovider",
                ),
                *("--memray", "--hide-memray-summary", "--trace-python-allocators"),
                *(f"--memray-bin-path={folder}", "--memray-bin-prefix=run"),
            ],
            timeout,
            {"PYTHONHASHSEED": "0"},
        )
    except CommandError as error:
        failure = str(error)
    recordings = read_recordings(folder)
    if not recordings:
        raise CommandError(failure or f"{tree.name}: pytest-memray recorded nothing")
    return recordings, failure


def read_recordings(folder: Path) -> list[Recording]:
    """Return what pytest-memray left in a folder.

    Raises:
        CommandError: It cannot be read.
    """
    found = []
    for file in sorted(folder.glob("metadata/*.metadata")):
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
            name, peak = str(content["test_id"]), int(content["peak_memory"])
            found.append(Recording(name, peak, folder / Path(content["result_file"]).name))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CommandError(f"{file.name} cannot be read: {error}") from error
    return found


def find_sites(recordings: Sequence[Recording], project: Path) -> list[Site]:
    """Return the places that held most memory at the peaks of the tests.

    Args:
        recordings: One for each test.
        project: The project's folder: what is in it, and not in a hidden folder, is its own code.

    Raises:
        CommandError: A recording cannot be read.
    """
    sites = []
    for recording in recordings:
        sizes: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
        try:
            with FileReader(recording.file) as reader:
                for it in reader.get_high_watermark_allocation_records(merge_threads=True):
                    size = sizes[_find_place(it.stack_trace(), project)]
                    size[0] += it.size
                    size[1] += it.n_allocations
        except (OSError, ValueError) as error:
            raise CommandError(f"{recording.file.name} cannot be read: {error}") from error
        sites += [
            Site(recording.name, size, count, *place) for place, (size, count) in sizes.items()
        ]
    return sorted(sites, key=lambda it: -it.size)[:TOP]


def _find_place(stack: Sequence[Frame], project: Path) -> tuple[str, str]:
    """Return the place that a stack ends in, and the project's own that led there."""
    if not stack:
        return "outside of any function", ""
    places = [_show(it, project) for it in stack]
    return places[0], next((it for it in places[1:] if " …/" not in it), "")


def _show(frame: Frame, project: Path) -> str:
    """Return a frame as text; the path is short, and starts with … if it is not the project's."""
    function, file, line = frame
    path = Path(file)
    if path.is_relative_to(project):
        path = path.relative_to(project)
        if not path.parts[0].startswith("."):
            return f"{function} {path.as_posix()}:{line}"
    parts = path.parts
    start = parts.index("site-packages") + 1 if "site-packages" in parts else -2
    return f"{function} …/{'/'.join(parts[start:])}:{line}"


def draw(recordings: Sequence[Recording], folder: Path, timeout: float) -> None:
    """Draw a flame graph for each test.

    Raises:
        CommandError: It cannot be drawn.
    """
    for it in recordings:
        file = folder / f"flamegraph-{re.sub(r'[^\w.-]+', '-', it.name)[:LONGEST_NAME]}.html"
        options = ["--no-web", "--force", f"--output={file}", str(it.file)]
        baseline.find_current().run(["memray", "flamegraph", *options], timeout)


def describe(
    comparisons: Sequence[Comparison], sites: Sequence[Site], report: Mapping[str, Any]
) -> str:
    """Return the report as Markdown.

    Args:
        comparisons: The peak of each test.
        sites: The places that held most.
        report: The content of `report.json`.
    """
    titles = {
        "ok": f"✅ {TITLE}: no peak grew",
        "more": f"🟡 {TITLE}: a peak grew",
        "failed": f"❌ {TITLE}: a test failed",
        "no-baseline": f"📝 {TITLE}: recorded, nothing to compare with",
    }
    lines = [f"### {titles[report['verdict']]}\n"]
    if report["reason"]:
        lines.append(f"{message(report['reason'])}\n")
    rows = [
        [
            plain(it.name.removeprefix(f"{TESTS}/")),
            format_size(it.base),
            format_size(it.change),
            NONE if it.ratio is None else f"{it.ratio - 1:+.1%}",
            MARKS[it.verdict],
        ]
        for it in comparisons
    ]
    lines.append(table(["Test", "Base", "Change", "Difference", "Verdict"], rows))
    lines.append(
        f"Peak memory. Accepted growth: {report['threshold']:.0%}, and always "
        f"{format_size(NOTICEABLE_BYTES)}.\n\n**The {TOP} most expensive allocation sites**\n"
    )
    places = [
        [
            format_size(it.size),
            str(it.count),
            plain(it.place),
            plain(it.caller) or NONE,
            plain(it.test.rpartition("::")[2]),
        ]
        for it in sites
    ]
    lines.append(table(["Size", "Count", "Where", "Called from", "Test"], places))
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Profile and compare; return 1 if a test fails or cannot run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--base", default="HEAD^1", metavar="REF", help="commit to compare with (HEAD^1)")
    add("--output", type=Path, default=Path("memory-results"), metavar="FOLDER")
    add("--threshold", type=baseline.positive, default=20.0, help="accepted growth in percent (20)")
    add("--timeout", type=baseline.positive, default=120.0, help="seconds for all tests (120)")
    options = parser.parse_args(arguments)
    baseline.end_cleanly()
    shutil.rmtree(options.output, ignore_errors=True)
    options.output.mkdir(parents=True)
    folder = options.output.resolve()
    try:
        return _profile(options.base, folder, options.threshold / 100, options.timeout)
    except (CommandError, NoBaselineError, ShallowError) as error:
        baseline.refuse(TITLE, "the tests did not run", error)
        return 1


def _profile(reference: str, folder: Path, threshold: float, timeout: float) -> int:
    change = baseline.find_current()
    recordings, failure = record(change, folder / "change", timeout)
    peaks = {it.name: it.peak for it in recordings}
    before, commit, reason = _profile_base(reference, timeout)
    comparisons = compare(peaks, before, threshold)
    sites = find_sites(recordings, change.folder)
    draw(recordings, folder, timeout)
    verdict = "more" if any(it.verdict == "more" for it in comparisons) else "ok"
    if before is None:
        verdict = "no-baseline"
    report = {
        "verdict": "failed" if failure else verdict,
        "reason": failure or reason,
        "base": commit,
        "threshold": threshold,
        "tests": [asdict(it) for it in comparisons],
        "sites": [asdict(it) for it in sites],
    }
    (folder / "report.json").write_text(json.dumps(report, indent=2), encoding="utf-8")
    text = describe(comparisons, sites, report)
    (folder / "report.md").write_text(text, encoding="utf-8")
    summarize(text)
    print(text)
    if failure:
        annotate("error", TITLE, "A test failed; its output names the limit. See the summary.")
    elif reason:
        annotate("notice", TITLE, f"Recorded. {quote(reason.partition('\n')[0])}")
    for it in comparisons:
        if it.verdict == "more":
            sizes = f"{format_size(it.base)} → {format_size(it.change)}"
            annotate("warning", TITLE, f"The peak of {quote(it.name)} grew: {sizes}")
    return 1 if failure else 0


def _profile_base(reference: str, timeout: float) -> tuple[dict[str, int] | None, str, str]:
    """Return the base's peaks and commit, or why there are none."""
    try:
        with (
            tempfile.TemporaryDirectory() as directory,
            baseline.check_out(reference, GROUPS) as base,
        ):
            try:
                recordings, _ = record(base, Path(directory), timeout)
            except CommandError as error:
                raise NoBaselineError(f"its tests do not run: {error}") from error
            return {it.name: it.peak for it in recordings}, base.commit, ""
    except NoBaselineError as error:
        return None, "", f"No baseline: {error}"


if __name__ == "__main__":
    sys.exit(main())
