"""What a script tells the runner: annotations, outputs, parts of the job summary."""

import os
from collections.abc import Mapping
from pathlib import Path


def annotate(level: str, title: str, text: str) -> None:
    """Print an annotation: an `error`, `warning` or `notice` that GitHub shows with the run."""
    escaped = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    print(f"::{level} title={title}::{escaped}", flush=True)


def summarize(markdown: str) -> None:
    """Add a part to the job summary."""
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


def _append(variable: str, text: str) -> None:
    if path := os.environ.get(variable):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(text)
