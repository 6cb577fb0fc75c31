"""Which tags become releases, and why the others do not."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fakes.github_api import FakeGitHub
from hypothesis import given
from hypothesis import strategies as st
from lib.github import GitHubError
from origin import Git
from release import release_version
from release.release_version import Refusal, Release, Version, check_published, correct, decide

NUMBERS = st.integers(0, 10**9 - 1)
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
WRONG = {
    "": "v1.2.3",
    "1.2.3": "v1.2.3",
    "V1.2.3": "v1.2.3",
    "v01.2.3": "v1.2.3",
    "v1.02.3": "v1.2.3",
    "v1.2": "v1.2.0",
    "v1.2.3.4": "v1.2.3",
    "v1.2.3-foo": "v1.2.3",
    "v1.2.3-beta": "v1.2.3-beta.1",
    "v1.2.3-beta.01": "v1.2.3-beta.1",
    "v1.2.3-beta1": "v1.2.3-beta.1",
    "v1.2.3b2": "v1.2.3-beta.2",
    "v1.2.3-RC.1": "v1.2.3-rc.1",
    "v1.2.3+build": "v1.2.3",
    "v1.2.3-rc.1+build": "v1.2.3-rc.1",
    "v-1.2.3": "v1.2.3",
    "v1.2.3\n": "v1.2.3",
    "v1.2.3\nv1.2.4": "v1.2.3",
    " v1.2.3": "v1.2.3",
    "v1.2.3$(id)": "v1.2.3",
    "v1.2.3`id`;exit 0": "v1.2.3",
    "v١.٢.٣": "v1.2.3",  # noqa: RUF001
    "v1.2.3\u202e": "v1.2.3",
    "latest": "v1.2.3",
    f"v1.2.{'9' * 5000}": "v1.2.999999999",
}


@pytest.mark.parametrize(("tag", "python"), RIGHT.items())
def test_right_tags(tag: str, python: str) -> None:
    version = Version.parse(tag)
    assert version
    assert str(version) == tag
    assert version.pep440 == python
    assert version.stable == ("-" not in tag)


@pytest.mark.parametrize(("tag", "corrected"), WRONG.items())
def test_wrong_tags_are_corrected(tag: str, corrected: str) -> None:
    assert Version.parse(tag) is None
    assert correct(tag) == corrected
    with pytest.raises(Refusal) as refusal:
        decide(tag, "0" * 40, "main")
    assert str(refusal.value).endswith(f"For example: {corrected}")
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) < 400


@given(VERSIONS)
def test_tags_and_versions_are_one_to_one(version: Version) -> None:
    assert Version.parse(str(version)) == version
    assert correct(str(version)) == str(version)


@given(st.text())
def test_corrections_are_right(text: str) -> None:
    assert Version.parse(correct(text))


def test_order() -> None:
    tags = ["v1.0.0-alpha.2", "v1.0.0-alpha.10", "v1.0.0-beta.1", "v1.0.0-rc.1", "v1.0.0", "v1.0.1"]
    ranks = [version.rank for tag in tags if (version := Version.parse(tag))]
    assert ranks == sorted(ranks)
    assert len(set(ranks)) == len(tags)


Commit = Callable[..., str]


@pytest.fixture
def git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Git:
    monkeypatch.chdir(tmp_path)
    git = Git(tmp_path)
    git("init", "--quiet", "--initial-branch=main")
    return git


@pytest.fixture
def commit(git: Git) -> Commit:
    """Return a function that commits to the branch that is checked out, and tags."""

    def make(*tags: str, branch: str = "main") -> str:
        git("commit", "--quiet", "--allow-empty", "-m", "fix: it")
        git("update-ref", f"refs/remotes/origin/{branch}", "HEAD")
        for tag in tags:
            git("tag", tag)
        return git.find("HEAD")

    return make


def refuse(tag: str, commit: str, manual_ref: str = "") -> str:
    with pytest.raises(Refusal) as refusal:
        decide(tag, commit, "main", manual_ref=manual_ref)
    return str(refusal.value)


def test_first_release(commit: Commit) -> None:
    head = commit("v0.1.0")
    version = Version(0, 1, 0)
    assert decide("v0.1.0", head, "main") == Release(version, head, since="", tagged=True)


def test_since(commit: Commit) -> None:
    commit("v1.0.0", "nightly", "v1.2", "v9.9.9-foo")
    commit("v1.1.0-beta.1")
    beta = commit("v1.1.0-beta.2")
    assert decide("v1.1.0-beta.2", beta, "main").since == "v1.1.0-beta.1"
    stable = commit("v1.1.0-rc.1", "v1.1.0")
    assert decide("v1.1.0", stable, "main").since == "v1.0.0"


def test_annotated_tag(git: Git, commit: Commit) -> None:
    head = commit()
    git("tag", "--annotate", "--message", "text", "v1.0.0")
    assert decide("v1.0.0", head, "main").commit == head


def test_hotfix(git: Git, commit: Commit) -> None:
    commit("v1.2.3")
    commit("v2.0.0")
    git("checkout", "--quiet", "-b", "release/1.2", "v1.2.3")
    head = commit("v1.2.4", branch="release/1.2")
    assert decide("v1.2.4", head, "main").since == "v1.2.3"


def test_line_goes_on_after_its_hotfix_was_merged(git: Git, commit: Commit) -> None:
    commit("v1.2.3")
    commit("v2.0.0")
    git("checkout", "--quiet", "-b", "release/1.2", "v1.2.3")
    commit("v1.2.4", branch="release/1.2")
    git("checkout", "--quiet", "main")
    git("merge", "--quiet", "--no-edit", "release/1.2")
    head = commit("v2.0.1")
    assert decide("v2.0.1", head, "main").since == "v2.0.0"


@pytest.mark.parametrize(
    ("earlier", "tag", "named"),
    [
        ("v1.3.0", "v1.2.9", "v1.3.0"),
        ("v1.3.0", "v1.3.0-rc.1", "v1.3.0"),
        ("v1.3.0-beta.2", "v1.3.0-beta.1", "v1.3.0-beta.2"),
    ],
)
def test_lower_version(commit: Commit, earlier: str, tag: str, named: str) -> None:
    commit(earlier)
    assert f"{tag} is lower than {named}" in refuse(tag, commit(tag))


def test_prerelease_of_the_next_version_does_not_hold_up_a_fix(commit: Commit) -> None:
    commit("v1.0.0")
    commit("v2.0.0-beta.1")
    assert decide("v1.0.1", commit("v1.0.1"), "main").since == "v1.0.0"


def test_version_that_the_maintenance_branch_has_passed(git: Git, commit: Commit) -> None:
    commit("v1.2.3")
    git("checkout", "--quiet", "-b", "release/1.2")
    commit("v1.2.5", branch="release/1.2")
    git("checkout", "--quiet", "main")
    assert "v1.2.4 is lower than v1.2.5" in refuse("v1.2.4", commit("v1.2.4"))


def test_feature_branch(git: Git, commit: Commit) -> None:
    commit("v1.0.0")
    git("checkout", "--quiet", "-b", "feature")
    message = refuse("v1.1.0", commit("v1.1.0", branch="feature"))
    assert "neither on main nor on release/1.1" in message


def test_maintenance_branch_of_another_line(git: Git, commit: Commit) -> None:
    commit("v1.2.3")
    git("checkout", "--quiet", "-b", "release/1.2")
    message = refuse("v1.3.0", commit("v1.3.0", branch="release/1.2"))
    assert "on release/1.2, which is another line" in message


def test_tag_that_moved_or_went(git: Git, commit: Commit) -> None:
    old = commit("v1.0.0")
    commit()
    git("tag", "--force", "v1.0.0")
    assert "has moved" in refuse("v1.0.0", old)
    git("tag", "--delete", "v1.0.0")
    assert "no tag v1.0.0 any more" in refuse("v1.0.0", old)


def test_manual_run(commit: Commit) -> None:
    commit("v1.0.0")
    head = commit()
    assert decide("v1.1.0", head, "main", manual_ref="refs/heads/main").since == "v1.0.0"
    assert "from main only" in refuse("v1.1.0", head, "refs/heads/feature")
    message = refuse("v1.0.0", head, "refs/heads/main")
    assert "v1.0.0 is a tag of" in message
    assert message.endswith("for example: v1.0.1")


def test_manual_run_on_a_tag_repeats_its_release(commit: Commit) -> None:
    head = commit("v1.0.0")
    assert decide("v1.0.0", head, "main", manual_ref="refs/tags/v1.0.0").tagged


@pytest.mark.parametrize("target", ["main", "1" * 40])
def test_release_of_the_same_commit_goes_on(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(release_version, "find", lambda *_: {"target_commitish": target})
    check_published(Release(Version(1, 0, 0), "1" * 40, "", tagged=True))


@pytest.mark.parametrize("status", [404, 500])
def test_github_without_an_answer(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    release = Release(Version(1, 0, 0), "1" * 40, "", tagged=True)
    with FakeGitHub(status=status) as fake:
        monkeypatch.setenv("GITHUB_API_URL", fake.url)
        monkeypatch.setenv("GITHUB_REPOSITORY", "octo-org/widget")
        if status == 404:
            check_published(release)
        else:
            with pytest.raises(GitHubError):
                check_published(release)


@pytest.fixture
def github(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGitHub]:
    with FakeGitHub() as fake:
        monkeypatch.setenv("GITHUB_API_URL", fake.url)
        yield fake


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
    assert github.requests == ["GET /repos/octo-org/widget/releases/tags/v1.0.0-rc.1"]

    monkeypatch.setenv("TAG", "v1\n::error::x")
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stdout.count("\n") == 1
    assert result.stdout.startswith("::error title=Refused::v1\\u000a::error::x is not a version")
