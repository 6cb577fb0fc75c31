#!/usr/bin/env python3
"""The least that a deployment can drive: `serve` and `migrate`, with faults that variables bring.

MIGRATION_FAILS, NOT_READY and BROKEN: migrate ends with 1, /ready says 503, /work says 500.
"""

import argparse
import json
import os
import signal
import sys
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Handler(BaseHTTPRequestHandler):
    """One request."""

    def do_GET(self) -> None:
        """Answer as the variables say."""
        status = HTTPStatus.OK
        content = {key: os.environ.get(f"APP_{key.upper()}") for key in ("version", "revision")}
        if self.path == "/ready" and "NOT_READY" in os.environ:
            status, content = HTTPStatus.SERVICE_UNAVAILABLE, {"detail": "Not ready: database"}
        elif self.path == "/work" and "BROKEN" in os.environ:
            status = HTTPStatus.INTERNAL_SERVER_ERROR
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(content).encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def main() -> int:
    """Serve until SIGTERM, or migrate nothing; which of both, the program's name says."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=8000)
    options = parser.parse_args()
    if Path(sys.argv[0]).name == "migrate":
        return "MIGRATION_FAILS" in os.environ
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    with ThreadingHTTPServer(("", options.port), Handler) as server:
        server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
