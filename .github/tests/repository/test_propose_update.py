"""A release of the template becomes one pull request, on a fake GitHub."""

from collections.abc import Callable
from pathlib import Path

import lib.git
import pytest
from fakes.github_api import FakeGitHub
from origin import Git
from repository import update_from_template
from repository.update_from_template import find_base

Propose = Callable[[], tuple[int, str]]
WORKFLOW = ".github/workflows/ci.yml"
FILES = {
    "pyproject.toml": '[project]\nname = "the-template"\ndescription = "x"\n',
    "uv.lock": 'name = "the-template"\n',
    WORKFLOW: "one: 1\n",
    "src/the_template/app.py": "app = 1\n",
}


def write(git: Git, files: dict[str, str], message: str, tag: str = "") -> None:
    for name, text in files.items():
        (git.directory / name).parent.mkdir(parents=True, exist_ok=True)
        (git.directory / name).write_text(text)
    git("add", "--all")
    git("commit", "--quiet", "-m", message)
    if tag:
        git("tag", tag)


@pytest.fixture
def template(tmp_path: Path) -> Git:
    git = Git(tmp_path / "template")
    git.directory.mkdir()
    git("init", "--quiet", "--initial-branch=main")
    write(git, FILES, "feat: start", "v1.0.0")
    return git


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Git:
    """Return a copy of the first release, edited, whose origin is a repository beside it."""
    git = Git(tmp_path / "copy")
    git.directory.mkdir()
    git("init", "--quiet", "--bare", str(tmp_path / "origin"))
    git("init", "--quiet", "--initial-branch=main")
    write(git, FILES, "Initial commit")
    write(git, {WORKFLOW: "one: mine\n"}, "ci: mine")
    git("remote", "add", "origin", str(tmp_path / "origin"))
    for key in Git(tmp_path).environment.keys() - {"PATH", "HOME"}:
        monkeypatch.setenv(key, Git(tmp_path).environment[key])
    return git


@pytest.fixture
def github(github: FakeGitHub, monkeypatch: pytest.MonkeyPatch) -> FakeGitHub:
    """GitHub, where the one token that there is may change workflows."""
    monkeypatch.delenv("GITHUB_TOKEN")
    monkeypatch.setenv("GH_TOKEN", "")
    monkeypatch.setenv("TEMPLATE_UPDATE_TOKEN", "secret")
    return github


@pytest.fixture
def propose(
    copy: Git,
    template: Git,
    github: FakeGitHub,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Propose:
    """Return a function that proposes from the copy's main branch."""
    monkeypatch.chdir(copy.directory)
    monkeypatch.setattr(update_from_template, "lock", lambda _: False)

    def execute() -> tuple[int, str]:
        assert github.url
        copy("switch", "--quiet", "main")
        code = update_from_template.main(
            ["--from", str(template.directory), "--pull-request", "main"]
        )
        return code, capsys.readouterr().out

    return execute


def test_release_is_proposed_once(
    propose: Propose, template: Git, copy: Git, github: FakeGitHub
) -> None:
    assert propose() == (0, "This copy has everything of the template up to v1.0.0.\n")
    write(template, {"LICENSE": "MIT"}, "docs: <b> @octocat", "v1.1.0")
    assert propose() == (0, "Opened #1 with v1.1.0.\n")
    pull = github.issues.heads["octo-org:template/v1.1.0"]
    assert pull["title"] == "build: update from the template to v1.1.0"
    assert (pull["base"], pull["draft"]) == ("main", False)
    assert "- docs: \\<b\\> @\u2060octocat" in pull["body"]
    assert copy("show", "origin/template/v1.1.0:LICENSE") == "MIT"
    assert "secret" not in (copy.directory / ".git/config").read_text()
    assert propose() == (0, "v1.1.0 was proposed already.\n")
    copy("push", "--quiet", "--delete", "origin", "template/v1.1.0")
    assert propose() == (0, "v1.1.0 was proposed already.\n"), "it was closed"

    # GitHub makes the text of the pull request the message of the squashed commit
    message = f"{pull['title']}\n\n{pull['body']}"
    write(copy, {"LICENSE": "MIT"}, message)
    write(template, {"LICENSE": "MIT 2"}, "docs: two", "v1.2.0")
    assert find_base(lib.git.Git(copy.directory), "HEAD") == template.find("v1.1.0")
    assert propose() == (0, "Opened #2 with v1.2.0.\n")


def test_conflict_comes_as_a_draft(
    propose: Propose, template: Git, copy: Git, github: FakeGitHub
) -> None:
    write(template, {WORKFLOW: "one: theirs\n", "LICENSE": "MIT"}, "ci: theirs", "v1.1.0")
    assert propose() == (0, "Opened #1 with v1.1.0, with 1 conflicts to be solved.\n")
    pull = github.issues.heads["octo-org:template/v1.1.0"]
    assert pull["draft"]
    assert f"- `{WORKFLOW}`" in pull["body"]
    assert "<<<<<<<" in copy("show", f"origin/template/v1.1.0:{WORKFLOW}")
    assert copy("show", "origin/template/v1.1.0:LICENSE") == "MIT"


def test_missing_token_is_said(propose: Propose, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TEMPLATE_UPDATE_TOKEN")
    code, text = propose()
    assert code == 1
    assert "gh secret set TEMPLATE_UPDATE_TOKEN" in text


def test_template_that_cannot_be_read_is_said(
    propose: Propose, template: Git, tmp_path: Path
) -> None:
    template.directory.rename(tmp_path / "gone")
    code, text = propose()
    assert code == 1
    assert "::error title=Update from the template::" in text
    assert "does not" in text


def test_refusal_of_github_is_said(propose: Propose, template: Git, github: FakeGitHub) -> None:
    write(template, {"LICENSE": "MIT"}, "docs: one", "v1.1.0")
    github.faults = ["POST .*/pulls"]
    code, text = propose()
    assert code == 1
    assert "POST pulls: HTTP 502" in text
