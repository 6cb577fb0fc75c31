"""The app beside a command, for as long as the command runs."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / ".github/scripts/performance/with_app.sh"
APP = """#!{python}
import http.server, os, signal, sys, time

if sys.argv[1] == "migrate":
    print("migrated", os.environ["DATABASE_URL"], flush=True)
    sys.exit(os.environ["DATABASE_URL"] == "postgresql://broken")
mode = os.environ.get("MODE", "")
if mode == "crash":
    sys.exit("no such setting")
if mode == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/die":
            os._exit(3)
        print("GET", self.path, flush=True)
        self.send_response(503 if mode == "unready" else 200)
        self.end_headers()
        workers = 1 if mode == "alone" else int(sys.argv[sys.argv.index("--workers") + 1])
        self.wfile.write(b"process_resident_memory_bytes 1\\n" * workers)

    def log_message(self, *_):
        pass


print("started", *sys.argv[1:], os.environ.get("DATABASE_URL"), os.getpid(), flush=True)
port = int(sys.argv[sys.argv.index("--port") + 1])
http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""
METRIC = "process_resident_memory_bytes 1\n"
ASK = ("sh", "-c", 'curl --silent --fail "$BASE_URL/asked"')


type Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """A program that serves as the app does, and fails as told by MODE."""
    file = tmp_path / "app"
    file.write_text(APP.format(python=sys.executable))
    file.chmod(0o755)
    return file


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Nothing is given from outside but what must not be used."""
    (tmp_path / "tmp").mkdir()
    given = {name: value for name, value in os.environ.items() if name != "TEST_DATABASE_URL"}
    return given | {"DATABASE_URL": "postgresql://by/chance", "TMPDIR": str(tmp_path / "tmp")}


@pytest.fixture
def run(app: Path, tmp_path: Path, environment: dict[str, str]) -> Run:
    """Run the script to its end."""

    def run(
        *words: str, option: str = "--start=30", **variables: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [SCRIPT, f"--output={tmp_path / 'out'}", option, app, *words],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env=environment | variables,
        )

    return run


@pytest.fixture
def log(tmp_path: Path) -> Callable[[], str]:
    """Return what the app wrote, after making sure that nothing is left of it."""

    def read() -> str:
        text = (tmp_path / "out/app.log").read_text()
        for line in text.splitlines():
            if line.startswith("started"):
                with pytest.raises(ProcessLookupError):
                    os.kill(int(line.split()[-1]), 0)
        assert not list((tmp_path / "tmp").iterdir())
        return text

    return read


def test_app_is_there_as_long_as_the_command(
    run: Run, log: Callable[[], str], tmp_path: Path
) -> None:
    done = run(*ASK, option="--workers=3")
    assert done.returncode == 0, done.stderr
    assert done.stdout == METRIC * 3
    assert not done.stderr
    text = log()
    assert "--workers 3 None" in text, "the database by chance is not used"
    assert text.index("/ready?200") < text.index("/metrics") < text.index("/asked")
    assert (tmp_path / "out/metrics-after.txt").read_text() == METRIC * 3
    about = json.loads((tmp_path / "out/app.json").read_text())
    assert about.pop("peak_memory_bytes") > 1_000_000
    assert about == {"workers": 3, "database": "sqlite"}


def test_database_is_migrated_first(run: Run, log: Callable[[], str], tmp_path: Path) -> None:
    assert run("true", TEST_DATABASE_URL="postgresql://test").returncode == 0
    assert log().startswith("migrated postgresql://test\nstarted")
    assert '"database": "postgresql"' in (tmp_path / "out/app.json").read_text()
    done = run("true", TEST_DATABASE_URL="postgresql://broken")
    assert done.returncode == 1
    assert "the database could not be migrated" in done.stderr


@pytest.mark.parametrize(
    ("mode", "option", "command", "code", "expected"),
    [
        ("crash", "--start=30", "true", 1, "the app ended before it was ready"),
        ("crash", "--start=30", "true", 1, "no such setting"),
        ("unready", "--start=4", "true", 1, "/ready gave status 503"),
        ("", "--start=30", "exit 7", 7, "the last lines of the app"),
        ("", "--limit=1", "sleep 60", 124, "took longer than 1 seconds and was cut off"),
        ("", "--start=30", "curl -s $BASE_URL/die; sleep 60", 1, "ended while the command ran"),
    ],
)
def test_failure_is_told(  # noqa: PLR0913, PLR0917
    run: Run, log: Callable[[], str], mode: str, option: str, command: str, code: int, expected: str
) -> None:
    started = time.monotonic()
    done = run("sh", "-c", command, option=option, MODE=mode)
    assert done.returncode == code, done.stderr
    assert expected in done.stderr
    assert time.monotonic() - started < 20
    log()


def test_worker_that_never_answers_is_told(run: Run, log: Callable[[], str]) -> None:
    done = run("true", option="--start=2", MODE="alone")
    assert done.returncode == 0, done.stderr
    assert "1 of 2 workers answered within 2 seconds" in done.stderr
    log()


def test_app_that_does_not_stop_is_killed(run: Run, log: Callable[[], str]) -> None:
    done = run("true", option="--stop=1", MODE="stubborn")
    assert done.returncode == 0
    assert "the app did not end within 1 seconds and was killed" in done.stderr
    log()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_both(
    app: Path,
    tmp_path: Path,
    environment: dict[str, str],
    log: Callable[[], str],
    number: signal.Signals,
) -> None:
    words = [
        str(SCRIPT),
        f"--output={tmp_path / 'out'}",
        str(app),
        "sh",
        "-c",
        "echo $$; exec sleep 60",
    ]
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    ) as process:
        assert process.stdout
        command = int(process.stdout.readline())
        process.send_signal(number)
        assert process.wait(20) == 128 + number
    with pytest.raises(ProcessLookupError):
        os.kill(command, 0)
    log()


@pytest.mark.parametrize("words", [[], ["app"], ["--unknown", "app", "true"]])
def test_wrong_call_shows_the_usage(words: list[str]) -> None:
    done = subprocess.run([SCRIPT, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "Usage: with_app.sh" in done.stderr
