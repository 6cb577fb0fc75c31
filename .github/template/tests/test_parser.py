"""GitHub's own parser, as its editors use it, has nothing to say about the workflows."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from engine import ROOT
from workflows import find_actions, find_workflows

PARSER = ROOT / ".github/template/parser"


@pytest.fixture(scope="module")
def parser(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the parser as its lock file says; return the program that uses it."""
    npm = shutil.which("npm")
    if not npm and not os.environ.get("CI"):
        pytest.skip("GitHub's parser was not run: install Node and npm")
    assert npm, "install Node and npm"
    folder = tmp_path_factory.mktemp("parser")
    shutil.copytree(PARSER, folder, dirs_exist_ok=True)
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder / "validate.mjs"


def find_faults(parser: Path, *files: Path) -> list[str]:
    """Return what the parser says, one finding a line."""
    command = ["node", str(parser), *(str(file) for file in files)]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return done.stdout.splitlines()


def test_workflows_and_actions_are_understood(parser: Path) -> None:
    assert not find_faults(parser, *find_workflows(ROOT).values(), *find_actions(ROOT))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("needs: [lint, test]", "needs: [lint, tests]", "'tests' is not valid"),
        ("timeout-minutes: 5", "timeout-minute: 5", "Unexpected value"),
        ("toJSON(needs)", "toJSON(need)", "Unrecognized named-value"),
    ],
)
def test_fault_is_found(parser: Path, tmp_path: Path, old: str, new: str, said: str) -> None:
    text = find_workflows(ROOT)["ci"].read_text()
    assert old in text
    (tmp_path / "ci.yml").write_text(text.replace(old, new))
    assert said in "\n".join(find_faults(parser, tmp_path / "ci.yml"))
