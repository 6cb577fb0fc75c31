"""Servers on this machine that are played by a function."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import NamedTuple


class Asked(NamedTuple):
    """What a client asks for."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Reply:
    """What it gets."""

    status: int
    content: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


def make_handler(answer: Callable[[Asked], Reply]) -> type[BaseHTTPRequestHandler]:
    """Return what a server hands its requests to."""

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            headers = {name.title(): text for name, text in self.headers.items()}
            reply = answer(Asked(self.command, self.path, headers, self._read()))
            self.send_response(reply.status)
            for name, text in {**reply.headers, "Content-Length": str(len(reply.content))}.items():
                self.send_header(name, text)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(reply.content)

        def _read(self) -> bytes:
            if self.headers.get("Transfer-Encoding") != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length") or 0))
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            return body

        do_DELETE = do_GET = do_HEAD = do_PATCH = do_POST = do_PUT = _answer  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler


@contextmanager
def serve(answer: Callable[[Asked], Reply]) -> Iterator[str]:
    """Serve on a free port of this machine; yield the address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), make_handler(answer)) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
