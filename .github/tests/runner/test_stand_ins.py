"""The stand-ins for the actions that move files and code are as strict as the actions."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from events import Event, withhold
from fakes.github_api import FakeGitHub
from fakes.github_security import Security
from lib.git import GitError
from origin import Git
from workflows import load

STAND_INS = Path(__file__).parents[2] / "runner/stand-ins/actions"
COMMIT = "0" * 40


def run(action: str, tree: Path, **inputs: str) -> tuple[int, str, str]:
    """Run a stand-in in a folder; return its exit code, what it printed, and its outputs."""
    declared = load(STAND_INS / action / "interface.yml")["inputs"]
    defaults = {f"INPUT_{key.replace('-', '_').upper()}": text for key, text in declared.items()}
    output = tree.parent / "output"
    output.write_text("")
    (tree.parent / "kept").mkdir(exist_ok=True)
    (main,) = (path for path in (STAND_INS / action).iterdir() if path.suffix in {".py", ".sh"})
    command = [sys.executable if main.suffix == ".py" else "bash", str(main)]
    done = subprocess.run(
        command,
        cwd=tree,
        env=os.environ
        | Git(tree).environment
        | {
            "GITHUB_OUTPUT": str(output),
            "GITHUB_REPOSITORY": "octo-org/widget",
            "GITHUB_RUN_ID": "1",
            "GITHUB_STEP_SUMMARY": str(tree.parent / "summary"),
            "GITHUB_TOKEN": "x",
            "GITHUB_SERVER_URL": "https://github.com",
            "PIPELINES_ARTIFACTS": str(tree.parent / "kept"),
        }
        | defaults
        | inputs,
        check=False,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    return done.returncode, done.stdout, output.read_text()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return a folder with files to keep."""
    tree = tmp_path / "tree"
    for name in ("a/one.txt", "a/b/two.txt", "a/.hidden", "c/three.txt", ".d/four.txt"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(name)
    return tree


def upload(tree: Path, patterns: str, **inputs: str) -> tuple[int, str, str]:
    return run("upload-artifact", tree, INPUT_PATH=patterns, **{"INPUT_NAME": "files"} | inputs)


def kept(tree: Path, name: str = "files") -> set[str]:
    folder = tree.parent / "kept" / name
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("patterns", "hidden", "names"),
    [
        ("a/", "false", {"one.txt", "b/two.txt"}),
        ("a/", "true", {"one.txt", "b/two.txt", ".hidden"}),
        ("a/one.txt", "false", {"one.txt"}),
        ("a/*.txt", "false", {"one.txt"}),
        ("a/b\nc/three.txt", "false", {"a/b/two.txt", "c/three.txt"}),
        ("a/\n!a/b/**", "false", {"one.txt"}),
        ("*/*.txt", "false", {"a/one.txt", "c/three.txt"}),
    ],
)
def test_upload_keeps_what_the_action_keeps(
    tree: Path, patterns: str, hidden: str, names: set[str]
) -> None:
    code, text, outputs = upload(tree, patterns, INPUT_INCLUDE_HIDDEN_FILES=hidden)
    assert code == 0, text
    assert kept(tree) == names
    assert "artifact-url=https://github.com/octo-org/widget/actions/runs/1/" in outputs


@pytest.mark.parametrize(
    "inputs",
    [
        {"INPUT_NAME": "a/b"},
        {"INPUT_NAME": "a:b"},
        {"INPUT_NAME": ""},
        {"INPUT_IF_NO_FILES_FOUND": "fail"},
        {"INPUT_IF_NO_FILES_FOUND": "error", "INPUT_PATH": "nowhere"},
        {"INPUT_PATH": "strange"},
    ],
)
def test_upload_refuses_what_the_action_refuses(tree: Path, inputs: dict[str, str]) -> None:
    (tree / "strange").mkdir()
    (tree / "strange/a:b").touch()
    code, text, outputs = upload(tree, inputs.pop("INPUT_PATH", "a"), **inputs)
    assert code == 1
    assert text.startswith("::error::")
    assert not outputs


