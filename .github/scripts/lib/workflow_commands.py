#!/usr/bin/env python3
"""What a script tells the runner: annotations, outputs, parts of the job summary.

Whatever a text holds, it starts no command, closes no code block, and is no markup. A script in
another language calls this file.
"""

import argparse
import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from lib.markdown import fence, plain, quote

COLOURS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
LAST_LINES = 40
LONGEST_SUMMARY = 250_000
"""Characters; GitHub takes a MiB, and a character may have four bytes."""
LONGEST = 4000
"""Characters of a text that is told; GitHub cuts an annotation off at about as many."""


def annotate(level: str, title: str, text: str) -> None:
    """Print an annotation: an `error`, `warning` or `notice` that GitHub shows with the run."""
    title = _escape(title).replace(":", "%3A").replace(",", "%2C")
    print(f"::{level} title={title}::{_escape(text)}", flush=True)


def summarize(markdown: str) -> None:
    """Add a part to the job summary, cut off where GitHub would take nothing of it."""
    if len(markdown) > LONGEST_SUMMARY:
        markdown = f"{markdown[:LONGEST_SUMMARY]}…\n\nThe rest is in the log.\n"
    _append("GITHUB_STEP_SUMMARY", f"{markdown.rstrip()}\n\n")


def refuse(title: str, text: str) -> None:
    """Say that something failed, in an annotation and in the job summary.

    Args:
        title: What failed.
        text: Why, as one line; what follows is shown in the summary alone, as its last lines.
    """
    first, _, rest = text.partition("\n")
    annotate("error", quote(title), quote(first.strip(), LONGEST))
    parts = [f"### ❌ {plain(title)}", plain(first, LONGEST), show_end(rest)]
    summarize("\n\n".join(filter(None, parts)))


def set_outputs(values: Mapping[str, str]) -> None:
    """Set outputs of the step.

    Raises:
        ValueError: A value has more than one line.
    """
    for key, value in values.items():
        if "\n" in value or "\r" in value:
            raise ValueError(f"the output {key} has more than one line")
    _append("GITHUB_OUTPUT", "".join(f"{key}={value}\n" for key, value in values.items()))


def show_end(log: str, lines: int = LAST_LINES) -> str:
    """Return the last lines of a log that are not blank as a Markdown code block."""
    log = COLOURS.sub("", log)
    last = [quote(line, LONGEST) for line in log.expandtabs(2).splitlines() if line.strip()][
        -lines:
    ]
    return fence("\n".join(last)) if last else ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Tell what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("command", choices=("error", "notice", "summary", "fail"))
    add("title", help="of the annotation or section, such as '❌ Lint'")
    add("text", nargs="?", default="", help="a paragraph")
    add("--log", type=Path, help="file whose last lines are shown in the section")
    add("--lines", type=int, default=LAST_LINES, help="how many of a summary")
    add("--cause", default="", metavar="REGEX", help="lines that say why; else the last one does")
    options = parser.parse_args(arguments)
    title, text = options.title, " ".join(options.text.split())
    log = options.log.read_text(encoding="utf-8", errors="replace") if options.log else ""
    log = COLOURS.sub("", log)
    if options.command == "fail":
        lines = [line for line in log.splitlines() if re.search(r"\w", line)]
        causes = [line for line in lines if options.cause and re.search(options.cause, line)]
        why = [re.sub(r"\.{3,}", ": ", line) for line in causes] or lines[-1:]
        refuse(title, f"{' — '.join([*why, text])}\n{log}")
    elif options.command == "summary":
        parts = [f"### {plain(title)}", plain(text, LONGEST), show_end(log, options.lines)]
        summarize("\n\n".join(filter(None, parts)))
    else:
        annotate(options.command, quote(title), quote(options.text.strip(), LONGEST))
    return 0


def _escape(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _append(variable: str, text: str) -> None:
    if path := os.environ.get(variable):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(text)


if __name__ == "__main__":
    sys.exit(main())
