"""A real package index on the loopback interface."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lib import processes

START_SECONDS = 60


@contextmanager
def serve(packages: Path) -> Iterator[str]:
    """Serve the packages in a new folder, and those that are uploaded; yield the address."""
    packages.mkdir()
    port = processes.find_free_port()
    address = f"http://127.0.0.1:{port}"
    command = [f"{sys.prefix}/bin/pypi-server", "run", "--hash-algo", "sha256", "-i", "127.0.0.1"]
    options = ["-p", str(port), "-a", ".", "-P", ".", "--disable-fallback", str(packages)]
    with (
        Path(os.devnull).open("w") as nowhere,
        processes.serve(
            [*command, *options], address, START_SECONDS,
            folder=packages, environment=os.environ, output=nowhere,
        ),
    ):  # fmt: skip
        yield address
