"""Whatever a client sends, it never causes a 500, and errors give nothing away."""

import json
from collections.abc import Callable, Iterator

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from python_web_template.settings import Settings

type NewClient = Callable[[Settings], TestClient]

BODIES = {
    "empty": b"",
    "not JSON": b"{",
    "not UTF-8": b'{"name": "\xff"}',
    "not an object": b"[]",
    "null": b"null",
    "deep": b"[" * 100_000,
    "huge integer": b'{"name": "x", "price_cents": ' + b"9" * 5000 + b"}",
    "integer too large": b'{"name": "x", "price_cents": 2147483648}',
    "negative": b'{"name": "x", "price_cents": -1}',
    "fraction": b'{"name": "x", "price_cents": 1.5}',
    "number as text": b'{"name": "x", "price_cents": "1"}',
    "boolean": b'{"name": "x", "price_cents": true}',
    "NaN": b'{"name": "x", "price_cents": NaN}',
    "null character": b'{"name": "a\\u0000b", "price_cents": 1}',
    "null character in text": b'{"name": "x", "description": "\\u0000", "price_cents": 1}',
    "lone surrogate": b'{"name": "\\ud800", "price_cents": 1}',
    "surrogate in a key": b'{"\\ud800": 1, "name": "x", "price_cents": 1}',
    "blank name": b'{"name": "  ", "price_cents": 1}',
    "long name": json.dumps({"name": "x" * 201, "price_cents": 1}).encode(),
    "unknown member": b'{"name": "x", "price_cents": 1, "id": 7}',
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_bad_bodies(client: TestClient, method: str, body: bytes) -> None:
    answer = client.request(
        method,
        "/items" if method == "POST" else "/items/1",
        content=body,
        headers={"content-type": "application/json"},
    )

    assert answer.status_code in {400, 422}
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == answer.status_code


@pytest.mark.parametrize("kind", ["text/plain", "application/xml", "nonsense", ""])
def test_other_media_types(client: TestClient, kind: str) -> None:
    answer = client.post(
        "/items", content=b'{"name": "x", "price_cents": 1}', headers={"content-type": kind}
    )

    assert answer.status_code == 422


@pytest.mark.parametrize(
    "path",
    [
        "/items/0",
        "/items/-1",
        "/items/x",
        "/items/%00",
        "/items/9223372036854775808",
        "/items/" + "9" * 5000,
        "/items/%F0%9F%8D%B5",
        "/items/%ff",
        "/items/%EF%BC%91",  # a digit one, full width
    ],
)
def test_bad_ids(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 422


@pytest.mark.parametrize("cursor", ["", "x", "%00", "🍵", "MQ", "djE6MA", "9" * 5000, "djE6MQ=="])
def test_bad_cursors(client: TestClient, cursor: str) -> None:
    answer = client.get("/items", params={"cursor": cursor})

    assert answer.status_code == 422
    assert answer.json()["errors"] == [
        {"location": ["query", "cursor"], "message": "not a cursor of this service"}
    ]


@pytest.mark.parametrize("name", ["茶 🍵", "a\u202eb", "'; DROP TABLE items; --", "\x01\x7f"])
def test_unusual_text_is_kept(client: TestClient, name: str) -> None:
    created = client.post("/items", json={"name": name, "price_cents": 1})

    assert created.status_code == 201
    assert client.get(created.headers["location"]).json()["name"] == name


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    body=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
    | st.fixed_dictionaries({"name": st.text(), "price_cents": st.integers()})
)
def test_any_json_is_stored_or_refused(client: TestClient, body: object) -> None:
    answer = client.post(
        "/items", content=json.dumps(body), headers={"content-type": "application/json"}
    )

    assert answer.status_code in {201, 400, 422}


def test_unknown_path(client: TestClient) -> None:
    missing = client.get("/nothing")
    slash = client.get("/items/", headers={"host": "evil.example"})

    assert (missing.status_code, missing.json()["title"]) == (404, "Not Found")
    assert (slash.status_code, slash.headers.get("location")) == (404, None)


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/health", "GET, HEAD"),
        ("/items", "GET, HEAD, POST"),
        ("/items/1", "DELETE, GET, HEAD, PUT"),
        ("/docs", "GET, HEAD"),
    ],
)
def test_methods_of_a_path(new_client: NewClient, path: str, allowed: str) -> None:
    client = new_client(Settings())

    wrong = client.patch(path)

    assert (wrong.status_code, wrong.headers["allow"]) == (405, allowed)
    assert wrong.headers["content-type"] == "application/problem+json"


@pytest.fixture
def small(database: str, new_client: NewClient) -> TestClient:
    """A client of an app that takes bodies of at most 100 bytes."""
    return new_client(Settings(database_url=SecretStr(database), max_body_bytes=100))


def body_of(length: int) -> bytes:
    content = json.dumps({"name": "x", "price_cents": 1}).encode()
    return content + b" " * (length - len(content))


def in_parts(body: bytes) -> Iterator[bytes]:
    """Send without Content-Length."""
    for start in range(0, len(body), 30):
        yield body[start : start + 30]


@pytest.mark.parametrize("chunked", [False, True], ids=["declared", "chunked"])
@pytest.mark.parametrize(("length", "status"), [(100, 201), (101, 413), (10_000, 413)])
def test_body_limit(small: TestClient, length: int, status: int, *, chunked: bool) -> None:
    body = body_of(length)

    answer = small.post(
        "/items",
        content=in_parts(body) if chunked else body,
        headers={"content-type": "application/json"},
    )

    assert answer.status_code == status
    if status == 413:
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["request_id"] == answer.headers["x-request-id"]


def test_openapi_describes_problems(client: TestClient) -> None:
    description = client.get("/openapi.json").json()

    default = description["paths"]["/items"]["post"]["responses"]["default"]
    assert "application/problem+json" in default["content"]
