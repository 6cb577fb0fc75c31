import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from engine import ROOT
from fakes.github_api import FakeGitHub
from fakes.github_security import Security
from repository import setup_github
from repository.repository_settings import ONLY_SOME, differs

Run = Callable[..., tuple[int, str]]
REVIEWER = ("--reviewer", "octocat")
VERDICT = """on: {pull_request: TRIGGER}
jobs:
  work: {runs-on: x}
  whole: {name: All, steps: [{uses: ./.github/actions/verdict}]}
"""
WORKFLOWS = {
    "cd.yml": "on: push\njobs: {}\n",
    "ci.yml": VERDICT.replace("TRIGGER", "{branches: [main]}"),
    "codeql.yml": "on: push\njobs: {run: {steps: [{uses: 'github/codeql-action/analyze@1'}]}}\n",
    "dependency-review.yml": "on: push\njobs: {}\nenv: {A: '${{ secrets.SAFETY_API_KEY }}'}\n",
    "release.yml": "on: push\njobs: {}\n"
    "env: {A: '${{ secrets.PYPI_API_TOKEN }}', B: '${{ vars.PYPI_TRUSTED_PUBLISHING }}'}\n",
}
LABELS = dict.fromkeys(("security", "dependencies", "automated"), ("ededed", "What it is for"))


@pytest.fixture(autouse=True)
def whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lead to a copy that has all that there is to set up, whatever this one has dropped."""
    for name, text in WORKFLOWS.items():
        path = tmp_path / "whole/.github/workflows" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    shutil.copytree(ROOT / ".github/rulesets", tmp_path / "whole/.github/rulesets")
    monkeypatch.setattr(setup_github, "ROOT", tmp_path / "whole")
    monkeypatch.setattr(setup_github, "LABELS", LABELS)


@pytest.fixture
def github(github: FakeGitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeGitHub:
    """Return a new repository on a fake GitHub, which gh talks to as well."""
    github.security = Security(code_scanning=True, default_setup=True, reads_setup=True)
    github.lead_gh(tmp_path / "config")
    monkeypatch.setenv("GH_CONFIG_DIR", str(tmp_path / "config"))
    (tmp_path / "gh").symlink_to(str(shutil.which("gh")))
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return github


@pytest.fixture
def run(github: FakeGitHub, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs the command on it; what it says includes its errors."""

    def execute(*arguments: str) -> tuple[int, str]:
        assert github.status
        code = setup_github.main(arguments)
        captured = capsys.readouterr()
        return code, captured.out + captured.err

    return execute


def find_rules(github: FakeGitHub) -> dict[str, Any]:
    """Return the rules of the ruleset for main by their types."""
    every = github.settings.rulesets.values()
    (ruleset,) = (ruleset for ruleset in every if ruleset["name"] == "main")
    return {rule["type"]: rule.get("parameters", {}) for rule in ruleset["rules"]}


def test_shows_its_plan_and_changes_nothing(run: Run, github: FakeGitHub) -> None:
    for arguments in ((), ("--dry-run",)):
        code, text = run(*arguments)
        assert code == 0
        assert "octo-org/widget (public, plan free)" in text
        for line in (
            "~ environment production: create; v*.*.* may deploy",
            "~ releases that nobody changes: off → on",
            "~ ruleset tags: never moved or deleted: create",
            "~ dependency graph and Dependabot alerts: off → on",
            "~ only actions pinned to a commit: sha_pinning_required false → true",
            "~ label security: create",
            "Nothing was changed. `uv run poe setup-github --apply` does it.",
        ):
            assert line in text
    assert not github.settings.changes
    assert all(request.startswith("GET ") for request in github.requests)


def test_second_run_changes_nothing(run: Run, github: FakeGitHub) -> None:
    code, text = run("--apply", *REVIEWER)
    assert code == 0, text
    settings = github.settings
    assert settings.environments.keys() == {"staging", "production", "pypi", "template"}
    production = settings.environments["production"]
    assert (production["wait_timer"], production["reviewers"]) == (5, [{"type": "User", "id": 1}])
    assert [*settings.tags["production"].values()] == ["v*.*.*"]
    assert [*settings.tags["template"].values()] == ["main"]
    assert [*settings.tags["pypi"].values()] == ["v*.*.*", "main"], "no branch of its own"
    assert settings.environments["staging"] == {
        "wait_timer": 0, "reviewers": [], "prevent_self_review": False, "can_admins_bypass": True,
        "deployment_branch_policy": None,
    }  # fmt: skip
    assert settings.environments["pypi"]["reviewers"] == [{"type": "User", "id": 1}]
    assert settings.objects["/actions/permissions"]["sha_pinning_required"]
    assert settings.objects["/actions/permissions"]["allowed_actions"] == "all"
    assert all(settings.switches.values())
    rules = find_rules(github)
    checks = rules["required_status_checks"]["required_status_checks"]
    assert [check["context"] for check in checks] == ["All"]
    assert not github.security.default_setup
    assert github.issues.labels >= {"security", "dependencies", "automated"}
    settings.changes.clear()
    assert run("--check")[0] == 0
    code, text = run("--apply")
    assert (code, settings.changes) == (0, [])
    assert "~" not in text
    assert "same." in text


