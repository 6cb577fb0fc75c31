#!/usr/bin/env python3
"""Bring what the template has learned since into this copy, as one commit that Git merges.

A copy has no common history with its template. So the template's old and new state are renamed as
this copy is and lose the pipelines that it has dropped, and Git applies the difference between the
two as a cherry-pick. With --pull-request it proposes the newest release, or commit if there is
none, once: where a pull request for it is there, or was closed, or a person works on its branch,
nothing is done. What stays yours, and the token that it needs: docs/customizing.md.
"""

import argparse
import base64
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

sys.path.insert(0, str(Path(__file__).parents[1]))
from lib.git import Git, GitError
from lib.github import GitHubError, ask, find_repository, list_all
from lib.markdown import plain
from lib.project import FILE, TABLE, Project, ProjectError, read_project
from lib.workflow_commands import refuse, summarize
from repository.drop_pipeline import drop, read, write
from repository.rename_project import RefusedError, read_name, refuse_changes, rename

UV = os.environ.get("UV") or "uv"
REMOTE = "template"
TRAILER = "Template-Commit"
RELEASE = re.compile(r"refs/tags/v\d+\.\d+\.\d+")
LOCK = "uv.lock"
WORKFLOWS = ".github/workflows/"
DROP = ".github/scripts/repository/drop_pipeline.py"
TITLE = "Update from the template"
MISSING = (
    "The variable TEMPLATE_REPOSITORY switches updates on, but there is no secret "
    "TEMPLATE_UPDATE_TOKEN. Make a fine-grained token, or one of a GitHub App, for this repository "
    "with contents, pull requests and workflows, each to write: "
    "gh secret set TEMPLATE_UPDATE_TOKEN --env template"
)
PUSHER = ("github-actions[bot]", "41898282+github-actions[bot]@users.noreply.github.com")


class Conflicts(Exception):  # noqa: N818 - an outcome, not an error
    """Git left conflicts to be solved."""


@dataclass(frozen=True)
class Update:
    """What an update would do.

    Attributes:
        version: The release, branch or commit of the template that it leads to.
        commit: The commit to pick; empty if the copy has everything.
        message: The message of that commit.
        left: Files that changed in the template, and are the copy's own or were deleted in it.
    """

    version: str
    commit: str = ""
    message: str = ""
    left: tuple[str, ...] = ()


def find_release(git: Git, source: str) -> str:
    """Return the ref of the newest stable release of a template; `HEAD` if it has none.

    Raises:
        GitError: The template cannot be read.
    """
    listed = git("ls-remote", "--tags", "--refs", "--sort=-version:refname", source).split()
    return next((word for word in listed if RELEASE.fullmatch(word)), "HEAD")


def fetch(git: Git, source: str, ref: str) -> str:
    """Fetch a ref or commit of a template; return the commit.

    Raises:
        GitError: The template cannot be read, or has no such one.
    """
    git("fetch", "--quiet", "--no-tags", source, ref)
    return git("rev-parse", "FETCH_HEAD^{commit}")


def prepare(tree: Path, source: str, ref: str, base: str) -> Update:
    """Find out what the template changed since the last time; the work tree stays as it is.

    Args:
        tree: The copy's work tree.
        source: Name or address of the template's repository.
        ref: Its branch, tag or commit to update to; if it is empty its newest release, or its
            newest commit if it has none.
        base: The template's commit that the copy has now; found if it is empty.

    Raises:
        RefusedError: Nobody knows what the copy was made from or what is its own, or it cannot be
            renamed.
        GitError: Git failed.
    """
    git = Git(tree)
    git("rev-parse", "HEAD")  # Git looks at the template outside of a repository, too
    ref = ref or find_release(git, source)
    tip = fetch(git, source, "HEAD")  # what a copy is made from; a release may be behind it
    new = fetch(git, source, ref)
    version = new[:7] if ref == "HEAD" else ref.removeprefix("refs/tags/")
    if base and not git.find(base):
        raise RefusedError(
            f"There is no commit {base} here, nor in the template up to {version}: "
            "`git log FETCH_HEAD` lists those of the template."
        )
    base = git.find(base) if base else find_base(git, source, new, tip)
    if not git("rev-list", "-1", f"{tip}..{base}"):  # from a state of main to a branch beside it
        base = git("merge-base", base, new, codes=(0, 1)) or base
    if not git("rev-list", "-1", f"{base}..{new}"):
        return Update(version)
    subjects = git("log", "--no-merges", "--format=- %s", f"{base}..{new}")
    subjects = re.sub(r"\[([\w ]+)\]", r"(\1)", subjects)  # [skip ci] would keep the checks away
    message = f"build: update from the template to {version}\n\n{subjects}\n\n{TRAILER}: {new}"
    name = read_name(tree)
    moved = _find_moved(git, base)
    dropped = _list_pipelines(git.list_files(base) - moved)
    dropped -= _list_pipelines(git.list_files("HEAD"))
    with tempfile.TemporaryDirectory() as folder:
        old_tree = _make_tree(git, Path(folder) / "old", base, name, dropped)
        new_tree = _make_tree(git, Path(folder) / "new", new, name, dropped)
        left = tuple(sorted({*_find_untouchable(git, base, old_tree, new_tree, moved)}))
        new_tree = _restore(git, Path(folder) / "index", old_tree, new_tree, left)
    start = git("commit-tree", old_tree, "-m", "the template, before")
    change = git("commit-tree", new_tree, "-p", start, "-m", message)
    return Update(version, change, message, tuple(path for path in left if path != LOCK))


