"""The numbers that people type, and a server that is not there."""

import subprocess
import sys
from pathlib import Path

import pytest
from performance.load_test import LIMITS, read_number

SCRIPT = Path(__file__).parents[3] / ".github/scripts/performance/load_test.py"
NOBODY = "http://127.0.0.1:1"
"""Where nothing listens."""


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, SCRIPT, *words], capture_output=True, text=True, check=False, timeout=100
    )


@pytest.mark.parametrize("name", LIMITS)
def test_limits_are_included(name: str) -> None:
    for number in LIMITS[name]:
        assert read_number(name, str(number)) == number
        assert read_number(name, f"{number:04}"[-len(str(LIMITS[name][1])) :]) == number


@pytest.mark.parametrize(
    "text",
    [
        "0",
        "-5",
        "+5",
        "many",
        "",
        " ",
        "1e3",
        "5.0",
        "0x10",
        "\u0665",
        "1001",
        "9" * 5000,
        "5\n5",
        "$(id)",
    ],
)
@pytest.mark.parametrize("name", ["users", "duration"])
def test_anything_else_is_refused_with_the_limits(name: str, text: str) -> None:
    lowest, highest = LIMITS[name]
    with pytest.raises(
        ValueError, match=f"^{name} must be a number from {lowest} to {highest}"
    ) as it:
        read_number(name, text)
    assert len(str(it.value)) < 120
    assert "\n" not in str(it.value)


def test_wrong_number_is_an_error_for_people() -> None:
    done = run("locust", "--users=-1")
    assert done.returncode == 2
    expected = "::error title=Load test::users must be a number from 1 to 1000, not '-1'\n"
    assert done.stdout == expected


@pytest.mark.parametrize("tool", ["locust", "k6"])
def test_dead_server_is_red_with_the_reason(tool: str, tmp_path: Path) -> None:
    words = (tool, f"--host={NOBODY}", "--users=2", "--duration=5", f"--output={tmp_path}")
    done = run(*words)
    assert done.returncode, done.stdout
    said = done.stdout + done.stderr
    if tool == "locust":
        assert "load test failed: 100.0% of the requests failed, limit 1.0%" in said
        assert "refused" in said
    else:
        assert "http_req_failed must be rate<=0.01, and is 1" in said
        assert "refused" in said
    assert (tmp_path / "report.html").exists()
