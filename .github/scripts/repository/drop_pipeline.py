#!/usr/bin/env python3
"""Drop pipelines, with all that only they use: files, tasks, packages, texts.

What several pipelines use goes with the last of them. A block between the comments `NAME` and
`/NAME` belongs to that pipeline, a block between `NAME, NAME` and `/NAME, NAME` to both. Scripts,
actions and tests go when nothing that stays mentions them any more. Nothing is committed.
"""

import argparse
import ast
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from lib.git import Git, GitError
from repository.drop_text import Dropped, cut_blocks, cut_groups, edit_document
from repository.rename_project import PROOF, RefusedError, refuse_changes, tidy

BELONGS = {
    ".github/accepted-advisories.toml": "dependency-review",
    ".github/codeql": "codeql",
    ".github/dependency-review-config.yml": "dependency-review",
    "deploy": "cd",
    "docs/deployment.md": "cd",
    "docs/performance.md": "performance",
    "k6-script.js": "performance",
    "locustfile.py": "performance",
    "tests/benchmarks": "performance",
    "tests/memory": "performance",
}
"""Files and folders, and the one pipeline that each is there for."""

SCRIPTS = (".github/scripts/", ".github/actions/")
TESTS = ".github/tests/"
OTHERS = (TESTS, *PROOF)
"""What tests scripts is no use of them."""
PINS = ".github/runner/pins/action.yml"
STAND_INS = ".github/runner/stand-ins/"
FILE = re.compile(r"[\w-]+\.(?:sh|py)\b|(?<=\.github/actions/)[\w-]+")
PLUGINS = re.compile(r"^pytest_plugins = (.*)", re.MULTILINE)
ACTION = re.compile(r"uses: ([\w.-]+/[\w./-]+)@")


def read(tree: Path) -> dict[str, str]:
    """Return the text of each file that Git knows."""
    listed = Git(tree)("ls-files", "-z").split("\0")
    texts = {}
    for path in (name for name in listed if name and name != "uv.lock" and (tree / name).is_file()):
        try:
            texts[path] = (tree / path).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
    return texts


def find_names(path: str, text: str) -> set[str]:
    """Return the scripts and actions that a file mentions: by file name, or as it imports them.

    What is imported from a package has that before its name: `lib/git.py`.
    """
    modules = find_imports(text) if path.endswith(".py") else []
    return set(FILE.findall(text)) | {f"{module.replace('.', '/')}.py" for module in modules}


@cache
def find_imports(text: str) -> list[str]:
    """Return the modules that Python code may import; none of what is no Python."""
    modules = re.findall(r"\w+", " ".join(PLUGINS.findall(text)))
    try:
        nodes = [*ast.walk(ast.parse(text))]
    except SyntaxError:
        return modules
    for node in nodes:
        if isinstance(node, ast.Import):
            modules += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return modules


def list_names(path: str) -> set[str]:
    """Return the names by which another file can mention a script or an action."""
    if path.startswith(SCRIPTS[1]):
        return {path.split("/")[2]}
    return {Path(path).name, "/".join(Path(path).parts[-2:])}


def find_used(texts: dict[str, str], parts: tuple[str, ...], ignored: tuple[str, ...]) -> set[str]:
    """Return the files below `parts` that others mention, or files that are themselves used.

    What is below `ignored`, and what documents say, counts for nothing.
    """
    known: dict[str, set[str]] = {}
    for path in (path for path in texts if path.startswith(parts)):
        for name in list_names(path):
            known.setdefault(name, set()).add(path)
    todo = [
        path for path in texts if not path.startswith(parts + ignored) and not path.endswith(".md")
    ]
    used: set[str] = set()
    while todo:
        path = todo.pop()
        new = {
            found for name in find_names(path, texts[path]) for found in known.get(name, ())
        } - used
        used |= new
        todo += new
    return used


def find_tests(gone: set[str], left: dict[str, str]) -> Iterator[str]:
    """Yield the tests of scripts and actions that are gone, with the inputs of their fuzzing."""
    topics = {Path(path).parts[2] for path in left if path.startswith(SCRIPTS[0])}
    lost = {Path(path).parts[2] for path in gone if path.startswith(SCRIPTS[0])} - topics
    for path in (path for path in left if path.startswith(TESTS)):
        topic = Path(path).parts[2]
        places = (f"{SCRIPTS[0]}{topic}/", SCRIPTS[1])
        names = {name for path in gone if path.startswith(places) for name in list_names(path)}
        if topic in lost or (topic != "support" and names & find_names(path, left[path])):
            yield path
            corpus = path.replace("/fuzz_", "/corpus/").removesuffix(".py")
            yield from (path for path in left if path.startswith(f"{corpus}/"))


