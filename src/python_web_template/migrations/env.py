"""How Alembic runs the migrations (https://alembic.sqlalchemy.org)."""

from alembic import context
from sqlalchemy import Connection

from python_web_template.migrate import open_exclusively
from python_web_template.models import Base
from python_web_template.settings import Settings


def run(connection: Connection) -> None:
    """Run what was asked for in the transaction of this connection."""
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        transactional_ddl=True,
        render_as_batch=True,  # SQLite cannot alter most things in place
    )
    with context.begin_transaction():
        context.run_migrations()


if opened := context.config.attributes.get("connection"):
    run(opened)
else:  # called by the `alembic` command, for example to write a new migration
    with open_exclusively(Settings.from_environment().database) as connection:
        run(connection)
