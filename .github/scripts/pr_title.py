#!/usr/bin/env python3
"""Check that a pull request's title, or a commit's message, is a Conventional Commit.

The rule is that of https://www.conventionalcommits.org/en/v1.0.0/ with the types below. A title is
hostile text: it is quoted wherever it is shown, and never reaches a shell.
"""

import argparse
import json
import os
import re
import sys
import unicodedata
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

TYPES = (
    "feat", "fix", "docs", "style", "refactor", "perf", "test", "build", "ci", "chore", "revert",
)  # fmt: skip
LONGEST = 256
"""Characters that GitHub allows in a title."""

HEADER = re.compile(
    r"(?P<type>[^\s:(!]*)(?P<scope>\([^)]*\))?(?P<breaking>!)?"
    r"(?P<colon>:)?(?P<space> )?(?P<subject>.*)",
    re.DOTALL,
)
SCOPE = re.compile(r"\([a-z0-9][a-z0-9._/-]*\)")
MADE_BY_GIT = re.compile(r"Merge |(?:fixup|squash|amend)! ")
ALIASES = {
    "bug": "fix", "bugfix": "fix", "doc": "docs", "feature": "feat", "features": "feat",
    "fixed": "fix", "fixes": "fix", "hotfix": "fix", "performance": "perf", "tests": "test",
}  # fmt: skip


def find_fault(title: str) -> str:
    """Return what is wrong with a title, as a sentence; nothing if it is right."""
    return next(_find_faults(title), "")


def correct(title: str) -> str:
    """Return the nearest title that is right; an example if there is nothing to start from."""
    words = "".join(char if _is_visible(char) else " " for char in title[:LONGEST])
    parts = _split(" ".join(words.split()))
    word = parts["type"].lower()
    type_ = ALIASES.get(word, word)
    if type_ not in TYPES or not parts["colon"]:
        type_, subject = "feat", " ".join(words.split())
        scope = breaking = ""
    else:
        subject, breaking = parts["subject"].strip(), parts["breaking"]
        scope = re.sub(r"[^a-z0-9._/-]+", "-", parts["scope"].lower()).strip("-._/")
        scope = f"({scope})" if scope else ""
    corrected = f"{type_}{scope}{breaking}: {subject}"[:LONGEST].rstrip()
    return "feat: say what changes" if find_fault(corrected) else corrected


def quote(title: str) -> str:
    """Return a title as one line that shows every character and starts no workflow command."""
    shown = "".join(char if _is_visible(char) else f"\\u{ord(char):04x}" for char in title)
    shown = shown.replace("##[", "#\\u0023[")
    return shown if len(shown) <= LONGEST else f"{shown[:LONGEST]}…"


def fence(text: str) -> str:
    """Return text as a Markdown code block that the text cannot close."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    marks = "`" * max(3, longest + 1)
    return f"{marks}text\n{text}\n{marks}\n"


def read_title(number: int) -> str:
    """Ask GitHub for the title of a pull request as it stands now.

    Raises:
        OSError: GitHub did not answer, or refused to.
        LookupError: The answer is not a pull request.
        ValueError: The answer is not JSON.
    """
    url = "{GITHUB_API_URL}/repos/{GITHUB_REPOSITORY}/pulls/".format_map(os.environ) + str(number)
    if not url.startswith(("https://", "http://127.0.0.1:")):
        raise ValueError(f"{url} is not an address of GitHub's API")
    headers = {
        "Accept": "application/vnd.github+json",
        "Authorization": f"Bearer {os.environ.get('GITHUB_TOKEN', '')}",
    }
    request = urllib.request.Request(url, headers=headers)  # noqa: S310
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
        content = json.load(answer)
    return str(content["title"])


def report(title: str, fault: str, source: str) -> None:
    """Write the verdict to the log and to the job summary."""
    mark = "❌" if fault else "✅"
    lines = [f"### {mark} Title of the pull request\n", fence(quote(title)), f"{source}\n"]
    if fault:
        lines += [f"**{fault}** For example:\n", fence(quote(correct(title)))]
        _command("error", f"{fault} Title: {quote(title)} Example: {quote(correct(title))}")
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if summary:
        with Path(summary).open("a", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Check what the command line names; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--pull-request", type=int, metavar="NUMBER", help="ask GitHub for it")
    source.add_argument("--commit-message", type=Path, metavar="FILE", help="check its first line")
    parser.add_argument("--event-title", default="", help="what to check if GitHub cannot answer")
    options = parser.parse_args(arguments)
    if options.commit_message:
        title = options.commit_message.read_text(encoding="utf-8").partition("\n")[0]
        fault = "" if MADE_BY_GIT.match(title) else find_fault(title)
        if fault:
            print(f"The commit message is not a Conventional Commit.\n  {quote(title)}")
            print(f"{fault} For example:\n  {quote(correct(title))}")
        return 1 if fault else 0
    try:
        title, origin = read_title(options.pull_request), "As it stands now, read from GitHub."
    except (LookupError, OSError, ValueError) as error:
        title = options.event_title
        origin = "As it stood when the event fired: GitHub could not be asked for the present one."
        _command("warning", f"{origin} ({error})")
    fault = find_fault(title)
    report(title, fault, origin)
    print(fault or "The title is a Conventional Commit.")
    return 1 if fault else 0


def _find_faults(title: str) -> Iterator[str]:
    if not title.strip():
        yield "It is empty."
    for char in title:
        if not _is_visible(char):
            name = unicodedata.name(char, "control character")
            yield f"It holds an invisible character: U+{ord(char):04X} {name}."
    if len(title) > LONGEST:
        yield f"It has {len(title)} characters; {LONGEST} are allowed."
    parts = _split(title)
    if parts["type"] not in TYPES:
        yield f"It does not start with a type. The types are: {', '.join(TYPES)}."
    if parts["scope"] and not SCOPE.fullmatch(parts["scope"]):
        yield "Its scope is not one word of lower-case letters, digits and . _ / - in parentheses."
    if not parts["colon"]:
        yield "There is no colon behind the type."
    if not parts["space"]:
        yield "There is no space behind the colon."
    if not parts["subject"] or parts["subject"][0].isspace():
        yield "One space and a subject must follow the colon."


def _split(title: str) -> dict[str, str]:
    match = HEADER.fullmatch(title)
    return {key: text or "" for key, text in match.groupdict().items()} if match else {}


def _is_visible(char: str) -> bool:
    """Say whether a character is neither a control nor a formatting character nor a line break."""
    return unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Zl", "Zp"}


def _command(level: str, text: str) -> None:
    """Print an annotation, escaped as the runner asks for."""
    escaped = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    print(f"::{level} title=Title of the pull request::{escaped}")


if __name__ == "__main__":
    sys.exit(main())
