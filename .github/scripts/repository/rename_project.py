#!/usr/bin/env python3
"""Give the project another name: distribution, package, command, database file, texts.

What proves the template to those who make it goes: `.github/template`, `.ci`, and what stands
between the comments `template` and `/template`. Nothing is committed: `git diff HEAD` shows it all.
Workflows do not change, because none of them knows the name.
"""

import argparse
import keyword
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from importlib.metadata import packages_distributions
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from lib import lockfile
from lib.git import Git, GitError

UV = os.environ.get("UV") or "uv"
for freezing in ("UV_FROZEN", "UV_LOCKED"):  # a person's; uv would leave the lock file as it was
    os.environ.pop(freezing, None)
NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
LONGEST = 50
COMMANDS = {"migrate", "serve", "uv"}
"""Programs of the image, and the one that installs all others."""
DESCRIPTION = "A FastAPI service"
PROOF = (".github/template", ".ci")
"""What proves the template to those who make it, and is none of a copy's business."""
PLACES = (".", ".github/runner", ".github/scripts", ".github/tests/support", "deploy/kubernetes")
"""Folders whose modules are imported by their names alone."""
TEMPLATE_ONLY = re.compile(
    r"^ *(<!--|#) template( -->|)\n.*?^ *\1 /template\2\n\n?", re.DOTALL | re.MULTILINE
)
TIDY = (
    (UV, "lock", "--quiet"),
    ("ruff", "check", "--quiet", "--fix", "--select=I", "."),
    ("ruff", "format", "--quiet", "."),
)
"""What brings the lock file, imports and long lines into order after the name has changed."""


class RefusedError(Exception):
    """The project cannot be renamed like this."""


def to_module(name: str) -> str:
    """Return the name of the package that a distribution imports as."""
    return name.replace("-", "_")


def read_name(tree: Path) -> str:
    """Return the present name of the project in a tree."""
    content = tomllib.loads((tree / "pyproject.toml").read_text(encoding="utf-8"))
    return str(content["project"]["name"])


def find_package(tree: Path) -> str:
    """Return the folder of the package that has the project's name; empty if there is none.

    Raises:
        GitError: It is no Git work tree.
    """
    folder = f"src/{to_module(read_name(tree))}"
    return folder if Git(tree)("ls-files", "--", folder) else ""


def check_name(tree: Path, name: str) -> None:
    """Make sure that a project may have this name.

    Raises:
        RefusedError: It is no valid name, or something that the project needs has it.
    """
    if not NAME.fullmatch(name) or len(name) > LONGEST:
        example = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-0123456789")[:LONGEST]
        raise RefusedError(
            f"{name[:100]!r} is no name for it: lower-case letters, digits and single hyphens, "
            f"at most {LONGEST}, a letter first, such as {example or 'my-service'!r}."
        )
    if name == read_name(tree):
        raise RefusedError(f"It is called {name} already.")
    module = to_module(name)
    if keyword.iskeyword(module) or keyword.issoftkeyword(module):
        raise RefusedError(f"{module} is a word of Python itself.")
    if module in {*sys.stdlib_module_names, "test"}:  # that list goes without it
        raise RefusedError(f"{module} is a module of Python's standard library.")
    lock = (tree / "uv.lock").read_text(encoding="utf-8")
    if (
        name in {package.name for package in lockfile.read(lock)}
        or module in packages_distributions()
    ):
        raise RefusedError(f"{name} is a package that the project uses.")
    # the app's command would take its place
    if name in COMMANDS or shutil.which(name, path=Path(sys.executable).parent):
        raise RefusedError(f"{name} is a program that the project uses.")
    for folder in (*PLACES, *(["src"] if find_package(tree) else [])):
        for path in (tree / folder / module, tree / folder / f"{module}.py"):
            if is_taken(path):
                there = path.relative_to(tree)
                raise RefusedError(f"There is a file or folder {there} already: take another name.")


def is_taken(path: Path) -> bool:
    """Say whether a path is taken: by more than bytecode, which stays where a package was."""
    if not path.is_dir():
        return path.exists()
    return any("__pycache__" not in file.parts for file in path.rglob("*") if not file.is_dir())


