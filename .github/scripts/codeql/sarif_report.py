#!/usr/bin/env python3
"""Show the results of SARIF files as a table, without those that were suppressed in the code.

With --gate it fails for what GitHub's own check fails for by default: the level error, or a
security severity that is high or critical. It is for where GitHub does not take the files.

With --filter it shows nothing but what it leaves out, and writes NAME-filtered.sarif beside each
file NAME.sarif. With --changed-since, results stay that have a location, a related location or a
step of a code flow in a file that the change touches and that is no test.
"""

import argparse
import json
import sys
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path, PurePosixPath

sys.path.insert(0, str(Path(__file__).parents[1]))
from lib import sarif
from lib.git import Git, GitError
from lib.markdown import plain, quote, table
from lib.sarif import LEVELS, Json, Result
from lib.workflow_commands import annotate, summarize

TESTS = ("**/tests/**", "**/test_*.py", "**/conftest.py")
PLACES = ("kept", "in files that this change does not touch or in tests", "in no file here",
          "suppressed in the code")  # fmt: skip
KEPT, ELSEWHERE, OUTSIDE, SUPPRESSED = PLACES
MARKS = {"error": "❌", "warning": "⚠️", "note": "💬", "none": "💬"}
HIGH = 7.0
"""The security severity from which on GitHub calls it high."""
MOST_ROWS = 100
MOST_ANNOTATIONS = 10


def find_changed(revision: str) -> set[str]:
    """Return the files that exist and differ from a commit, renamed ones by their new names.

    Raises:
        GitError: Git does not know the commit.
    """
    options = ("--name-only", "--no-renames", "--diff-filter=d", "-z")
    return set(filter(None, Git()("diff", *options, revision, "HEAD", "--").split("\0")))


def is_test(path: str) -> bool:
    """Say whether a file belongs to the tests."""
    return any(PurePosixPath(path).full_match(pattern) for pattern in TESTS)


def sort(
    log: Json, changed: Collection[str] | None, root: Path
) -> tuple[Json, list[tuple[str, Result]]]:
    """Return a copy of a log with the results that are kept alone, and each with its place.

    Args:
        log: The log.
        changed: The files that the change touches; None if there is no change to look at.
        root: The repository's root.
    """
    wanted = None if changed is None else {path for path in changed if not is_test(path)}
    found: list[tuple[str, Result]] = []
    runs = []
    for run in log["runs"]:
        placed = [(_place(result, wanted), result) for result in sarif.read(run, root)]
        runs.append(run | {"results": [result.raw for place, result in placed if place == KEPT]})
        found += placed
    return log | {"runs": runs}, found


def _place(result: Result, wanted: Collection[str] | None) -> str:
    if result.is_suppressed:
        return SUPPRESSED
    if wanted is None or not result.paths.isdisjoint(wanted):
        return KEPT
    return ELSEWHERE if result.paths else OUTSIDE


def is_grave(result: Result) -> bool:
    """Say whether GitHub's check would fail for a result."""
    return result.level == "error" or result.severity >= HIGH


def describe(results: Iterable[Result]) -> str:
    """Return a table of results, the gravest first."""
    listed = sorted(
        results,
        key=lambda result: (not is_grave(result), -result.severity, LEVELS.index(result.level)),
    )
    rows = [
        [
            f"{MARKS[result.level]} {result.level}",
            f"{result.severity:g}" if result.severity else "",
            plain(result.rule),
            plain(f"{result.path}:{result.line}") if result.path else "",
            plain(result.text),
        ]
        for result in listed[:MOST_ROWS]
    ]
    more = f"{len(listed) - MOST_ROWS} more are in the artifact.\n"
    lines = [table(["Level", "Severity", "Rule", "Place", "What it is"], rows)]
    return "\n".join(lines + [more] * (len(listed) > MOST_ROWS)) if rows else "Nothing was found.\n"


def describe_places(found: Sequence[tuple[str, Result]]) -> str:
    """Return how many results are where, and those that nobody sees elsewhere."""
    results = {name: [result for place, result in found if place == name] for name in PLACES}
    parts = [", ".join(f"{len(listed)} {name}" for name, listed in results.items()) + ".\n"]
    parts += [
        f"**Left out: {name}**\n\n{describe(results[name])}"
        for name in (OUTSIDE, SUPPRESSED)
        if results[name]
    ]
    return "\n".join(parts)


def main(arguments: Sequence[str] | None = None) -> int:
    """Show or filter; return 0, 1 if the gate fails, 2 if a file cannot be read."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--name", default="Code scanning", help="heading of the report")
    parser.add_argument("--gate", action="store_true", help="fail for grave results")
    parser.add_argument("--filter", action="store_true", help="write what is kept")
    parser.add_argument("--changed-since", metavar="COMMIT", default="")
    options = parser.parse_args(arguments)
    found: list[tuple[str, Result]] = []
    try:
        changed = find_changed(options.changed_since) if options.changed_since else None
        for file in options.files:
            log, placed = sort(sarif.load(file), changed, Path.cwd())
            found += placed
            if options.filter:
                _write(log, file)
    except (GitError, OSError, *sarif.MALFORMED) as error:
        reason = f"The results cannot be read: {error!r}"
        annotate("error", options.name, reason)
        summarize(f"### ❌ {plain(options.name)}\n\n{plain(reason, 1000)}\n")
        return 2
    kept = [result for place, result in found if place == KEPT]
    grave = [result for result in kept if is_grave(result)]
    mark = "🔎" if options.filter else "❌" if grave else "✅"
    text = describe_places(found) if options.filter else describe(kept)
    report = f"### {mark} {plain(options.name)}\n\n{text}"
    summarize(report)
    print(report)
    for result in grave[: MOST_ANNOTATIONS if options.gate else 0]:
        text = f"{result.path}:{result.line} {result.rule}: {result.text}"
        annotate("error", options.name, quote(text))
    return int(options.gate and bool(grave))


def _write(log: Json, file: Path) -> None:
    """Write a filtered log with a category of its own: else those of a job replace each other."""
    for run in log["runs"]:
        run["automationDetails"] = {"id": f"/language:{file.stem}/"}
    text = json.dumps(log, ensure_ascii=False, indent=2)
    target = file.with_stem(f"{file.stem}-filtered")
    target.write_text(f"{text}\n", encoding="utf-8", errors="surrogatepass")


if __name__ == "__main__":
    sys.exit(main())
