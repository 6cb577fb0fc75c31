"""What the tests of deployments share: images with faults, the driver, and a client that asks."""

import json
import os
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from threading import Event, Thread
from urllib.parse import urlsplit

ROOT = Path(__file__).parents[2]
DRIVER = ROOT / ".github/scripts/deploy.sh"
REVISIONS = {name: f"{number:040x}" for number, name in enumerate(("one", "two", "broken"), 1)}
FAULTS = {
    "ends at once": 'CMD ["serve", "--nonsense"]',
    "never healthy": 'CMD ["serve", "--port=9000"]',
    "another revision": f"ENV APP_REVISION={REVISIONS['one']}",
    "not ready": "ENV EXTERNAL_SERVICES=http://127.0.0.1:1/",
    "fails the smoke tests": "ENV MAX_BODY_BYTES=1",
    "fails its migrations": "ENV DATABASE_URL=sqlite:////nowhere/db.sqlite3",
}
"""A line that breaks an image, by what is wrong with it then."""


@dataclass
class Deployment:
    """How a run of the driver ended."""

    code: int
    log: str
    summary: str
    outputs: dict[str, str]


@dataclass
class Driver:
    """Runs the driver, with a folder of its own and the settings of a target."""

    folder: Path
    settings: dict[str, str] = field(default_factory=dict)

    def environment(self, version: str, revision: str, **settings: str) -> dict[str, str]:
        """Return what the driver sees."""
        self.folder.mkdir(exist_ok=True)
        for name in ("output", "summary"):
            (self.folder / name).write_text("")
        return os.environ | {
            "APP_REVISION": revision,
            "APP_VERSION": version,
            "DEPLOY_TIMEOUT": "20",
            "GITHUB_OUTPUT": str(self.folder / "output"),
            "GITHUB_STEP_SUMMARY": str(self.folder / "summary"),
            "HOST_TIMEOUT": "10",
            "READY_TIMEOUT": "5",
            "RUNNER_TEMP": str(self.folder),
            **self.settings,
            **settings,
        }

    def run(
        self, *arguments: str, version: str = "v1", revision: str = "", **settings: str
    ) -> Deployment:
        """Run `deploy.sh ARGUMENTS`."""
        done = subprocess.run(
            [DRIVER, *arguments],
            env=self.environment(version, revision, **settings),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=300,
        )
        lines = (self.folder / "output").read_text().splitlines()
        outputs = dict(line.split("=", 1) for line in lines)
        summary = (self.folder / "summary").read_text()
        return Deployment(done.returncode, done.stdout, summary, outputs)


@dataclass
class Client:
    """Somebody who asks for `/health` every 50 ms."""

    url: str
    answers: Counter[str] = field(default_factory=Counter)

    def ask(self) -> str:
        """Return the version and the revision that answer, or what went wrong."""
        connection = HTTPConnection(urlsplit(self.url).netloc, timeout=10)
        try:
            connection.request("GET", "/health")
            answer = connection.getresponse()
            text = answer.read()
            if answer.status != 200:
                return f"HTTP {answer.status}"
            health = json.loads(text)
            return f"{health['version']} {health['revision']}"
        except (HTTPException, OSError) as error:
            return type(error).__name__
        finally:
            connection.close()

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Ask until the context ends; count the answers."""
        self.answers.clear()
        stop = Event()

        def ask() -> None:
            while not stop.is_set():
                self.answers[self.ask()] += 1
                time.sleep(0.05)

        thread = Thread(target=ask)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