def test_drift_is_found_and_mended(run: Run, github: FakeGitHub) -> None:
    run("--apply", *REVIEWER)
    now = github.settings
    now.environments["production"]["wait_timer"] = 0
    now.environments["pypi"]["reviewers"] = []
    now.tags["production"][2] = "*"
    del now.environments["staging"]
    now.rulesets[1]["enforcement"] = "disabled"
    now.rulesets[2]["rules"].pop()
    now.switches["/immutable-releases"] = False
    github.security.default_setup = True
    now.workflows = {f".github/workflows/{number}.yml": "deleted" for number in range(120)}
    now.workflows |= {
        "dynamic/github-code-scanning/codeql": "disabled_manually",
        ".github/workflows/codeql.yml": "disabled_manually",
    }
    now.switches["/vulnerability-alerts"] = False
    now.repository |= {"allow_squash_merge": False, "squash_merge_commit_title": "X"}
    code, text = run("--check")
    assert code == 1
    for line in (
        "protection of production: wait_timer 0 → 5",
        "protection of pypi: nobody approves it",
        "environment production: * may not deploy",
        "environment staging: create",
        'ruleset main: differs from .github/rulesets/main.json: enforcement "disabled" → "active"',
        "ruleset tags: never moved or deleted: differs from .github/rulesets/tags-kept.json",
        "releases that nobody changes: off → on",
        'CodeQL by its workflow, not by the default setup: state "configured" → "not-configured"',
        "workflows that GitHub disabled: codeql.yml disabled_manually → active",
        "dependency graph and Dependabot alerts: off → on",
        'merging: allow_squash_merge false → true, squash_merge_commit_title "X" → "PR_TITLE"',
    ):
        assert f"~ {line}" in text
    assert run("--apply", *REVIEWER)[0] == 0
    assert run("--check")[0] == 0
    states = [state for path, state in now.workflows.items() if "codeql" in path]
    assert states == ["disabled_manually", "active"], "only workflows of this copy are enabled"


@pytest.mark.parametrize("policy", [ONLY_SOME, {"protected_branches": True}])
def test_what_a_person_set_beside_it_stays(
    run: Run, github: FakeGitHub, policy: dict[str, bool]
) -> None:
    run("--apply", *REVIEWER)
    environments = github.settings.environments
    beside = {"prevent_self_review": True, "can_admins_bypass": False}
    limit = {"deployment_branch_policy": policy}
    environments["production"] |= beside | {"wait_timer": 0}
    environments["pypi"] |= beside | limit
    environments["staging"] |= limit
    code, text = run("--apply", *REVIEWER)
    assert code == 0, text
    production, pypi = environments["production"], environments["pypi"]
    assert (production["wait_timer"], production | beside) == (5, production)
    assert (pypi["deployment_branch_policy"], pypi | beside) == (ONLY_SOME, pypi)
    assert environments["staging"] | limit == environments["staging"]
    assert run("--check")[0] == 0


def test_rules_that_a_person_added_stay(run: Run, github: FakeGitHub) -> None:
    run("--apply", *REVIEWER)
    ruleset = next(one for one in github.settings.rulesets.values() if one["name"] == "main")
    own = {"context": "Sonar", "integration_id": 42}
    old = {"context": "Old"}
    find_rules(github)["required_status_checks"]["required_status_checks"] += [own, old]
    find_rules(github)["pull_request"]["required_reviewers"] = ["somebody"]
    find_rules(github)["pull_request"]["required_review_thread_resolution"] = False
    ruleset["rules"].append({"type": "required_signatures"})
    ruleset["bypass_actors"] = [{"actor_id": 5, "actor_type": "RepositoryRole"}]
    code, text = run("--apply")
    assert code == 0, text
    assert "required_review_thread_resolution false → true" in text
    assert '{"context": "Old"}] → ' in text, "what goes is shown"
    rules = find_rules(github)
    checks = rules["required_status_checks"]["required_status_checks"]
    assert [check["context"] for check in checks] == ["All", "Sonar"]
    assert rules["pull_request"]["required_reviewers"] == ["somebody"]
    assert rules["pull_request"]["required_review_thread_resolution"]
    assert "required_signatures" in rules
    (now,) = (one for one in github.settings.rulesets.values() if one["name"] == "main")
    assert now["bypass_actors"] == ruleset["bypass_actors"]
    assert run("--check")[0] == 0


