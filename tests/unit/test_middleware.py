"""What happens around every request."""

import asyncio
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from python_web_template import logs
from python_web_template.metrics import Metrics
from python_web_template.middleware import RequestMiddleware, choose_request_id

GENERATED = re.compile("[0-9a-f]{32}")


async def hello(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})


async def broken(_scope: Scope, _receive: Receive, _send: Send) -> None:
    raise LookupError("s3cret")


async def broken_after_start(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    raise LookupError("s3cret")


async def reading(_scope: Scope, receive: Receive, send: Send) -> None:
    try:
        while (await receive())["more_body"]:
            pass
    except HTTPException as error:
        await send({"type": "http.response.start", "status": error.status_code, "headers": []})
    else:
        await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body"})


def wrap(app: ASGIApp, *, metrics: Metrics | None = None, limit: int = 100) -> RequestMiddleware:
    logs.configure("INFO")
    return RequestMiddleware(app, metrics=metrics or Metrics(), max_body_bytes=limit)


def scope_of(*headers: tuple[bytes, bytes], method: str = "GET") -> Scope:
    return {"type": "http", "method": method, "path": "/path", "headers": list(headers)}


async def call(app: ASGIApp, scope: Scope, *parts: bytes) -> list[Message]:
    """Send a request with a body in parts, and collect the response."""
    left = list(parts)
    sent: list[Message] = []

    async def receive() -> Message:
        body = left.pop(0) if left else b""
        return {"type": "http.request", "body": body, "more_body": bool(left)}

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent


def ask(app: ASGIApp, scope: Scope, *parts: bytes) -> list[Message]:
    return asyncio.run(call(app, scope, *parts))


@pytest.mark.parametrize("proposed", [b"a", b"7f1c-2_B.9", b"x" * 128])
def test_sane_request_id_is_kept(proposed: bytes) -> None:
    start, _ = ask(wrap(hello), scope_of((b"x-request-id", proposed)))

    assert (b"x-request-id", proposed) in start["headers"]


@pytest.mark.parametrize(
    "proposed", [b"", b"x" * 129, b"a b", b"a\n", b'"', b"\xc3\xa9", b"<script>", b"${jndi:x}"]
)
def test_other_request_id_is_replaced(proposed: bytes) -> None:
    assert GENERATED.fullmatch(choose_request_id(proposed))


@given(st.binary())
def test_request_id_is_always_a_token(proposed: bytes) -> None:
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,128}", choose_request_id(proposed))


def test_generated_request_ids_differ() -> None:
    assert choose_request_id(b"") != choose_request_id(b"")


@given(parts=st.lists(st.binary(max_size=40), max_size=6))
def test_body_limit_counts_all_parts(parts: list[bytes]) -> None:
    start, _ = ask(wrap(reading), scope_of(method="POST"), *parts)

    assert start["status"] == (200 if len(b"".join(parts)) <= 100 else 413)


@pytest.mark.parametrize(
    ("declared", "status"),
    [(b"100", 200), (b"101", 413), (b"9" * 5000, 413), (b"-1", 200), (b"x", 200), (b"", 200)],
)
def test_declared_length(declared: bytes, status: int) -> None:
    start, _ = ask(wrap(hello), scope_of((b"content-length", declared)))

    assert start["status"] == status


def test_unexpected_error_is_a_problem_without_internals(
    capfd: pytest.CaptureFixture[str],
) -> None:
    start, body = ask(wrap(broken), scope_of((b"x-request-id", b"the-id")))

    problem = json.loads(body["body"])
    assert start["status"] == 500
    assert (b"content-type", b"application/problem+json") in start["headers"]
    assert problem == {
        "type": "about:blank",
        "title": "Internal Server Error",
        "status": 500,
        "request_id": "the-id",
    }
    error, access = map(json.loads, capfd.readouterr().out.splitlines())
    assert (error["event"], error["level"], error["request_id"]) == (
        "unhandled error",
        "error",
        "the-id",
    )
    assert "LookupError" in error["exception"]
    assert (access["event"], access["status"]) == ("request", 500)


def test_error_after_the_response_started_cuts_the_connection() -> None:
    metrics = Metrics()

    with pytest.raises(LookupError):
        ask(wrap(broken_after_start, metrics=metrics), scope_of())

    assert b'http_errors_total{method="GET",route="unmatched"} 1.0' in metrics.render()


def test_access_log_has_one_line_and_no_query(capfd: pytest.CaptureFixture[str]) -> None:
    scope = scope_of((b"authorization", b"s3cret"), (b"x-request-id", b"the-id"))

    ask(wrap(hello), {**scope, "query_string": b"token=s3cret"})

    output = capfd.readouterr().out
    line = json.loads(output)
    assert (
        line.items()
        >= {
            "event": "request",
            "level": "info",
            "method": "GET",
            "path": "/path",
            "status": 200,
            "request_id": "the-id",
        }.items()
    )
    assert line["duration_ms"] >= 0
    assert "s3cret" not in output


def test_requests_in_flight() -> None:
    metrics = Metrics()
    seen = []

    async def look(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(b"http_requests_in_flight 1.0" in metrics.render())
        await hello(scope, receive, send)

    ask(wrap(look, metrics=metrics), scope_of())

    assert seen == [True]
    assert b"http_requests_in_flight 0.0" in metrics.render()


@pytest.mark.parametrize("kind", ["lifespan", "websocket"])
def test_other_connections_pass_through(kind: str) -> None:
    seen: list[Scope] = []

    async def look(scope: Scope, _receive: Receive, _send: Send) -> None:
        seen.append(scope)

    ask(wrap(look), {"type": kind})

    assert seen == [{"type": kind}]


def test_cancelled_request_is_counted() -> None:
    metrics = Metrics()

    async def wait(_scope: Scope, _receive: Receive, _send: Send) -> None:
        await asyncio.sleep(60)

    async def cancel() -> None:
        task = asyncio.create_task(call(wrap(wait, metrics=metrics), scope_of()))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(cancel())

    assert b"http_requests_in_flight 0.0" in metrics.render()
