"""What is deployed where, and what is refused."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from costs import evaluate
from deploy import deploy_plan
from deploy.deploy_plan import Plan, decide
from deploy.deploy_summary import main, tell
from engine import ROOT
from fakes.github_api import FakeGitHub
from hypothesis import given
from hypothesis import strategies as st
from origin import Git
from release.release_version import Refusal
from workflows import load

TAGS = ("v1.0.0", "v1.1.0-beta.1", "v1.1.0")


@pytest.fixture
def git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Git]:
    """Return a clone with a commit for each tag on main, and one on a feature branch."""
    origin = Git(tmp_path / "origin")
    origin.directory.mkdir()
    origin("init", "--quiet", "--initial-branch=main")
    for tag in TAGS:
        origin("commit", "--quiet", "--allow-empty", "-m", f"feat: {tag}")
        origin("tag", tag)
    origin("checkout", "--quiet", "-b", "feature")
    origin("commit", "--quiet", "--allow-empty", "-m", "feat: try")
    origin("tag", "v2.0.0")
    clone = Git(tmp_path / "clone")
    origin("clone", "--quiet", ".", str(clone.directory))
    monkeypatch.chdir(clone.directory)
    with FakeGitHub() as fake:
        clone.environment |= {
            "GH_TOKEN": "local",
            "GITHUB_API_URL": fake.url,
            "GITHUB_REPOSITORY": "octo-org/widget",
        }
        for key in ("GH_TOKEN", "GITHUB_API_URL", "GITHUB_REPOSITORY"):
            monkeypatch.setenv(key, clone.environment[key])
        yield clone


def push(git: Git, ref: str) -> dict[str, str]:
    """Return the environment of a run for a pushed ref."""
    commit = git.find(ref.replace("refs/heads/", "refs/remotes/origin/"))
    return {
        "DEFAULT_BRANCH": "main",
        "GITHUB_EVENT_NAME": "push",
        "GITHUB_REF": ref,
        "GITHUB_SHA": commit,
    }


def dispatch(git: Git, ref: str, environment: str, version: str = "") -> dict[str, str]:
    """Return the environment of a run by hand."""
    return push(git, ref) | {
        "ENVIRONMENT": environment,
        "GITHUB_EVENT_NAME": "workflow_dispatch",
        "VERSION": version,
    }


def test_push_goes_where_its_ref_says(git: Git) -> None:
    main_commit = git.find("refs/remotes/origin/main")
    assert decide(push(git, "refs/heads/main")) == Plan(
        "staging", main_commit[:12], main_commit, build=True
    )
    with pytest.raises(Refusal, match=r"v1\.0\.0 is lower than v1\.1\.0"):
        decide(push(git, "refs/tags/v1.0.0"))
    assert decide(dispatch(git, "refs/tags/v1.0.0", "production")).version == "v1.0.0"
    for tag, environment in (("v1.1.0", "production"), ("v1.1.0-beta.1", "staging")):
        plan = decide(push(git, f"refs/tags/{tag}"))
        assert plan == Plan(environment, tag, git.find(tag), build=True)
        git("tag", "--delete", tag)
        assert plan.elsewhere.startswith("staging" if environment == "production" else "production")


def test_by_hand_somebody_chooses(git: Git) -> None:
    head = git.find("refs/remotes/origin/main")
    assert decide(dispatch(git, "refs/heads/main", "production")).commit == head
    assert decide(dispatch(git, "refs/heads/feature", "staging")).build
    assert decide(dispatch(git, "refs/tags/v1.1.0", "staging")).version == "v1.1.0"
    earlier = decide(dispatch(git, "refs/heads/main", "production", "v1.0.0"))
    assert earlier == Plan("production", "v1.0.0", git.find("v1.0.0"), build=False)
    assert decide(dispatch(git, "refs/heads/main", "production", " v1.1.0 ")).build


@pytest.mark.parametrize(
    ("ref", "environment", "version", "reason"),
    [
        ("refs/heads/feature", "production", "", "feature does not go to production"),
        ("refs/heads/main", "production", "v1.1.0-beta.1", "stable versions only"),
        ("refs/heads/main", "production", "v9.9.9", "no tag v9.9.9. The newest are: v2.0.0, v1.1"),
        ("refs/heads/main", "production", "v2.0.0", "neither on main nor on release/2.0"),
        ("refs/tags/v2.0.0", "staging", "", "neither on main nor on release/2.0"),
        ("refs/heads/main", "nowhere", "", "no environment nowhere. There are: staging"),
        ("refs/heads/main", "", "", "no environment"),
        ("refs/heads/main", "staging", "v1.0", "For example: v1.2.3"),
        ("refs/heads/main", "staging", "$(id)`id`; rm -rf .\n::error::", "For example: v1.2.3"),
        ("refs/heads/main", "staging", "../../v1.0.0", "For example: v1.2.3"),
    ],
)
def test_refused(git: Git, ref: str, environment: str, version: str, reason: str) -> None:
    with pytest.raises(Refusal) as refusal:
        decide(dispatch(git, ref, environment, version))
    assert reason in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_pushed_tag_that_is_no_version_is_refused(git: Git) -> None:
    git("tag", "v1.2.3-foo")
    with pytest.raises(Refusal, match="is not a version"):
        decide(push(git, "refs/tags/v1.2.3-foo"))


def test_command(git: Git, tmp_path: Path) -> None:
    def run(event: dict[str, str]) -> tuple[int, str, str, str]:
        files = {key: tmp_path / key for key in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
        for file in files.values():
            file.write_text("")
        done = subprocess.run(
            [sys.executable, deploy_plan.__file__],
            env=git.environment | event | {key: str(file) for key, file in files.items()},
            check=False,
            text=True,
            capture_output=True,
        )
        outputs, summary = (file.read_text() for file in files.values())
        return done.returncode, done.stdout, outputs, summary

    code, said, outputs, summary = run(push(git, "refs/tags/v1.1.0"))
    assert code == 0, said
    assert "environment=production\nversion=v1.1.0\n" in outputs
    assert "build=true\nelsewhere=staging: " in outputs
    assert "| Environment | production |" in summary

    code, said, outputs, summary = run(dispatch(git, "refs/heads/main", "production", "`v9`"))
    assert code == 1
    assert "::error title=Refused::`v9` is not a version" in said
    assert not outputs
    assert "### ❌ Nothing is deployed" in summary


def needs(
    outcome: str = "", deploy: str = "success", **outputs: str
) -> dict[str, dict[str, object]]:
    plan = {"environment": "staging", "version": "v1.1.0-beta.1", "elsewhere": "production: waits"}
    told = {"outcome": outcome, "target": "compose", "url": "https://staging.example", **outputs}
    return {
        "plan": {"result": "success", "outputs": plan},
        "build": {"result": "success"},
        "image": {"result": "success", "outputs": {}},
        "deploy": {"result": deploy, "outputs": told if outcome else {}},
    }


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        ("deployed", "✅ v1.1.0-beta.1 deployed at [https"),
        ("rolled-back", "**rolled back** to 1.0, because smoke tests"),
        ("failed", "not deployed, because smoke tests"),
        ("rollback-failed", "**1.0 could not be put back**"),
    ],
)
def test_story_of_each_outcome(outcome: str, expected: str) -> None:
    story = tell(needs(outcome, previous="1.0", reason="smoke tests"))
    assert expected in story["staging"]
    assert story["production"] == "⏭️ not deployed, because waits"


def test_story_says_what_stopped_a_deployment() -> None:
    stopped = needs(deploy="skipped")
    stopped["build"]["result"] = "failure"
    assert "build ended as failure, deploy ended as skipped" in tell(stopped)["staging"]
    rejected = needs(deploy="failure")  # of an earlier version, whose image is there
    rejected["build"]["result"] = "skipped"
    rejected["plan"]["outputs"] = {"environment": "staging", "build": "false"}
    assert tell(rejected)["staging"] == "⏭️ not deployed, because deploy ended as failure"
    assert "rehearsal" in tell(needs("deployed", target="rehearsal"))["staging"]
    # GitHub keeps what an earlier attempt said where this one says nothing.
    deploy = load(ROOT / ".github/workflows/cd.yml")["jobs"]["deploy"]
    late = needs(evaluate(deploy["outputs"]["outcome"], {}) or "rolled-back", newest="false")
    assert "something newer has a run of its own" in tell(late)["staging"]


def test_story_without_a_plan(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    nothing = {"plan": {"result": "failure", "outputs": {}}, "deploy": {"result": "skipped"}}
    monkeypatch.setenv("NEEDS", json.dumps(nothing))
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary"))
    assert main([]) == 0
    assert "the job *Plan* says why" in (tmp_path / "summary").read_text()


@given(st.text(), st.text(), st.text())
def test_story_stays_one_line(reason: str, previous: str, url: str) -> None:
    for text in tell(needs("rolled-back", reason=reason, previous=previous, url=url)).values():
        assert "\n" not in text
        assert "<" not in text.replace("\\<", "")
