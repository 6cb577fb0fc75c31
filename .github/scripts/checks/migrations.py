#!/usr/bin/env python3
"""Warn of migrations that the version before cannot live with. It never fails a job.

Old and new version use the same database while one takes over, and again after a rollback: what
the old code names must not be dropped or renamed. Looked at are the files of folders called
`migrations` or `alembic` that differ from the base: calls of Alembic and Django, and SQL. What is
meant to lead back is left out.
"""

import argparse
import ast
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

sys.path.insert(0, str(Path(__file__).parents[1]))
from lib.git import Git, GitError
from lib.markdown import plain, quote, table
from lib.project import ProjectError, read_project
from lib.workflow_commands import annotate, summarize

FOLDERS = {"migrations", "alembic"}
BACKWARDS = re.compile(r"down|rollback|reverse|undo")
"""Functions and files with such a name lead back to an earlier version."""
COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
FILLING = re.compile(r"\b(?:if\s+(?:not\s+)?exists|only|column)\s|[\"`\[\]]", re.IGNORECASE)
"""What says nothing about what SQL does."""
NAME = r"\s+(?:\w+\.)*(\w+)"
SQL = {
    rf"\bdrop\s+(?:materialized\s+)?(?:table|view){NAME}": "drops",
    r"\balter\s+table\s[^;]*?\bdrop"
    r"(?!\s+(?:constraint|default|not|identity|expression|index|key|primary|foreign)\b)"
    rf"{NAME}": "drops",
    rf"\balter\s+table{NAME}\s+rename\s+to\b": "renames",
    rf"\balter\s+table\s[^;]*?\brename(?!\s+(?:constraint|index)\b){NAME}\s+to\b": "renames",
}
CALLS = {
    "drop_table": ("drops", 0, {"table_name"}),
    "rename_table": ("renames", 0, {"old_table_name"}),
    "drop_column": ("drops", 1, {"column_name"}),
    "DeleteModel": ("drops", 0, {"name"}),
    "RenameModel": ("renames", 0, {"old_name"}),
    "RemoveField": ("drops", 1, {"name"}),
    "RenameField": ("renames", 1, {"old_name"}),
}
"""What a call does, and which of its arguments says to what: by position, or by name."""
UNKNOWN = "_unknown_"


@dataclass(frozen=True)
class Change:
    """What a migration does to a table or column that the version before may use."""

    place: str
    does: str
    name: str


def find_changes(path: str, text: str) -> Iterator[Change]:
    """Return what a migration drops or renames.

    Args:
        path: Its path, whose ending says what it is written in.
        text: Its content; Python that cannot be parsed has no changes.
    """
    if path.endswith(".sql"):
        yield from _read_sql(
            path, 1, COMMENT.sub(lambda comment: "\n" * comment[0].count("\n"), text)
        )
        return
    try:
        nodes = list(_walk(ast.parse(text)))
    except SyntaxError:  # the linters tell
        return
    for node in nodes:
        if isinstance(node, ast.Call):
            yield from _read_call(path, node)
        elif isinstance(node, ast.Constant | ast.JoinedStr) and (said := _read_text(node)):
            yield from _read_sql(path, node.lineno, COMMENT.sub(" ", said))


def _walk(node: ast.AST) -> Iterator[ast.AST]:
    """Return what is in a node, without docstrings, parts of texts, and what leads back."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            skipped = bool(BACKWARDS.search(child.name))
        elif isinstance(child, ast.keyword):
            skipped = bool(BACKWARDS.search(child.arg or ""))
        else:
            skipped = isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant)
        if skipped:
            continue
        yield child
        if not isinstance(child, ast.JoinedStr):
            yield from _walk(child)


def _read_text(node: ast.AST | None) -> str:
    """Return a text; what is computed in it is unknown."""
    if isinstance(node, ast.JoinedStr):
        return "".join(_read_text(part) or UNKNOWN for part in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def _read_sql(path: str, line: int, text: str) -> Iterator[Change]:
    text = FILLING.sub(lambda found: " " + "\n" * found[0].count("\n"), text)
    for pattern, does in SQL.items():
        for found in re.finditer(pattern, text, re.IGNORECASE):
            yield Change(f"{path}:{line + text.count('\n', 0, found.end(1))}", does, found[1])


def _read_call(path: str, call: ast.Call) -> Iterator[Change]:
    """Read a call of Alembic or Django; of Alembic's, a batch knows the table already."""
    function, place = call.func, f"{path}:{call.lineno}"
    called = getattr(function, "attr", "")
    options = {option.arg: option.value for option in call.keywords}
    in_batch = called.endswith("_column") and ast.unparse(function) != f"op.{called}"

    def find(position: int, keys: set[str]) -> str:
        given = [value for key, value in options.items() if key in keys]
        given += call.args[position - in_batch : position - in_batch + 1]
        return _read_text(next(iter(given), None)) or UNKNOWN

    if called in CALLS:
        does, position, keys = CALLS[called]
        yield Change(place, does, find(position, keys))
    elif called == "alter_column" and "new_column_name" in options:
        yield Change(place, "renames", find(1, {"column_name"}))


def find_files(git: Git, base: str) -> list[str]:
    """Return the migrations that are new, or differ from the base.

    Raises:
        GitError: There is no such base here.
    """
    return [
        name for name in git.list_changed(base, "AM")
        if FOLDERS & {*PurePosixPath(name).parts[:-1]} and name.endswith((".py", ".sql"))
        and not (name.endswith(".sql") and BACKWARDS.search(PurePosixPath(name).name))
    ]  # fmt: skip


def is_used(git: Git, base: str, code: str, change: Change) -> bool:
    """Say whether the version before may need it: its code, but for migrations, names it."""
    if change.name == UNKNOWN:
        return True
    others = [f":(exclude,glob)**/{folder}/**" for folder in sorted(FOLDERS)]
    options = ("--files-with-matches", "--word-regexp", "--fixed-strings", "--ignore-case", "-e")
    return bool(git("grep", *options, change.name, base, "--", code, *others, codes=(0, 1)))


def main(arguments: Sequence[str] | None = None) -> int:
    """Look at what differs from the base; return 0 whatever is found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("base", nargs="?", default="HEAD^1", help="commit to compare with")
    options = parser.parse_args(arguments)
    git = Git()
    try:
        code = read_project(Path.cwd()).code
        found = [
            change for name in find_files(git, options.base)
            for change in find_changes(name, Path(name).read_text(encoding="utf-8"))
            if is_used(git, options.base, code, change)
        ]  # fmt: skip
    except (OSError, UnicodeError, GitError, ProjectError) as error:
        annotate("warning", "The migrations were not looked at", quote(str(error), 1000))
        return 0
    if not found:
        print("No migration here takes anything from the version before.")
        return 0
    rows = []
    for change in found:
        name = "what is computed" if change.name == UNKNOWN else change.name
        text = f"{change.place} {change.does} {name}"
        annotate("warning", "A migration that the version before may not live with", quote(text))
        rows.append([plain(change.place), change.does, plain(name)])
    summarize(
        "### ⚠️ Migrations that the version before may not live with\n\n"
        f"{table(['Where', 'What it does', 'Name'], rows)}\n"
        "While a deployment goes on, and after a rollback, the version before uses the new schema."
        " Only add; what nobody reads any more goes with a later"
        " version: *Migrations* in docs/deployment.md has an example. This is no gate."
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
