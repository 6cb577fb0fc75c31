"""Move the database schema to a revision, with the migrations inside the package."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from zlib import crc32

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import (
    URL,
    Connection,
    NullPool,
    bindparam,
    create_engine,
    event,
    func,
    inspect,
    select,
)
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError

from .about import DISTRIBUTION
from .database import connect_arguments
from .models import Base

LOCK = crc32(DISTRIBUTION.encode())
"""Key of the PostgreSQL advisory lock that lets one migration run at a time."""

PATIENCE = "5s"
"""How long a migration waits for a table: whoever wants to read it waits behind the migration."""


class MigrationError(Exception):
    """The schema could not be read or moved; the text says why in one line."""


def alembic_config() -> Config:
    """Return the Alembic configuration for the migrations of this package."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    config.set_main_option("path_separator", "os")
    return config


@cache
def newest_revision() -> str | None:
    """Return the last migration that comes with the package.

    Raises:
        MigrationError: There is more than one last migration.
    """
    heads = ScriptDirectory.from_config(alembic_config()).get_heads()
    if len(heads) > 1:
        raise MigrationError(f"this version has several last migrations: {', '.join(heads)}")
    return heads[0] if heads else None


@cache
def known_revisions() -> frozenset[str]:
    """Return all migrations that come with the package."""
    script = ScriptDirectory.from_config(alembic_config())
    return frozenset(known.revision for known in script.walk_revisions())


def is_newer(revision: str | None) -> bool:
    """Tell whether a revision of a database comes from a later version than this one.

    An earlier one would have come with the package. The schema of a later version suits this one
    too, as long as its migrations take nothing away that this version needs.
    """
    return revision is not None and revision not in known_revisions()


def read_revision(connection: Connection) -> str | None:
    """Return the revision that a database has; None if it is empty.

    Raises:
        MigrationError: What the database says about its revision cannot be true, or not be read.
        DBAPIError: The connection was lost.
    """
    try:
        heads = MigrationContext.configure(connection).get_current_heads()
        tables = (
            set() if heads else {*inspect(connection).get_table_names()} & {*Base.metadata.tables}
        )
    except DBAPIError as error:
        if error.connection_invalidated:
            raise
        raise MigrationError(
            f"the table alembic_version cannot be read: {_one_line(error)}"
        ) from error
    if tables:
        raise MigrationError(
            f"the table alembic_version has no revision, but there is the table {min(tables)}; "
            "tell it the right one with `alembic stamp`"
        )
    if len(heads) > 1 or not all(head and head.strip() for head in heads):
        found = ", ".join(map(repr, heads))
        raise MigrationError(f"the table alembic_version must have one revision, and has {found}")
    return heads[0] if heads else None


def migrate(url: URL, revision: str = "head") -> str | None:
    """Upgrade or downgrade, all or nothing; a second call at the same time waits for the first.

    A database that a later version has migrated stays as it is: this version works with it.

    Args:
        url: Where the database is.
        revision: Where to go: `head`, `base` (an empty database), or a revision.

    Returns:
        The revision that the schema has now; None for an empty database.

    Raises:
        MigrationError: The database cannot be reached, there is no such revision, or no way to it.
    """
    config = alembic_config()
    try:
        with open_exclusively(url) as connection:
            config.attributes["connection"] = connection
            if revision == "head":
                newest_revision()  # there must be one
            current = read_revision(connection)
            if is_newer(current):
                if revision == "head":
                    return current
                raise MigrationError(
                    f"the database is at {current}, which a later version made: "
                    f"only that version can lead it to {revision}"
                )
            if _is_behind(config, current, revision):
                command.downgrade(config, revision)
            else:
                command.upgrade(config, revision)
            return read_revision(connection)
    except CommandError as error:
        raise MigrationError(" ".join(str(error).split())) from error
    except DBAPIError as error:
        raise MigrationError(_one_line(error)) from error


def _one_line(error: DBAPIError) -> str:
    return " ".join(str(error.orig).split())


def _is_behind(config: Config, current: str | None, target: str) -> bool:
    if target in {"base", "head"}:
        return target == "base"
    if not target:
        raise MigrationError("no revision is named")
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
            connection.execute(select(func.set_config("lock_timeout", PATIENCE, True)))
        yield connection


def _leave_transactions_to_us(connection: DBAPIConnection, _record: object) -> None:
    connection.isolation_level = None


def _lock_file(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
