"""Small projects under Git, whose commits are measured."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from origin import Git

PROJECT = """
[project]
name = "tiny"
version = "0"
requires-python = ">=3.13"

[dependency-groups]
test = []

[tool.uv]
package = false

[tool.pytest]
addopts = ["-p", "no:anyio", "-p", "no:locust", "-p", "no:hypothesispytest"]
pythonpath = ["."]
"""
INSTALL = """#!/bin/sh
mkdir -p .venv/bin
printf '#!/bin/sh\\nexec {python} "$@"\\n' >.venv/bin/python
chmod +x .venv/bin/python
"""


@pytest.fixture
def measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Git:
    """The history of a small project; the current folder is its tree."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary"))
    git = Git(folder)
    git("init", "--quiet", "--initial-branch=main")
    return git


@pytest.fixture
def commit(measured: Git) -> Callable[[dict[str, str]], None]:
    """Commit files of the small project; an empty text removes one."""

    def make(files: dict[str, str]) -> None:
        for name, text in files.items():
            file = measured.directory / name
            if text:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text)
            else:
                file.unlink()
        measured.save("test: change")

    Path("pyproject.toml").write_text(PROJECT)
    lock = ["uv", "lock", "--quiet", "--offline", f"--python={sys.executable}"]
    subprocess.run(lock, check=True)
    make({".gitignore": "__pycache__\n.venv\n*-results\n"})
    return make


@pytest.fixture
def our_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of a base is ours: installing takes long, and is tested on its own."""
    program = tmp_path / "uv"
    program.write_text(INSTALL.format(python=sys.executable))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
