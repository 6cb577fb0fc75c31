"""Migrations, on each kind of database."""

import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import NullPool, create_engine, inspect, text

from python_web_template import migrate as module
from python_web_template.migrate import MigrationError, migrate, open_exclusively
from python_web_template.models import Base
from python_web_template.settings import parse_database_url

type NewDatabase = Callable[[str], str]


def tables(url: str) -> set[str]:
    with open_exclusively(parse_database_url(url)) as connection:
        return set(inspect(connection).get_table_names()) - {"sqlite_sequence"}


def execute(url: str, *statements: str) -> None:
    with open_exclusively(parse_database_url(url)) as connection:
        for statement in statements:
            connection.execute(text(statement))


def test_up_down_up(empty_database: str) -> None:
    url = parse_database_url(empty_database)

    assert migrate(url) == "0001"
    assert tables(empty_database) == {"alembic_version", "items"}
    assert migrate(url, "base") is None
    assert tables(empty_database) == {"alembic_version"}
    assert migrate(url, "0001") == "0001"
    assert migrate(url, "0001") == "0001"
    assert migrate(url, "head") == "0001"


def test_migrations_lead_to_the_models(migrated_database: str) -> None:
    with open_exclusively(parse_database_url(migrated_database)) as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, Base.metadata) == []


def test_several_at_the_same_time(empty_database: str) -> None:
    url = parse_database_url(empty_database)

    with ThreadPoolExecutor(4) as pool:
        reached = list(pool.map(lambda _: migrate(url), range(4)))

    assert reached == ["0001"] * 4


def test_table_that_is_in_use_is_not_waited_for_by_everybody(
    new_database: NewDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as by a backup: who wants to read it would wait behind the migration."""
    monkeypatch.setattr(module, "PATIENCE", "10ms")
    url = parse_database_url(new_database("postgresql"))
    migrate(url)
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as connection:
        connection.execute(text("SELECT count(*) FROM items"))
        with pytest.raises(MigrationError, match="lock timeout"):
            migrate(url, "base")
    assert migrate(url, "base") is None


@pytest.mark.parametrize(
    ("revision", "message"),
    [
        ("nonsense", "Can't locate revision identified by 'nonsense'"),
        ("", "no revision is named"),
    ],
)
def test_unknown_revision(new_database: NewDatabase, revision: str, message: str) -> None:
    with pytest.raises(MigrationError, match=message):
        migrate(parse_database_url(new_database("sqlite")), revision)


def test_schema_of_a_later_version_stays_as_it_is(empty_database: str) -> None:
    url = parse_database_url(empty_database)
    migrate(url)
    execute(
        empty_database,
        "ALTER TABLE items ADD COLUMN colour TEXT",
        "UPDATE alembic_version SET version_num = '0002'",
    )

    assert migrate(url) == "0002"
    for revision in ("base", "0001"):
        with pytest.raises(MigrationError, match=f"0002, .* only that version .* to {revision}"):
            migrate(url, revision)
    assert tables(empty_database) == {"alembic_version", "items"}


BROKEN = {
    "several": (["INSERT INTO alembic_version VALUES ('0002')"], "one revision, and has '0001', '"),
    "blank": (["UPDATE alembic_version SET version_num = ' '"], "one revision, and has ' '"),
    "empty": (["DELETE FROM alembic_version"], "no revision, but there is the table items"),
    "no table": (["DROP TABLE alembic_version"], "no revision, but there is the table items"),
    "other columns": (
        ["DROP TABLE alembic_version", "CREATE TABLE alembic_version (n INTEGER)"],
        "the table alembic_version cannot be read: .*version_num",
    ),
}
"""What can be wrong with the table of the revision: how it got so, and what is said."""


@pytest.mark.parametrize("fault", BROKEN)
def test_version_table_that_is_broken(empty_database: str, fault: str) -> None:
    statements, message = BROKEN[fault]
    migrate(parse_database_url(empty_database))
    execute(empty_database, *statements)

    with pytest.raises(MigrationError, match=message) as caught:
        migrate(parse_database_url(empty_database))

    assert "\n" not in str(caught.value)


@pytest.fixture
def branches(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """The package comes with two migrations that both follow the first."""
    config = module.alembic_config()
    copy = tmp_path / "migrations"
    shutil.copytree(str(config.get_main_option("script_location")), copy)
    for name in ("left", "right"):
        lines = f'revision = "{name}"\ndown_revision = "0001"\ndef upgrade() -> None: ...\n'
        (copy / f"versions/{name}.py").write_text(lines)
    config.set_main_option("script_location", str(copy))
    monkeypatch.setattr(module, "alembic_config", lambda: config)
    for function in (module.newest_revision, module.known_revisions):
        function.cache_clear()
    yield
    for function in (module.newest_revision, module.known_revisions):
        function.cache_clear()


@pytest.mark.usefixtures("branches")
def test_migrations_that_branch(empty_database: str) -> None:
    with pytest.raises(MigrationError, match="this version has several last migrations: left, rig"):
        migrate(parse_database_url(empty_database))


def test_unreachable_database_is_told_in_one_line_without_password() -> None:
    with pytest.raises(MigrationError) as caught:
        migrate(parse_database_url("postgresql://someone:s3cret@127.0.0.1:1/nothing"))

    assert "connection failed" in str(caught.value)
    assert "s3cret" not in str(caught.value)
    assert "\n" not in str(caught.value)
