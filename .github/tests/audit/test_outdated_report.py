import sys
from pathlib import Path

import pytest
from audit import outdated_report
from audit.outdated_report import describe
from audit.tools import UV, run
from wheels import make_wheel

PROJECT = """
[project]
name = "root"
version = "1"
requires-python = ">=3.13"
dependencies = ["held"]

[[tool.uv.index]]
name = "ours"
url = "index"
explicit = true

[tool.uv.sources]
held = { index = "ours" }
"""
LISTED = """root v1
├── virtual v1.0 (group: dev) (latest: v3.0)
│   └── held v1.0 (latest: v1.1)
└── right v1.0
    └── held[extra] v1.0 (latest: v1.1)
"""
PLAN = (
    "Resolved 9 packages in 1ms\nUpdate virtual v1.0 -> v1.5\nUpdate ```x v1 -> v2\n"
    "Remove gone v1\n"
)


def test_what_is_newer_and_what_can_be_had_now_are_apart() -> None:
    text = describe(LISTED, PLAN)
    assert "2 locked packages have a newer version." in text
    newer, now = text.split("would bring now")
    assert newer.count("\nheld v1.0 (latest: v1.1)\n") == newer.count("\nvirtual v1.0 (latest") == 1
    assert "Update virtual v1.0 -> v1.5" in now, "a bound keeps 3.0 out"
    assert "````text" in now, "no name ends the block"
    assert "gone" not in text
    assert "uv lock --upgrade-package" in text
    text = describe("", "Resolved 9 packages in 1ms\n")
    assert "0 locked packages have a newer version." in text
    assert "What to do" not in text


def test_index_that_does_not_answer_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:1/simple")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary"))
    monkeypatch.setattr(outdated_report, "OUTPUT", tmp_path / "report")
    assert outdated_report.main([]) == 2
    assert "::error title=Outdated check::Nothing is known" in capsys.readouterr().out
    assert "❌ Outdated check" in (tmp_path / "summary").read_text()


def test_what_is_read_has_no_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b" not in run([UV, "pip", "list", "--python=nowhere"], codes={2}).stderr


def test_lock_that_is_frozen_elsewhere_is_looked_at_where_it_leads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("UV_PYTHON", sys.executable)
    Path("pyproject.toml").write_text(PROJECT)
    folder = Path("index/held")
    folder.mkdir(parents=True)
    for version in ("1.0", "1.1"):
        make_wheel(folder, "held", version)
        links = [f"<a href={file.name}>{file.name}</a>" for file in folder.glob("*.whl")]
        (folder / "index.html").write_text("".join(links))
        run([UV, "lock"])
    monkeypatch.setenv("UV_FROZEN", "1")
    assert outdated_report.main([]) == 0
    newer, now = capsys.readouterr().out.split("would bring now")
    assert "held v1.0 (latest: v1.1)" in newer
    assert "Update held v1.0 -> v1.1" in now
    (folder / "index.html").write_text("")
    assert outdated_report.main([]) == 0
    assert "error: No solution found" in capsys.readouterr().out, "the lock still serves"
