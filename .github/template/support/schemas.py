"""Migrations of the sample app that a test adds: each brings one column more."""

from engine import ROOT

(PACKAGE,) = (path.name for path in (ROOT / "src").iterdir())
VERSIONS = f"{PACKAGE}/migrations/versions"
"""The folder of the migrations, relative to that of the code."""
MIGRATION = '''"""One column more."""

import sqlalchemy as sa
from alembic import op

revision = "{number:04}"
down_revision = "{before:04}"


def upgrade() -> None:
    """Add it."""
    op.add_column("items", sa.Column("more_{number}", sa.Integer(), nullable=True))
'''


def write_migration(number: int) -> tuple[str, str]:
    """Return the path of a migration relative to the folder of the code, and its text.

    Args:
        number: Which one; the sample app has the first.
    """
    text = MIGRATION.format(number=number, before=number - 1)
    return f"{VERSIONS}/{number:04}_more.py", text
