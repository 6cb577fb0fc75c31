#!/usr/bin/env python3
"""Keep one issue up to date with what the scheduled vulnerability scan found.

RESULT is how the scan ended, REPORT its report as a JSON text; none means that the scan did not get
that far. One issue is open however often this runs: the oldest of a workflow with the marker below,
whatever people made of its labels. The workflow's concurrency group lets no two run at once.
"""

import argparse
import hashlib
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from lib.github import GitHubError, ask, find, list_all
from lib.workflow_commands import refuse, summarize

LABELS = {
    "security": ("b60205", "Something that attackers could use"),
    "dependencies": ("0366d6", "Packages that the project uses"),
    "automated": ("ededed", "Opened and kept up to date by a workflow"),
}
TITLE = "Vulnerable dependencies"
MARKER = "<!-- dependency-scan "
EARLY = (
    "**The scan could not look:** its job ended before it could say anything; the run says why. "
    "What was listed here before may still hold.\n"
)


def report(text: str, address: str, *, is_clean: bool) -> str:
    """Bring the issue in line with the scan; return what was done, as a sentence.

    Args:
        text: The report of the scan.
        address: Address of the run that made it.
        is_clean: Whether it found nothing; closing the issue is for a person.

    Raises:
        GitHubError: GitHub refused, or did not answer.
    """
    found = list_all("issues?state=open&creator=github-actions%5Bbot%5D")
    ours = [
        issue for issue in found if MARKER in (issue["body"] or "") and "pull_request" not in issue
    ]
    if is_clean:
        text = "Nothing is left: the last scan found no vulnerable dependency. This can be closed."
    mark = f"{MARKER}{hashlib.sha256(text.encode()).hexdigest()} -->"
    by = f"Found by [the scheduled dependency review]({address}), which keeps this up to date."
    body = f"{by}\n\n{text}\n{mark}"
    if not ours:
        if is_clean:
            return "Nothing was found, and no issue is open."
        for name, (color, description) in LABELS.items():
            if not find(f"labels/{name}"):
                ask("POST", "labels", {"name": name, "color": color, "description": description})
        new = {"title": TITLE, "body": body, "labels": list(LABELS)}
        return f"Opened issue #{ask('POST', 'issues', new)['number']}."
    number = min(int(issue["number"]) for issue in ours)
    if any(mark in issue["body"] for issue in ours if issue["number"] == number):
        return f"Issue #{number} says so already."
    ask("PATCH", f"issues/{number}", {"title": TITLE, "body": body})
    return f"Updated issue #{number}: {'nothing is left' if is_clean else 'other findings'}."


def main(arguments: Sequence[str] | None = None) -> int:
    """Report; return 0, or 1 if GitHub refused."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", metavar="URL", help="address of the run that scanned")
    options = parser.parse_args(arguments)
    text = json.loads(os.environ.get("REPORT") or "null") or EARLY
    try:
        done = report(text, options.run, is_clean=os.environ.get("RESULT") == "success")
    except GitHubError as error:
        refuse("Issue", f"The issue could not be kept up to date: {error}")
        return 1
    print(done)
    summarize(f"### 📌 Issue\n\n{done}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
