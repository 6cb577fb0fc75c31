"""Take the outer rings of a copy away: the inner ones stay green."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from copies import execute, lint, make_copy
from engine import ROOT
from origin import Git

NAME = "billing-plan"
READ_THE_TREE = ("checks", "lib", "repository", "workflows", "runner/test_workflows.py")
"""Tests of the machinery that read files of the tree, or its name."""


@pytest.fixture(scope="session")
def renamed() -> Iterator[Git]:
    """A copy with a name of its own, and so without the proof."""
    with TemporaryDirectory(prefix="rings-") as folder:
        yield make_copy(Path(folder) / "copy", NAME)


@pytest.fixture
def copy(renamed: Git, tmp_path: Path) -> Path:
    """A clone of it, to be changed."""
    renamed("clone", "--quiet", str(renamed.directory), str(tmp_path / "copy"))
    return tmp_path / "copy"


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
    lint(copy)
    execute(copy, "pytest", ".github/tests", "--collect-only", "-q", "-n0")
    folders = [f".github/tests/{folder}" for folder in READ_THE_TREE]
    folders += ["--ignore=.github/tests/checks/test_fuzz.py"]  # which needs the app installed
    execute(copy, "pytest", *folders, "-q", "-n0", "-m", "not slow")


def test_without_the_machinerys_tests_the_rest_is_green(copy: Path) -> None:
    shutil.rmtree(copy / ".github/tests")
    lint(copy)


def test_the_apps_tests_need_the_group_test_alone(copy: Path) -> None:
    for folder in ("runner", "scripts", "tests"):
        shutil.rmtree(copy / ".github" / folder)
    alone = {"UV_PROJECT_ENVIRONMENT": str(copy / ".venv"), "VIRTUAL_ENV": ""}
    execute(copy, "uv", "sync", "--locked", "--no-default-groups", "--group=test", "-q", **alone)
    program = str(copy / ".venv/bin/pytest")
    said = execute(copy, program, "tests/unit", "tests/api", "-q", PATH="/usr/bin:/bin", **alone)
    assert " passed" in said
    assert " skipped," not in said
