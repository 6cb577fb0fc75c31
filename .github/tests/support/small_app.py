#!/usr/bin/env python3
"""The least that a deployment can drive, with faults that variables bring.

NOT_READY and BROKEN: /ready says 503, /work says 500. /slow takes two seconds.
"""

import argparse
import json
import os
import signal
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


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
        elif self.path == "/slow":
            time.sleep(2)
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(content).encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def main() -> None:
    """Serve until SIGTERM, and what was asked before it to its end."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=8000)
    options = parser.parse_args()
    ThreadingHTTPServer.daemon_threads = False
    with ThreadingHTTPServer(("", options.port), Handler) as server:
        signal.signal(signal.SIGTERM, lambda *_: Thread(target=server.shutdown).start())
        server.serve_forever(poll_interval=0.05)


if __name__ == "__main__":
    main()
