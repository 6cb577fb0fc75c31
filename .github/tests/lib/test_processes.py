"""Processes end in time, with what they started; servers answer or are said not to."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
from lib import processes
from lib.processes import NoAnswerError, end, find_free_port, run, start

CHILD = "sleep 98 & echo $! >child; "


def lives(pid: int) -> bool:
    state = Path(f"/proc/{pid}/stat")
    return state.exists() and state.read_text().rpartition(") ")[2][0] != "Z"


def wait_until_gone(folder: Path) -> bool:
    child = int((folder / "child").read_text())
    deadline = time.monotonic() + 10
    while lives(child) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not lives(child)


def test_what_takes_too_long_ends_with_its_children(tmp_path: Path) -> None:
    with pytest.raises(subprocess.TimeoutExpired) as error:
        run(["sh", "-c", f"{CHILD} echo begun; wait"], 1, folder=tmp_path)
    assert error.value.output == "begun\n"
    assert wait_until_gone(tmp_path)


def test_child_does_not_outlive_its_parent(tmp_path: Path) -> None:
    run(["sh", "-c", f"exec >&- 2>&-; {CHILD}"], 60, folder=tmp_path)
    assert wait_until_gone(tmp_path)


@pytest.mark.parametrize(("grace", "said"), [(30, "bye\n"), (0, "")])
def test_end_is_polite_if_told_so(grace: float, said: str) -> None:
    script = "exec 2>&-; trap 'echo bye; exit' TERM; echo ready; while :; do sleep 0.05; done"
    with start(["sh", "-c", script], output=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        end(process, grace)
        assert process.stdout.read() == said


def test_server_that_answers_late(tmp_path: Path) -> None:
    port = find_free_port()
    (tmp_path / "health").write_text("well")
    script = f"sleep 0.5; exec {sys.executable} -m http.server {port} --bind 127.0.0.1"
    command = ["sh", "-c", script]
    url = f"http://127.0.0.1:{port}"
    with processes.serve(command, f"{url}/health", 60, folder=tmp_path, environment={}) as served:
        assert served[1] == b"well"
    nothing = processes.serve(command, f"{url}/nothing", 2, folder=tmp_path, environment={})
    with pytest.raises(NoAnswerError, match="404"), nothing:
        pass


def test_server_that_ends_is_not_waited_for(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{find_free_port()}"
    served = processes.serve(["sh", "-c", "exit 3"], url, 60, folder=tmp_path, environment={})
    with (
        pytest.raises(NoAnswerError, match="`sh -c 'exit 3'` ended with exit code 3 before"),
        served,
    ):
        pass


def test_server_that_is_silent_is_said_early_with_its_last_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(processes, "SILENCE_SECONDS", 0.2)
    url = f"http://127.0.0.1:{find_free_port()}/health"
    command = ["sh", "-c", "exec sleep 60"]
    with (
        pytest.raises(NoAnswerError, match="within 1 s"),
        processes.serve(
            command, url, 1, folder=tmp_path, environment={}, read_end=lambda: "listens on 9999"
        ),
    ):
        pass
    warning = f"The server runs, but {url} does not answer. listens on 9999"
    assert capsys.readouterr().out.splitlines() == [f"::warning title=No answer yet::{warning}"]
