#!/usr/bin/env python3
"""Load the app with Locust or k6 and fail if it is too slow or fails too often.

The app is started for it on this machine, on PostgreSQL if that is installed; --host loads another
one instead. The limits are those of locustfile.py and k6-script.js.
"""

import argparse
import os
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

sys.path.insert(0, str(Path(__file__).parents[1]))
from lib.markdown import quote
from lib.workflow_commands import annotate

ROOT = Path(__file__).parents[3]
SCRIPTS = ROOT / ".github/scripts"
PROGRAMS = Path(sys.executable).parent
LIMITS = {"users": (1, 1000), "duration": (5, 900), "workers": (1, 16)}
"""Lowest and highest value of each number; durations are in seconds."""
GRACE_SECONDS = 60
"""What a tool may take besides the duration of the test."""
RAMP_UP = 0.25
"""Part of the duration in which the users arrive."""


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
        f"--spawn-rate={users / (duration * RAMP_UP):.2f}",
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


def find_app() -> Path:
    """Return the app's own program, the first of `project.scripts`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return PROGRAMS / str(next(iter(project["scripts"])))


TOOLS = {"locust": make_locust, "k6": make_k6}


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Become the test, which ends with 0 if all limits hold; end with 2 if a number is wrong."""
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
        sys.exit(2)
    output = (options.output or Path(f"{options.tool}-results")).absolute()
    output.mkdir(parents=True, exist_ok=True)
    command = TOOLS[options.tool](users, duration, output)
    if options.host:
        os.environ["BASE_URL"] = options.host
    else:
        limits = [f"--workers={workers}", f"--limit={duration + GRACE_SECONDS}"]
        app = [*limits, f"--output={output}", "--warm-up=/items", str(find_app()), *command]
        command = [
            *(str(SCRIPTS / "with_postgres.sh"), "--optional"),
            *(str(SCRIPTS / "with_app.sh"), *app),
        ]
    os.execv(command[0], command)  # so that signals reach those that clean up  # noqa: S606


if __name__ == "__main__":
    main()
