"""The numbers that people type, and apps that do not do what they should."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from engine import ROOT
from performance.load import LIMITS, read_number

SCRIPT = ".github/scripts/performance/load.py"
NOBODY = "http://127.0.0.1:1"
"""Where nothing listens."""
APP = """
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        known = self.path == "/health"
        self.send_response(200 if known else 404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


print("listening")
ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
LOCUST = """
from locust import HttpUser, constant, task


class Visitor(HttpUser):
    wait_time = constant(0.1)

    @task
    def ask(self):
        self.client.get("/health")
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with a tiny app and the scripts; its serving command is to be set."""
    shutil.copytree(ROOT / ".github/scripts", tmp_path / ".github/scripts")
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "locustfile.py").write_text(LOCUST)
    serve_with(tmp_path, f"{sys.executable} {tmp_path}/app.py {{port}}")
    return tmp_path


def serve_with(project: Path, command: str) -> None:
    (project / "pyproject.toml").write_text(f"[tool.pipelines]\nserve = {json.dumps(command)}\n")


def run(project: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, project / SCRIPT, *words],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
        timeout=150,
    )


@pytest.mark.parametrize("name", LIMITS)
def test_limits_are_included(name: str) -> None:
    for number in LIMITS[name]:
        assert read_number(name, str(number)) == number


@pytest.mark.parametrize(
    "text", ["0", "-5", "+5", "many", "", " ", "1e3", "5.0", "\u0665", "9" * 5000, "5\n5", "$(id)"]
)
@pytest.mark.parametrize("name", ["users", "duration"])
def test_anything_else_is_refused_with_the_limits(name: str, text: str) -> None:
    lowest, highest = LIMITS[name]
    wanted = f"^{name} must be a number from {lowest} to {highest}"
    with pytest.raises(ValueError, match=wanted) as error:
        read_number(name, text)
    assert len(str(error.value)) < 120
    assert "\n" not in str(error.value)


def test_app_with_nothing_but_health_is_loaded(project: Path) -> None:
    done = run(project, "locust", "--users=2", "--duration=5", "--workers=3")
    assert done.returncode == 0, done.stdout + done.stderr
    for text in ("no migrations", "takes no {workers}", "has no /ready", "has no /metrics"):
        assert text in done.stdout
    results = project / "locust-results"
    app = json.loads((results / "app.json").read_text())
    assert (app["workers"], app["database"]) == (1, "none")
    assert app["peak_memory_bytes"] > 1_000_000
    assert (results / "report.html").exists()
    assert run(project, "locust", "--users=-1").returncode == 2, "results of ours may be replaced"


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("no-such-command {port}", "no-such-command {port}` cannot be started"),
        ("python -c 'print(99); exit(3)' {port}", "ended before it answered"),
    ],
)
def test_app_that_does_not_start_is_said_at_once(project: Path, command: str, says: str) -> None:
    serve_with(project, command)
    done = run(project, "locust", "--users=2", "--duration=5")
    assert done.returncode == 1
    assert says in done.stdout
    assert ("99" in done.stdout) == ("99" in command), "its last lines"


def test_app_without_a_load_test_is_said(project: Path) -> None:
    done = run(project, "k6")
    assert done.returncode == 0
    assert "::notice title=Load test::There is no k6-script.js: k6 is off." in done.stdout


def test_folder_that_holds_something_else_is_left_alone(project: Path) -> None:
    done = run(project, "locust", "--output=.")
    assert done.returncode == 2
    assert "choose another --output" in done.stdout
    assert (project / "app.py").exists()


@pytest.mark.parametrize("tool", ["locust", "k6"])
def test_dead_server_is_red_with_the_reason(tool: str, tmp_path: Path) -> None:
    words = (tool, f"--host={NOBODY}", "--users=2", "--duration=5", f"--output={tmp_path}/out")
    done = run(ROOT, *words)
    assert done.returncode, done.stdout
    assert "refused" in done.stdout + done.stderr
