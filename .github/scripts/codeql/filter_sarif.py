#!/usr/bin/env python3
"""Take out of a SARIF file what does not belong under a pull request, or was suppressed.

A result stays if one of its locations, related locations or code flow steps is in a file that the
change touches and that is no test. Without --changed-since only suppressed results go.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

sys.path.insert(0, str(Path(__file__).parents[1]))
from lib import sarif
from lib.markdown import plain, table
from lib.sarif import Json
from lib.workflow_commands import annotate, summarize

TESTS = ("**/tests/**", "**/test_*.py", "**/conftest.py")
TITLE = "SARIF filter"
MOST_ROWS = 100


@dataclass
class Filtered:
    """A filtered file, how many results were left out, and which ones for another reason."""

    content: Json
    kept: int = 0
    elsewhere: int = 0
    outside: list[tuple[str, str, int]] = field(default_factory=list)
    suppressed: list[tuple[str, str, int]] = field(default_factory=list)


def find_changed(revision: str) -> set[str]:
    """Return the files that exist and differ from a commit, renamed ones by their new names.

    Raises:
        ValueError: Git does not know the commit.
    """
    command = ["git", "diff", "--name-only", "--no-renames", "--diff-filter=d", "-z", revision]
    done = subprocess.run([*command, "HEAD", "--"], check=False, capture_output=True)
    if done.returncode:
        raise ValueError(done.stderr.decode(errors="replace").strip())
    names = done.stdout.decode("utf-8", errors="surrogateescape").split("\0")
    return {name for name in names if name}


def is_test(path: str) -> bool:
    """Say whether a file belongs to the tests."""
    return any(PurePosixPath(path).full_match(pattern) for pattern in TESTS)


def keep(content: Json, changed: Collection[str] | None, root: Path) -> Filtered:
    """Return a filtered copy; everything but the lists of results is as before.

    Args:
        content: A SARIF log.
        changed: The files that the change touches; None if there is no change to look at.
        root: The repository's root.
    """
    filtered = Filtered({**content, "runs": [{**run} for run in content["runs"]]})
    wanted = None if changed is None else {path for path in changed if not is_test(path)}
    for run in filtered.content["runs"]:
        if run.get("results") is None:
            continue
        kept = []
        for result in run["results"]:
            if sarif.is_suppressed(result):
                place = sarif.find_place(run, result, root)
                filtered.suppressed.append((sarif.find_rule_id(result), *place))
                continue
            paths = sarif.find_paths(run, result, root)
            if wanted is None or not wanted.isdisjoint(paths):
                kept.append(result)
            elif paths:
                filtered.elsewhere += 1
            else:
                place = sarif.find_place(run, result, root)
                filtered.outside.append((sarif.find_rule_id(result), *place))
        run["results"] = kept
        filtered.kept += len(kept)
    return filtered


def describe(filtered: Filtered, *, pull_request: bool) -> str:
    """Return the report."""
    line = f"{filtered.kept} kept"
    if pull_request:
        line += f", {filtered.elsewhere} in files that this change does not touch or in tests"
    lines = [f"### 🔎 {TITLE}\n", f"{line}, {len(filtered.suppressed)} suppressed in the code.\n"]
    lists = {"Suppressed rule": filtered.suppressed, "Left out, in no file here": filtered.outside}
    for head, listed in lists.items():
        if listed:
            rows = [
                [plain(rule), plain(f"{path}:{line}")] for rule, path, line in listed[:MOST_ROWS]
            ]
            lines.append(table([head, "Place"], rows))
        if len(listed) > MOST_ROWS:
            lines.append(f"{len(listed) - MOST_ROWS} more are in the artifact.\n")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Filter; return 0, or 2 if that was not possible."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path, help="the SARIF file")
    parser.add_argument("target", type=Path, help="where the filtered one goes")
    parser.add_argument(
        "--changed-since", metavar="COMMIT", default="", help="keep what concerns changed files"
    )
    parser.add_argument(
        "--category",
        default="",
        help="what GitHub files the results under, such as /language:python",
    )
    options = parser.parse_args(arguments)
    since = options.changed_since
    try:
        changed = find_changed(since) if since else None
        filtered = keep(sarif.load(options.source), changed, Path.cwd())
    except (OSError, *sarif.MALFORMED) as error:
        reason = f"Could not filter {options.source}: {error!r}"
        annotate("error", TITLE, reason)
        summarize(f"### ❌ {TITLE}\n\n{plain(reason, 1000)}\n")
        return 2
    if options.category:  # languages that one job analyses share one, and would replace each other
        for run in filtered.content["runs"]:
            run["automationDetails"] = {"id": f"{options.category}/"}
    options.target.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(filtered.content, ensure_ascii=False, indent=2)
    options.target.write_text(f"{text}\n", encoding="utf-8", errors="surrogatepass")
    report = describe(filtered, pull_request=changed is not None)
    summarize(report)
    print(report)
    return 0


if __name__ == "__main__":
    sys.exit(main())
