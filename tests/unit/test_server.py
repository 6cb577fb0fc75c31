"""Real server processes: start, several workers, graceful shutdown."""

import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import pytest
from prometheus_client.parser import text_string_to_metric_families


class RunningServer(Protocol):
    """What the fixture gives."""

    url: str
    output: Path

    def stop(self) -> int:
        """End it with SIGTERM."""

    def logs(self) -> list[dict[str, object]]:
        """Return what it logged."""


type StartServer = Callable[..., RunningServer]

SLOW = """
import asyncio
from python_web_template.app import create_app
from python_web_template.server import serve
from python_web_template.settings import Settings

def slow_app():
    app = create_app()
    @app.get("/slow")
    async def slow(seconds: float) -> str:
        await asyncio.sleep(seconds)
        return "finished"
    return app

settings = Settings.from_environment()
serve(settings, host="127.0.0.1", port=0, workers=1, app="__main__:slow_app")
"""


def get(url: str, path: str) -> tuple[int, str]:
    """Ask on a new connection, which may reach another worker than the one before."""
    parts = urlsplit(url)
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=30)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def test_nothing_configured(start_server: StartServer) -> None:
    server = start_server()

    assert get(server.url, "/ready")[0] == 200
    server.stop()
    events = [line["event"] for line in server.logs()]  # fails unless all lines are JSON
    assert events.count("request") == 1
    assert {"schema migrated", "started", "stopped"} < set(events)


def test_request_in_flight_is_finished(start_server: StartServer) -> None:
    server = start_server(code=SLOW)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(get, server.url, "/slow?seconds=1.5")
        wait_for_request(server)
        started = time.monotonic()
        code = server.stop()

    assert answer.result() == (200, '"finished"')
    assert time.monotonic() - started > 0.5
    assert code in {0, -signal.SIGTERM}
    with pytest.raises(ConnectionRefusedError):
        get(server.url, "/health")


def test_request_that_takes_too_long_does_not_stop_the_shutdown(start_server: StartServer) -> None:
    server = start_server(code=SLOW, GRACEFUL_SHUTDOWN_SECONDS="1")
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(get, server.url, "/slow?seconds=60")
        wait_for_request(server)
        started = time.monotonic()
        server.stop()

    assert time.monotonic() - started < 20
    assert answer.exception() or answer.result()[0] == 500


def wait_for_request(server: RunningServer) -> None:
    """Wait until the slow request is being answered."""
    for _ in range(100):
        if "http_requests_in_flight 2.0" in get(server.url, "/metrics")[1]:
            return
        time.sleep(0.05)
    pytest.fail("the request did not arrive")


def test_workers_add_up_their_metrics(start_server: StartServer, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    server = start_server("--workers", "2", TMPDIR=str(shared))
    wait_for_workers(server, 2)
    for _ in range(20):
        assert get(server.url, "/health")[0] == 200

    families = list(text_string_to_metric_families(get(server.url, "/metrics")[1]))

    samples = [sample for family in families for sample in family.samples]
    count = sum(
        sample.value
        for sample in samples
        if sample.name == "http_request_duration_seconds_count"
        and sample.labels["route"] == "/health"
    )
    memory = [sample for sample in samples if sample.name == "process_resident_memory_bytes"]
    (in_flight,) = (sample for sample in samples if sample.name == "http_requests_in_flight")
    assert count == 20
    assert in_flight.value == 1
    assert len({sample.labels["pid"] for sample in memory}) == 2
    assert all(sample.value > 1_000_000 for sample in memory)
    assert server.stop() == 0
    assert list(shared.iterdir()) == []


def wait_for_workers(server: RunningServer, number: int) -> None:
    for _ in range(600):
        if server.output.read_text().count('"event":"started"') == number:
            return
        time.sleep(0.05)
    pytest.fail(f"not all workers started:\n{server.output.read_text()}")
