#!/usr/bin/env python3
"""Warn of migrations that the version before cannot live with. It never fails a job.

Old and new version use the same database while one takes over, and again after a rollback: what
the old code names must not be dropped or renamed. Looked at are the files of folders called
`migrations` or `alembic` that differ from the base: calls of Alembic and Django, and SQL. What is
meant to lead back is left out.
"""

import argparse
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
BACK = r"down|rollback|reverse|undo"
"""What functions and files have in their names that lead back to an earlier version."""
IGNORED = re.compile(
    r"""--[^\n]*|/\*.*?\*/|\#[^\n]*"""
    r"""|\A\s*(?P<quotes>\"{3}|'{3}).*?(?P=quotes)"""
    rf"""|^(?P<indent>[ ]*)(?:async[ ])?def[ ]\w*(?:{BACK})\w*\(.*?(?=^(?P=indent)\S|\Z)"""
    r"""|\breverse_sql\s*=\s*(?P<mark>\"{3}|'{3}|\"|').*?(?P=mark)""",
    re.DOTALL | re.MULTILINE,
)
"""Comments, the docstring of a file, and what leads back."""
FILLING = re.compile(r"\b(?:if\s+(?:not\s+)?exists|only|column)\s|[\"`\[\]]", re.IGNORECASE)
"""What says nothing about what SQL does."""
NAME = r"\s+(?:(?:\w+|\{[^}]*\})\.)*(\w+|\{[^}]*\})"
SQL = {
    rf"\bdrop\s+(?:materialized\s+)?(?:table|view){NAME}": "drops",
    r"\balter\s+table\s[^;]*?\bdrop"
    r"(?!\s+(?:constraint|default|not|identity|expression|index|key|primary|foreign)\b)"
    rf"{NAME}": "drops",
    rf"\balter\s+table{NAME}\s+rename\s+to\b": "renames",
    rf"\balter\s+table\s[^;]*?\brename(?!\s+(?:constraint|index)\b){NAME}\s+to\b": "renames",
}
CALL = re.compile(
    r"\b(drop_table|drop_column|DeleteModel|RemoveField|rename_table|RenameModel|RenameField"
    r"|alter_column)\(((?:[^()]|\([^()]*\))*)\)"
)
TEXT = re.compile(r"""["'](\w+)["']""")
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
        path: Its path.
        text: Its content: Python, or SQL.
    """
    text = _blank(IGNORED, text)
    for called in CALL.finditer(text):
        if called[1] == "alter_column" and "new_column_name" not in called[2]:
            continue
        names = TEXT.findall(called[2])
        # the last name is what is dropped, or the new name
        is_drop = called[1].startswith(("drop", "Delete", "Remove"))
        name = names[-1 if is_drop else -2] if len(names) > (not is_drop) else UNKNOWN
        yield _make(path, text, called.start(), "drops" if is_drop else "renames", name)
    text = _blank(FILLING, text)
    for pattern, does in SQL.items():
        for found in re.finditer(pattern, text, re.IGNORECASE):
            name = UNKNOWN if found[1].startswith("{") else found[1]
            yield _make(path, text, found.end(1), does, name)


def _make(path: str, text: str, position: int, does: str, name: str) -> Change:
    return Change(f"{path}:{1 + text.count('\n', 0, position)}", does, name)


def _blank(pattern: re.Pattern[str], text: str) -> str:
    """Return a text without what a pattern finds, but with its line breaks."""
    return pattern.sub(lambda found: " " + "\n" * found[0].count("\n"), text)


def find_files(git: Git, base: str) -> list[str]:
    """Return the migrations that are new, or differ from the base.

    Raises:
        GitError: There is no such base here.
    """
    return [
        name for name in git.list_changed(base, "AM")
        if FOLDERS & {*PurePosixPath(name).parts[:-1]} and name.endswith((".py", ".sql"))
        and not (name.endswith(".sql") and re.search(BACK, PurePosixPath(name).name))
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
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
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
