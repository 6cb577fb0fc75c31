"""A copy that was renamed, edited, and lost two pipelines takes three releases of the template."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from engine import ROOT
from harness import replace, start_anew
from lib import processes
from lib.git import GitError
from origin import Git
from repository.rename_project import read_name

OWN = "my-own-service"
SCRIPTS = Path(".github/scripts/repository")
DROPPED = {
    "dependency-review": ["scripts/audit/new.py", "tests/audit/test_new.py"],
    "performance": ["scripts/performance/new.py"],
}
"""Pipelines that the copy drops, with files that the template adds to what belonged to them."""


def release(template: Git, tag: str) -> None:
    template.save(f"feat: what {tag} brings")
    template("tag", tag)


def update(copy: Git, *arguments: str) -> str:
    """Run the copy's own script, as `poe update` does; return what it says."""
    command = [sys.executable, str(SCRIPTS / "update_from_template.py"), *arguments]
    environment = os.environ | copy.environment
    done = processes.run(command, 300, folder=copy.directory, environment=environment)
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture
def template(tmp_path: Path) -> Git:
    """Return the template with a release of what is here."""
    git = start_anew(tmp_path / "template")
    release(git, "v1.0.0")
    return git


@pytest.fixture
def copy(template: Git, tmp_path: Path) -> Git:
    """Return what the button makes of it, then made somebody's own."""
    git = Git(tmp_path / "copy")
    shutil.copytree(template.directory, git.directory, symlinks=True, ignore=lambda *_: [".git"])
    git("init", "--quiet", "--initial-branch=main")
    git.save("Initial commit")
    script = SCRIPTS / "rename_project.py"
    subprocess.run([sys.executable, script, OWN], cwd=git.directory, check=True)
    git.save("chore: rename")
    script = SCRIPTS / "drop_pipeline.py"
    subprocess.run([sys.executable, script, *DROPPED], cwd=git.directory, check=True)
    replace(".github/workflows/ci.yml", "timeout-minutes: 10", "timeout-minutes: 9")(git.directory)
    replace("pyproject.toml", "dependencies = [\n", 'dependencies = [\n  "idna>=3",\n')(
        git.directory
    )
    (git.directory / "src/my_own_service/own.py").write_text("")
    git.save("feat: our own")
    git("remote", "add", "template", str(template.directory))
    return git


@pytest.mark.slow
def test_three_releases_arrive(template: Git, copy: Git) -> None:
    assert "has everything of the template up to v1.0.0" in update(copy)
    old, tree = read_name(ROOT), template.directory

    replace(".github/workflows/ci.yml", "# Is the code sound?", "# Is the code really sound?")(tree)
    (tree / ".github/scripts/lib/new.py").write_text(f'NAME = "{old}"\n')
    for path in (path for paths in DROPPED.values() for path in paths):
        (tree / ".github" / path).write_text("")
    release(template, "v1.1.0")
    said = update(copy, "--dry-run")
    assert re.search(r" \.github/workflows/ci\.yml +\| +2 \+-", said)
    assert re.search(r" \.github/scripts/lib/new\.py \(new\) +\| +1 \+", said)
    assert f" .github/{DROPPED['dependency-review'][0]}: yours, or deleted here" in said
    assert not copy("status", "--porcelain")
    update(copy)

    replace("pyproject.toml", '"uvicorn>=', '"typing-extensions>=4",\n  "uvicorn>=')(tree)
    replace(".github/workflows/performance.yml", "fetch-depth: 2", "fetch-depth: 3")(tree)
    for page in ("ci-cd.md", "ci-cd.ru.md"):  # in what the copy has no more, and beside it
        text = (tree / "docs" / page).read_text()
        (tree / "docs" / page).write_text(
            text.replace("performance -->\n", "performance -->\n\nnew\n")
        )
    (tree / ".github/template/new.txt").write_text("of the proof")
    (tree / "README.md").write_text("# another\n")
    release(template, "v1.2.0")
    (tree / ".github/scripts/lib/new.py").unlink()
    template("mv", "docs/examples.md", "docs/more-examples.md")
    release(template, "v1.3.0")
    update(copy, "--to", "v1.2.0")
    assert (copy.directory / ".github/scripts/lib/new.py").read_text() == f'NAME = "{OWN}"\n'
    update(copy)
    assert "has everything of the template up to v1.3.0" in update(copy)

    subjects = copy("log", "--format=%s", "-3").splitlines()
    assert [subject.split()[-1] for subject in subjects] == ["v1.3.0", "v1.2.0", "v1.1.0"]
    files = set(copy("ls-files").splitlines())
    assert "docs/more-examples.md" in files
    assert not files & {
        "docs/examples.md",
        ".github/scripts/lib/new.py",
        ".github/template/new.txt",
    }
    assert not files & {f".github/{path}" for paths in DROPPED.values() for path in paths}
    assert not files & {f".github/workflows/{name}.yml" for name in DROPPED}
    workflow = (copy.directory / ".github/workflows/ci.yml").read_text()
    assert "# Is the code really sound?" in workflow
    assert "timeout-minutes: 9" in workflow
    project = (copy.directory / "pyproject.toml").read_text()
    assert '"idna>=3"' in project
    assert '"typing-extensions>=4"' in project
    lock = (copy.directory / "uv.lock").read_text()
    assert '{ name = "typing-extensions" }' in lock.partition(f'name = "{OWN}"')[2]
    assert (copy.directory / "README.md").read_text().startswith(f"# {OWN}\n")
    assert not copy("status", "--porcelain")
    with pytest.raises(GitError):  # nothing is found
        copy("grep", "--word-regexp", old.replace("-", "[-_]"))
