"""A local fake of the few parts of GitHub's REST API that the pipelines use.

It answers only what it knows, and is strict about what it is sent: anything else is a 404, as
GitHub itself answers, and is kept in `unexpected`.
"""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Self


class FakeGitHub:
    """A server on the loopback interface; use it as a context manager.

    Attributes:
        status: Answer every request with this status instead, such as 403 or 500.
        pull_request: Values that replace those of the event's pull request.
        unexpected: Requests that had no answer.
    """

    def __init__(self, *, status: int = 200, pull_request: dict[str, Any] | None = None) -> None:
        self.status = status
        self.pull_request = pull_request or {}
        self.unexpected: list[str] = []
        self.resources: dict[str, Any] = {}

    def see(self, payload: dict[str, Any]) -> None:
        """Learn what exists from the payload of an event."""
        if "pull_request" in payload:
            path = f"/repos/{payload['repository']['full_name']}/pulls/{payload['number']}"
            self.resources[path] = payload["pull_request"] | self.pull_request

    def __enter__(self) -> Self:
        """Start to answer at `url`."""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._make_handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()

    def _make_handler(self) -> type[BaseHTTPRequestHandler]:
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                found = fake.resources.get(self.path)
                if fake.status != 200:  # noqa: PLR2004
                    self._answer(fake.status, {"message": "This is a test"})
                elif not self.headers.get("Authorization", "").startswith("Bearer "):
                    self._answer(401, {"message": "Requires authentication"})
                elif found is None:
                    fake.unexpected.append(f"GET {self.path}")
                    self._answer(404, {"message": "Not Found"})
                else:
                    self._answer(200, found)

            def _answer(self, status: int, content: object) -> None:
                body = json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        return Handler