def test_upload_without_files_has_no_outputs(tree: Path) -> None:
    code, text, outputs = upload(tree, "nowhere")
    assert (code, outputs) == (0, "")
    assert text.startswith("::warning::")


def test_download_of_one_match_has_no_folder(tree: Path) -> None:
    inputs = {"INPUT_PATTERN": "*-results", "INPUT_PATH": str(tree / "got")}
    upload(tree, "a/one.txt", INPUT_NAME="one-results")
    assert run("download-artifact", tree, **inputs)[0] == 0
    assert [path.name for path in (tree / "got").iterdir()] == ["one.txt"]
    upload(tree, "c", INPUT_NAME="two-results")
    run("download-artifact", tree, **inputs | {"INPUT_PATH": str(tree / "both")})
    assert sorted(path.name for path in (tree / "both").iterdir()) == ["one-results", "two-results"]


@pytest.mark.parametrize("depth", ["0", "1"])
@pytest.mark.parametrize("fate", ["stayed", "moved", "went"])
def test_checkout_of_a_tag(tmp_path: Path, depth: str, fate: str) -> None:
    origin = Git(tmp_path / "origin")
    origin.directory.mkdir()
    origin("init", "--quiet", "--initial-branch=main")
    origin("commit", "--quiet", "--allow-empty", "-m", "feat: one")
    commit = origin.find("HEAD")
    origin("tag", "--annotate", "--message", "text", "v1.0.0")
    if fate != "stayed":
        origin("commit", "--quiet", "--allow-empty", "-m", "feat: two")
        origin("tag", "--delete", "v1.0.0")
    if fate == "moved":
        origin("tag", "v1.0.0")
    code, text, _ = run(
        "checkout",
        tmp_path / "origin",
        INPUT_FETCH_DEPTH=depth,
        INPUT_PATH=str(tmp_path / "target"),
        INPUT_PERSIST_CREDENTIALS="false",
        GITHUB_REF="refs/tags/v1.0.0",
        GITHUB_SHA=commit,
        PIPELINES_ORIGIN=str(origin.directory),
    )
    assert (code == 0) == (fate == "stayed"), text
    with pytest.raises(GitError, match="Could not read from remote"):
        Git(tmp_path / "target")("push", "origin", f"{commit}:refs/heads/other")
    if fate == "moved":
        assert "does not point to the expected commit" in text


@pytest.fixture
def github() -> Iterator[FakeGitHub]:
    with FakeGitHub() as fake:
        fake.security = Security(dependency_graph=True, code_scanning=True)
        yield fake


def sarif_of(*categories: str, **more: Any) -> str:
    runs = [
        {"tool": {"driver": {"name": "x"}}, "results": [], "automationDetails": {"id": category}}
        | more
        for category in categories
    ]
    return json.dumps({"version": "2.1.0", "runs": runs})


def send(tree: Path, github: FakeGitHub, text: str, **inputs: str) -> tuple[int, str]:
    (tree / "x.sarif").write_text(text)
    settings = {"INPUT_SARIF_FILE": "x.sarif", "GITHUB_API_URL": github.url}
    settings |= {"GITHUB_ENV": str(tree.parent / "env"), "RUNNER_TEMP": str(tree.parent)}
    settings |= {"GITHUB_REF": "refs/heads/main", "GITHUB_SHA": COMMIT}
    code, said, _ = run("../github/codeql-action/upload-sarif", tree, **settings | inputs)
    return code, said


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not valid SARIF"),
        ("{}", "not valid SARIF"),
        (sarif_of("a").replace("2.1.0", "2.0.0"), "not valid SARIF"),
        (sarif_of("a", results=1), "not valid SARIF"),
        (sarif_of("a", results=[{"ruleId": "x"}]), "not valid SARIF"),
        (sarif_of("a", tool={}), "not valid SARIF"),
        (sarif_of("a", "b", "a"), "multiple SARIF runs with the same category"),
    ],
)
def test_upload_of_sarif_refuses(tree: Path, github: FakeGitHub, text: str, reason: str) -> None:
    code, said = send(tree, github, text)
    assert code == 1
    assert reason in said
    assert not github.security.uploads


