"""Foreign apps in the place of the sample, as docs/customizing.md says to bring one."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from engine import ROOT
from harness import start_anew
from lib import processes
from origin import Git

APPS = ROOT / ".github/template/apps"
NAME = "shop"
SAMPLE = ("k6-script.js", "locustfile.py", "src", "tests")
"""What of the sample goes."""


def rename(tree: Path, name: str) -> None:
    """Make a copy somebody's own, as its README says, and commit it.

    Raises:
        subprocess.CalledProcessError, GitError: It was refused.
    """
    git = Git(tree)
    git.save("feat: start")
    script = tree / ".github/scripts/repository/rename_project.py"
    subprocess.run([sys.executable, script, name], cwd=tree, check=True)
    git.save("chore: rename")


def make_copy(directory: Path, name: str) -> Git:
    """Return a copy of this repository with one commit and a name of its own."""
    git = start_anew(directory)
    rename(directory, name)
    return git


def bring(tree: Path, app: str) -> None:
    """Put one of the foreign apps into a renamed copy.

    Args:
        tree: The copy.
        app: A folder of `APPS`: files to lay over the copy, and `app.toml` with what
            `pyproject.toml` has to say: `dependencies`, and the keys of `[tool.pipelines]`.
    """
    for name in SAMPLE:
        path = tree / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.copytree(APPS / app, tree, dirs_exist_ok=True, ignore=shutil.ignore_patterns("app.toml"))
    said = tomllib.loads((APPS / app / "app.toml").read_text())
    wanted = ", ".join(f'"{requirement}"' for requirement in said.pop("dependencies"))
    table = "".join(f'{key} = "{value}"\n' for key, value in said.items())
    project = tree / "pyproject.toml"
    text = project.read_text()
    for old, new in (
        (r"^dependencies = \[.*?^\]\n", f"dependencies = [{wanted}]\n"),
        (r"^\[project\.scripts\]\n.*?\n\n", ""),
        (r"^\[tool\.alembic\].*?\n\n", ""),
        (r"^\[tool\.pipelines\]\n.*?\n\n", f"[tool.pipelines]\n{table}\n"),
    ):
        parts = re.split(old, text, flags=re.DOTALL | re.MULTILINE)
        assert len(parts) == 2, old
        text = new.join(parts)
    if (code := said.get("code", "src")) != "src":
        text = text.replace('"--cov=src"', f'"--cov={code}"').replace(
            'files = [\n  "src",', f'files = [\n  "{code}",'
        )
        text += f'\n[tool.hatch.build.targets.wheel]\npackages = ["{code}"]\n'
        for name in ("ci", "pr"):
            workflow = tree / f".github/workflows/{name}.yml"
            workflow.write_text(workflow.read_text().replace("--cov=src", f"--cov={code}"))
    project.write_text(text)
    subprocess.run(["uv", "lock", "--quiet"], cwd=tree, check=True)
    execute(tree, "ruff", "check", "--fix", "--quiet", ".")
    execute(tree, "ruff", "format", "--quiet", ".")


def execute(tree: Path, *command: str, **environment: str) -> str:
    """Run a command in a copy, with the tools that are installed here; return what it says.

    Raises:
        AssertionError: It failed.
    """
    own = {key: text for key, text in os.environ.items() if not key.startswith(("PYTEST", "COV"))}
    own["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    # pytest closes this folder to other accounts, such as that of PostgreSQL
    own["PYTEST_DEBUG_TEMPROOT"] = str(tree.parent)
    done = processes.run(command, 600, folder=tree, environment=own | environment)
    assert done.returncode == 0, done.stdout[-4000:]
    return done.stdout


def lint(tree: Path) -> None:
    """Run what judges the files of a copy, as its CI does."""
    execute(tree, "ruff", "check", ".")
    execute(tree, "ruff", "format", "--check", ".")
    execute(tree, "mypy")
    execute(tree, "actionlint")
    execute(tree, "zizmor", "--offline", "--no-progress", "--quiet", ".github")
    execute(tree, sys.executable, ".github/scripts/checks/workflow_rules.py")
