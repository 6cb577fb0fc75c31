#!/usr/bin/env python3
"""Load the app with Locust or k6 and fail if it is too slow or fails too often.

The app is started for it on this machine, on PostgreSQL if that is installed; --host loads another
one instead. The limits are those of locustfile.py and k6-script.js.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from common.markdown import quote
from common.workflow_commands import annotate

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / ".github/scripts"
PROGRAMS = Path(sys.executable).parent
LIMITS = {"users": (1, 1000), "duration": (5, 900), "workers": (1, 16)}
"""Lowest and highest value of each number; durations are in seconds."""
GRACE_SECONDS = 60
"""What a tool may take besides the duration of the test."""
RAMP_UP_SECONDS = 5


def read_number(name: str, text: str) -> int:
    """Return a number that somebody typed.

    Raises:
        ValueError: It is none, or not within its limits; the text names them.
    """
    lowest, highest = LIMITS[name]
    if text.isascii() and text.isdecimal() and len(text) <= len(str(highest)):
        number = int(text)
        if lowest <= number <= highest:
            return number
    unit = " seconds" if name == "duration" else ""
    raise ValueError(
        f"{name} must be a number from {lowest} to {highest}{unit}, not {quote(text, 40)!r}"
    )


def make_locust(users: int, duration: int, output: Path) -> list[str]:
    """Return the command that runs Locust, but for the address."""
    return [
        str(PROGRAMS / "locust"),
        "--headless",
        f"--locustfile={ROOT / 'locustfile.py'}",
        f"--users={users}",
        f"--spawn-rate={max(1, users / RAMP_UP_SECONDS):.1f}",
        f"--run-time={duration}s",
        "--stop-timeout=10",
        "--only-summary",
        f"--csv={output / 'locust'}",
        f"--json-file={output / 'locust'}",
        "--csv-full-history",
        f"--html={output / 'report.html'}",
    ]


def make_k6(users: int, duration: int, output: Path) -> list[str]:
    """Return the command that runs k6, but for the address."""
    values = {"USERS": users, "DURATION": duration, "OUTPUT": output}
    return [
        str(PROGRAMS / "k6"),
        "run",
        "--quiet",
        "--no-usage-report",
        *(f"--env={key}={value}" for key, value in values.items()),
        str(ROOT / "k6-script.js"),
    ]


TOOLS = {"locust": make_locust, "k6": make_k6}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the test; return 0 if all limits hold, 2 if the command line is wrong, else another."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tool", choices=TOOLS, help="what makes the load")
    for name, default in (("users", "20"), ("duration", "20"), ("workers", "2")):
        lowest, highest = LIMITS[name]
        parser.add_argument(
            f"--{name}", default=default, metavar="N", help=f"{lowest} to {highest} ({default})"
        )
    parser.add_argument("--output", type=Path, help="folder of the results (TOOL-results)")
    parser.add_argument("--host", help="load this address instead, such as http://127.0.0.1:8000")
    options = parser.parse_args(arguments)
    try:
        users, duration, workers = (
            read_number(name, getattr(options, name)) for name in ("users", "duration", "workers")
        )
    except ValueError as error:
        annotate("error", "Load test", str(error))
        return 2
    output = (options.output or Path(f"{options.tool}-results")).absolute()
    output.mkdir(parents=True, exist_ok=True)
    command = TOOLS[options.tool](users, duration, output)
    if options.host:
        return subprocess.run(
            command, env=os.environ | {"BASE_URL": options.host}, check=False
        ).returncode
    limit = duration + GRACE_SECONDS
    app = [
        str(SCRIPTS / "with_app.sh"),
        f"--workers={workers}",
        f"--output={output}",
        f"--limit={limit}",
    ]
    return subprocess.run(
        [SCRIPTS / "with_postgres.sh", "--optional", *app, "--warm-up=/items", *command],
        check=False,
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
