import json
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes.github_api import FakeGitHub
from fakes.github_runs import WorkflowRun
from fakes.github_security import Security
from fakes.github_settings import PEOPLE
from repository import capabilities

Ask = Callable[..., dict[str, str]]


@pytest.fixture
def ask(github: FakeGitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ask:
    """Return a function that asks a fake GitHub everything and returns the outputs."""
    monkeypatch.setenv("GITHUB_REF", "refs/tags/v1.0.0-rc.1")  # nothing is newer

    def execute(  # noqa: PLR0913
        security: Security | None = None,
        *,
        status: int = 200,
        read_only: bool = False,
        private: bool = False,
        server: str = "https://github.com",
        target: str = "",
        reviewers: list[str] | None = None,
        **event: object,
    ) -> dict[str, str]:
        (tmp_path / "event").write_text(json.dumps({"repository": {"private": private}} | event))
        environment = {
            "BASE_SHA": "a" * 40,
            "DEPLOY_ENVIRONMENT": "production",
            "DEPLOY_TARGET": target,
            "GITHUB_EVENT_PATH": str(tmp_path / "event"),
            "GITHUB_OUTPUT": str(tmp_path / "output"),
            "GITHUB_SERVER_URL": server,
            "GITHUB_STEP_SUMMARY": str(tmp_path / "summary"),
            "HEAD_SHA": "b" * 40,
            "READ_ONLY": str(read_only).lower(),
        }
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        for name in ("output", "summary"):
            (tmp_path / name).write_text("")
        github.status = status
        github.security = security or Security()
        if reviewers is not None:
            github.settings.environments["production"] = {
                "wait_timer": 5,
                "reviewers": [{"type": "User", "id": PEOPLE[reviewer]} for reviewer in reviewers],
                "deployment_branch_policy": None,
            }
        assert capabilities.main(list(capabilities.QUESTIONS)) == 0
        lines = (tmp_path / "output").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines)

    return execute


def read_summary(tmp_path: Path) -> str:
    return (tmp_path / "summary").read_text()


def test_everything_is_on(ask: Ask, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    on = Security(dependency_graph=True, code_scanning=True)
    answers = ask(on, target="compose", reviewers=["octocat"])
    assert answers == dict.fromkeys(capabilities.QUESTIONS, "true")
    assert not read_summary(tmp_path)
    assert "::notice" not in capsys.readouterr().out


def test_new_repository_is_told_what_is_off_and_how_to_switch_it_on(
    ask: Ask, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = ask()
    assert answers == {
        "approval": "false",
        "attestations": "true",
        "code-scanning": "false",
        "comment": "true",
        "dependency-review": "false",
        "deployment": "false",
        "newest": "true",
    }
    assert capsys.readouterr().out.count("::notice title=Not available here::") == 4
    assert "setup-github --apply --reviewer" in read_summary(tmp_path)
    assert "gh variable set DEPLOY\\_TARGET --env production" in read_summary(tmp_path)
    assert "Dependency graph → Enable" in read_summary(tmp_path)
    assert "Code Security → Enable" in read_summary(tmp_path)


def test_fork_may_only_read(ask: Ask, tmp_path: Path) -> None:
    on = Security(dependency_graph=True, code_scanning=True)
    answers = ask(on, read_only=True, target="kubernetes", reviewers=["octocat"])
    for name in ("approval", "dependency-review", "deployment", "newest"):
        assert answers.pop(name) == "true"
    assert set(answers.values()) == {"false"}
    assert read_summary(tmp_path).count("may only read") == 1


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({}, "true"),
        ({"private": True}, "false"),
        ({"private": True, "enterprise": {"slug": "acme"}}, "true"),
        ({"server": "https://acme.ghe.com"}, "true"),
        ({"server": "https://github.acme.example"}, "false"),
    ],
)
def test_attestations_follow_the_plan(
    ask: Ask, tmp_path: Path, facts: dict[str, object], expected: str
) -> None:
    assert ask(**facts)["attestations"] == expected
    assert ("GitHub Enterprise Cloud" in read_summary(tmp_path)) == (expected == "false")


NEW = "2" * 40