def describe(tree: Path, update: Update) -> str:
    """Return what an update would do to each file, one a line; nothing is changed.

    Raises:
        GitError: Git failed.
    """
    git = Git(tree)
    with tempfile.TemporaryDirectory() as folder:
        git("worktree", "add", "--quiet", "--detach", folder, "HEAD")
        try:
            inside = Git(Path(folder))
            inside("cherry-pick", "--no-commit", update.commit, codes=(0, 1))
            conflicts = inside("diff", "--name-only", "--diff-filter=U", "-z").split("\0")
            inside("add", "--all")
            result = inside("write-tree")
        finally:
            git("worktree", "remove", "--force", folder)
    # wide enough for any path: Git would shorten it
    changes = git("diff", "--compact-summary", "--stat=200,150", "--no-renames", "HEAD", result)
    lines = [f"The update to {update.version} would change:", changes]
    lines += [f" {conflict}: a conflict to be solved" for conflict in conflicts if conflict]
    lines += [f" {path}: yours, or deleted here: left as it is" for path in update.left]
    return "\n".join(lines)


def apply(tree: Path, update: Update) -> None:
    """Commit an update.

    Raises:
        RefusedError: There are uncommitted changes.
        Conflicts: They are in the work tree now.
        GitError: Git failed.
        subprocess.CalledProcessError: uv could not lock.
    """
    refuse_changes(tree)
    git = Git(tree)
    try:
        git("cherry-pick", "--allow-empty", "--keep-redundant-commits", update.commit)
    except GitError as error:
        if conflicts := git("diff", "--name-only", "--diff-filter=U"):
            raise Conflicts(conflicts) from error
        raise
    lock(tree)
    git("add", LOCK)
    git("commit", "--quiet", "--no-verify", "--amend", "--no-edit")


def find_base(git: Git, source: str, new: str, tip: str) -> str:
    """Return the template's commit that the copy was made from, or was updated to last.

    Args:
        git: The copy.
        source: Name or address of the template's repository.
        new: The template's commit to update to.
        tip: The newest commit of its main branch.

    Raises:
        RefusedError: There is none, or it is not a commit of the template.
    """
    message = git("log", f"--grep=^{TRAILER}: ", "-1", "--format=%B")
    recorded = re.findall(rf"^{TRAILER}: ([0-9a-f]{{40}})\r?$", message, re.MULTILINE)[-1:]
    for commit in recorded:
        try:
            return git.find(commit) or fetch(git, source, commit)
        except GitError:  # of a template of this template, or gone
            pass
    try:  # a clone, or a fork: the newest commit that both have
        return git("merge-base", "HEAD", new)
    except GitError:
        pass
    if recorded:  # its first commit would bring again what it has
        raise RefusedError(
            f"The template has no commit {recorded[0]} any more, which this copy was updated to. "
            "Find the commit that took its place, by its date, and add --base COMMIT. It is asked "
            "for once."
        )
    if git("rev-parse", "--is-shallow-repository") == "true":
        raise RefusedError(
            "This clone lacks the commits that say what it was made from: git fetch --unshallow"
        )
    listed = git("log", "--reverse", "--format=%T %H", new, tip).splitlines()
    trees = dict(line.split() for line in listed)
    for root in git("rev-list", "--max-parents=0", "HEAD").split():
        if found := trees.get(git("rev-parse", f"{root}^{{tree}}")):
            return found
    raise RefusedError(
        "No commit of the template looks like this copy's first one. Find the commit that the copy "
        "was made from, by its date, and add --base COMMIT. It is asked for once."
    )


