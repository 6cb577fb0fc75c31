"""Migrations, on each kind of database."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect

from python_web_template.migrate import MigrationError, migrate, open_exclusively
from python_web_template.models import Base
from python_web_template.settings import parse_database_url


def tables(url: str) -> set[str]:
    with open_exclusively(parse_database_url(url)) as connection:
        return set(inspect(connection).get_table_names()) - {"sqlite_sequence"}


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


def test_unknown_revision(empty_database: str) -> None:
    with pytest.raises(MigrationError, match="Can't locate revision identified by 'nonsense'"):
        migrate(parse_database_url(empty_database), "nonsense")


def test_unreachable_database_is_told_in_one_line_without_password() -> None:
    with pytest.raises(MigrationError) as caught:
        migrate(parse_database_url("postgresql://someone:s3cret@127.0.0.1:1/nothing"))

    assert "connection failed" in str(caught.value)
    assert "s3cret" not in str(caught.value)
    assert "\n" not in str(caught.value)