def find_actions(texts: dict[str, str]) -> set[str]:
    """Return the actions from outside that workflows, actions and tests use."""
    places = (".github/workflows/", SCRIPTS[1], TESTS)
    return {
        action
        for path, text in texts.items()
        if path.startswith(places)
        for action in ACTION.findall(text)
    }


def drop(texts: dict[str, str], names: set[str]) -> dict[str, str]:
    """Return the texts of the files that stay.

    Raises:
        RefusedError: There is no such pipeline, or one that stays calls it.
    """
    flows = {
        Path(path).stem: path
        for path in texts
        if re.fullmatch(r"\.github/workflows/.*\.ya?ml", path)
    }
    if unknown := names - set(flows):
        raise RefusedError(f"There is no {', '.join(sorted(unknown))}, only {', '.join(flows)}.")
    stay = set(flows) - names
    for caller in sorted(stay):
        for name in sorted(names):
            if f"uses: ./{flows[name]}" in texts[flows[caller]]:
                raise RefusedError(
                    f"{caller} calls {name}: it would go on without what {name} tests. Drop both, "
                    f"or take the job that calls it out of {flows[caller]} first."
                )
    owned = tuple(place for place, name in BELONGS.items() if name not in stay)
    left = {
        path: text for path, text in texts.items()
        if path not in {flows[name] for name in names}
        and not any(path == place or path.startswith(f"{place}/") for place in owned)
    }  # fmt: skip
    gone = Dropped(names, stay)
    left = {path: cut_blocks(text, gone) for path, text in left.items()}
    cut_groups(texts["pyproject.toml"], left)
    unused = find_used(texts, SCRIPTS, OTHERS) - find_used(left, SCRIPTS, OTHERS)
    left = {path: text for path, text in left.items() if path not in unused}
    for path in set(find_tests(set(texts) - set(left), left)):
        del left[path]
    helpers = (f"{TESTS}support/",)
    for path in find_used(texts, helpers, PROOF) - find_used(left, helpers, PROOF):
        del left[path]
    for action in find_actions(texts) - find_actions(left):
        left = {
            path: text
            for path, text in left.items()
            if not path.startswith(f"{STAND_INS}{action}/")
        }
        if PINS in left:
            pin = rf"^    - uses: {re.escape(action)}@.*\n(?:      .*\n)*"
            left[PINS] = re.sub(pin, "", left[PINS], flags=re.MULTILINE)
    return {
        path: edit_document(text, gone) if path.endswith(".md") else text
        for path, text in left.items()
    }


def refuse_proof(texts: dict[str, str]) -> None:
    """Make sure that nothing is left which needs every pipeline.

    Raises:
        RefusedError: There is what proves the template.
    """
    if any(path.startswith(f"{PROOF[0]}/") for path in texts):
        raise RefusedError(
            f"Rename it first, `uv run poe rename NAME`, or remove {PROOF[0]}, which goes with the "
            "old name: it proves the template, and needs every pipeline."
        )


def write(tree: Path, texts: dict[str, str], left: dict[str, str]) -> None:
    """Make the files of a tree say what is left of them, and remove the others."""
    removed = sorted(set(texts) - set(left))
    Git(tree)("rm", "--quiet", "--force", "--", *removed)
    for path, text in left.items():
        if text != texts[path]:
            (tree / path).write_text(text, encoding="utf-8")


def describe(texts: dict[str, str], left: dict[str, str]) -> str:
    """Return what goes and what changes."""
    removed = sorted(set(texts) - set(left))
    changed = sorted(path for path, text in left.items() if text != texts[path])
    said = [f"- {path}" for path in removed] + [f"~ {path}" for path in changed]
    said += ["", f"{len(removed)} files removed, {len(changed)} changed.", ""]
    return "\n".join(said)


def main(arguments: Sequence[str] | None = None) -> int:
    """Drop pipelines in the current folder; return the exit code."""
    parser = argparse.ArgumentParser(prog="poe drop", description=__doc__)
    parser.add_argument("names", nargs="+", metavar="NAME", help="a pipeline, such as codeql")
    parser.add_argument("--dry-run", action="store_true", help="say what would go, change nothing")
    options = parser.parse_args(arguments)
    tree = Path.cwd()
    try:
        texts = read(tree)
        if not options.dry_run:
            refuse_changes(tree)
            refuse_proof(texts)
        left = drop(texts, set(options.names))
    except (RefusedError, GitError, subprocess.CalledProcessError) as error:
        print(f"Nothing dropped. {error}", file=sys.stderr)
        return 1
    print(describe(texts, left))
    if options.dry_run:
        return 0
    write(tree, texts, left)
    if not tidy(tree):
        return 1
    print(
        "Look at it with `git diff HEAD`, try it with `uv run poe lint`, and commit it; "
        "`git reset --hard` takes it back. `git grep -w NAME` finds other texts that speak of it. "
        "When it is merged: `uv run poe setup-github --apply`, so that no check is waited for that "
        "no longer comes."
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
