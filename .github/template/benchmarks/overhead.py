"""Measure what metrics, JSON logs, request ids, the body limit and error handling cost.

The same routes are served twice with the same server settings, each time by processes of their own
on a database of their own: once by the app, and once by bare FastAPI with the same queries through
the same kind of connection pool. Short rounds alternate between the two, and each ratio is that of
two rounds, one right after the other; the median of all pairs counts, so that neither a lucky round
nor a slow minute decides. PostgreSQL is measured if TEST_DATABASE_URL names a server.
"""

import argparse
import asyncio
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Annotated, cast
from urllib.parse import urlsplit
from urllib.request import Request, urlopen
from uuid import uuid4

import psycopg
import uvloop
from fastapi import Depends, FastAPI
from sqlalchemy import make_url, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from python_web_template.database import make_engine
from python_web_template.items import ItemContent, ItemPage, StoredItem
from python_web_template.migrate import migrate
from python_web_template.models import Item
from python_web_template.operations import Health
from python_web_template.server import APP, serve
from python_web_template.settings import Settings, parse_database_url

START_SECONDS = 60
STARTED, LISTENS = "Application startup complete", "Uvicorn running on "
APPS = {"bare": "overhead:bare_app", "app": APP}
ITEM = b'{"name": "Tea", "price_cents": 350}'
ROUTES = {
    "hello": b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "read": b"GET /items/1 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "list": b"GET /items HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "write": b"POST /items HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n%b" % (len(ITEM), ITEM),
}
HEAD = (
    *("Database", "Workers", "Route", "Bare, requests/s", "App, requests/s", "Ratio"),
    *("Bare, CPU", "App, CPU", "Ratio", "Bare, p95", "App, p95"),
)
SUCCESS = (b"HTTP/1.1 200 ", b"HTTP/1.1 201 ")


def bare_app() -> FastAPI:
    """Make an app that does nothing but query and answer."""
    app = FastAPI()
    sessions = async_sessionmaker(make_engine(Settings().database), expire_on_commit=False)

    async def open_session() -> AsyncIterator[AsyncSession]:
        async with sessions() as session:
            yield session

    session_of_request = Depends(open_session)

    @app.get("/health")
    async def health() -> Health:
        return Health(version="1", revision="unknown", environment="development")

    @app.get("/items/{item_id}", response_model=StoredItem)
    async def read_item(
        item_id: int, session: Annotated[AsyncSession, session_of_request]
    ) -> Item | None:
        return await session.get(Item, item_id)

    @app.get("/items", response_model=ItemPage)
    async def list_items(
        session: Annotated[AsyncSession, session_of_request], after: int = 0, limit: int = 20
    ) -> dict[str, object]:
        query = select(Item).where(Item.id > after).order_by(Item.id).limit(limit + 1)
        items = (await session.scalars(query)).all()
        return {"items": items[:limit], "next": str(items[-1].id) if len(items) > limit else None}

    @app.post("/items", response_model=StoredItem, status_code=201)
    async def create_item(
        content: ItemContent, session: Annotated[AsyncSession, session_of_request]
    ) -> Item:
        now = datetime.now(UTC)
        item = Item(**content.model_dump(), created_at=now, updated_at=now)
        session.add(item)
        await session.commit()
        return item

    return app


@dataclass(frozen=True)
class Speed:
    """What one round measured.

    Attributes:
        rate: Answers in a second.
        p95: Seconds that 95 % of the answers took at most.
        cpu: Seconds of CPU time that an answer took.
    """

    rate: float
    p95: float
    cpu: float


