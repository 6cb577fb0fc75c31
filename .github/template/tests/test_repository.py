"""This repository, under a new name, passes what builds and tests the app itself.

The tests of each pipeline, and those of foreign apps, run the rest.
"""

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from engine import ROOT
from events import USUAL, Event
from fakes.fake_advisories import FakeAdvisories
from harness import CI, Edit, RunPipeline, explain
from lib.git import GitError
from origin import Git
from repository.rename_project import read_name
from run import choose_events
from workflows import find_workflows


def rename(tree: Path) -> None:
    """Make the copy somebody's own, as its README says."""
    old = read_name(tree)
    if "-" not in old:
        return  # a single word cannot be renamed again
    git = Git(tree)
    git("add", "--all")
    git("commit", "--quiet", "--allow-empty", "-m", "feat: start")
    script = tree / ".github/scripts/repository/rename_project.py"
    subprocess.run([sys.executable, script, "my-own-service"], cwd=tree, check=True)
    git("add", "--all")
    with pytest.raises(GitError):  # nothing is found
        git("grep", "--cached", "--ignore-case", "--word-regexp", old.replace("-", "[-_ ]"))
    assert not git("diff", "--cached", "--name-only", "HEAD", "--", ".github/workflows")


def leave_ci_out(tree: Path) -> None:
    """Let a release call something quick."""
    (tree / ".github/workflows/ci.yml").write_text(CI)


@pytest.mark.parametrize(
    ("pipeline", "job", "shorten"),
    [("ci", "test", None), ("release", "", leave_ci_out)],
    ids=("ci", "release"),
)
def test_green(run_pipeline: RunPipeline, pipeline: str, job: str, shorten: Edit | None) -> None:
    event = choose_events(find_workflows(ROOT)[pipeline], [Event.parse(event) for event in USUAL])

    def edit(tree: Path) -> None:
        rename(tree)
        if shorten:
            shorten(tree)

    # Not in the memory where tests write: these jobs install their packages.
    with FakeAdvisories() as advisories, TemporaryDirectory() as directory:
        run = run_pipeline(
            pipeline,
            str(event),
            directory=Path(directory) / "run",
            small=False,
            job=job,
            edit=edit,
            environment=advisories.environment | {"PYTEST_XDIST_AUTO_NUM_WORKERS": "0"},
            timeout=1200,
        )
    assert run.conclusion == "success", explain(run)
    for ended in run.jobs:
        assert "❌" not in ended.summary
        assert ended.summary or ended.called or "/" in ended.id or ended.conclusion == "skipped"


@pytest.mark.parametrize(
    "machine", ["aarch64-apple-darwin", "aarch64-manylinux_2_40", "x86_64-apple-darwin"]
)
def test_everything_can_be_installed_on_other_machines(
    machine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_PROJECT_ENVIRONMENT", str(tmp_path / "environment"))
    command = ["uv", "sync", "--locked", "--dry-run", f"--python-platform={machine}"]
    subprocess.run(command, cwd=ROOT, check=True)
