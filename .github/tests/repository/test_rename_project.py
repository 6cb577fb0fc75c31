import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from engine import ROOT
from lib import processes
from lib.git import GitError
from origin import Git
from repository import rename_project
from repository.rename_project import RefusedError, check_name, read_name

SCRIPT = ROOT / ".github/scripts/repository/rename_project.py"
FILES = {
    ".python-version": "3.13\n",
    ".github/workflows/ci.yml": "name: CI\n",
    ".ci/run": "the-template\n",
    ".github/template/tests/test_proof.py": "import the_template\n",
    "LICENSE": "Copyright (c) The the-template authors\n",
    "README.md": "# the-template\n\n<!-- template -->\nAll.\n\n<!-- /template -->\n\n## Start\n",
    "pyproject.toml": """[project]
name = "the-template"
version = "1"
description = "A template"
requires-python = ">=3.13"
scripts = { the-template = "the_template.cli:main" }

# template
[tool.proof]
name = "the-template"
# /template

[tool.kept]
groups = [
  "a",
  # template
  "b",
  # /template
]
""",
    "src/the_template/app.py": 'from the_template import x\n\nFILE = "the-template.sqlite3"\n',
    "tests/test_app.py": "from the_template import app\nother_the_templates = app\n",
    "uv.lock": """version = 1
requires-python = ">=3.13"

[[package]]
name = "the-template"
version = "0"
source = { virtual = "." }
""",
}


@pytest.fixture
def git(tmp_path: Path) -> Git:
    """Return a small project, committed."""
    git = Git(tmp_path)
    git("init", "--quiet")
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    git.save("feat: start")
    return git


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("My Service", "such as 'my-service'"),
        ("1service", "such as 'service'"),
        ("my--service", "single hyphens"),
        ("dienst-für", "single hyphens"),
        ("a" * 51, "at most 50"),
        ("", "such as 'my-service'"),
        ("import", "a word of Python"),
        ("json", "standard library"),
        ("test", "standard library"),
        ("fastapi", "a package that the project uses"),
        ("python", "a program that the project uses"),
        ("serve", "a program that the project uses"),
        ("tests", "a file or folder tests already"),
        ("origin", "a file or folder .github/runner/origin.py already"),
        ("fakes", "a file or folder .github/runner/fakes already"),
        (read_name(ROOT), "called .* already"),
    ],
)
def test_name_that_cannot_be(name: str, reason: str) -> None:
    with pytest.raises(RefusedError, match=reason):
        check_name(ROOT, name)


def run(git: Git, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(SCRIPT), *arguments]
    return processes.run(command, 300, folder=git.directory, errors=subprocess.PIPE)


@pytest.fixture
def uv(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a path of uv that has a blank in it; what is run is led there."""
    path = tmp_path_factory.mktemp("my programs") / "uv"
    path.symlink_to(os.environ.get("UV") or str(shutil.which("uv")))
    monkeypatch.setenv("UV", str(path))
    return path


def test_what_could_not_be_tidied_is_said(git: Git, uv: Path) -> None:
    uv.unlink()
    done = run(git, "my-service")
    assert done.returncode == 1
    assert f"It is done, but this failed, run it again: '{uv}' lock --quiet" in done.stderr
    assert "Traceback" not in done.stderr
    assert read_name(git.directory) == "my-service"


@pytest.mark.usefixtures("uv")
def test_name_is_changed_everywhere(git: Git, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_LOCKED", "1")
    (git.directory / ".git/info/exclude").write_text("__pycache__/\n")
    left = git.directory / "src/my_service/__pycache__"  # by a rename that was taken back
    left.mkdir(parents=True)
    (left / "app.cpython-313.pyc").touch()
    done = run(git, "my-service", "--description", 'Takes "orders"')
    assert done.returncode == 0, done.stderr
    git("add", "--all")
    with pytest.raises(GitError):  # nothing is found
        git("grep", "--cached", "--word-regexp", "the[-_]template")
    tree = git.directory
    content = tomllib.loads((tree / "pyproject.toml").read_text())
    assert content["tool"] == {"kept": {"groups": ["a"]}}
    assert not (tree / ".ci").exists()
    assert not (tree / ".github/template").exists()
    project = content["project"]
    assert project["name"] == "my-service"
    assert project["description"] == 'Takes "orders"'
    assert project["scripts"] == {"my-service": "my_service.cli:main"}
    assert 'FILE = "my-service.sqlite3"' in (tree / "src/my_service/app.py").read_text()
    assert "other_the_templates" in (tree / "tests/test_app.py").read_text()
    assert (tree / "README.md").read_text() == '# my-service\n\nTakes "orders".\n\n## Start\n'
    assert not git("diff", "--cached", "--name-only", "HEAD", "--", ".github/workflows")


@pytest.mark.parametrize("name", ["my-service", "shop"])
def test_another_app_took_the_place_of_the_sample(git: Git, name: str) -> None:
    tree = git.directory
    git("mv", "src/the_template", "src/shop")
    (tree / "src/the_template").mkdir()  # where Git sees nothing: compiled files stay behind
    git.save("feat: another app")
    rename_project.check_name(tree, name)
    rename_project.rename(tree, name)
    assert read_name(tree) == name
    assert not (tree / ".ci").exists()
    assert {path.name for path in tree.glob("src/*/*")} == {"app.py"}


def test_nothing_is_written_before_git_agrees(git: Git) -> None:
    lock = git.directory / ".git/index.lock"
    lock.touch()  # another program is at work
    done = run(git, "my-service")
    assert (done.returncode, done.stderr.split(" fatal")[0]) == (1, "Not renamed.")
    lock.unlink()
    assert not git("status", "--porcelain")


def test_uncommitted_change_is_refused(git: Git) -> None:
    (git.directory / "LICENSE").write_text("mine")
    done = run(git, "my-service")
    assert done.returncode == 1
    assert "Commit or stash them" in done.stderr
    assert git("status", "--porcelain") == " M LICENSE"


def test_single_word_is_not_searched_for(git: Git) -> None:
    rename_project.rename(git.directory, "orders", "Takes orders!")
    assert "\nTakes orders!\n" in (git.directory / "README.md").read_text()
    with pytest.raises(RefusedError, match="git grep -w orders"):
        rename_project.rename(git.directory, "my-service")