class Client(asyncio.Protocol):
    """Send a request as soon as the one before is answered (HTTP/1.1 keep-alive)."""

    def __init__(self, request: bytes) -> None:
        self.request = request
        self.seconds: list[float] = []
        self.buffer = b""
        self.running = True
        self.refusal = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first request."""
        self.transport = cast("asyncio.Transport", transport)
        self._send()

    def data_received(self, data: bytes) -> None:
        """Count a complete answer and send the next request."""
        self.buffer += data
        head, end, body = self.buffer.partition(b"\r\n\r\n")
        length = head.partition(b"content-length: ")[2].partition(b"\r\n")[0]
        if not end or len(body) < int(length):
            return
        if not head.startswith(SUCCESS):
            self.refusal = head + end + body
        self.buffer = b""
        self.seconds.append(time.perf_counter() - self.sent)
        if self.running:
            self._send()

    def _send(self) -> None:
        self.sent = time.perf_counter()
        self.transport.write(self.request)


@dataclass(frozen=True)
class Server:
    """A running server: where it answers, and the session that its processes belong to."""

    url: str
    session: int

    def find_cpu_seconds(self) -> float:
        """Return the CPU time of its processes so far (Linux)."""
        ticks = 0
        for file in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):  # it ended in the meantime
                fields = file.read_text().rpartition(")")[2].split()
                if int(fields[3]) == self.session:
                    ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")


async def find_speed(server: Server, request: bytes, connections: int, seconds: float) -> Speed:
    """Keep the server busy for one round.

    Raises:
        SystemExit: It did not answer, or not with success.
    """
    url = server.url
    parts = urlsplit(url)
    loop = asyncio.get_running_loop()
    clients = [
        (
            await loop.create_connection(
                lambda: Client(request), parts.hostname or "", parts.port or 0
            )
        )[1]
        for _ in range(connections)
    ]
    started, spent = time.perf_counter(), server.find_cpu_seconds()
    await asyncio.sleep(seconds)
    duration = time.perf_counter() - started
    spent = server.find_cpu_seconds() - spent
    for client in clients:
        client.running = False
        client.transport.close()
    times = sorted(second for client in clients for second in client.seconds)
    for refusal in filter(None, (client.refusal for client in clients)):
        raise SystemExit(f"{url} answered {request!r} with {refusal!r}")
    if not times:
        raise SystemExit(f"{url} did not answer {request!r} within {seconds:g} s")
    return Speed(len(times) / duration, times[int(0.95 * (len(times) - 1))], spent / len(times))


@contextmanager
def serving(name: str, workers: int, database: str, directory: Path) -> Iterator[Server]:
    """Serve one of the apps in processes of its own; its log lines go to a file."""
    output = directory / f"{uuid4().hex}.log"
    with output.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, __file__, "--serve", name, "--workers", str(workers)],
            cwd=directory,
            env=os.environ
            | {
                "LOG_LEVEL": "INFO",
                "DATABASE_URL": database,
                "PYTHONPATH": str(Path(__file__).parent),
            },
            start_new_session=True,
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
    try:
        deadline = time.monotonic() + START_SECONDS
        while (text := output.read_text()).count(STARTED) < workers or LISTENS not in text:
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"the server did not start:\n{text}")
            time.sleep(0.1)
        url = text.partition(LISTENS)[2].partition(" ")[0]
        for _ in range(30):
            headers = {"Content-Type": "application/json"}
            urlopen(Request(f"{url}/items", ITEM, headers), timeout=START_SECONDS).close()  # noqa: S310
        yield Server(url, process.pid)
    finally:
        process.terminate()
        process.wait()


@contextmanager
def new_database(server: str, directory: Path) -> Iterator[str]:
    """Make a database with the current schema, on a PostgreSQL server or else in a file."""
    name = f"overhead_{uuid4().hex}"
    if not server:
        file = directory / f"{name}.sqlite3"
        url = f"sqlite:///{file}"
        migrate(parse_database_url(url))
        with sqlite3.connect(file) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
        yield url
        return
    with psycopg.connect(server, autocommit=True) as connection_:
        connection_.execute(f'CREATE DATABASE "{name}"'.encode())
        try:
            url = make_url(server).set(database=name).render_as_string(hide_password=False)
            migrate(parse_database_url(url))
            yield url
        finally:
            connection_.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())


@dataclass(frozen=True)
class Plan:
    """How to measure: rounds of each app and route, seconds of a round, connections at a time."""

    rounds: int
    seconds: float
    connections: int


def measure(server: str, workers: int, plan: Plan) -> dict[tuple[str, str], list[Speed]]:
    """Return the speed of each route and app in each round.

    Args:
        server: URL of a PostgreSQL server; SQLite if it is empty.
        workers: Processes of each app.
        plan: How to measure.
    """
    speeds: dict[tuple[str, str], list[Speed]] = {}
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        servers = {}
        for name in APPS:
            database = stack.enter_context(new_database(server, directory))
            servers[name] = stack.enter_context(serving(name, workers, database, directory))
        for number in range(plan.rounds + 1):
            for route, request in ROUTES.items():
                for name in reversed(APPS) if number % 2 else APPS:
                    speed = uvloop.run(
                        find_speed(servers[name], request, plan.connections, plan.seconds)
                    )
                    if number:  # the first round only warms up
                        speeds.setdefault((route, name), []).append(speed)
    return speeds


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the comparison and print it; return 1 if a ratio is lower than it has to be."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--rounds", type=int, default=9, help="for each app and route (9)")
    add("--seconds", type=float, default=1.0, help="of a round (1)")
    add("--connections", type=int, default=16, help="at a time (16)")
    add("--hello", type=float, default=0.65, help="ratio to reach without a query (0.65)")
    add("--query", type=float, default=0.9, help="ratio to reach with a query (0.9)")
    add("--workers", type=int, nargs="+", default=[1, 2], help="processes (1 2)")
    add("--serve", choices=APPS, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.serve:
        workers = options.workers[0]
        serve(Settings(), host="127.0.0.1", port=0, workers=workers, app=APPS[options.serve])
        return 0
    plan = Plan(options.rounds, options.seconds, options.connections)
    servers = {"SQLite": "", "PostgreSQL": os.environ.get("TEST_DATABASE_URL", "")}
    if not servers["PostgreSQL"]:
        del servers["PostgreSQL"]
        print("PostgreSQL is not measured: TEST_DATABASE_URL names no server.")
    print(f"| {' | '.join(HEAD)} |\n|{' --- |' * len(HEAD)}")
    slow = False
    for database, server in servers.items():
        for workers in options.workers:
            speeds = measure(server, workers, plan)
            for route in ROUTES:
                bare, app = speeds[route, "bare"], speeds[route, "app"]
                ratio = median(own.rate / other.rate for own, other in zip(app, bare, strict=True))
                slow |= ratio < (options.hello if route == "hello" else options.query)
                spent = median(other.cpu / own.cpu for own, other in zip(app, bare, strict=True))
                cells = [
                    *(database, str(workers), route),
                    *(f"{median(one.rate for one in them):.0f}" for them in (bare, app)),
                    f"{ratio:.2f}",
                    *(f"{median(one.cpu for one in them) * 1e6:.0f} µs" for them in (bare, app)),
                    f"{spent:.2f}",
                    *(f"{median(one.p95 for one in them) * 1e3:.1f} ms" for them in (bare, app)),
                ]
                print(f"| {' | '.join(cells)} |", flush=True)
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
