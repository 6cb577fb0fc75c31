import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from lib.git import Git
from performance import baseline
from performance.baseline import NoBaselineError
from performance.results import MeasureError

SCRIPTS = Path(__file__).parents[3] / ".github" / "scripts"
WAITS = """
from pathlib import Path
from performance import baseline, results

results.end_cleanly()
with baseline.check_out("HEAD") as tree:
    Path("started").touch()
    baseline.run(["sleep", "99"], tree.folder, 99)
"""

type Commit = Callable[[dict[str, str]], None]


def count_trees(git: Git) -> int:
    return len(git("worktree", "list").splitlines())


def test_base_has_a_tree_and_an_environment_of_its_own(measured: Git, commit: Commit) -> None:
    commit({"file": "before"})
    before = measured("rev-parse", "HEAD")
    commit({"file": "after"})
    with baseline.check_out("HEAD^1") as tree:
        assert (tree.folder / "file").read_text() == "before"
        assert tree.commit == before
        command = [str(tree.python), "-c", "import sys; print(sys.prefix)"]
        prefix = baseline.run(command, tree.folder, 60).stdout
        assert Path(prefix.strip()).resolve() == (tree.folder / ".venv").resolve()
        assert count_trees(measured) == 2
    assert not tree.folder.exists()
    assert count_trees(measured) == 1


@pytest.mark.usefixtures("our_packages")
def test_tree_of_somebody_on_a_disk_that_is_away_stays(
    measured: Git, commit: Commit, tmp_path: Path
) -> None:
    commit({})
    measured("worktree", "add", "--quiet", "--detach", str(tmp_path / "disk"))
    (tmp_path / "disk").rename(tmp_path / "away")
    with baseline.check_out("HEAD"):
        pass
    assert count_trees(measured) == 2


def test_tree_is_removed_after_a_signal(measured: Git, commit: Commit) -> None:
    commit({})
    environment = os.environ | {"PYTHONPATH": str(SCRIPTS)}
    with subprocess.Popen([sys.executable, "-c", WAITS], env=environment) as process:
        deadline = time.monotonic() + 60
        while not Path("started").exists():
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30)
    assert count_trees(measured) == 1


@pytest.mark.parametrize("reference", ["HEAD^1", "", "--help", "$(touch x)", "0" * 40])
@pytest.mark.usefixtures("commit")
def test_commit_that_does_not_exist_is_no_baseline(reference: str) -> None:
    with pytest.raises(NoBaselineError, match="there is no commit"):
        baseline.find_commit(reference, Git())


def test_history_that_was_not_checked_out_is_an_error(
    measured: Git, commit: Commit, tmp_path: Path
) -> None:
    commit({})
    measured("clone", "--quiet", "--depth=1", Path.cwd().as_uri(), str(tmp_path / "shallow"))
    with pytest.raises(MeasureError, match="fetch-depth: 2"):
        baseline.find_commit("HEAD^1", Git(tmp_path / "shallow"))


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (
            ["bash", "-c", "echo last words; exit 3"],
            r"bash -c .* ended with 3: last words\nlast words",
        ),
        (["no-such-program"], "no-such-program"),
    ],
)
def test_command_that_fails_shows_its_end(tmp_path: Path, command: list[str], said: str) -> None:
    with pytest.raises(MeasureError, match=said):
        baseline.run(command, tmp_path, 10)
