"""Memory profiles of two commits, by the real memray."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from performance import memory_report
from performance.baseline import CommandError
from performance.memory_report import Comparison, Site, compare

TEST = """
import pytest

def hold():
    return bytearray({megabytes}_000_000)

@pytest.mark.limit_memory("20 MB")
def test_{name}():
    assert hold()
"""
NO_BASE = ["--output=out", "--base=HEAD~9"]

type Commit = Callable[[dict[str, str]], None]


def write(name: str, megabytes: int) -> dict[str, str]:
    return {f"tests/memory/test_{name}.py": TEST.format(name=name, megabytes=megabytes)}


def read_report() -> dict[str, Any]:
    report: dict[str, Any] = json.loads(Path("out/report.json").read_text())
    return report


@pytest.mark.usefixtures("our_packages")
def test_planted_allocation_is_found(
    commit: Commit, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    commit(write("grown", 3) | write("kept", 3) | write("dropped", 1))
    commit(write("grown", 5) | write("added", 1) | {"tests/memory/test_dropped.py": ""})

    assert memory_report.main(["--output=out"]) == 0

    report = read_report()
    assert report["verdict"] == "more"
    verdicts = {it["name"].rpartition("::test_")[2]: it["verdict"] for it in report["tests"]}
    assert verdicts == {"grown": "more", "kept": "same", "added": "new", "dropped": "removed"}
    first = report["sites"][0]
    assert first["place"] == "hold tests/memory/test_grown.py:5"
    assert first["caller"] == "test_grown tests/memory/test_grown.py:9"
    assert (first["size"] // 1_000_000, first["count"]) == (5, 2)
    sizes = [it["size"] for it in report["sites"]]
    assert sizes == sorted(sizes, reverse=True)
    assert len(sizes) <= 10
    log = capfd.readouterr().out
    assert "::warning title=Memory profile::The peak of tests/memory/test_grown.py::test_" in log
    assert "grew: 3 MB → 5 MB" in log
    assert "### 🟡 Memory profile: a peak grew" in (tmp_path / "summary").read_text()
    graph = Path("out/flamegraph-tests-memory-test_grown.py-test_grown.html").read_text()
    assert "test_grown.py" in graph
    assert 'src="http' not in graph  # it opens without a network
    assert 'href="http' not in graph.partition("<body")[0]


def test_limit_fails(commit: Commit, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    commit(write("greedy", 30))
    assert memory_report.main(NO_BASE) == 1
    report = read_report()
    assert report["verdict"] == "failed"
    assert report["sites"][0]["place"] == "hold tests/memory/test_greedy.py:5"
    assert "::error title=Memory profile::A test failed" in capfd.readouterr().out
    assert "limited to 20.0MiB but allocated" in (tmp_path / "summary").read_text()


def test_first_commit_is_recorded(commit: Commit, capfd: pytest.CaptureFixture[str]) -> None:
    commit(write("first", 1))
    assert memory_report.main(NO_BASE) == 0
    report = read_report()
    assert (report["verdict"], report["base"]) == ("no-baseline", "")
    assert [it["verdict"] for it in report["tests"]] == ["recorded"]
    log = capfd.readouterr().out
    assert "::notice title=Memory profile::Recorded. No baseline: there is no commit HEAD~9" in log


def test_nothing_recorded_is_an_error(commit: Commit, tmp_path: Path) -> None:
    commit({"tests/memory/test_bad.py": "import no_such_module\n"})
    assert memory_report.main(NO_BASE) == 1
    assert "No module named 'no_such_module'" in (tmp_path / "summary").read_text()


def test_no_tests_are_an_error(commit: Commit, tmp_path: Path) -> None:
    commit({})
    assert memory_report.main(NO_BASE) == 1
    assert "the change has no tests in tests/memory" in (tmp_path / "summary").read_text()


@pytest.mark.parametrize(
    ("change", "base", "verdict"),
    [
        (1_200_000, 1_000_000, "same"),
        (1_210_000, 1_000_000, "more"),
        (99_000, 1_000, "same"),  # too little to matter
        (102_000, 0, "more"),
        (10, 1_000_000, "less"),
    ],
)
def test_judgement(change: int, base: int, verdict: str) -> None:
    assert compare({"it": change}, {"it": base}, 0.2)[0].verdict == verdict


@pytest.mark.parametrize("text", ["", "[]", '{"test_id": "a"}'])
def test_damaged_metadata_are_an_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "metadata").mkdir()
    (tmp_path / "metadata" / "a.metadata").write_text(text)
    with pytest.raises(CommandError, match=r"a\.metadata cannot be read"):
        memory_report.read_recordings(tmp_path)


def test_damaged_recording_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "a.bin"
    file.write_bytes(b"nothing of memray's")
    with pytest.raises(CommandError, match=r"a\.bin cannot be read"):
        memory_report.find_sites([memory_report.Recording("a", 1, file)], tmp_path)


def test_names_stay_text() -> None:
    report = {"verdict": "no-baseline", "reason": "<b>", "threshold": 0.2}
    name = "<i>|@x\n::error::"
    text = memory_report.describe(
        [Comparison(name, "recorded", 1)], [Site(name, 1, 1, name, "")], report
    )
    assert "<i>" not in text
    assert "<b>" not in text
    assert "\n::error::" not in text
