"""Git in one work tree."""

from pathlib import Path

import origin
import pytest
from lib.git import Git, GitError


@pytest.fixture
def git(tmp_path: Path) -> Git:
    strange = "\udcffa\nb"
    (tmp_path / strange).write_text("")
    made = origin.Git(tmp_path)
    made("init", "--quiet")
    made.save("feat: start")
    return Git(tmp_path)


def test_commit_is_found_or_not(git: Git) -> None:
    assert git.find("HEAD") == git("rev-parse", "HEAD")
    assert not git.find("v1.0.0")
    assert not git.find("--help")


def test_names_of_files_may_be_anything(git: Git) -> None:
    [name] = git.list_files("HEAD")
    assert git("cat-file", "-t", f"HEAD:{name}") == "blob"


def test_changed_files_have_both_names_or_those_that_are_there(git: Git) -> None:
    (git.directory / "\udcffa\nb").rename(git.directory / "new place")
    git("add", "--all")
    git("commit", "--quiet", "-m", "feat: move")
    assert git.list_changed("HEAD^") == ["new place", "\udcffa\nb"]
    assert git.list_changed("HEAD^", "d") == ["new place"]
    with pytest.raises(GitError, match="HEAD~9"):
        git.list_changed("HEAD~9")


@pytest.mark.parametrize("command", ["rev-parse HEAD", "log -1", "ls-files", "rev-list HEAD"])
def test_no_repository_and_none_with_a_commit_are_said_with_the_remedy(
    tmp_path: Path, command: str
) -> None:
    git = Git(tmp_path)
    with pytest.raises(GitError, match="git init && git add -A && git commit"):
        git(*command.split())
    git("init", "--quiet")
    if command != "ls-files":
        with pytest.raises(GitError, match="git init && git add -A && git commit"):
            git(*command.split())