def lock(tree: Path) -> None:
    """Bring the lock file in line with `pyproject.toml`."""
    subprocess.run([UV, "lock", "--quiet"], cwd=tree, check=True, text=True, capture_output=True)


def propose(tree: Path, update: Update, base: str) -> str:
    """Open a pull request with an update; return what was done.

    Args:
        tree: The work tree, with its whole history.
        update: What to propose.
        base: The branch that the pull request is for.

    Raises:
        GitError: Git failed.
        GitHubError: GitHub refused.
    """
    git = Git(tree)
    branch = f"template/{update.version}"
    owner = find_repository().partition("/")[0]
    if list_all(f"pulls?state=all&head={owner}:{branch}") or _is_somebodys(git, branch):
        return f"{update.version} was proposed already."
    git("switch", "--quiet", "--force-create", branch)
    title, changes, trailer = (update.message.split("\n\n")[part] for part in (0, 1, -1))
    listed = "\n".join(f"- {plain(line[2:])}" for line in changes.splitlines())
    body = f"{listed}\n\n{trailer}"  # the trailer tells the next update where this one ended
    conflicts: list[str] = []
    try:
        apply(tree, update)
    except Conflicts as error:
        conflicts = str(error).splitlines()
        git("add", "--all")
        git("commit", "--quiet", "--no-verify", "-m", update.message)
        files = "\n".join(f"- `{conflict}`" for conflict in conflicts)
        body = f"**Solve the conflicts in these files, on this branch:**\n\n{files}\n\n{body}"
    git("push", "--quiet", "--force", "origin", branch)
    pull = {"title": title, "head": branch, "base": base, "body": body, "draft": bool(conflicts)}
    number = ask("POST", "pulls", pull)["number"]
    left = f", with {len(conflicts)} conflicts to be solved" if conflicts else ""
    return f"Opened #{number} with {update.version}{left}."


