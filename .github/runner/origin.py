"""A throw-away repository that plays the one on GitHub: the working tree, committed."""

import os
import re
import shutil
from contextlib import suppress
from pathlib import Path

from events import Event
from lib import git as git_of_scripts

EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
PARTIAL = (
    "This clone was made with --filter and lacks files of older commits, which the jobs check out: "
    "git fetch --refetch --no-filter"
)


class Git(git_of_scripts.Git):
    """Git in one repository, untouched by the user's configuration."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        inherited = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
        self.environment = inherited | {
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_SYSTEM": os.devnull,
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "safe.directory",
            "GIT_CONFIG_VALUE_0": "*",
            **{
                f"GIT_{role}_{key}": value
                for role in ("AUTHOR", "COMMITTER")
                for key, value in (("NAME", "octocat"), ("EMAIL", "octocat@localhost"))
            },
        }

    def save(self, message: str) -> None:
        """Commit all that is there, changed or not."""
        self("add", "--all")
        self("commit", "--quiet", "--allow-empty", "-m", message)


def create(source: Path, directory: Path) -> Git:
    """Copy a tree, with its history where it has one, into a new repository.

    The history is borrowed, not copied. What Git ignores is left out. The branch that is checked
    out becomes the branch `head`.

    Raises:
        LookupError: The history has no files.
    """
    directory.mkdir(parents=True)
    git, original = Git(directory), Git(source)
    git("init", "--quiet", "--initial-branch=head")
    for key in ("core.compression", "pack.window"):  # each job fetches: better quick than small
        git("config", key, "0")
    is_repository = (source / ".git").exists()
    if is_repository:
        if original("config", "--get-regexp", r"remote\..*\.promisor", codes=(0, 1)):
            listed = original("rev-list", "--objects", "--all", "--missing=print")
            if re.search(r"^\?", listed, re.MULTILINE):
                raise LookupError(PARTIAL)
        find = ("rev-parse", "--path-format=absolute", "--git-path")
        (directory / ".git/objects/info/alternates").write_text(f"{original(*find, 'objects')}\n")
        if (shallow := Path(original(*find, "shallow"))).exists():
            shutil.copy2(shallow, directory / ".git")
        refs = ("+refs/heads/*:refs/source/*", "+refs/tags/*:refs/tags/*")
        # What Git starts there does not see our settings: somebody else may own that repository.
        server = "--upload-pack=git -c safe.directory=* upload-pack"
        fetch = (
            "fetch",
            "--quiet",
            "--no-write-fetch-head",
            "--update-shallow",
            server,
            str(source),
        )
        git(*fetch, *refs)
        if head := original.find("HEAD"):
            git(*fetch, "+HEAD:refs/source-head")
            git("update-ref", "refs/heads/head", head)
        listed = original("ls-files", "-z", "--cached", "--others", "--exclude-standard")
        names = [name for name in listed.split("\0") if name and os.path.lexists(source / name)]
    else:
        names = [str(path.relative_to(source)) for path in source.rglob("*") if not path.is_dir()]
    for folder in {Path(name).parent for name in names}:
        (directory / folder).mkdir(parents=True, exist_ok=True)
    for name in names:
        path, copied = f"{source}/{name}", f"{directory}/{name}"
        with suppress(IsADirectoryError):  # a repository in this one
            shutil.copyfile(path, copied, follow_symlinks=False)
            shutil.copymode(path, copied, follow_symlinks=False)
    return git


def commit(git: Git, event: Event) -> tuple[str, str]:
    """Commit the tree and set the refs as GitHub would for an event.

    An event on the default branch, and a new tag, happen as if the tree were merged; one on another
    branch leaves it where it is. A tag that exists already is taken with its own commit and tree.

    Returns:
        The commit before the change and the commit with it. A clean tree on the default branch
        takes its last commit as the change.
    """
    before = git.find("HEAD") or git("commit-tree", EMPTY_TREE, "-m", "chore: start")
    git("update-ref", "refs/heads/head", before)
    branches = git("for-each-ref", "refs/source", "--format=%(refname:lstrip=2)").splitlines()
    for name in (name for name in branches if name.split("/")[0] != "head"):  # a file of Git's
        git("update-ref", f"refs/heads/{name}", f"refs/source/{name}")
    default = f"refs/heads/{event.repository.branch}"
    main = git.find(f"refs/source/{event.repository.branch}")
    if event.ref.startswith("refs/tags/") and (tagged := git.find(event.ref)):
        git("update-ref", default, main or before)
        git("checkout", "--quiet", "--force", "--detach", tagged)
        return git.find(f"{tagged}^") or tagged, tagged
    git("add", "--all")
    if git("status", "--porcelain"):
        git("commit", "--quiet", "--no-verify", "-m", "chore: the working tree")
    head = git.find("HEAD")
    if main and main != before:
        base = git("merge-base", main, head)
    elif head != before:
        base = before
    else:
        base = git.find("HEAD^") or git("commit-tree", EMPTY_TREE, "-m", "chore: start")
    if event.name == "pull_request":
        git("update-ref", default, base)
        merge = git("commit-tree", f"{head}^{{tree}}", "-p", base, "-p", head, "-m", "Merge")
        git("update-ref", event.ref, merge)
        git("checkout", "--quiet", "--detach", merge)
    else:
        elsewhere = event.ref.startswith("refs/heads/") and event.ref != default
        git("update-ref", default, main if main and elsewhere else head)
        git("update-ref", event.ref, head)
        git("checkout", "--quiet", "--detach", head)
    return base, head
