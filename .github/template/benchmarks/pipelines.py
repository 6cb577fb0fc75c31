"""How much longer a pipeline takes on this machine than the bare commands that it runs."""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[3]
COMMANDS = (
    "ruff check .",
    "ruff format --check .",
    "pytest tests/ -v --tb=short --cov=src",
)
"""What a person would run by hand instead of `ci`."""


def measure(command: str) -> float:
    """Run a command as a pipeline sees it; return the seconds that it took.

    Raises:
        SystemExit: It failed; says what it printed last.
    """
    started = time.monotonic()
    ended = subprocess.run(
        ["bash", "-c", command],
        check=False,
        cwd=ROOT,
        env=os.environ | {"ACT": "true"},
        stdout=subprocess.PIPE,
        text=True,
    )
    if ended.returncode:
        sys.exit(f"{ended.stdout[-4000:]}\n{command} ended with {ended.returncode}.")
    return time.monotonic() - started


def main(arguments: Sequence[str] | None = None) -> int:
    """Print seconds and the ratio; return 1 if it is over the limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="the best one counts (default: 3)")
    parser.add_argument("--maximum", type=float, default=1.5, help="ratio for ci (default: 1.5)")
    options = parser.parse_args(arguments)
    runner = f"{sys.executable} .github/runner/run.py"
    rounds = range(options.rounds)
    bare = min(sum(measure(command) for command in COMMANDS) for _ in rounds)
    ci = min(measure(f"{runner} ci") for _ in rounds)
    both = min(measure(f"{runner} ci pr") for _ in rounds)
    print(f"bare commands   {bare:6.1f} s")
    print(f"pipelines ci    {ci:6.1f} s  {ci / bare:.2f} x")
    print(f"pipelines ci pr {both:6.1f} s  {both / bare:.2f} x")
    return 0 if ci / bare <= options.maximum else 1


if __name__ == "__main__":
    sys.exit(main())
