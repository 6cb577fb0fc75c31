"""Which tags become releases, and why the others do not."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

import pytest
from fakes.github_api import FakeGitHub
from hatchling.metadata.core import ProjectMetadata
from hatchling.plugin.manager import PluginManager
from hypothesis import given
from hypothesis import strategies as st
from lib.github import GitHubError, find
from origin import Git
from release import release_version
from release.release_version import EXAMPLE, Refusal, Release, Version, decide

ROOT = Path(__file__).parents[3]
GRAMMAR = ".github/scripts/release/tag.regex"
NUMBERS = st.integers(0, 10**9 - 1)
Commit = Callable[..., str]
VERSIONS = st.builds(
    Version, NUMBERS, NUMBERS, NUMBERS, st.sampled_from(["alpha", "beta", "rc"]), NUMBERS
) | st.builds(Version, NUMBERS, NUMBERS, NUMBERS)

RIGHT = {
    "v0.0.0": "0.0.0",
    "v1.2.3": "1.2.3",
    "v10.20.30": "10.20.30",
    "v1.2.3-alpha.0": "1.2.3a0",
    "v1.2.3-beta.1": "1.2.3b1",
    "v1.2.3-rc.12": "1.2.3rc12",
}
WRONG = [
    "",
    "1.2.3",
    "V1.2.3",
    "v01.2.3",
    "v1.2",
    "v1.2.3.4",
    "v1.2.3-arm64",
    "v1.2.3-beta.01",
    "v1.2.3b2",
    "v1.2.3-RC.1",
    "v1.2.3-rc.1+build",
    "v1.2.3\n",
    " v1.2.3",
    "v1.2.3`id`;exit 0",
    "v١.٢.٣",  # noqa: RUF001
    "v1.2.3\u202e",
    f"v1.2.{'9' * 5000}",
    "lib-a/v2.0.0",
    "latest",
]


@pytest.mark.parametrize(("tag", "python"), RIGHT.items())
def test_right_tags(tag: str, python: str) -> None:
    version = Version.parse(tag)
    assert version
    assert str(version) == tag
    assert version.pep440 == python
    assert version.stable == ("-" not in tag)


@pytest.mark.parametrize("tag", WRONG)
def test_wrong_tags_are_answered_with_the_form(tag: str) -> None:
    assert Version.parse(tag) is None
    with pytest.raises(Refusal) as refusal:
        decide(tag, "0" * 40, "main")
    assert str(refusal.value).endswith(f"For example: {EXAMPLE}")
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) < 400


@given(VERSIONS)
def test_tags_and_versions_are_one_to_one(version: Version) -> None:
    assert Version.parse(str(version)) == version


@pytest.mark.filterwarnings("ignore:get_version:DeprecationWarning")  # how hatch-vcs asks
@pytest.mark.parametrize("tag", [*RIGHT, *(tag for tag in WRONG if re.fullmatch("[!-~]+", tag))])
def test_build_backend_takes_the_same_tags(git: Git, commit: Commit, tag: str) -> None:
    for key in ("color.ui", "column.ui"):
        git("config", key, "always")  # as a person may have it
    commit()
    shutil.copy(ROOT / "pyproject.toml", git.directory)
    (git.directory / GRAMMAR).parent.mkdir(parents=True)
    shutil.copy(ROOT / GRAMMAR, git.directory / GRAMMAR)
    subprocess.run(["git", "tag", tag], check=False, cwd=git.directory, capture_output=True)
    version = ProjectMetadata(str(git.directory), PluginManager()).version
    assert version.startswith(RIGHT.get(tag, "0.0.1.dev1+"))


@pytest.fixture
def git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Git:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(release_version, "find", lambda *_: None)
    monkeypatch.setattr(release_version, "list_all", lambda *_: [])
    git = Git(tmp_path)
    git("init", "--quiet", "--initial-branch=main")
    return git


@pytest.fixture
def commit(git: Git) -> Commit:
    """Return a function that commits to the branch that is checked out, and tags."""

    def make(*tags: str, branch: str = "main") -> str:
        git("commit", "--quiet", "--allow-empty", "-m", f"fix: {branch} {tags}")
        git("update-ref", f"refs/remotes/origin/{branch}", "HEAD")
        for tag in tags:
            git("tag", tag)
        return git.find("HEAD")

    return make


def refuse(tag: str, commit: str, manual_ref: str = "") -> str:
    with pytest.raises(Refusal) as refusal:
        decide(tag, commit, "main", manual_ref=manual_ref)
    return str(refusal.value)


def test_first_release(git: Git, commit: Commit) -> None:
    for key, value in {"color.ui": "always", "column.ui": "always", "tag.sort": "refname"}.items():
        git("config", key, value)
    head = commit(*(f"sprint-{number}" for number in range(9)))
    git("tag", "--annotate", "--message", "text", "v0.1.0")
    version = Version(0, 1, 0)
    assert decide("v0.1.0", head, "main") == Release(version, head, since="", tagged=True)


def test_tag_of_a_tag(git: Git, commit: Commit) -> None:
    head = commit()
    git("tag", "--annotate", "--message", "text", "v1.0.0-rc.1")
    git("tag", "--annotate", "--message", "text", "v1.0.0", "v1.0.0-rc.1")
    assert decide("v1.0.0", head, "main").commit == head


def test_since(commit: Commit) -> None:
    commit("v1.0.0", "nightly", "v1.2", "v9.9.9-foo")
    commit("v1.1.0-beta.1")
    beta = commit("v1.1.0-beta.2")
    assert decide("v1.1.0-beta.2", beta, "main").since == "v1.1.0-beta.1"
    stable = commit("v1.1.0-rc.1", "v1.1.0")
    assert decide("v1.1.0", stable, "main").since == "v1.0.0"


@pytest.fixture
def line(git: Git, commit: Commit) -> Git:
    """Return a repository with v1.2.3 and v2.0.0 on main; release/1.2 is checked out."""
    commit("v1.2.3")
    commit("v2.0.0")
    git("checkout", "--quiet", "-b", "release/1.2", "v1.2.3")
    return git


def test_hotfix_and_what_comes_after_it_was_merged(line: Git, commit: Commit) -> None:
    head = commit("v1.2.4", branch="release/1.2")
    assert decide("v1.2.4", head, "main").since == "v1.2.3"
    line("checkout", "--quiet", "main")
    line("merge", "--quiet", "--no-edit", "release/1.2")
    head = commit("v2.0.1")
    assert decide("v2.0.1", head, "main").since == "v2.0.0"


def test_version_that_the_maintenance_branch_has_passed(line: Git, commit: Commit) -> None:
    commit("v1.2.5", branch="release/1.2")
    line("checkout", "--quiet", "v1.2.3")
    assert "v1.2.4 is lower than v1.2.5" in refuse("v1.2.4", commit("v1.2.4"))


@pytest.mark.parametrize(
    ("branch", "why"),
    [
        ("feature", "neither on main nor on release/2.1"),
        ("release/1.2", "on release/1.2, which is another line"),
    ],
)
def test_branch_that_makes_no_such_releases(
    line: Git, commit: Commit, branch: str, why: str
) -> None:
    line("checkout", "--quiet", "-B", branch)
    text = refuse("v2.1.0", commit("v2.1.0", branch=branch))
    assert why in text
    assert "only not pushed yet, push it and run this job again" in text
    assert text.endswith("for example: v2.1.1"), "a ruleset lets nobody move a tag"


@pytest.mark.parametrize(
    ("earlier", "tag", "named"),
    [
        ("v1.3.0", "v1.2.9", "v1.3.0"),
        ("v1.3.0", "v1.3.0-rc.1", "v1.3.0"),
        ("v1.3.0-beta.10", "v1.3.0-beta.2", "v1.3.0-beta.10"),
        ("v1.3.0-beta.1", "v1.3.0-alpha.2", "v1.3.0-beta.1"),
        ("v1.3.0-rc.1", "v1.3.0-beta.2", "v1.3.0-rc.1"),
    ],
)
def test_lower_version(commit: Commit, earlier: str, tag: str, named: str) -> None:
    commit(earlier)
    assert f"{tag} is lower than {named}" in refuse(tag, commit(tag))


def test_prerelease_of_the_next_version_does_not_hold_up_a_fix(commit: Commit) -> None:
    commit("v1.0.0")
    commit("v2.0.0-beta.1")
    assert decide("v1.0.1", commit("v1.0.1"), "main").since == "v1.0.0"


def test_commit_that_is_not_the_tags(git: Git, commit: Commit) -> None:
    old = commit("v1.0.0")
    assert decide("v1.0.0", old, "main", manual_ref="refs/tags/v1.0.0").tagged
    head = commit()
    assert decide("v1.1.0", head, "main", manual_ref="refs/heads/main").since == "v1.0.0"
    assert "from main only" in refuse("v1.1.0", head, "refs/heads/feature")
    message = refuse("v1.0.0", head, "refs/heads/main")
    assert f"v1.0.0 is a tag of {old[:7]}" in message
    assert message.endswith("for example: v1.0.1")
    git("tag", "--force", "v1.0.0")
    assert f"v1.0.0 is a tag of {head[:7]}" in refuse("v1.0.0", old)


def test_manual_run_on_a_commit_with_other_workflows_names_the_two_commands(
    git: Git, commit: Commit
) -> None:
    head = commit()
    (git.directory / ".github/workflows").mkdir(parents=True)
    (git.directory / ".github/workflows/ci.yml").write_text("name: CI\n")
    git("add", "--all")
    commit()
    message = refuse("v1.0.0", head, "refs/heads/main")
    assert "main has changed .github/workflows/ci.yml" in message
    assert message.endswith(f"git tag v1.0.0 {head[:12]} && git push origin v1.0.0")


@pytest.mark.parametrize("target", ["main", "1" * 40])
def test_version_that_is_published(
    commit: Commit, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = commit("v1.0.0")
    commit("v1.1.0")
    assets: list[dict[str, str | None]] = [{"label": None}]
    published = {"target_commitish": target, "assets": assets}
    monkeypatch.setattr(release_version, "find", lambda *_: published)
    if target == "main":
        assert decide("v1.0.0", head, "main").commit == head, "another run of it goes on"
        assets.append({"label": f"SHA256SUMS of {'2' * 40}"})
    assert "was already released from" in refuse("v1.0.0", head)


def test_earlier_version_may_be_named_if_it_was_one(git: Git, commit: Commit) -> None:
    head = commit("v1.0.0")
    commit("v1.1.0")
    assert decide("v1.0.0", "", "main").commit == head
    commit("v1.0.1")
    assert "v1.0.1 is lower than v1.1.0" in refuse("v1.0.1", "")
    git("tag", "--force", "v1.0.0", "HEAD")
    assert "v1.0.0 is lower than v1.1.0" in refuse("v1.0.0", "")


def test_since_is_no_ancestor(git: Git, commit: Commit) -> None:
    commit()
    git("checkout", "--quiet", "-b", "release/1.0")
    commit("v1.0.0", branch="release/1.0")
    git("checkout", "--quiet", "main")
    commit()
    git("checkout", "--quiet", "-b", "feature")
    commit("v1.0.5", branch="feature")
    git("checkout", "--quiet", "-b", "release/1.1", "main")
    head = commit("v1.1.0", branch="release/1.1")
    assert decide("v1.1.0", head, "main").since == "v1.0.0"


def test_since_is_what_was_released_if_anything_was(
    commit: Commit, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit("v1.0.0")
    commit("v1.1.0")
    commit("v1.2.0-rc.1")
    head = commit("v1.2.0")
    asked = Mock(wraps=release_version.find_branches)
    monkeypatch.setattr(release_version, "find_branches", asked)
    assert decide("v1.2.0", head, "main").since == "v1.1.0", "there are tags alone"
    assert asked.call_count == 2, "its own, and no more than one tag's"
    releases = [{"tag_name": "v1.0.0", "draft": False}, {"tag_name": "v1.1.0", "draft": True}]
    monkeypatch.setattr(release_version, "list_all", lambda *_: releases)
    assert decide("v1.2.0", head, "main").since == "v1.0.0", "the run of v1.1.0 failed"
    head = commit("v1.3.0-rc.1")
    assert decide("v1.3.0-rc.1", head, "main").since == "v1.0.0"
    releases.clear()
    assert decide("v1.3.0-rc.1", head, "main").since == "v1.2.0"


def test_github_without_an_answer(
    commit: Commit, github: FakeGitHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = commit("v1.0.0")
    monkeypatch.setattr(release_version, "find", find)
    assert decide("v1.0.0", head, "main").tagged
    github.status = 500
    with pytest.raises(GitHubError):
        decide("v1.0.0", head, "main")


def test_command(
    commit: Commit, github: FakeGitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = commit("v1.0.0-rc.1")
    environment = {
        "DEFAULT_BRANCH": "main",
        "GITHUB_EVENT_NAME": "push",
        "GITHUB_OUTPUT": str(tmp_path / "output"),
        "GITHUB_REF": "refs/tags/v1.0.0-rc.1",
        "GITHUB_REPOSITORY": "octo-org/widget",
        "GITHUB_SHA": head,
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary"),
        "GH_TOKEN": "token",
        "TAG": "v1.0.0-rc.1",
    }
    for key, text in environment.items():
        monkeypatch.setenv(key, text)
    command = [sys.executable, release_version.__file__]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "is a pre-release" in result.stdout
    outputs = dict(line.split("=", 1) for line in (tmp_path / "output").read_text().splitlines())
    assert outputs == {
        "prerelease": "true", "since": "", "tag": "v1.0.0-rc.1", "version": "1.0.0rc1",
    }  # fmt: skip
    assert "Python version | 1.0.0rc1" in (tmp_path / "summary").read_text()
    api = "GET /repos/octo-org/widget/releases"
    assert github.requests == [f"{api}/tags/v1.0.0-rc.1", api]

    commit("v1.0.0")
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "v1.0.0-rc.1 is lower than v1.0.0" in result.stdout
    subprocess.run([*command, "--earlier"], cwd=tmp_path, capture_output=True, check=True)

    monkeypatch.setenv("TAG", "v1\n::error::x")
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stdout.count("\n") == 1
    assert result.stdout.startswith("::error title=Refused::v1\\u000a::error::x is not a version")
