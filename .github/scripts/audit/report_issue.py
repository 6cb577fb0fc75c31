#!/usr/bin/env python3
"""Keep one issue up to date with what the scheduled vulnerability scan found.

RESULT is how the job of the scan ended, REPORT its report as a JSON text; none means that the scan
did not get that far. However often this runs, also twice at once, one issue is open: the oldest
with the marker and the labels below.
"""

import argparse
import hashlib
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from lib.github import GitHubError, ask, find, list_all
from lib.markdown import plain
from lib.workflow_commands import annotate, summarize

LABELS = {
    "security": ("b60205", "Something that attackers could use"),
    "dependencies": ("0366d6", "Packages that the project uses"),
    "automated": ("ededed", "Opened and kept up to date by a workflow"),
}
TITLE = "Vulnerable dependencies"
MARKER = "<!-- dependency-scan "
CLEAN = f"{MARKER}clean -->"
EARLY = (
    "**The scan could not look:** it ended before it could say anything. What was listed here "
    "before may still hold.\n"
)


def describe(text: str, address: str) -> str:
    """Return the text of the issue; its last line is the marker, which holds a fingerprint.

    Args:
        text: The report of the scan.
        address: Address of the run that made it.
    """
    by = f"Found by [the scheduled dependency review]({address}), which keeps this up to date.\n"
    return "\n".join([by, text, _mark(text)])


def report(text: str, address: str, *, is_clean: bool) -> str:
    """Bring the issue in line with the scan; return what was done, as a sentence.

    Args:
        text: The report of the scan.
        address: Address of the run that made it.
        is_clean: Whether it found nothing.

    Raises:
        GitHubError: GitHub refused, or did not answer.
    """
    issue = _keep_one()
    if is_clean:
        return _settle(issue, address) if issue else "Nothing was found, and no issue is open."
    body = describe(text, address)
    if issue is None:
        for name, (color, description) in LABELS.items():
            _ensure_label(name, color, description)
        new = {"title": TITLE, "body": body, "labels": list(LABELS)}
        number = ask("POST", "issues", new)["number"]
        kept = _keep_one()  # another run may have opened one meanwhile
        if kept is None or kept["number"] == number:
            return f"Opened issue #{number}."
        issue = kept
    if _mark(text) in (issue["body"] or ""):
        return f"Issue #{issue['number']} says so already."
    ask("PATCH", f"issues/{issue['number']}", {"title": TITLE, "body": body})
    return f"Updated issue #{issue['number']}."


def _settle(issue: Mapping[str, Any], address: str) -> str:
    """Say once that nothing is left; closing the issue is for a person."""
    number = issue["number"]
    if CLEAN in (issue["body"] or ""):
        return f"Nothing was found, as issue #{number} says already."
    text = f"Nothing is left: [the last scan]({address}) found no vulnerable dependency."
    ask("POST", f"issues/{number}/comments", {"body": f"{text} This can be closed."})
    ask("PATCH", f"issues/{number}", {"body": f"{text}\n\n{CLEAN}"})
    return f"Commented on issue #{number}: nothing is left."


def _keep_one() -> dict[str, Any] | None:
    """Return the oldest open issue of ours, after closing the others as its duplicates."""
    found: list[dict[str, Any]] = [
        it
        for it in list_all(f"issues?state=open&labels={','.join(LABELS)}")
        if MARKER in (it["body"] or "") and "pull_request" not in it
    ]
    if not found:
        return None
    oldest, *others = sorted(found, key=lambda it: int(it["number"]))
    for it in others:
        path = f"issues/{it['number']}"
        ask("POST", f"{path}/comments", {"body": f"Duplicate of #{oldest['number']}"})
        ask("PATCH", path, {"state": "closed", "state_reason": "not_planned"})
    return oldest


def _ensure_label(name: str, color: str, description: str) -> None:
    if find(f"labels/{name}"):
        return
    try:
        ask("POST", "labels", {"name": name, "color": color, "description": description})
    except GitHubError as refusal:
        if refusal.status != 422:  # noqa: PLR2004
            raise  # 422: somebody made it meanwhile


def _mark(text: str) -> str:
    return f"{MARKER}{hashlib.sha256(text.encode()).hexdigest()} -->"


def main(arguments: Sequence[str] | None = None) -> int:
    """Report; return 0, or 1 if GitHub refused."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", metavar="URL", help="address of the run that scanned")
    options = parser.parse_args(arguments)
    text = json.loads(os.environ.get("REPORT") or "null") or EARLY
    try:
        done = report(text, options.run, is_clean=os.environ.get("RESULT") == "success")
    except GitHubError as error:
        annotate("error", "Issue", f"The issue could not be kept up to date: {error}")
        summarize(f"### ❌ Issue\n\nIt could not be kept up to date: {plain(str(error))}\n")
        return 1
    print(done)
    summarize(f"### 📌 Issue\n\n{done}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
