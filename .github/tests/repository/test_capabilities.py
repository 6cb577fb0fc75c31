import json
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes.github_api import FakeGitHub
from fakes.github_security import Security
from fakes.github_settings import PEOPLE
from repository import capabilities

Ask = Callable[..., dict[str, str]]


@pytest.fixture
def ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ask:
    """Return a function that asks a fake GitHub everything and returns the outputs."""

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
        monkeypatch.setenv("GITHUB_EVENT_PATH", str(tmp_path / "event"))
        monkeypatch.setenv("GITHUB_SERVER_URL", server)
        for name in ("output", "summary"):
            (tmp_path / name).write_text("")
        monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "output"))
        monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary"))
        monkeypatch.setenv("GITHUB_REPOSITORY", "octo-org/widget")
        monkeypatch.setenv("GITHUB_TOKEN", "token")
        monkeypatch.setenv("BASE_SHA", "a" * 40)
        monkeypatch.setenv("HEAD_SHA", "b" * 40)
        monkeypatch.setenv("READ_ONLY", str(read_only).lower())
        monkeypatch.setenv("DEPLOY_ENVIRONMENT", "production")
        monkeypatch.setenv("DEPLOY_TARGET", target)
        with FakeGitHub(status=status) as fake:
            fake.security = security or Security()
            if reviewers is not None:
                fake.settings.environments["production"] = {
                    "wait_timer": 5,
                    "reviewers": [
                        {"type": "User", "id": PEOPLE[reviewer]} for reviewer in reviewers
                    ],
                    "deployment_branch_policy": None,
                }
            monkeypatch.setenv("GITHUB_API_URL", fake.url)
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
        "sarif": "false",
    }
    assert capsys.readouterr().out.count("::notice title=Not available here::") == 4
    assert "setup-github --apply --reviewer" in read_summary(tmp_path)
    assert "gh variable set DEPLOY\\_TARGET --env production" in read_summary(tmp_path)
    assert "Dependency graph → Enable" in read_summary(tmp_path)
    assert "Code Security → Enable" in read_summary(tmp_path)


def test_fork_and_dependabot_may_only_read(ask: Ask, tmp_path: Path) -> None:
    on = Security(dependency_graph=True, code_scanning=True)
    answers = ask(on, read_only=True, target="kubernetes", reviewers=["octocat"])
    for name in ("approval", "dependency-review", "deployment"):
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


def test_environment_without_reviewers_is_not_protected(ask: Ask, tmp_path: Path) -> None:
    assert ask(reviewers=[])["approval"] == "false"
    assert "no required reviewers" in read_summary(tmp_path)


@pytest.mark.parametrize("target", ["", "rehearsal"])
def test_rehearsal_is_no_target(ask: Ask, target: str) -> None:
    assert ask(target=target)["deployment"] == "false"


def test_default_setup_is_in_the_way_of_codeql_alone(ask: Ask, tmp_path: Path) -> None:
    answers = ask(Security(code_scanning=True, default_setup=True, reads_setup=True))
    assert (answers["code-scanning"], answers["sarif"]) == ("false", "true")
    assert "Switch to advanced" in read_summary(tmp_path)


def test_default_setup_that_cannot_be_seen_is_told_by_the_upload(ask: Ask) -> None:
    assert ask(Security(code_scanning=True, default_setup=True))["code-scanning"] == "true"


@pytest.mark.parametrize("status", [401, 403, 404, 500])
def test_refusal_to_look_is_no_failure(ask: Ask, status: int) -> None:
    answers = ask(status=status)
    assert answers["dependency-review"] == "false"


def test_action_passes_on_every_answer() -> None:
    root = Path(__file__).parents[3]
    text = (root / ".github/actions/capabilities/action.yml").read_text()
    for name in capabilities.QUESTIONS:
        assert f"value: ${{{{ steps.ask.outputs.{name} }}}}" in text
