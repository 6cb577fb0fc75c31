"""Memory profiles of small projects, by the real pytest-memray."""

from collections.abc import Callable
from pathlib import Path

import pytest
from performance import memory_profile
from performance.results import read

TEST = """
import pytest

def hold():
    return bytearray({megabytes}_000_000)

@pytest.mark.limit_memory("20 MB")
def test_it():
    assert hold()
"""
ADDRESSES = """
import pytest

@pytest.mark.parametrize("address", ["http://x/a?b=1", "http://x/a|b*1"])
def test_it(address):
    assert bytearray(5_000_000)
"""
LONG = """
import pytest

@pytest.mark.parametrize(("one", "two", "three"), [("a" * 70, "b" * 70, "c" * 70)])
def test_it(one, two, three):
    assert bytearray(5_000_000)
"""
"""The name of its flame graph is longer than a file system takes."""

type Commit = Callable[[dict[str, str]], None]


def write(megabytes: int) -> dict[str, str]:
    return {"tests/memory/test_it.py": TEST.format(megabytes=megabytes)}


def test_biggest_allocation_is_shown(commit: Commit, tmp_path: Path) -> None:
    commit(write(5))
    results = Path("memory-results")
    results.mkdir()
    (results / "flamegraph-of-old.html").touch()
    assert memory_profile.main([]) == 0
    for text in ((results / "report.md").read_text(), (tmp_path / "summary").read_text()):
        assert "Allocation results for tests/memory/test_it.py::test_it" in text
        assert "hold:tests/memory/test_it.py:5 -> 4.8MiB" in text
    assert "✅ Memory profile" in (tmp_path / "summary").read_text()
    (peak,) = read(results)[0].peaks.values()
    assert 5_000_000 <= peak < 6_000_000
    (graph,) = results.glob("flamegraph-*.html")
    page = graph.read_text()
    assert "test_it.py" in page
    assert 'src="http' not in page  # it opens without a network
    assert 'href="http' not in page.partition("<body")[0]


def test_names_of_tests_are_names_of_files_that_can_be_kept(
    commit: Commit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MEMRAY_RESULT_PATH", raising=False)  # of the pytest that runs this
    commit({"tests/memory/test_it.py": ADDRESSES})
    assert memory_profile.main([]) == 0
    results = Path("memory-results")
    assert len(read(results)[0].peaks) == 2
    names = [path.name for path in results.rglob("*")]
    assert len([name for name in names if name.endswith(".html")]) == 2
    assert not [name for name in names if set(name) & set('"<>:|*?')]


def test_what_cannot_be_drawn_was_measured_all_the_same(
    commit: Commit, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("MEMRAY_RESULT_PATH", raising=False)  # of the pytest that runs this
    commit({"tests/memory/test_it.py": LONG})
    assert memory_profile.main([]) == 0
    assert len(read(Path("memory-results"))[0].peaks) == 1
    assert (
        "::warning title=Memory profile::Not drawn: python -m memray flamegraph ended"
        in capfd.readouterr().out
    )


def test_limit_fails(commit: Commit, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    commit(write(30))
    assert memory_profile.main([]) == 1
    assert "::error title=Memory profile::A test failed" in capfd.readouterr().out
    summary = (tmp_path / "summary").read_text()
    assert "limited to 20.0MiB but allocated" in summary
    assert "hold:tests/memory/test_it.py:5" in summary


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("import no_such_module", "No module named 'no_such_module'"),
        ("import time\ntime.sleep(60)", "did not end within 9 s and was cut off"),
        ("HELPER = 1", "pytest tests/memory ended with 5"),
    ],
)
def test_tests_that_do_not_run_are_an_error(
    commit: Commit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, said: str
) -> None:
    monkeypatch.setattr(memory_profile, "SECONDS", 9)
    commit({"tests/memory/test_it.py": content})
    assert memory_profile.main([]) == 1
    assert said in (tmp_path / "summary").read_text()


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "There are no tests in tests/memory"),
        ({"tests/memory/test_it.py": "import pytest\n\n@pytest.mark.skip\ndef test_it(): ..."},
         "No test ran in tests/memory: all were skipped"),
    ],
)  # fmt: skip
def test_project_where_nothing_is_measured_is_green_and_says_so(
    commit: Commit, capfd: pytest.CaptureFixture[str], files: dict[str, str], said: str
) -> None:
    commit(files)
    assert memory_profile.main([]) == 0
    assert said in read(Path("memory-results"))[0].off
    assert f"::notice title=Memory profile::{said}" in capfd.readouterr().out


@pytest.mark.parametrize("kind", ["file", "link"])
def test_what_is_no_folder_of_results_is_kept(commit: Commit, tmp_path: Path, kind: str) -> None:
    commit(write(1))
    if kind == "file":
        Path("memory-results").write_text("mine")
    else:
        Path("memory-results").symlink_to("tests")
    before = sorted(Path().rglob("*"))
    assert memory_profile.main([]) == 1
    assert sorted(Path().rglob("*")) == before
    assert "memory-results cannot take the results" in (tmp_path / "summary").read_text()
