"""The linters of the pipelines find nothing, and nothing is hidden from them."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from engine import ROOT
from lib import processes
from origin import Git, create


@pytest.mark.parametrize("task", ["actionlint", "zizmor", "shellcheck", "hadolint"])
def test_finds_nothing(task: str) -> None:
    done = processes.run(["poe", "-q", task], 300, folder=ROOT)
    assert done.returncode == 0, done.stdout


def test_hooks_find_nothing_in_a_fresh_copy(tmp_path: Path) -> None:
    git = create(ROOT, tmp_path / "copy")
    git("add", "--all")
    (git.directory / ".venv").symlink_to(sys.prefix)
    tested = "ruff-check,ruff-format,actionlint,zizmor,shellcheck,hadolint"  # above, and by CI
    environment = os.environ | {"SKIP": tested, "UV_NO_SYNC": "1"}
    command = ["pre-commit", "run", "--all-files"]
    done = processes.run(command, 120, folder=git.directory, environment=environment)
    assert done.returncode == 0, done.stdout
    git.save("feat: start")
    (git.directory / "large.txt").write_text("large\n" * 100_000)
    (git.directory / ".vscode").mkdir()
    (git.directory / ".vscode/settings.json").write_text("{} // as its editor writes it\n")
    (git.directory / "merged.md").write_text("Changes\n=======\n>>>>>>> feature\n")
    git.save("feat: as a pull request brings it")
    command = ["pre-commit", "run", "--from-ref", "HEAD^1", "--to-ref", "HEAD"]
    done = processes.run(command, 120, folder=git.directory, environment=environment)
    assert "large.txt (586 KB) exceeds 500 KB" in done.stdout
    assert "merged.md:3:>>>>>>> feature" in done.stdout
    assert done.stdout.count("Failed") == 2


def test_shell_scripts_are_those_of_git_and_may_be_none(tmp_path: Path) -> None:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    command = ["poe", "-q", "--executor=simple", "shellcheck"]
    done = processes.run(command, 60, folder=tmp_path)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (1, "Make it one: git init")
    Git(tmp_path)("init", "--quiet")
    done = processes.run(command, 60, folder=tmp_path)
    assert (done.returncode, done.stdout) == (0, "")
    (tmp_path / "a.sh").write_text("echo $1\n")
    assert "SC2148" in processes.run(command, 60, folder=tmp_path).stdout
    Git(tmp_path)("add", "a.sh")
    (tmp_path / "a.sh").unlink()
    done = processes.run(command, 60, folder=tmp_path)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (f'"""Say."""\n\nLONG = [{", ".join(["1234"] * 30)}]\n', []),
        ('"""Say."""\n\nimport os\n\n\ndef say(text):\n    """Say."""\n', ["ANN001", "ANN201"]),
        ('"""Say."""\n\ndef say(:\n', ["invalid-syntax"]),
    ],
    ids=["cured", "left", "broken"],
)
def test_fix_corrects_what_it_can_and_says_what_is_left(
    tmp_path: Path, text: str, left: list[str]
) -> None:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/say.py").write_text(text)
    (tmp_path / "tests/other.py").write_text("X  =  1\n")
    done = processes.run(["poe", "-q", "--executor=simple", "fix"], 60, folder=tmp_path)
    assert (tmp_path / "tests/other.py").read_text() == "X = 1\n"
    assert bool(done.returncode) == bool(left), done.stdout
    assert all(rule in done.stdout for rule in left)
    assert "F401" not in done.stdout
    assert "E501" not in done.stdout


def test_the_auditor_of_zizmor_finds_nothing() -> None:
    """A copy is held to the findings that are faults; we are held to all of them."""
    command = ["zizmor", "--offline", "--persona=auditor", "--no-progress", "--quiet", ".github"]
    done = subprocess.run(command, check=False, cwd=ROOT, text=True, capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_one_rule_of_zizmor_is_off() -> None:
    rules = yaml.safe_load((ROOT / ".github/zizmor.yml").read_text())["rules"]
    assert rules == {"self-repository": {"disable": True}}


def test_nothing_is_suppressed() -> None:
    suppression = re.compile(r"zizmor: ignore|shellcheck disable|hadolint ignore")
    for path in (ROOT / ".github").rglob("*"):
        if path.suffix in {".yml", ".sh"}:
            assert not suppression.search(path.read_text()), path


def test_repository_follows_the_guides_or_says_why_not() -> None:
    command = ["repo-review", "--format=json", str(ROOT)]
    done = subprocess.run(command, check=False, text=True, capture_output=True)
    results = json.loads(done.stdout)["checks"]
    assert len(results) > 40
    failed = {
        name: result["err_msg"] for name, result in results.items() if result["result"] is False
    }
    assert not failed
    left_out = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["repo-review"]["ignore"]
    assert left_out.keys() <= results.keys()
    assert all(left_out.values())
