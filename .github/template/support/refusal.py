"""A registry, or an index, that everybody may look at and nobody may write to."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


class Refusal(BaseHTTPRequestHandler):
    """Refuses whatever writes, in the words of GitHub's registry."""

    def _read(self) -> None:
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                self.rfile.read(size + 2)
        self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _answer(self) -> None:
        self._read()
        status, code, message = 404, "MANIFEST_UNKNOWN", "manifest unknown"
        if self.path == "/v2/":
            status = 200
        elif self.command == "POST":
            status, code, message = 403, "DENIED", "permission_denied: write_package"
        body = json.dumps({"errors": [{"code": code, "message": message}]}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_POST = _answer  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def serve() -> Iterator[str]:
    """Serve it on a free port of this machine; yield its `HOST:PORT`."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Refusal) as server:
        Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
