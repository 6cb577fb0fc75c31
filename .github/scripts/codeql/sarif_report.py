#!/usr/bin/env python3
"""Show the results of a SARIF file as a table.

With --gate it fails for what GitHub's own check fails for by default: the level error, or a
security severity that is high or critical. It is for where GitHub does not take the file.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from lib import sarif
from lib.markdown import plain, quote, table
from lib.sarif import Json
from lib.workflow_commands import annotate, summarize

LEVELS = ("error", "warning", "note", "none")
MARKS = {"error": "❌", "warning": "⚠️", "note": "💬", "none": "💬"}
HIGH = 7.0
"""The security severity from which on GitHub calls it high."""
MOST_ROWS = 100
MOST_ANNOTATIONS = 10


@dataclass(frozen=True, order=True)
class Finding:
    """A result; the order is that of the table."""

    passes: bool
    quality: bool
    rank: int
    path: str
    line: int
    rule: str
    text: str

    @property
    def level(self) -> str:
        """Its level."""
        return LEVELS[self.rank]

    @property
    def fails(self) -> bool:
        """Whether it stops a pull request."""
        return not self.passes


def find_all(content: Json, root: Path) -> list[Finding]:
    """Return the results of a SARIF log that are not suppressed, the gravest first."""
    return sorted(
        Finding(
            not _is_grave(run, result),
            not sarif.is_security(run, result),
            LEVELS.index(sarif.find_level(run, result)),
            *sarif.find_place(run, result, root),
            sarif.find_rule_id(result),
            sarif.find_message(run, result),
        )
        for run in content["runs"]
        for result in run.get("results") or []
        if not sarif.is_suppressed(result)
    )


def describe(findings: Sequence[Finding], name: str) -> str:
    """Return the report."""
    mark = "❌" if any(it.fails for it in findings) else "✅"
    lines = [f"### {mark} {plain(name)}\n"]
    if not findings:
        return "\n".join([*lines, "Nothing was found.\n"])
    rows = [
        [
            f"{MARKS[it.level]} {it.level}",
            "quality" if it.quality else "security",
            plain(it.rule),
            plain(f"{it.path}:{it.line}") if it.path else "",
            plain(it.text),
        ]
        for it in findings[:MOST_ROWS]
    ]
    lines.append(table(["Level", "Kind", "Rule", "Place", "What it is"], rows))
    if len(findings) > MOST_ROWS:
        lines.append(f"{len(findings) - MOST_ROWS} more are in the artifact.\n")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Show; return 0, 1 if the gate fails, 2 if the file cannot be read."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--name", default="Code scanning", help="heading of the report")
    parser.add_argument("--gate", action="store_true", help="fail for grave security findings")
    options = parser.parse_args(arguments)
    try:
        findings = [
            found for file in options.files for found in find_all(sarif.load(file), Path.cwd())
        ]
    except (OSError, *sarif.MALFORMED) as error:
        reason = f"The results cannot be read: {error!r}"
        annotate("error", options.name, reason)
        summarize(f"### ❌ {plain(options.name)}\n\n{plain(reason, 1000)}\n")
        return 2
    report = describe(findings, options.name)
    summarize(report)
    print(report)
    grave = [it for it in findings if it.fails]
    if not options.gate:
        return 0
    for it in grave[:MOST_ANNOTATIONS]:
        annotate("error", options.name, quote(f"{it.path}:{it.line} {it.rule}: {it.text}"))
    return int(bool(grave))


def _is_grave(run: Json, result: Json) -> bool:
    """Say whether GitHub's check would fail for a result."""
    if result.get("kind", "fail") != "fail":
        return False
    return sarif.find_level(run, result) == "error" or sarif.find_severity(run, result) >= HIGH


if __name__ == "__main__":
    sys.exit(main())
