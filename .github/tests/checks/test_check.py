import os
import subprocess
from pathlib import Path

import pytest
from lib import processes

SCRIPT = Path(__file__).parents[3] / ".github/scripts/checks/check.sh"


def check(tmp_path: Path, *arguments: str) -> tuple[subprocess.CompletedProcess[str], str]:
    summary = tmp_path / "summary.md"
    summary.touch()
    environment = os.environ | {"GITHUB_STEP_SUMMARY": str(summary)}
    command = [str(SCRIPT), *arguments]
    done = processes.run(command, 60, environment=environment, errors=subprocess.PIPE)
    return done, summary.read_text()


def test_success_shows_the_last_line(tmp_path: Path) -> None:
    done, summary = check(tmp_path, "Lint", "printf", "%s\n", "one", "all fine", "")
    assert done.returncode == 0
    assert done.stdout == "one\nall fine\n\n"
    assert summary == "### ✅ Lint\n\n```text\nall fine\n```\n\n"


@pytest.mark.parametrize("code", [1, 3, 127])
def test_failure_keeps_the_code_and_shows_the_end(tmp_path: Path, code: int) -> None:
    command = f"seq 100; echo wrong >&2; exit {code}"
    done, summary = check(tmp_path, "--fix", "uv run poe fix", "Lint", "bash", "-c", command)
    assert done.returncode == code
    said = f"wrong — Ended with exit code {code}. To put it right: uv run poe fix."
    assert said in summary
    assert summary.startswith("### ❌ Lint\n")
    assert "\nwrong\n```" in summary
    assert "\n60\n" not in summary
    assert f"::error title=Lint::{said}\n" in done.stdout


@pytest.mark.parametrize(
    ("log", "cause"),
    [
        (r"Lint\nWhite space....Failed\nJSON...Passed\nYAML...Failed\n+ a",
         "White space: Failed — YAML: Failed"),
        (r"Lint\nno configuration", "no configuration"),
        (r"", "Ended"),
    ],
)  # fmt: skip
def test_cause_is_what_is_looked_for_or_the_end(tmp_path: Path, log: str, cause: str) -> None:
    command = f"printf '{log}'; exit 1"
    done, summary = check(tmp_path, "--cause", r"\.Failed$", "Hooks", "bash", "-c", command)
    assert f"::error title=Hooks::{cause} " in done.stdout
    assert f"\n{cause} " in summary
