"""Measure what metrics, JSON logs, request ids and the body limit cost.

The same route is served twice with the same server settings, each time by a process of its own:
once by the app and once by bare FastAPI. Short rounds alternate between the two, and the best
round of each counts, because other work on the machine can only make a round slower.
"""

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

import uvloop
from fastapi import FastAPI

from python_web_template.operations import Health
from python_web_template.server import APP, serve
from python_web_template.settings import Settings

START_SECONDS = 30


def bare_app() -> FastAPI:
    """Make an app that does nothing but answer."""
    app = FastAPI()

    @app.get("/health")
    async def health() -> Health:
        return Health(version="1", revision="unknown", environment="development")

    return app


APPS = {"bare": "__main__:bare_app", "app": APP}


class Client(asyncio.Protocol):
    """Send a request as soon as the one before is answered (HTTP/1.1 keep-alive)."""

    REQUEST = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"

    def __init__(self) -> None:
        self.answers = 0
        self.buffer = b""
        self.running = True
        self.broken = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first request."""
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(self.REQUEST)

    def data_received(self, data: bytes) -> None:
        """Count a complete answer and send the next request."""
        self.buffer += data
        head, end, body = self.buffer.partition(b"\r\n\r\n")
        length = head.partition(b"content-length: ")[2].partition(b"\r\n")[0]
        if not end or len(body) < int(length):
            return
        self.broken |= not head.startswith(b"HTTP/1.1 200 ")
        self.buffer = b""
        self.answers += 1
        if self.running:
            self.transport.write(self.REQUEST)


async def requests_per_second(url: str, connections: int, seconds: float) -> float:
    """Keep the server busy for one round."""
    parts = urlsplit(url)
    loop = asyncio.get_running_loop()
    clients = [
        (await loop.create_connection(Client, parts.hostname or "", parts.port or 0))[1]
        for _ in range(connections)
    ]
    before = sum(client.answers for client in clients)
    started = time.perf_counter()
    await asyncio.sleep(seconds)
    rate = (sum(client.answers for client in clients) - before) / (time.perf_counter() - started)
    for client in clients:
        client.running = False
        client.transport.close()
    if not rate or any(client.broken for client in clients):
        raise SystemExit(f"{url} did not answer as it should")
    return rate


@contextmanager
def serving(name: str, directory: Path) -> Iterator[str]:
    """Serve one of the apps in a process of its own; its log lines go to a file."""
    output = directory / f"{name}.log"
    with output.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, __file__, "--serve", name],
            cwd=directory,
            env=os.environ | {"LOG_LEVEL": "INFO"},
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
    try:
        deadline = time.monotonic() + START_SECONDS
        while "Uvicorn running on " not in (text := output.read_text()):
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"the server did not start:\n{text}")
            time.sleep(0.1)
        yield text.partition("Uvicorn running on ")[2].partition(" ")[0]
    finally:
        process.terminate()
        process.wait()


def measure(rounds: int, connections: int, seconds: float) -> dict[str, float]:
    """Return the requests per second of the best round of each app."""
    best = dict.fromkeys(APPS, 0.0)
    with (
        tempfile.TemporaryDirectory() as directory,
        serving("bare", Path(directory)) as bare,
        serving("app", Path(directory)) as app,
    ):
        order = [("bare", bare), ("app", app)]
        for number in range(rounds + 1):
            for name, url in order:
                rate = uvloop.run(requests_per_second(url, connections, seconds))
                if number:  # the first round only warms up
                    best[name] = max(best[name], rate)
            order.reverse()
    return best


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the comparison and print it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=9, help="for each app (default: 9)")
    parser.add_argument("--seconds", type=float, default=1.0, help="of a round (default: 1)")
    parser.add_argument("--connections", type=int, default=16, help="at a time (default: 16)")
    parser.add_argument(
        "--minimum", type=float, default=0.65, help="ratio to reach (default: 0.65)"
    )
    parser.add_argument("--serve", choices=APPS, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.serve:
        serve(Settings(), host="127.0.0.1", port=0, workers=1, app=APPS[options.serve])
        return 0
    best = measure(options.rounds, options.connections, options.seconds)
    ratio = best["app"] / best["bare"]
    sys.stdout.write(
        f"bare FastAPI           {best['bare']:8.0f} requests/s\n"
        f"app, all observability {best['app']:8.0f} requests/s\n"
        f"ratio                  {ratio:8.2f} (at least {options.minimum})\n"
    )
    return 0 if ratio >= options.minimum else 1


if __name__ == "__main__":
    sys.exit(main())
