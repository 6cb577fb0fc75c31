"""What scripts tell the runner, as commands of a shell, with texts that try to do more."""

import os
import sys
from pathlib import Path

import pytest
from lib import processes, workflow_commands

SCRIPT = workflow_commands.__file__
HOSTILE = "a\n::error::x\r\x1b[31m ##[error]y `$(id)` <img> ``` | @octocat %0A"


def tell(tmp_path: Path, *arguments: str) -> tuple[str, str, str]:
    """Return what is printed, the summary and the outputs."""
    files = {key: tmp_path / key for key in ("GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT")}
    for file in files.values():
        file.write_text("")
    environment = os.environ | {key: str(file) for key, file in files.items()}
    done = processes.run([sys.executable, SCRIPT, *arguments], 60, environment=environment)
    summary, outputs = (file.read_text() for file in files.values())
    return done.stdout, summary, outputs


@pytest.mark.parametrize("level", ["error", "notice"])
def test_annotation_is_one_command(tmp_path: Path, level: str) -> None:
    printed, summary, outputs = tell(tmp_path, level, "A: b, c", HOSTILE)
    assert printed.startswith(f"::{level} title=A%3A b%2C c::a\\u000a::error::x")
    assert printed.count("\n") == 1
    assert "##[" not in printed
    assert "%250A" in printed
    assert (summary, outputs) == ("", "")


def test_summary_shows_text_and_the_end_of_a_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("".join(f"{number}\n\n" for number in range(60)) + "```` \x1b[31mred\n##[group]")
    _, summary, _ = tell(tmp_path, "summary", "❌ It", HOSTILE, "--log", str(log))
    assert summary.startswith("### ❌ It\n\na ::error::x")
    assert "\\`\\$(id)\\` \\<img\\>" in summary
    assert "\n`````text\n22\n23\n" in summary
    assert "\n```` red\n#\\u0023[group]\n`````\n\n" in summary


def test_failure_ends_with_the_last_line_without_its_colours(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("first\n\x1b[2K\x1b[31mlast\x1b[0m\n---\n")
    printed, summary, _ = tell(
        tmp_path, "fail", "It", "Run it again.", "--log", str(tmp_path / "log")
    )
    assert printed == "::error title=It::last — Run it again.\n"
    assert "first\nlast\n" in summary


def test_summary_without_a_text(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("\n\n")
    assert tell(tmp_path, "summary", "✅ It", "--log", str(tmp_path / "log"))[1] == "### ✅ It\n\n"


def test_output_is_one_line() -> None:
    with pytest.raises(ValueError, match="more than one line"):
        workflow_commands.set_outputs({"a": "b\nc=d"})
