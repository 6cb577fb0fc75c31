"""How long the work takes that requests are made of."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from pytest_benchmark.fixture import BenchmarkFixture
from sqlalchemy import event
from sqlalchemy.engine.interfaces import DBAPIConnection
from starlette.types import Message

from python_web_template.app import create_app
from python_web_template.metrics import Metrics
from python_web_template.middleware import choose_request_id
from python_web_template.migrate import migrate
from python_web_template.pagination import decode_cursor, encode_cursor
from python_web_template.settings import Settings, parse_database_url

pytestmark = pytest.mark.usefixtures("default_settings")

type Ask = Callable[..., int]


def do_not_wait_for_the_disk(connection: DBAPIConnection, _record: object) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA synchronous = OFF")
    cursor.close()


@pytest.fixture
def ask(tmp_path: Path) -> Iterator[Ask]:
    """Send a request through the whole app, without a network, and return the status."""
    url = f"sqlite:///{tmp_path}/benchmark.sqlite3"
    migrate(parse_database_url(url))
    app = create_app(Settings(database_url=SecretStr(url), log_level="CRITICAL"))
    event.listen(app.state.database.engine.sync_engine, "connect", do_not_wait_for_the_disk)

    async def call(method: str, path: str, body: bytes) -> int:
        status = 0

        async def receive() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)

        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [(b"host", b"test"), (b"content-type", b"application/json")],
            "server": ("test", 80),
            "client": ("127.0.0.1", 1),
        }
        await app(scope, receive, send)
        return status

    with asyncio.Runner() as runner:
        yield lambda method, path, body=b"": runner.run(call(method, path, body))
        runner.run(app.state.database.close())


def test_cursor(benchmark: BenchmarkFixture) -> None:
    assert benchmark(lambda: decode_cursor(encode_cursor(1_234_567_890))) == 1_234_567_890


def test_request_id(benchmark: BenchmarkFixture) -> None:
    assert benchmark(choose_request_id, b"7f1c0f6e-5b6f-4c6f-9f0a-1d2e3f4a5b6c")


def test_count_request(benchmark: BenchmarkFixture) -> None:
    benchmark(Metrics().observe_request, "GET", "/items/{item_id}", 200, 0.012)


def test_health(benchmark: BenchmarkFixture, ask: Ask) -> None:
    assert benchmark(ask, "GET", "/health") == 200


def test_invalid_item(benchmark: BenchmarkFixture, ask: Ask) -> None:
    assert benchmark(ask, "POST", "/items", b'{"name": ""}') == 422


def test_create_item(benchmark: BenchmarkFixture, ask: Ask) -> None:
    assert benchmark(ask, "POST", "/items", b'{"name": "Tea", "price_cents": 350}') == 201


def test_list_items(benchmark: BenchmarkFixture, ask: Ask) -> None:
    for _ in range(20):
        ask("POST", "/items", b'{"name": "Tea", "price_cents": 350}')

    assert benchmark(ask, "GET", "/items") == 200
