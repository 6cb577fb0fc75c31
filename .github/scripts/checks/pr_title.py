#!/usr/bin/env python3
"""Check that a pull request's title, or a commit's message, is a Conventional Commit.

The rule is that of https://www.conventionalcommits.org/en/v1.0.0/ with the types below. A title is
hostile text: it is quoted wherever it is shown, and never reaches a shell. A squash takes the title
of a pull request over, and its description or the messages of its commits: none of these may keep
GitHub from starting anything for it.
"""

import argparse
import os
import re
import subprocess
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from lib.github import GitHubError, ask, list_all
from lib.markdown import JOINERS, fence, is_visible, quote
from lib.workflow_commands import annotate, summarize

TITLE = "Title of the pull request"
TYPES = (
    "feat", "fix", "docs", "style", "refactor", "perf", "test", "build", "ci", "chore", "revert",
)  # fmt: skip
LONGEST = 256
"""Characters that GitHub allows in a title."""

HEADER = re.compile(rf"({'|'.join(TYPES)})(\([a-z0-9][a-z0-9._/-]*\))?!?: \S.*")
RULE = (
    "It must be a type, a scope in parentheses if you want one, a colon, one space and a subject. "
    f"The types are: {', '.join(TYPES)}. A scope is one word of lower-case letters, digits and "
    ". _ / -; a ! before the colon marks a breaking change."
)
MADE_BY_GIT = re.compile(r"Merge |(?:fixup|squash|amend)! ")
REVERT = re.compile(r"(?:Revert|Reapply) \".+\"(?: \(#\d+\))?")
"""What git revert and the button on GitHub write: the release notes know them as reverts."""
EXAMPLE = "feat: say what changes"
SKIP = re.compile(
    r"\[(?:skip ci|ci skip|no ci|skip actions|actions skip)\]|^skip-checks: ?true\s*$",
    re.IGNORECASE | re.MULTILINE,
)
"""What lets GitHub start nothing: https://docs.github.com/actions/how-tos/manage-workflow-runs."""


def find_fault(title: str) -> str:
    """Return what is wrong with a title, as a sentence; nothing if it is right."""
    if not title.strip():
        return "It is empty."
    if "\ufffd" in title:
        return "It is not UTF-8: set your editor to UTF-8, and write it again."
    for char in title:
        if not is_visible(char) and char not in JOINERS:
            name = unicodedata.name(char, "control character")
            return f"It holds an invisible character: U+{ord(char):04X} {name}."
    if len(title) > LONGEST:
        return f"It has {len(title)} characters; {LONGEST} are allowed."
    if made := re.match(r"(Revert|Reapply) \".*[^\")]$", title):
        return f'It is cut off: close the quotation that {made[1]} opens, as {made[1]} "feat: x".'
    return "" if REVERT.fullmatch(title) or HEADER.fullmatch(title) else RULE


def find_skip(
    request: Mapping[str, Any], setting: str, commits: Sequence[Mapping[str, Any]] = ()
) -> str:
    """Return what is wrong with what a squash takes over from a pull request, as a sentence.

    Args:
        request: The pull request.
        setting: What a squash takes for its message, as GitHub calls it; empty if not known.
        commits: Its commits, if their messages are taken.
    """
    taken = {"title": request["title"]}
    taken |= {f"commit {one['sha'][:7]}": one["commit"]["message"] for one in commits}
    if setting in {"", "PR_BODY"}:
        taken["description"] = request.get("body") or ""
    for part, text in taken.items():
        if found := SKIP.search(text):
            return (
                f"The {part} has {found[0].strip()} in it: once that is merged, GitHub starts "
                "nothing, neither for the merge nor for a tag of it. Edit it, and take that out."
            )
    return ""


def suggest(title: str) -> str:
    """Return the title that is certainly meant, else an example.

    Certain is only what leaves type, scope and subject as they are: blanks around them, and the
    case of a type.
    """
    match = re.fullmatch(r"\s*([A-Za-z]+)\s*(\([^)\s]*\))?(!?)\s*:\s*(\S.*?)\s*", title)
    if match:
        suggested = f"{match[1].lower()}{match[2] or ''}{match[3]}: {match[4]}"
        if not find_fault(suggested):
            return suggested
    return EXAMPLE


def read_message(file: Path) -> str:
    """Return the first line of a message as git keeps it."""
    command = ["git", "stripspace", "--strip-comments"]
    done = subprocess.run(command, input=file.read_bytes(), capture_output=True, check=True)
    return done.stdout.decode(errors="replace").partition("\n")[0]


def report(title: str, fault: str, source: str) -> None:
    """Write the verdict to the log and to the job summary."""
    mark = "❌" if fault else "✅"
    lines = [f"### {mark} {TITLE}\n", fence(quote(title)), f"{source}\n"]
    if find_fault(title):
        lines += [f"**{fault}** For example:\n", fence(quote(suggest(title)))]
        annotate("error", TITLE, f"{fault} Title: {quote(title)} Example: {quote(suggest(title))}")
    elif fault:
        lines += [f"**{fault}**\n"]
        annotate("error", TITLE, fault)
    summarize("\n".join(lines))


def main(arguments: Sequence[str] | None = None) -> int:
    """Check what the command line names; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--pull-request", metavar="NUMBER", help="ask GitHub for it")
    source.add_argument("--commit-message", type=Path, metavar="FILE", help="check its first line")
    parser.add_argument(
        "--queue", default="", metavar="REF", help="of a merge queue, which names the pull request"
    )
    parser.add_argument("--event-title", default="", help="what to check if GitHub cannot answer")
    options = parser.parse_args(arguments)
    if options.commit_message:
        try:
            title = read_message(options.commit_message)
        except OSError as error:
            parser.error(f"no message can be read: {error}")
        fault = "" if MADE_BY_GIT.match(title) else find_fault(title)
        if fault:
            print(f"The commit message is not a Conventional Commit.\n  {quote(title)}")
            print(f"{fault} For example:\n  {quote(suggest(title))}")
        return 1 if fault else 0
    queued = re.search(r"/pr-(\d+)-[0-9a-f]+$", options.queue)
    number = queued[1] if queued else options.pull_request
    setting = os.environ.get("SQUASH", "")
    commits: list[Any] = []
    try:
        request = ask("GET", f"pulls/{int(number)}")
        title = str(request["title"])
        if setting == "COMMIT_MESSAGES":
            commits = list_all(f"pulls/{int(number)}/commits")
        origin = "As it stands now, read from GitHub."
    except (GitHubError, LookupError, ValueError) as error:
        title = options.event_title
        request = {"title": title}
        origin = "As it stood when the event fired: GitHub could not be asked for the present one."
        annotate("warning", TITLE, f"{origin} ({error})")
    # what would keep GitHub from starting anything would have kept it from starting this in a queue
    fault = find_fault(title) or ("" if queued else find_skip(request, setting, commits))
    report(title, fault, origin)
    print(fault or "The title is a Conventional Commit.")
    return 1 if fault else 0


if __name__ == "__main__":
    sys.exit(main())
