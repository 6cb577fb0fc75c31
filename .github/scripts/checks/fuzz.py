#!/usr/bin/env python3
"""Feed what takes text of strangers with inputs that nobody thought of.

The targets are the files `fuzz_*.py` below the folders of tests; a folder `corpus/NAME` beside one
has inputs to start from. An input that breaks something is written to the output folder: add it to
that corpus, and the tests try it each time. Atheris is there for Linux only.
"""

import argparse
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from lib.markdown import plain, table
from lib.processes import run
from lib.workflow_commands import annotate, show_end, summarize

ROOT = Path(__file__).resolve().parents[3]
FOLDERS = ("tests", ".github/tests")
START_SECONDS = 120
LONGEST_INPUT = 4096


@dataclass(frozen=True)
class Result:
    """How fuzzing a target ended.

    Attributes:
        name: The target.
        runs: How many inputs it got.
        log: What was printed if it was broken; empty if not.
        inputs: The files with what broke it.
    """

    name: str
    runs: int
    log: str = ""
    inputs: Sequence[Path] = ()


def find_targets(root: Path) -> list[Path]:
    """Return the files of all targets."""
    return sorted(it for folder in FOLDERS for it in (root / folder).rglob("fuzz_*.py"))


def fuzz(target: Path, seconds: int, output: Path) -> Result:
    """Fuzz one target.

    Args:
        target: Its file.
        seconds: How long.
        output: Folder for new inputs, and for those that break it.
    """
    name = target.stem.removeprefix("fuzz_")
    new = output / "corpus" / name
    new.mkdir(parents=True, exist_ok=True)
    known = target.parent / "corpus" / name
    command: list[str | Path] = [
        sys.executable,
        Path(__file__).with_name("fuzz_target.py"),
        target,
        "--",
        f"-max_total_time={seconds}",
        f"-max_len={LONGEST_INPUT}",
        f"-artifact_prefix={output}/{name}-",
        "-print_final_stats=1",
        new,
        *([known] if known.is_dir() else []),
    ]
    try:
        done = run(command, seconds + START_SECONDS, folder=ROOT)
        log, failed = done.stdout, done.returncode != 0
    except subprocess.TimeoutExpired as error:
        log, failed = f"{error.output}\nIt did not end in time.", True
    stats = re.findall(r"stat::number_of_executed_units:\s*(\d+)", log)
    inputs = sorted(output.glob(f"{name}-*"))
    return Result(name, int(stats[-1]) if stats else 0, log if failed else "", inputs)


def describe(results: Sequence[Result]) -> str:
    """Return the results as Markdown."""
    rows = [
        [it.name, f"{it.runs:,}", "❌ " + ", ".join(f.name for f in it.inputs) if it.log else "✅"]
        for it in results
    ]
    cells = [[plain(text) for text in row] for row in rows]
    logs = [f"{it.name}:\n\n{show_end(it.log)}" for it in results if it.log]
    return "\n".join(["### Fuzzing\n", table(["Target", "Inputs", "Result"], cells), *logs])


def main(arguments: Sequence[str] | None = None) -> int:
    """Fuzz all targets, or those that are named; return 1 if one was broken."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("targets", nargs="*", type=Path, help="their files; all if none is given")
    parser.add_argument("--seconds", type=int, default=60, help="for each target (default: 60)")
    parser.add_argument("--output", type=Path, default=Path("fuzz-results"), metavar="FOLDER")
    options = parser.parse_args(arguments)
    results = []
    for target in options.targets or find_targets(ROOT):
        result = fuzz(target.resolve(), options.seconds, options.output.resolve())
        print(result.log or f"{result.name}: {result.runs:,} inputs, nothing broke", flush=True)
        if result.log:
            text = f"{target}: an input breaks it; the artifact has the input"
            annotate("error", "Fuzzing", text)
        results.append(result)
    summarize(describe(results))
    return int(any(it.log for it in results))


if __name__ == "__main__":
    sys.exit(main())
