from collections.abc import Callable
from pathlib import Path

import pytest
from checks.migrations import UNKNOWN, find_changes, main
from origin import Git

ALEMBIC = """import sqlalchemy as sa
from alembic import op

def upgrade():
    {}

def downgrade():
    op.drop_column("items", "new")
    op.execute("DROP TABLE items")
"""
CASES = {
    'op.drop_column("items", "price")': [("drops", "price")],
    'op.drop_column(table_name="items", column_name="price")': [("drops", "price")],
    'op.drop_table("items")': [("drops", "items")],
    "op.drop_table(TABLE)": [("drops", UNKNOWN)],
    'op.rename_table("items", "things")': [("renames", "items")],
    'op.alter_column("items", "price", new_column_name="cents")': [("renames", "price")],
    'op.alter_column("items", "price", nullable=True)': [],
    'op.alter_column("a", "b", nullable=True); x(new_column_name="c")': [],
    'op.alter_column("items", "price", type_=sa.Numeric(10, 2), new_column_name="cents")': [
        ("renames", "price")
    ],
    'op.execute(f"ALTER TABLE {TABLE} RENAME TO things")': [("renames", UNKNOWN)],
    'op.execute("/* by hand */ DROP TABLE items")': [("drops", "items")],
    "op.execute(\"UPDATE items SET color = '#1'; DROP TABLE items\")": [("drops", "items")],
    'op.drop_column("items", "price", schema="shop")': [("drops", "price")],
    'op.add_column("items", sa.Column("cents", sa.Integer(), nullable=True))': [],
    'with op.batch_alter_table("items") as it: it.drop_column("price")': [("drops", "price")],
    'with op.batch_alter_table("items") as it: it.alter_column("price", new_column_name="c")': [
        ("renames", "price")
    ],
    'op.execute("ALTER TABLE items DROP COLUMN price")': [("drops", "price")],
    'op.execute(sa.text("alter table public.items drop price"))': [("drops", "price")],
    'op.execute(f"ALTER TABLE {TABLE} DROP COLUMN price")': [("drops", "price")],
    'op.execute(f"ALTER TABLE items DROP COLUMN {NAME}")': [("drops", UNKNOWN)],
    'op.execute(\'ALTER TABLE "items" RENAME COLUMN "price" TO "cents"\')': [("renames", "price")],
    'op.execute("ALTER TABLE items RENAME TO things")': [("renames", "items")],
    'op.execute("DROP TABLE IF EXISTS items")': [("drops", "items")],
    'op.execute("DROP VIEW items")': [("drops", "items")],
    'op.execute("ALTER TABLE items ALTER COLUMN price DROP NOT NULL")': [],
    'op.execute("ALTER TABLE items DROP CONSTRAINT one")': [],
    'op.execute("ALTER TABLE items ADD a INT, DROP COLUMN price")': [("drops", "price")],
    'op.execute("DELETE FROM items -- DROP TABLE items")': [],
}


@pytest.mark.parametrize("line", CASES)
def test_alembic(line: str) -> None:
    found = list(find_changes("migrations/2.py", ALEMBIC.format(line)))
    assert [(change.does, change.name) for change in found] == CASES[line]
    assert {change.place for change in found} <= {"migrations/2.py:5"}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('migrations.RemoveField(model_name="item", name="price")', ("drops", "price")),
        ('migrations.DeleteModel(name="Item")', ("drops", "Item")),
        ('migrations.RenameField("item", "price", "cents")', ("renames", "price")),
        ('migrations.RenameModel(old_name="Item", new_name="It")', ("renames", "Item")),
        (
            'migrations.RunSQL("DROP TABLE shop_item", reverse_sql="DROP TABLE x")',
            ("drops", "shop_item"),
        ),
        ('migrations.AddField("item", "price", models.IntegerField(null=True))', None),
    ],
)
def test_django(line: str, expected: tuple[str, str] | None) -> None:
    text = f"class Migration(migrations.Migration):\n    operations = [\n        {line},\n    ]\n"
    found = [
        (change.does, change.name) for change in find_changes("shop/migrations/0002_x.py", text)
    ]
    assert found == ([expected] if expected else [])


def test_sql_names_its_line() -> None:
    text = "/* DROP TABLE a */\nSELECT 1; -- DROP TABLE b\n\nALTER TABLE c\n  DROP COLUMN d;\n"
    (found,) = find_changes("migrations/2.sql", text)
    assert (found.place, found.does, found.name) == ("migrations/2.sql:5", "drops", "d")


@pytest.mark.parametrize("text", ["def upgrade(:", '"""DROP TABLE items."""\n', ""])
def test_nothing_to_find(text: str) -> None:
    assert not list(find_changes("migrations/2.py", text))


type Change = Callable[[str, str], str]


@pytest.fixture
def change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Change:
    """Return a function that commits a file and says what the check prints then."""
    git = Git(tmp_path)
    git("init", "--quiet", "--initial-branch=main")
    (tmp_path / "pyproject.toml").write_text('[tool.pipelines]\nserve = "x {port}"\ncode = "app"\n')
    (tmp_path / "app/migrations").mkdir(parents=True)
    (tmp_path / "app/models.py").write_text("class Item:\n    price: int\n")
    (tmp_path / "app/migrations/1.py").write_text("column = 'unused'\n")
    git.save("feat: start")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary"))

    def commit(name: str, text: str) -> str:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        git.save("feat: change")
        assert main([]) == 0
        return capsys.readouterr().out

    return commit


def test_what_the_version_before_reads(change: Change, tmp_path: Path) -> None:
    said = change("app/migrations/2.py", ALEMBIC.format('op.drop_column("items", "price")'))
    assert said.startswith("::warning title=A migration that the version before may not live with")
    assert "app/migrations/2.py:5 drops price" in said
    assert "| app/migrations/2.py:5 | drops | price |" in (tmp_path / "summary").read_text()


def test_contract_is_no_finding(change: Change) -> None:
    text = ALEMBIC.format('op.drop_column("items", "unused")')
    assert "takes nothing" not in (said := change("app/migrations/2.py", text))
    assert "No migration here takes anything" in said


@pytest.mark.parametrize("name", ["app/other/2.py", "migrations/2.down.sql", "migrations/x.txt"])
def test_what_is_no_migration(change: Change, name: str) -> None:
    assert "No migration here" in change(name, "DROP TABLE item;")


def test_migrations_beside_the_code(change: Change) -> None:
    assert "migrations/2.sql:1 drops item" in change("migrations/2.sql", "DROP TABLE item;")


def test_without_a_base_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Git(tmp_path)("init", "--quiet")
    (tmp_path / "pyproject.toml").write_text('[tool.pipelines]\nserve = "x {port}"\n')
    monkeypatch.chdir(tmp_path)
    assert main(["HEAD^1"]) == 0
    assert "::warning title=The migrations were not looked at::" in capsys.readouterr().out
