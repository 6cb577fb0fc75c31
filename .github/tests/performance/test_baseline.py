import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from origin import Git
from performance import baseline
from performance.baseline import NoBaselineError
from performance.results import MeasureError

SCRIPTS = Path(__file__).parents[3] / ".github" / "scripts"


type Commit = Callable[[dict[str, str]], None]


def count_trees(git: Git) -> int:
    return len(git("worktree", "list").splitlines())


def test_base_has_a_tree_and_an_environment_of_its_own(measured: Git, commit: Commit) -> None:
    commit({"file": "before"})
    before = measured("rev-parse", "HEAD")
    commit({"file": "after"})
    with baseline.check_out("HEAD^1", ["test"]) as tree:
        assert (tree.folder / "file").read_text() == "before"
        assert tree.commit == before
        command = [str(tree.python), "-c", "import sys; print(sys.prefix)"]
        prefix = baseline.run(command, tree.folder, 60).stdout
        assert Path(prefix.strip()).resolve() == (tree.folder / ".venv").resolve()
        assert count_trees(measured) == 2
    assert not tree.folder.exists()
    assert count_trees(measured) == 1


@pytest.mark.usefixtures("our_packages")
def test_tree_is_removed_after_an_error(measured: Git, commit: Commit) -> None:
    commit({})
    with pytest.raises(KeyError), baseline.check_out("HEAD", ["test"]) as tree:
        raise KeyError
    assert not tree.folder.exists()
    assert count_trees(measured) == 1


def test_tree_is_removed_after_a_signal(measured: Git, commit: Commit, tmp_path: Path) -> None:
    commit({})
    code = (
        "from pathlib import Path; from performance import baseline, results\n"
        "results.end_cleanly()\n"
        "with baseline.check_out('HEAD', ['test']) as tree:\n"
        f"    Path({str(tmp_path / 'started')!r}).touch()\n"
        "    baseline.run(['sleep', '99'], tree.folder, 99)\n"
    )
    environment = os.environ | {"PYTHONPATH": str(SCRIPTS)}
    with subprocess.Popen([sys.executable, "-c", code], env=environment) as process:
        deadline = time.monotonic() + 60
        while not (tmp_path / "started").exists():
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
        baseline.find_commit(reference, Path.cwd())


def test_folder_without_history_is_no_baseline(tmp_path: Path) -> None:
    with pytest.raises(NoBaselineError, match="no Git repository"):
        baseline.find_commit("HEAD", tmp_path)


def test_history_that_was_not_checked_out_is_an_error(
    measured: Git, commit: Commit, tmp_path: Path
) -> None:
    commit({})
    measured("clone", "--quiet", "--depth=1", Path.cwd().as_uri(), str(tmp_path / "shallow"))
    with pytest.raises(MeasureError, match="fetch-depth: 2"):
        baseline.find_commit("HEAD^1", tmp_path / "shallow")
    measured("clone", "--quiet", "--depth=2", Path.cwd().as_uri(), str(tmp_path / "deeper"))
    assert baseline.find_commit("HEAD^1", tmp_path / "deeper") == measured("rev-parse", "HEAD^1")


def test_command_that_fails_shows_its_end(tmp_path: Path) -> None:
    with pytest.raises(MeasureError, match=r"bash -c .* ended with 3:\nlast words"):
        baseline.run(["bash", "-c", "echo last words; exit 3"], tmp_path, 10)


def test_command_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(MeasureError, match="no-such-program"):
        baseline.run(["no-such-program"], tmp_path, 10)