def test_branch_of_a_queue_takes_no_upload(tree: Path, github: FakeGitHub) -> None:
    queue = "refs/heads/gh-readonly-queue/main/pr-1-0"
    code, said = send(tree, github, sarif_of("a"), GITHUB_REF=queue)
    assert (code, f"ref '{queue}' not found" in said) == (1, True)


def test_category_is_uploaded_once_in_a_job(tree: Path, github: FakeGitHub) -> None:
    assert send(tree, github, sarif_of("a", "b")) == (0, "")
    asked = [request.rpartition("widget")[2] for request in github.requests]
    assert asked[:2] == ["/actions/runs/1", "/code-scanning/analysis/status"], "as the action does"
    kept = dict(line.split("=") for line in (tree.parent / "env").read_text().splitlines())
    code, said = send(tree, github, sarif_of("b"), **kept)
    assert code == 1
    assert "only one run" in said
    assert send(tree, github, sarif_of("c"), **kept)[0] == 0
    assert len(github.security.uploads) == 2


def review(tree: Path, github: FakeGitHub, config: str, **change: Any) -> tuple[int, str]:
    empty = dict.fromkeys(("manifest", "version", "package_url", "source_repository_url"), "")
    named = {"change_type": "added", "name": "p", "ecosystem": "pypi", "license": "MIT"}
    github.security.changes = [empty | named | change]
    (tree / "config.yml").write_text(config)
    sides = {side: {"sha": COMMIT} for side in ("base", "head")}
    (tree / "event.json").write_text(json.dumps({"pull_request": sides}))
    code, said, _ = run(
        "dependency-review-action",
        tree,
        INPUT_CONFIG_FILE="config.yml",
        GITHUB_API_URL=github.url,
        GITHUB_EVENT_PATH=str(tree / "event.json"),
    )
    return code, said


DENY = "deny-licenses: GPL-3.0, GPL-3.0-only, GPL-3.0-or-later\n"


@pytest.mark.parametrize(
    ("config", "license_", "code"),
    [
        (DENY, "MIT", 0),
        (DENY, "GPL-3.0-only", 1),
        (DENY, "GPL-3.0-or-later", 1),
        (DENY, "GPL-2.0-or-later", 1),
        (DENY, "GPL-2.0-only", 0),
        (DENY, "LGPL-3.0-only", 0),
        (DENY, "MIT OR GPL-3.0-only", 1),
        (DENY, "MIT AND GPL-3.0-only", 0),
        (DENY, "(MIT AND ISC) OR GPL-3.0-only", 1),
        (DENY, "MIT AND (ISC OR GPL-3.0-only)", 0),
        (DENY, "GPL-3.0-only WITH GCC-exception-3.1", 0),
        (DENY, "GPLv3", 0),
        (DENY, None, 0),
        (f"{DENY}license-check: false\n", "GPL-3.0-only", 0),
        (f"{DENY}allow-dependencies-licenses: pkg:pypi/p@1\n", "GPL-3.0-only", 0),
        (f"{DENY}allow-dependencies-licenses: pkg:npm/p\n", "GPL-3.0-only", 1),
        ("allow-licenses: [MIT, ISC]\n", "MIT OR GPL-3.0-only", 0),
        ("allow-licenses: [MIT, ISC]\n", "MIT AND ISC", 0),
        ("allow-licenses: [MIT, ISC]\n", "MIT AND 0BSD", 1),
        ("allow-licenses: [GPLv3]\n", "MIT", 1),
        (f"{DENY}allow-licenses: [MIT]\n", "MIT", 1),
        ("allow-licenses: []\n", "MIT", 1),
        ("fail-on-severity: bad\n", "MIT", 1),
        ("fail-on-scopes: [all]\n", "MIT", 1),
        ("allow-dependencies-licenses: [p]\n", "MIT", 1),
    ],
)
def test_review_judges_licences_as_the_action_does(
    tree: Path, github: FakeGitHub, config: str, license_: str | None, code: int
) -> None:
    assert review(tree, github, config, license=license_)[0] == code