def sign_in() -> None:
    """Give the token to the API's client, and to Git for GitHub alone; no command line shows it.

    Git gets a name for the commits as well: a job's machine has none.

    Raises:
        RefusedError: There is none.
    """
    token = os.environ.get("TEMPLATE_UPDATE_TOKEN")
    if not token:
        raise RefusedError(MISSING)
    server = os.environ.get("GITHUB_SERVER_URL", "https://github.com")
    for role in ("AUTHOR", "COMMITTER"):
        os.environ[f"GIT_{role}_NAME"], os.environ[f"GIT_{role}_EMAIL"] = PUSHER
    credentials = base64.b64encode(f"x-access-token:{token}".encode()).decode()
    os.environ |= {
        "GH_TOKEN": token,
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"http.{server}/.extraheader",
        "GIT_CONFIG_VALUE_0": f"Authorization: Basic {credentials}",
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Update the copy in the current folder; return the exit code."""
    parser = argparse.ArgumentParser(prog="poe update", description=__doc__)
    add = parser.add_argument
    add("--from", dest="source", default=REMOTE, help="its address; else the remote 'template'")
    add(
        "--to",
        default="",
        help="branch, tag or commit; else the newest release, or commit if there is none",
    )
    add("--base", default="", help="the template's commit that the copy has now")
    add("--dry-run", action="store_true", help="show what would change in each file, and no more")
    add("--pull-request", metavar="BRANCH", help="open a pull request for this branch instead")
    options = parser.parse_args(arguments)
    tree = Path.cwd()
    try:
        if options.pull_request:
            sign_in()
        update = prepare(tree, options.source, options.to, options.base)
        if not update.commit:
            done = f"This copy has everything of the template up to {update.version}."
        elif options.pull_request:
            done = propose(tree, update, options.pull_request)
        else:
            print(describe(tree, update))
            if options.dry_run:
                return 0
            apply(tree, update)
            done = "Updated. Look at it with `git show`, try it with `uv run pytest`."
    except Conflicts as conflicts:
        reason = (
            f"Git could not merge these by itself:\n{conflicts}\n"
            "Solve them, `git add` them, then run `git cherry-pick --continue` and `uv lock`. "
            "`git cherry-pick --abort` takes the update back."
        )
    except (GitError, GitHubError, RefusedError, subprocess.CalledProcessError) as error:
        reason = f"Not updated. {(getattr(error, 'stderr', '') or str(error)).strip()}"
        if options.source == REMOTE and REMOTE not in Git(tree)("remote", codes=(0, 128)).split():
            reason += f"\nWhere is the template? git remote add {REMOTE} ADDRESS"
    else:
        print(done)
        summarize(f"### ✅ {TITLE}\n\n{done}")
        return 0
    print(reason, file=sys.stderr)
    if options.pull_request:
        refuse(TITLE, reason)
    return 1


def _is_somebodys(git: Git, branch: str) -> bool:
    """Say whether a person works on a branch; a run that failed left one that none worked on."""
    ref = f"refs/heads/{branch}"
    if not git("ls-remote", "origin", ref):
        return False
    git("fetch", "--quiet", "origin", ref)
    return git("log", "-1", "--format=%ce", "FETCH_HEAD") != PUSHER[1]


def _list_pipelines(paths: set[str]) -> set[str]:
    return {Path(path).stem for path in paths if path.startswith(WORKFLOWS)}


def _find_moved(git: Git, base: str) -> set[str]:
    """Return the files of the template that the copy has under other names: Git merges these."""
    options = ("--name-status", "--find-renames", "--no-rename-empty", "--diff-filter=R", "-z")
    return {*git("diff", *options, base, "HEAD").split("\0")[1::3]}


def _make_tree(git: Git, folder: Path, commit: str, name: str, dropped: set[str]) -> str:
    """Return the tree of a template's commit, renamed, and without some pipelines."""
    git("worktree", "add", "--quiet", "--detach", str(folder), commit)
    try:
        if read_name(folder) != name:
            rename(folder, name)
        inside = Git(folder)
        inside("add", "--all")
        texts = read(folder)
        names = dropped & _list_pipelines(inside.list_files(inside("write-tree")))
        if names and DROP in texts:  # without it, the layout is one that nobody knows here
            with suppress(RefusedError):  # a pipeline that is left calls one: the copy's does not
                write(folder, texts, drop(texts, names))
                inside("add", "--all")
        return inside("write-tree")
    finally:
        git("worktree", "remove", "--force", str(folder))


def _restore(git: Git, index: Path, old: str, new: str, paths: Sequence[str]) -> str:
    """Return the new tree with some paths as they are in the old one."""
    inside = Git(git.directory, GIT_INDEX_FILE=str(index))
    inside("read-tree", new)
    if paths:
        inside("restore", f"--source={old}", "--staged", "--", *paths)
    return inside("write-tree")


def _find_untouchable(git: Git, base: str, old: str, new: str, moved: set[str]) -> Iterator[str]:
    """Yield the changed files that are the copy's own, or were deleted in it.

    Deleted is also what the template adds to a folder that the copy deleted, or makes of a file
    that the copy deleted.

    Raises:
        RefusedError: Which files are the copy's own cannot be read.
    """
    try:
        yours = tuple(read_project(git.directory).yours)
    except ProjectError as error:
        if f"[{TABLE}]" in (git.directory / FILE).read_text(encoding="utf-8"):
            raise RefusedError(str(error)) from error
        yours = tuple(Project.yours)  # a copy from before there was such a list
    before = git.list_files(old) | git.list_files(base)
    here = git.list_files("HEAD") | moved
    gone = _find_folders(before) - _find_folders(here)
    fields = iter(git("diff", "--name-status", "--find-renames", "-z", old, new).split("\0"))
    for status in fields:
        if not status:
            break
        source = next(fields)
        path = next(fields) if status.startswith("R") else source
        deleted = source in before and source not in here
        if deleted or path == LOCK or path.startswith(yours) or _find_folders([path]) & gone:
            yield path
        if deleted or source.startswith(yours):
            yield source


def _find_folders(paths: Sequence[str] | set[str]) -> set[PurePosixPath]:
    return {folder for path in paths for folder in PurePosixPath(path).parents}


if __name__ == "__main__":
    sys.exit(main())
