"""Serve the app over HTTP with uvicorn."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from tempfile import TemporaryDirectory

import uvicorn

from . import logs
from .about import DISTRIBUTION, PACKAGE
from .metrics import DIRECTORY_VARIABLE
from .settings import Settings

APP = f"{PACKAGE}.app:create_app"
"""Import string of the function that makes the app; each worker process calls it."""

WORKER_SECONDS = 30
"""A worker that is silent for longer is replaced; on a busy machine, starting one takes a while."""


def serve(settings: Settings, *, host: str, port: int, workers: int, app: str = APP) -> None:
    """Answer requests until SIGTERM or SIGINT, then finish those in flight.

    Args:
        settings: How it behaves.
        host: Address to listen on.
        port: Port to listen on; 0 takes a free one.
        workers: Number of processes.
        app: Import string of the function that makes the app.

    Raises:
        SystemExit: The server could not start.
    """
    with _shared_metrics() if workers > 1 else nullcontext():
        uvicorn.run(
            app,
            factory=True,
            host=host,
            port=port,
            workers=workers,
            access_log=False,  # the app writes its own
            log_config=logs.standard_library(settings.log_level),
            server_header=False,
            timeout_graceful_shutdown=settings.graceful_shutdown_seconds,
            timeout_worker_healthcheck=WORKER_SECONDS,
        )


@contextmanager
def _shared_metrics() -> Iterator[None]:
    """Give the workers an empty directory in which to add up their metrics."""
    with TemporaryDirectory(prefix=f"{DISTRIBUTION}-") as directory:
        os.environ[DIRECTORY_VARIABLE] = directory
        try:
            yield
        finally:
            del os.environ[DIRECTORY_VARIABLE]
