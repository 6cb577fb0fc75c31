"""What the pipelines know of the app: `[tool.pipelines]` in `pyproject.toml`, and nothing else.

`serve` is the command that answers HTTP requests, with `{host}` and `{port}` where these go, and
`{workers}` where it takes a number of processes. `migrate`, if the app has a database, moves it to
the schema of this version. `code` is the folder of the app's code. `yours` lists what an update
from the template leaves alone.
"""

import argparse
import os
import re
import shlex
import string
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

FILE = "pyproject.toml"
TABLE = "tool.pipelines"
KINDS = {"yours": "a list of texts", "accepted": "a table that gives each rule a reason"}
KEYS = ("serve", "migrate", "code", *KINDS)
FIELDS = {"host", "port", "workers"}
NO_PATH = re.compile(r"^\.{0,2}/|[*?\[]")
"""What no file of a tree begins with, or what would stand for several."""
OF_A_SHELL = re.compile(r"[;&|<>()`$]|^\s*\w+=")
"""What only a shell understands. The image starts the app by one, all other places by none."""
SERVED = f"The app is started by `serve` of [{TABLE}] in {FILE}"
"""What a person has to know whose app does not start."""


class ProjectError(Exception):
    """`[tool.pipelines]` cannot be used; the text names file, line, cause and remedy."""


@dataclass(frozen=True)
class Project:
    """The app as the pipelines see it.

    Attributes:
        name: The distribution's name.
        serve: Command that serves, with `{host}`, `{port}` and perhaps `{workers}`.
        migrate: Command that moves the database to the newest schema; empty if there is none.
        code: Folder of the code, relative to the root.
        yours: Files and folders (with a slash behind) that an update leaves alone.
        accepted: Rules of the workflows that are broken on purpose, each with its reason.
    """

    name: str
    serve: str
    migrate: str = ""
    code: str = "src"
    yours: Sequence[str] = ("README.md", "src/", "tests/")
    accepted: Mapping[str, str] = field(default_factory=dict)

    @property
    def takes_workers(self) -> bool:
        """Whether the serving command takes a number of processes."""
        return "{workers}" in self.serve

    def serve_command(self, host: str, port: int, workers: int = 1) -> list[str]:
        """Return the words of the command that serves on a host and port."""
        return shlex.split(self.serve.format(host=host, port=port, workers=workers))

    def migrate_command(self) -> list[str]:
        """Return the words of the command that migrates; none if the app has no migrations."""
        return shlex.split(self.migrate)


def read_project(root: Path) -> Project:
    """Read what the pipelines know of the app in a tree.

    Raises:
        ProjectError: The table is missing, or a key in it is unknown, missing or of a wrong type.
    """
    text = (root / FILE).read_text(encoding="utf-8")
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ProjectError(f"{FILE} is no valid TOML: {error}") from error
    table = content.get("tool", {}).get("pipelines")
    if not isinstance(table, dict):
        raise ProjectError(
            f"{FILE} has no [{TABLE}]: add it, with the command that serves the app, such as\n"
            'serve = "uvicorn app:app --host {host} --port {port}"'
        )
    for key, value in table.items():
        _check(text, key, value)
    if "serve" not in table:
        raise _wrong(text, "", "serve is missing: the command that answers HTTP requests")
    return Project(str(content.get("project", {}).get("name", "")), **table)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command of the app in the current folder, in the place of this process."""
    parser = argparse.ArgumentParser(description="Run a command of the app.")
    parser.add_argument("command", choices=("serve", "migrate"))
    parser.add_argument("--port", type=int, default=8000, help="where it serves (8000)")
    options = parser.parse_args(arguments)
    try:
        project = read_project(Path.cwd())
    except ProjectError as error:
        print(error, file=sys.stderr)
        return 1
    served = project.serve_command("127.0.0.1", options.port)
    migrate = project.migrate_command() or ["echo", "The app has no migrations."]
    command = served if options.command == "serve" else migrate
    try:
        os.execvp(command[0], command)  # noqa: S606 - the project's own
    except OSError as error:
        where = f"`{options.command}` of [{TABLE}] in {FILE}"
        print(f"{command[0]}: {error.strerror}. It is {where}.", file=sys.stderr)
    return 1


def _check(text: str, key: str, value: object) -> None:
    if key not in KEYS:
        raise _wrong(text, key, f"{key} is unknown; there are {', '.join(KEYS)}")
    if key == "yours":
        texts = value if isinstance(value, list) else [None]
    elif key == "accepted":
        texts = [*value.values()] if isinstance(value, dict) else [None]
    else:
        texts = [value]
    if not all(isinstance(one, str) and one.strip() for one in texts):
        raise _wrong(text, key, f"{key} has to be {KINDS.get(key, 'a text')}, not {value!r}")
    if key == "yours" and (wrong := [one for one in map(str, texts) if NO_PATH.search(one)]):
        problem = f"yours has {wrong[0]!r}: name files, and folders with a slash behind, from here"
        raise _wrong(text, key, problem)
    if key in {"serve", "migrate"}:
        _check_command(text, key, str(value))


def _check_command(text: str, key: str, command: str) -> None:
    allowed = FIELDS if key == "serve" else set()
    try:
        found = {name for _, name, _, _ in string.Formatter().parse(command) if name is not None}
        shlex.split(command)
    except ValueError as error:
        raise _wrong(text, key, f"{key} cannot be read as a command: {error}") from error
    if shell := OF_A_SHELL.search(re.sub(r"'[^']*'|\"[^\"$`]*\"", "''", command)):
        problem = (
            f"{key} has `{shell[0].strip()}`, and no shell runs it: quote it, or call a script"
        )
        raise _wrong(text, key, problem)
    if unknown := found - allowed:
        known = ", ".join(f"{{{name}}}" for name in sorted(allowed)) or "none"
        raise _wrong(text, key, f"{key} has {{{min(unknown)}}}; known here: {known}")
    if key == "serve" and "port" not in found:
        raise _wrong(text, key, "serve has to say where the port goes: {port}")


def _wrong(text: str, key: str, problem: str) -> ProjectError:
    """Return an error that names the line of a key, or else that of the table."""
    number = 0
    inside = False
    for count, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("["):
            inside = TABLE in line
            number = number or (count if inside else 0)
        elif inside and key and re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*[=.]", line):
            number = count
            break
    return ProjectError(f"{FILE}, line {number}, [{TABLE}]: {problem}.")


if __name__ == "__main__":
    sys.exit(main())
