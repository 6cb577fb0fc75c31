"""Alembic migrations: how the schema came to be (https://alembic.sqlalchemy.org)."""
