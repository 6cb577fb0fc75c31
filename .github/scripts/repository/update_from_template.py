#!/usr/bin/env python3
"""Bring what the template has learned since into this copy, as one commit that Git merges.

A copy has no common history with its template. So the template's old and new state are renamed as
this copy is, and Git applies the difference between the two as a cherry-pick: it keeps your edits,
and shows a clash as an ordinary conflict. The old state is the one of the last update, or the one
that the copy was made from. The app and its tests are yours and stay as they are, as do files that
you deleted.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from lib.project import Project, ProjectError, read_project
from repository.rename_project import RefusedError, read_name, refuse_changes, rename

UV = os.environ.get("UV") or "uv"
REMOTE = "template"
TRAILER = "Template-Commit"
LOCK = "uv.lock"


class Conflicts(Exception):  # noqa: N818 - an outcome, not an error
    """Git left conflicts to be solved."""


def update(tree: Path, source: str, ref: str, base: str) -> str:
    """Commit the template's changes since the last time; return what to tell.

    Args:
        tree: The copy's work tree.
        source: Name or address of the template's repository.
        ref: Its branch, tag or commit to update to.
        base: The template's commit that the copy has now; found if it is empty.

    Raises:
        RefusedError: There are uncommitted changes, or nobody knows what the copy was made from.
        Conflicts: They are in the work tree now.
        subprocess.CalledProcessError: Git failed.
    """
    git = _Git(tree)
    refuse_changes(tree)
    git("fetch", "--quiet", "--no-tags", source, ref)
    new = git("rev-parse", "FETCH_HEAD^{commit}")
    base = git("rev-parse", f"{base}^{{commit}}") if base else find_base(git, new)
    if base == new:
        return f"This copy has everything of the template up to {new[:7]}."
    subjects = git("log", "--no-merges", "--format=- %s", f"{base}..{new}")
    message = f"build: update from the template\n\n{subjects}\n\n{TRAILER}: {new}"
    name = read_name(tree)
    with tempfile.TemporaryDirectory() as folder:
        old_tree = _make_tree(git, Path(folder) / "old", base, name)
        new_tree = _make_tree(git, Path(folder) / "new", new, name, old_tree)
    start = git("commit-tree", old_tree, "-m", "the template, before")
    change = git("commit-tree", new_tree, "-p", start, "-m", message)
    picked = git.run("cherry-pick", "--allow-empty", "--keep-redundant-commits", change)
    if picked.returncode:
        conflicts = git("diff", "--name-only", "--diff-filter=U")
        if not conflicts:
            raise subprocess.CalledProcessError(1, "git", stderr=picked.stderr)
        raise Conflicts(conflicts)
    if lock(tree):
        git("add", LOCK)
        git("commit", "--quiet", "--no-verify", "--amend", "--no-edit")
    return f"Updated to {new[:7]}. Look at it with `git show`, try it with `uv run pytest`."


def find_base(git: "_Git", new: str) -> str:
    """Return the template's commit that the copy was made from, or was updated to last.

    Raises:
        RefusedError: There is none, or it is not a commit of the template.
    """
    trailer = f"%(trailers:key={TRAILER},valueonly,separator=%x0A)"
    recorded = git("log", f"--grep=^{TRAILER}: ", "-1", f"--format={trailer}").split()
    if recorded:
        return recorded[-1]
    trees = dict(
        line.split()[::-1] for line in reversed(git("log", "--format=%H %T", new).splitlines())
    )
    for root in git("rev-list", "--max-parents=0", "HEAD").split():
        if found := trees.get(git("rev-parse", f"{root}^{{tree}}")):
            return found
    raise RefusedError(
        "No commit of the template looks like this copy's first one. Find the commit that the copy "
        "was made from, by its date, and add --base COMMIT. It is asked for once."
    )


def lock(tree: Path) -> bool:
    """Bring the lock file in line with `pyproject.toml`; return whether it changed."""
    before = (tree / LOCK).read_bytes()
    subprocess.run([UV, "lock", "--quiet"], cwd=tree, check=True, text=True, capture_output=True)
    return (tree / LOCK).read_bytes() != before


def main(arguments: Sequence[str] | None = None) -> int:
    """Update the copy in the current folder; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="poe update", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--from",
        dest="source",
        default=REMOTE,
        help="the template's address; the remote called 'template' if not given",
    )
    parser.add_argument("--to", default="HEAD", help="branch, tag or commit of the template")
    parser.add_argument("--base", default="", help="the template's commit that the copy has now")
    options = parser.parse_args(arguments)
    try:
        print(update(Path.cwd(), options.source, options.to, options.base))
    except Conflicts as conflicts:
        print(
            f"Git could not merge these by itself:\n{conflicts}\n"
            "Solve them, `git add` them, then run `git cherry-pick --continue` and `uv lock`. "
            "`git cherry-pick --abort` takes the update back.",
            file=sys.stderr,
        )
        return 1
    except (RefusedError, subprocess.CalledProcessError) as error:
        message = getattr(error, "stderr", "") or str(error)
        print(f"Not updated. {message.strip()}", file=sys.stderr)
        return 1
    return 0


class _Git:
    def __init__(self, tree: Path) -> None:
        self.tree = tree

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ["git", *arguments], cwd=self.tree, text=True, capture_output=True, check=False
        )

    def __call__(self, *arguments: str) -> str:
        done = self.run(*arguments)
        done.check_returncode()
        return done.stdout.rstrip("\n")


def _make_tree(git: _Git, folder: Path, commit: str, name: str, old: str = "") -> str:
    """Return the tree of a template's commit, renamed; what is not to change is as in `old`."""
    git("worktree", "add", "--quiet", "--detach", str(folder), commit)
    try:
        if read_name(folder) != name:
            rename(folder, name)
        inside = _Git(folder)
        inside("add", "--all")
        tree = inside("write-tree")
        if old and (kept := [*_find_untouchable(git, old, tree)]):
            inside("restore", f"--source={old}", "--staged", "--", *kept)
            tree = inside("write-tree")
        return tree
    finally:
        git("worktree", "remove", "--force", str(folder))


def _find_untouchable(git: _Git, old: str, new: str) -> Iterator[str]:
    """Yield the changed files that are the copy's own, or were deleted in it."""

    def list_files(tree: str) -> set[str]:
        return set(git("ls-tree", "-r", "--name-only", "-z", tree).split("\0"))

    try:
        yours = tuple(read_project(git.tree).yours)
    except ProjectError:  # a copy from before there was such a list
        yours = tuple(Project.yours)
    deleted = list_files(old) - list_files("HEAD")
    for path in git("diff", "--name-only", "--no-renames", "-z", old, new).split("\0"):
        if path and (path == LOCK or path.startswith(yours) or path in deleted):
            yield path


if __name__ == "__main__":
    sys.exit(main())
