"""Requests of anybody: whatever is sent, the app answers, and never with an error of its own."""

import tempfile
from pathlib import Path
from urllib.parse import quote

from fastapi.testclient import TestClient
from pydantic import SecretStr

from python_web_template.app import create_app
from python_web_template.migrate import migrate
from python_web_template.settings import Settings, parse_database_url

_URL = f"sqlite:///{Path(tempfile.mkdtemp()) / 'fuzz.sqlite3'}"
migrate(parse_database_url(_URL))
_CLIENT = TestClient(create_app(Settings(database_url=SecretStr(_URL), log_level="CRITICAL")))
_CLIENT.__enter__()


def check(data: bytes) -> None:
    """Send the first line as a part of the address, the rest as the body."""
    line, _, body = data.partition(b"\n")
    text = line.decode("utf-8", "replace")
    _ask("POST", "/items", content=body)
    _ask("PUT", "/items/1", content=body)
    _ask("GET", "/items", params={"cursor": text, "limit": text})
    _ask("GET", "/items/" + quote(text))


def _ask(method: str, path: str, **sent: object) -> None:
    headers = {"Content-Type": "application/json"}
    answer = _CLIENT.request(method, f"http://testserver{path}", headers=headers, **sent)  # type: ignore[arg-type]
    assert answer.status_code < 500, (method, path, sent)
