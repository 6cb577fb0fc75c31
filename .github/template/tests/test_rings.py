"""Take the outer rings of a copy away: the inner ones stay green."""

import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from copies import execute, lint
from engine import ROOT
from origin import Git

READ_THE_TREE = (
    "checks/test_changes.py", "checks/test_pr_title.py", "checks/test_workflow_rules.py",
    "lib/test_project.py", "repository/test_rename_project.py", "repository/test_setup_github.py",
    "runner/test_workflows.py", "workflows",
)  # fmt: skip
"""Tests of the machinery that read files of the tree, or its name."""


def test_arrows_go_inwards() -> None:
    def mentions(pattern: str, *folders: str) -> list[str]:
        found = Git(ROOT)("grep", "--cached", "-lE", pattern, "--", *folders, ":!*.lock") if (
            subprocess.run(["git", "grep", "-qE", pattern, "--", *folders], cwd=ROOT, check=False)
            .returncode == 0
        ) else ""  # fmt: skip
        return found.splitlines()

    assert not mentions(r"\.github", "src", "tests")
    inner = (".github/actions", ".github/runner", ".github/scripts", ".github/workflows", "deploy")
    names_the_proof = mentions(r"\.github/template", *inner, ".github/tests")
    assert names_the_proof == [
        ".github/scripts/repository/rename_project.py",
        ".github/tests/repository/test_rename_project.py",
    ]


def test_without_the_proof_the_machinery_is_green(copy: Path) -> None:
    assert not (copy / ".github/template").exists()
    assert not (copy / ".ci").exists()
    said = execute(copy, "git", "grep", "-lE", r"\.github/template|test-template")
    assert {Path(line).name for line in said.splitlines()} == {
        "rename_project.py",
        "test_rename_project.py",
    }
    # Its linters run in the CI of each foreign app.
    execute(copy, "pytest", ".github/tests", "--collect-only", "--assert=plain", "-q", "-n0")
    tests = [f".github/tests/{path}" for path in READ_THE_TREE]
    execute(copy, "pytest", *tests, "-q", "-n0", "--assert=plain", "-m", "not slow")


@pytest.mark.usefixtures("types")
def test_without_the_machinerys_tests_the_rest_is_green(copy: Path) -> None:
    shutil.rmtree(copy / ".github/tests")
    lint(copy)


def test_the_apps_tests_need_the_group_test_alone(copy: Path) -> None:
    for folder in ("runner", "scripts", "tests"):
        shutil.rmtree(copy / ".github" / folder)
    # Not below pytest's own folder, which another run of pytest closes to PostgreSQL's account.
    with TemporaryDirectory(prefix="test-") as folder:
        alone = {"UV_PROJECT_ENVIRONMENT": folder, "VIRTUAL_ENV": ""}
        options = ("--locked", "--no-default-groups", "--group=test", "--quiet")
        execute(copy, "uv", "sync", *options, **alone)
        alone |= {"PATH": "/usr/bin:/bin"}
        pytest = (f"{folder}/bin/pytest", "-q", "-n0")
        some = ("--no-cov", "tests/api/test_items.py", "tests/unit/test_cli.py")
        assert " passed" in execute(copy, *pytest, *some, **alone)
        assert "test_items" in execute(copy, *pytest, "--collect-only", **alone)
