"""What happens around every request: id, body limit, metrics, access log, unexpected errors.

It is one plain ASGI class (https://asgi.readthedocs.io), so that a request pays for one layer.
"""

import re
from secrets import token_hex
from time import perf_counter

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .logs import access_logger, get_logger, request_id
from .metrics import UNMATCHED, Metrics
from .problems import problem

_is_token = re.compile(rb"[A-Za-z0-9._-]{1,128}").fullmatch


def choose_request_id(proposed: bytes) -> str:
    """Keep the id that the client sent if it is a harmless token, or else make one."""
    return proposed.decode() if _is_token(proposed) else token_hex(16)


class RequestMiddleware:
    """Do what all requests have in common.

    Args:
        app: The ASGI app to wrap.
        metrics: Where requests are counted.
        max_body_bytes: Requests with a longer body are answered with 413.
    """

    def __init__(self, app: ASGIApp, *, metrics: Metrics, max_body_bytes: int) -> None:
        self.app = app
        self.metrics = metrics
        self.max_body_bytes = max_body_bytes
        self.log = get_logger()
        self.log_request = access_logger()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = perf_counter()
        # FastAPI's routes know no HEAD: the same answer, and the server leaves out its body.
        asked = {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope
        exchange = _Exchange(scope, receive, send, self.max_body_bytes)
        self.metrics.in_flight.inc()
        try:
            await exchange.check_declared_length()
            if not exchange.status:
                await self.app(asked, exchange.receive, exchange.send)
        except Exception:
            self.log.exception("unhandled error")
            if exchange.status:  # too late to answer: the server cuts the connection
                exchange.status = 500
                raise
            await problem(500)(scope, receive, exchange.send)
        finally:
            self.metrics.in_flight.dec()
            self._record(scope["method"], asked, exchange.status or 500, perf_counter() - started)

    def _record(self, method: str, scope: Scope, status: int, seconds: float) -> None:
        route = scope.get("route")
        template = route.path if route else UNMATCHED
        self.metrics.observe_request(method, template, status, seconds)
        self.log_request(
            {
                "event": "request",
                "method": method,
                "path": scope["path"],  # without the query, which may hold secrets
                "status": status,
                "duration_ms": round(seconds * 1000, 3),
            }
        )


class _Exchange:
    """One request and its response."""

    __slots__ = ("_declared", "_id", "_limit", "_receive", "_received", "_scope", "_send", "status")

    def __init__(self, scope: Scope, receive: Receive, send: Send, limit: int) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._limit = limit
        self._received = 0
        self.status = 0  # until the response starts
        proposed = self._declared = b""
        for name, value in scope["headers"]:
            if name == b"x-request-id":
                proposed = value
            elif name == b"content-length":
                self._declared = value
        self._id = choose_request_id(proposed)
        request_id.set(self._id)

    async def check_declared_length(self) -> None:
        """Refuse a body that says itself that it is too long, without reading it."""
        if self._declared.isdigit() and int(self._declared[:19]) > self._limit:
            await problem(413)(self._scope, self._receive, self.send)

    async def receive(self) -> Message:
        """Pass on a part of the body; count, because not every body declares its length."""
        message = await self._receive()
        self._received += len(message.get("body", b""))
        if self._received > self._limit:
            raise HTTPException(413)
        return message

    async def send(self, message: Message) -> None:
        """Pass on a part of the response, with the request id."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message["headers"], (b"x-request-id", self._id.encode())]
        await self._send(message)