@pytest.mark.parametrize(
    ("config", "more", "code"),
    [
        ("fail-on-severity: moderate\n", {}, 1),
        ("fail-on-severity: high\n", {}, 0),
        ("fail-on-scopes: [runtime]\n", {"scope": "development"}, 0),
        ("allow-ghsas: [GHSA-1]\n", {}, 0),
        ("allow-ghsas: GHSA-2\n", {"change_type": "removed"}, 0),
    ],
)
def test_review_judges_vulnerabilities_as_the_action_does(
    tree: Path, github: FakeGitHub, config: str, more: dict[str, str], code: int
) -> None:
    known = [{"severity": "moderate", "advisory_ghsa_id": "GHSA-1"}]
    assert review(tree, github, config, vulnerabilities=known, **more)[0] == code


@pytest.mark.parametrize(
    ("overrides", "seen", "writes"),
    [
        ({}, ["secret", "variable"], True),
        ({"sender.login": "dependabot[bot]"}, ["variable"], True),
        ({"pull_request.head.repo.full_name": "somebody/widget"}, [], False),
        ({"pull_request.head.repo": None}, [], False),
    ],
    ids=["own", "dependabot", "fork", "deleted fork"],
)
def test_pull_request_gets_what_github_gives_it(
    github: FakeGitHub, overrides: dict[str, Any], seen: list[str], writes: bool
) -> None:
    payload = Event("pull_request", "opened", overrides).payload(COMMIT, COMMIT)
    given = withhold(payload, {"secret": ""}, {"variable": ""})
    assert [name for kind in given for name in kind] == seen
    github.see(payload)
    path, header = "/repos/octo-org/widget/issues/1/comments", {"Authorization": "Bearer x"}
    assert github.answer("POST", path, b'{"body": "x"}', header)[0] == (201 if writes else 403)
    assert github.answer("GET", path, b"", header)[0] == 200


def test_merge_queue_has_the_pull_request_that_it_names(github: FakeGitHub) -> None:
    path, header = "/repos/octo-org/widget/pulls/1", {"Authorization": "Bearer x"}
    github.see(Event.parse("merge_group").payload(COMMIT, COMMIT))
    assert github.answer("GET", path, b"", header)[1]["title"] == "feat: try the pipelines"
    github.resources[path] = {"title": "Wrong"}
    github.see(Event.parse("merge_group").payload(COMMIT, COMMIT))
    assert github.answer("GET", path, b"", header) == (200, {"title": "Wrong"})


def test_artifacts_that_are_merged_get_no_folders(tree: Path) -> None:
    for name in ("one", "two"):
        run("upload-artifact", tree, INPUT_NAME=name, INPUT_PATH=f"{'ac'[name == 'two']}/*.txt")
    code, _, _ = run("download-artifact", tree, INPUT_PATH="m", INPUT_MERGE_MULTIPLE="true")
    assert code == 0
    assert {path.name for path in (tree / "m").iterdir()} == {"one.txt", "three.txt"}


@pytest.mark.parametrize("fails", ["buildx", "push"])
def test_build_or_push_that_fails_says_why(tree: Path, fails: str) -> None:
    docker = tree / "docker"
    docker.write_text(
        f'#!/bin/sh\n[ "$1" != {fails} ] || {{ echo "ERROR: {fails}" >&2; echo; exit 1; }}\n'
    )
    docker.chmod(0o755)
    environment = {"PATH": f"{tree}:{os.environ['PATH']}", "RUNNER_TEMP": str(tree)}
    code, said, _ = run("../docker/build-push-action", tree, INPUT_PUSH="true", **environment)
    assert code == 1
    assert f"::error::buildx failed with: ERROR: {fails}\n" in said