@pytest.mark.parametrize(
    ("plan", "skipped", "done"),
    [
        ("free", ["environment production", "protection of pypi", "ruleset main"], []),
        ("", ["environment production", "protection of pypi", "ruleset main"], []),
        ("team", ["protection of production"], ["environment production", "ruleset main"]),
        ("enterprise", [], ["protection of production", "ruleset main"]),
    ],
)
def test_plan_that_lacks_something(
    run: Run, github: FakeGitHub, plan: str, skipped: list[str], done: list[str]
) -> None:
    github.settings.private, github.settings.plan = True, plan or "free"
    if not plan:
        github.faults = ["GET /orgs/octo-org"]
    code, text = run("--apply", *REVIEWER)
    assert code == 0, text
    lines = text.splitlines()
    for name in [*skipped, "private vulnerability reporting", "secret scanning"]:
        assert [line for line in lines if re.match(f"- {name}: .*(plan|public|not avail)", line)]
    for name in done:
        assert [line for line in lines if line.startswith(f"✔ {name}")], text


@pytest.mark.parametrize(
    ("reviewer", "why"),
    [((), "nobody approves it: --reviewer LOGIN"), (("--reviewer", "x"), "GET")],
)
def test_nobody_to_approve_is_no_silent_gap(
    run: Run, github: FakeGitHub, reviewer: tuple[str, ...], why: str
) -> None:
    code, text = run("--apply", *reviewer)
    assert code == 1
    assert f"✘ protection of production: {why}" in text
    assert github.settings.environments["production"]["reviewers"] == []
    assert "✔ ruleset main" in text