def refuse_changes(tree: Path) -> None:
    """Make sure that nothing gets mixed up with uncommitted changes.

    Raises:
        RefusedError: There are some.
    """
    if Git(tree)("status", "--porcelain"):
        raise RefusedError("There are changes that are not committed. Commit or stash them.")


def rename(tree: Path, name: str, description: str = DESCRIPTION) -> None:
    """Rename the project in a Git work tree, `uv.lock` included.

    Raises:
        RefusedError: The present name is an ordinary word, so that nobody can tell where it is
            meant as the name.
    """
    old = read_name(tree)
    if "-" not in old:
        raise RefusedError(
            f"The present name, {old}, is a single word and may mean something else where it "
            f"stands. Rename by hand what `git grep -w {old}` finds."
        )
    git = Git(tree)
    # Git first: what it refuses, it refuses before a text was changed.
    if package := find_package(tree):
        new = f"src/{to_module(name)}"
        shutil.rmtree(
            tree / new, ignore_errors=True
        )  # bytecode; Git would move the package into it
        git("mv", package, new)
    git("rm", "-r", "--quiet", "--force", "--ignore-unmatch", *PROOF)
    sentence = description if description.endswith((".", "!", "?")) else f"{description}."
    listed = git("ls-files", "-z", "--cached", "--others", "--exclude-standard")
    for path in (tree / name for name in listed.split("\0") if name):
        if path.is_file() and not path.is_symlink():
            _replace(path, old, name, f"{sentence}\n\n" if path == tree / "README.md" else "")
    _describe(tree, description)


def tidy(tree: Path) -> bool:
    """Bring lock file, imports and long lines into order; say what failed, and whether none did."""
    for command in TIDY:
        try:
            code = subprocess.run(command, check=False, cwd=tree).returncode
        except OSError as error:
            print(error, file=sys.stderr)
            code = 1
        if code:
            again = shlex.join(command)
            print(f"It is done, but this failed, run it again: {again}", file=sys.stderr)
            return False
    return True


def main(arguments: Sequence[str] | None = None) -> int:
    """Rename the project in the current folder; return the exit code."""
    parser = argparse.ArgumentParser(prog="poe rename", description=__doc__)
    parser.add_argument("name", help="the new name, such as my-service")
    parser.add_argument("--description", default=DESCRIPTION, help="what it is, in one line")
    options = parser.parse_args(arguments)
    tree = Path.cwd()
    try:
        check_name(tree, options.name)
        refuse_changes(tree)
        rename(tree, options.name, " ".join(options.description.split()) or DESCRIPTION)
    except (GitError, RefusedError) as error:
        print(f"Not renamed. {error}", file=sys.stderr)
        return 1
    if not tidy(tree):
        return 1
    print(
        f"It is called {options.name} now. Look at it with `git diff HEAD`, try it with "
        "`uv run pytest`, and commit it. `git reset --hard` takes it back."
    )
    return 0


def _replace(path: Path, old: str, new: str, instead: str) -> None:
    """Rename in a file; `instead` takes the place of the first text of the template."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return
    changed = TEMPLATE_ONLY.sub("", TEMPLATE_ONLY.sub(lambda _: instead, text, count=1))
    if changed != text:  # the last block of a file leaves no empty line behind
        changed = f"{changed.rstrip()}\n"
    for wrong, right in ((old, new), (to_module(old), to_module(new))):
        changed = re.sub(rf"(?<![A-Za-z0-9]){wrong}(?![A-Za-z0-9])", right, changed)
    if changed != text:
        path.write_text(changed, encoding="utf-8")


def _describe(tree: Path, description: str) -> None:
    project = tree / "pyproject.toml"
    line = "description = " + '"' + re.sub(r'(["\\])', r"\\\1", description) + '"'
    text = project.read_text(encoding="utf-8")
    project.write_text(
        re.sub(r"(?m)^description = .*$", lambda _: line, text, count=1), encoding="utf-8"
    )


if __name__ == "__main__":
    sys.exit(main())
