"""Move the database schema to a revision, with the migrations inside the package."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from zlib import crc32

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import URL, Connection, NullPool, bindparam, create_engine, event, func, select
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError

from .about import DISTRIBUTION
from .database import connect_arguments

LOCK = crc32(DISTRIBUTION.encode())
"""Key of the PostgreSQL advisory lock that lets one migration run at a time."""


class MigrationError(Exception):
    """The schema could not be moved; the text says why in one line."""


def alembic_config() -> Config:
    """Return the Alembic configuration for the migrations of this package."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    config.set_main_option("path_separator", "os")
    return config


def migrate(url: URL, revision: str = "head") -> str | None:
    """Upgrade or downgrade, all or nothing; a second call at the same time waits for the first.

    Args:
        url: Where the database is.
        revision: Where to go: `head`, `base` (an empty database), or a revision.

    Returns:
        The revision that the schema has now; None for an empty database.

    Raises:
        MigrationError: The database cannot be reached, or there is no such revision.
    """
    config = alembic_config()
    try:
        with open_exclusively(url) as connection:
            config.attributes["connection"] = connection
            context = MigrationContext.configure(connection)
            if _is_behind(config, context.get_current_revision(), revision):
                command.downgrade(config, revision)
            else:
                command.upgrade(config, revision)
            return context.get_current_revision()
    except CommandError as error:
        raise MigrationError(str(error)) from error
    except DBAPIError as error:
        raise MigrationError(" ".join(str(error.orig).split())) from error


def _is_behind(config: Config, current: str | None, target: str) -> bool:
    if target in {"base", "head"}:
        return target == "base"
    script = ScriptDirectory.from_config(config)
    wanted = script.get_revision(target)
    passed = script.iterate_revisions(current, "base") if current else ()
    return wanted.revision in {done.revision for done in passed}


@contextmanager
def open_exclusively(url: URL) -> Iterator[Connection]:
    """Open a transaction that no other migration can be in at the same time."""
    sqlite = url.get_backend_name() == "sqlite"
    engine = create_engine(
        url.set(drivername="sqlite") if sqlite else url,
        connect_args=connect_arguments(url),
        poolclass=NullPool,
    )
    if sqlite:
        # https://docs.sqlalchemy.org/en/21/dialects/sqlite.html#pysqlite-transactions
        event.listen(engine, "connect", _leave_transactions_to_us)
        event.listen(engine, "begin", _lock_file)
    with engine.begin() as connection:
        if not sqlite:
            connection.execute(select(func.pg_advisory_xact_lock(bindparam("key", LOCK))))
        yield connection


def _leave_transactions_to_us(connection: DBAPIConnection, _record: object) -> None:
    connection.isolation_level = None


def _lock_file(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