def test_secret_comes_from_a_file_and_is_never_shown(
    run: Run, github: FakeGitHub, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("very-secret-42")
    secret = ("--secret", f"pypi/PYPI_API_TOKEN={tmp_path / 'token'}")
    code, text = run("--apply", *REVIEWER, *secret)
    assert code == 0, text
    assert "very-secret" not in text
    assert "✔ secret pypi/PYPI_API_TOKEN: set" in text
    assert github.settings.secrets == {"/environments/pypi/secrets/PYPI_API_TOKEN"}
    github.settings.changes.clear()
    run("--apply", *secret)
    assert not github.settings.changes


def test_secret_without_gh(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    code, text = run("--apply", *REVIEWER, "--secret", "SAFETY_API_KEY")
    assert code == 1
    assert "✘ secret SAFETY_API_KEY: gh secret set: install gh" in text


@pytest.mark.parametrize(
    ("secret", "why"),
    [
        ("production/KUBE_CONFG=x", "no pipeline reads KUBE_CONFG; they read: "),
        ("pypi/PYPI_API_TOKEN={}/x", "PYPI_API_TOKEN cannot be read from {}/x: No such file"),
        ("SAFETY_API_KEY={}", "SAFETY_API_KEY cannot be read from {}: Is a directory"),
        ("SAFETY_API_KEY={}/latin-1", "from {}/latin-1: it is no text in UTF-8"),
    ],
)
def test_secret_that_cannot_be_set_is_told_before_all_else(
    run: Run, capsys: pytest.CaptureFixture[str], tmp_path: Path, secret: str, why: str
) -> None:
    (tmp_path / "latin-1").write_bytes("Schlüssel".encode("latin-1"))
    with pytest.raises(SystemExit):
        run("--apply", "--secret", secret.format(tmp_path))
    said = capsys.readouterr()
    assert why.format(tmp_path) in said.err
    assert not said.out, "nothing was looked at or changed"


def test_who_may_not_set_it_up_is_told(run: Run, github: FakeGitHub) -> None:
    github.settings.admin = False
    code, text = run("--apply")
    assert code == 1
    assert "Only an administrator" in text
    github.status = 404
    code, text = run()
    assert code == 1
    assert "GitHub does not show the repository" in text


def test_differences_count_one_way_only() -> None:
    wanted = {"a": 1, "rules": [{"type": "x"}, {"type": "y", "p": {"q": []}}]}
    actual = {"a": 1, "b": 2, "rules": [{"type": "y", "p": {"q": [], "r": 1}}, {"type": "x"}]}
    assert not differs(wanted, actual)
    assert differs(actual, wanted)
    assert differs({"a": [1]}, {"a": [1, 2]})


@pytest.mark.parametrize("kind", ["Organization", "User"])
def test_tags_are_made_by_maintainers_and_never_moved(
    run: Run, github: FakeGitHub, kind: str
) -> None:
    github.settings.kind = kind
    code, text = run("--apply", *REVIEWER)
    assert code == 0, text
    tags = [ruleset for ruleset in github.settings.rulesets.values() if ruleset["target"] == "tag"]
    may = {
        rule["type"]: [actor["actor_id"] for actor in ruleset.get("bypass_actors", [])]
        for ruleset in tags
        for rule in ruleset["rules"]
    }
    makers = [2, 5] if kind == "Organization" else [5]
    assert may == {"creation": makers, "deletion": [], "update": []}
    assert run("--check")[0] == 0


def test_reviews_are_asked_for_and_stay(run: Run, github: FakeGitHub) -> None:
    run("--apply", *REVIEWER)
    assert find_rules(github)["pull_request"]["required_approving_review_count"] == 0
    assert run("--check", "--reviews", "2")[0] == 1
    run("--apply", "--reviews", "2")
    rules = find_rules(github)
    assert rules["pull_request"]["required_approving_review_count"] == 2
    assert rules["pull_request"]["require_last_push_approval"]
    assert rules["required_status_checks"]["strict_required_status_checks_policy"]
    assert run("--check")[0] == 0, "what was asked for once is no difference"
    run("--apply", "--reviews", "0")
    assert not find_rules(github)["pull_request"]["require_code_owner_review"]


@pytest.fixture
def dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy that has one workflow of its own and no other pipeline."""
    workflows = tmp_path / "copy/.github/workflows"
    workflows.mkdir(parents=True)
    (workflows / "own.yaml").write_text(VERDICT.replace("TRIGGER", ""))
    monkeypatch.setattr(setup_github, "ROOT", tmp_path / "copy")
    monkeypatch.setattr(setup_github, "LABELS", {})
    return workflows


def test_only_what_the_copy_has_is_set_up(dropped: Path, run: Run, github: FakeGitHub) -> None:
    assert dropped.exists()
    code, text = run("--apply")
    assert code == 0, text
    assert github.security.default_setup, "nothing else looks for weaknesses"
    assert not github.settings.environments
    assert "environment" not in text
    assert "label" not in text


@pytest.mark.parametrize("before", ["main", "trunk"])
def test_default_branch_that_no_workflow_is_for(run: Run, github: FakeGitHub, before: str) -> None:
    github.settings.repository["default_branch"] = before
    code, text = run("--apply", *REVIEWER)
    assert code == 0, text
    created = "ruleset main: create; required: no check: none comes for each pull request"
    assert (created in text) == (before == "trunk")
    github.settings.repository["default_branch"] = "trunk"
    code, text = run("--apply", *REVIEWER)
    assert code == 0, text
    assert "required_status_checks" not in find_rules(github), "GitHub takes no empty list"
    assert run("--check")[0] == 0


@pytest.mark.parametrize(
    ("text", "checks"),
    [
        (VERDICT.replace("TRIGGER", ""), ["All"]),
        (VERDICT.replace("TRIGGER", "{paths: [src/**]}"), []),
        (VERDICT.replace("TRIGGER", "{branches: [main, develop]}"), []),
        (VERDICT.replace("TRIGGER", "{branches: develop}"), []),
        (VERDICT.replace("TRIGGER", "{branches: [tr*, '!tru*']}"), []),
        (VERDICT.replace("TRIGGER", "{branches: tr*}"), ["All"]),
        (VERDICT.replace("TRIGGER", "{branches-ignore: ['**']}"), []),
        (VERDICT.replace("TRIGGER", "{branches-ignore: [main]}"), ["All"]),
        (VERDICT.replace("TRIGGER", "{types: [opened]}"), []),
        (VERDICT.replace("TRIGGER", "{types: [opened, synchronize]}"), ["All"]),
        (VERDICT.replace("{pull_request: TRIGGER}", "[push, pull_request]"), ["All"]),
        (VERDICT.replace("{pull_request: TRIGGER}", "pull_request_target"), []),
        ("on: {pull_request: }\njobs: {work: {runs-on: x}}", []),
        ("on: {pull_request: }\njobs: {call: {uses: ./.github/workflows/x.yml}}", []),
    ],
)
def test_required_is_what_every_pull_request_gets(
    dropped: Path, text: str, checks: list[str]
) -> None:
    (dropped / "own.yaml").write_text(text)
    assert setup_github.find_checks("trunk") == checks
