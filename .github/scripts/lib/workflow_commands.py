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
    log = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", log)
    last = [quote(line, LONGEST) for line in log.expandtabs(2).splitlines() if line.strip()][
        -lines:
    ]
    return fence("\n".join(last)) if last else ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Tell what the command line says."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for level in ("error", "notice"):
        command = commands.add_parser(level, help="annotate the run")
        command.add_argument("title")
        command.add_argument("text")
    command = commands.add_parser("summary", help="add a section to the job summary")
    command.add_argument("title", help="such as '❌ Lint'")
    command.add_argument("text", nargs="?", default="", help="a paragraph; its markup is shown")
    command.add_argument("--log", type=Path, help="file whose last lines are shown")
    command.add_argument("--lines", type=int, default=LAST_LINES, help="how many")
    command = commands.add_parser("output", help="set an output of the step, as one line")
    command.add_argument("name")
    command.add_argument("value")
    options = parser.parse_args(arguments)
    if options.command == "output":
        set_outputs({options.name: " ".join(options.value.split())})
    elif options.command == "summary":
        log = options.log.read_text(encoding="utf-8", errors="replace") if options.log else ""
        parts = [plain(options.text, LONGEST), show_end(log, options.lines)]
        summarize("\n\n".join([f"### {plain(options.title)}", *filter(None, parts)]))
    else:
        annotate(options.command, quote(options.title), quote(options.text.strip(), LONGEST))
    return 0


def _escape(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _append(variable: str, text: str) -> None:
    if path := os.environ.get(variable):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(text)


if __name__ == "__main__":
    sys.exit(main())
