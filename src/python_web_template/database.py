"""The connection to the database."""

from collections.abc import AsyncIterator, Callable
from time import perf_counter
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy import URL, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)

from .metrics import Metrics

CONNECT_TIMEOUT_SECONDS = 5

LIMITS = {
    "connect_timeout": CONNECT_TIMEOUT_SECONDS,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "tcp_user_timeout": 10_000,
}
"""What libpq is told, or it waits a quarter of an hour for a server that is gone without a word."""

_OPERATIONS = frozenset({"select", "insert", "update", "delete"})


class Database:
    """A pool of connections.

    Args:
        url: Where the database is, with an asynchronous driver.
        metrics: Where statements are counted.
    """

    def __init__(self, url: URL, metrics: Metrics) -> None:
        self.engine = make_engine(url)
        self.sessions = async_sessionmaker(self.engine, expire_on_commit=False)
        _measure(self.engine, metrics)

    async def close(self) -> None:
        """Close all connections."""
        await self.engine.dispose()


def connect_arguments(url: URL) -> dict[str, int]:
    """Limit how long PostgreSQL is waited for; what the URL says itself stays."""
    if url.get_backend_name() == "sqlite":
        return {}
    return {name: value for name, value in LIMITS.items() if name not in url.query}


def make_engine(url: URL) -> AsyncEngine:
    """Return a pool that gives away no dead connection and waits for none without end."""
    sqlite = url.get_backend_name() == "sqlite"
    engine = create_async_engine(
        url,
        connect_args=connect_arguments(url),
        hide_parameters=True,  # they are the clients' data, which logs must not hold
        pool_pre_ping=not sqlite,
        pool_timeout=CONNECT_TIMEOUT_SECONDS,
    )
    if sqlite:
        event.listen(engine.sync_engine, "connect", _let_reads_pass_writes)
    return engine


def _let_reads_pass_writes(connection: DBAPIConnection, _record: object) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")  # https://sqlite.org/wal.html
    cursor.close()


def _measure(engine: AsyncEngine, metrics: Metrics) -> None:
    def timed(execute: Callable[..., None]) -> Callable[..., bool]:
        def run(cursor: object, statement: str, *rest: object) -> bool:
            started = perf_counter()
            execute(cursor, statement, *rest)
            word = statement.partition(" ")[0].lower()
            operation = word if word in _OPERATIONS else "other"
            metrics.observe_query(operation, perf_counter() - started)
            return True  # it is executed

        return run

    # Events of the dialect: those of the engine would make each use of a connection slower.
    for name in ("do_execute", "do_executemany"):
        event.listen(engine.sync_engine, name, timed(getattr(engine.dialect, name)))


async def _session(request: Request) -> AsyncIterator[AsyncSession]:
    async with request.app.state.database.sessions() as session:
        yield session


Session = Annotated[AsyncSession, Depends(_session)]
"""A session for the length of one request; what is not committed is rolled back."""
