"""How much memory requests take; `pytest --memray` also shows where."""

import asyncio
from pathlib import Path

import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from starlette.types import Message

from python_web_template.app import create_app
from python_web_template.migrate import migrate
from python_web_template.settings import Settings, parse_database_url

pytestmark = pytest.mark.usefixtures("default_settings")


def ask(
    app: FastAPI, method: str, path: str, *headers: tuple[bytes, bytes], endless: bool = False
) -> int:
    """Send a request, whose body has no end if so wanted, and return the status."""
    status = 0

    async def receive() -> Message:
        body = bytes(20_000) if endless else b""
        return {"type": "http.request", "body": body, "more_body": endless}

    async def send(message: Message) -> None:
        nonlocal status
        status = message.get("status", status)

    async def run() -> None:
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": b"",
            "headers": [(b"content-type", b"application/json"), *headers],
        }
        await app(scope, receive, send)
        await app.state.database.close()

    asyncio.run(run())
    return status


@pytest.fixture
def app(tmp_path: Path) -> FastAPI:
    """An app that has answered before, so that only new memory is seen."""
    url = f"sqlite:///{tmp_path}/memory.sqlite3"
    migrate(parse_database_url(url))
    app = create_app(Settings(database_url=SecretStr(url), log_level="CRITICAL"))
    assert ask(app, "GET", "/items") == 200
    return app


@pytest.mark.limit_memory("5 MB")
def test_nothing_that_clients_choose_is_kept(app: FastAPI) -> None:
    """Paths, methods and request ids come without end."""
    for number in range(200):
        assert ask(app, f"M{number}", f"/{number}", (b"x-request-id", b"%d" % number)) == 404


@pytest.mark.limit_memory("5 MB")
def test_endless_body_is_not_collected(app: FastAPI) -> None:
    """Reading stops at the limit of 1 MiB."""
    assert ask(app, "POST", "/items", endless=True) == 413