@pytest.mark.parametrize(
    ("event", "ref", "tip", "runs", "expected"),
    [
        ("push", "heads/main", NEW, "cd.yml", "true"),
        ("push", "heads/main", "3" * 40, "cd.yml", "false"),
        ("push", "heads/main", "3" * 40, "ci.yml", "true"),  # such as [skip ci], or by a bot
        ("push", "heads/release/1.0", "3" * 40, "cd.yml", "false"),
        ("push", "heads/develop", "", "cd.yml", "true"),  # gone meanwhile
        ("workflow_dispatch", "heads/main", "3" * 40, "cd.yml", "false"),  # such as one repeated
    ],
)
def test_commit_may_not_be_the_newest(  # noqa: PLR0913, PLR0917
    ask: Ask, github: FakeGitHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
    event: str, ref: str, tip: str, runs: str, expected: str,
) -> None:  # fmt: skip
    github.runs.runs = [WorkflowRun(7, runs, tip, {})]
    workflow = "octo-org/widget/.github/workflows/cd.yml@refs/heads/main"
    about = {"EVENT_NAME": event, "REF": f"refs/{ref}", "SHA": NEW, "WORKFLOW_REF": workflow}
    for name, text in about.items():
        monkeypatch.setenv(f"GITHUB_{name}", text)
    if tip:
        github.resources[f"/repos/octo-org/widget/git/ref/{ref}"] = {"object": {"sha": tip}}
    assert ask()["newest"] == expected
    assert (f"has a newer commit, {tip[:12]}" in read_summary(tmp_path)) == (expected == "false")


@pytest.mark.parametrize(
    ("tag", "other", "ended", "expected"),
    [
        ("v1.0.9", "v1.1.0", "success", "false"),
        ("v1.9.0", "v1.10.0", None, "false"),  # it goes on
        ("v1.0.9", "v1.1.0", "failure", "true"),
        ("v1.1.0", "v1.0.9", "success", "true"),
        ("v1.0.9", "v1.1.0-beta.1", "success", "true"),
        ("v1.0.9-beta.1", "v1.1.0", "success", "true"),
        ("v1.0.9", "main", "success", "true"),  # a job made the tag v1.1.0, which starts nothing
    ],
)
def test_pushed_version_may_not_be_the_highest(  # noqa: PLR0913, PLR0917
    ask: Ask, github: FakeGitHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
    tag: str, other: str, ended: str | None, expected: str,
) -> None:  # fmt: skip
    run = WorkflowRun(7, "cd.yml", NEW, conclusion=ended, branch=other)
    run.status = "completed" if ended else "in_progress"
    github.runs.runs = [run]
    tags = [{"name": name, "commit": {"sha": NEW}} for name in (tag, other, "v1.1.0")]
    github.resources["/repos/octo-org/widget/tags"] = tags[: 3 if other == "main" else 2]
    workflow = f"octo-org/widget/.github/workflows/cd.yml@refs/tags/{tag}"
    about = {"EVENT_NAME": "push", "REF": f"refs/tags/{tag}", "WORKFLOW_REF": workflow}
    for name, text in about.items():
        monkeypatch.setenv(f"GITHUB_{name}", text)
    assert ask()["newest"] == expected
    said = f"{other} is higher than {tag}"
    assert (said in read_summary(tmp_path)) == (expected == "false")


def test_newer_commit_that_nobody_can_tell_of_stops_nothing(
    ask: Ask, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GITHUB_EVENT_NAME", "push")
    monkeypatch.setenv("GITHUB_REF", "refs/heads/main")
    monkeypatch.setenv(
        "GITHUB_WORKFLOW_REF", "octo-org/widget/.github/workflows/cd.yml@refs/heads/x"
    )
    assert ask(status=500)["newest"] == "true"
    assert (
        "::warning title=Whether there is a newer commit is not known::" in capsys.readouterr().out
    )


def test_empty_protection_and_rehearsal_are_none(ask: Ask, tmp_path: Path) -> None:
    answers = ask(reviewers=[], target="rehearsal")
    assert (answers["approval"], answers["deployment"]) == ("false", "false")
    assert "no required reviewers" in read_summary(tmp_path)


@pytest.mark.parametrize("status", [401, 403, 404, 500])
def test_refusal_to_look_is_no_failure(ask: Ask, status: int) -> None:
    answers = ask(status=status)
    assert answers["dependency-review"] == "false"


def test_action_passes_on_every_answer() -> None:
    root = Path(__file__).parents[3]
    text = (root / ".github/actions/capabilities/action.yml").read_text()
    for name in capabilities.QUESTIONS:
        assert f"value: ${{{{ steps.ask.outputs.{name} }}}}" in text
