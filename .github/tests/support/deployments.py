"""What the tests of deployments share: images with faults, the driver, and a client that asks."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from itertools import count
from pathlib import Path
from threading import Event, Thread
from urllib.parse import urlsplit
from uuid import uuid4

from containers import docker

type Releases = Callable[..., str]
"""Makes an image of a revision with a fault, and pushes it; see the fixture `releases`."""

ROOT = Path(__file__).resolve().parents[3]
DRIVER = ROOT / ".github/scripts/deploy/deploy.sh"
ONE, TWO, BROKEN = (f"{number:040x}" for number in (1, 2, 3))
"""Revisions."""
FAULTS = {
    "ends at once": 'CMD ["serve", "--nonsense"]',
    "never healthy": 'CMD ["serve", "--port=9000"]',
    "another revision": f"ENV APP_REVISION={ONE}",
    "not ready": "ENV NOT_READY=1",
    "fails the smoke tests": "ENV BROKEN=1",
    "fails its migrations": "ENV MIGRATION_FAILS=1",
}
"""A line that breaks the image of small_app.py, by what is wrong with it then."""
SLOW_START = 'CMD ["sh", "-c", "sleep 4; exec serve"]'
SMOKE_TESTS = """#!/bin/sh
for option; do
  case $option in --base-url=*) url=${option#*=} ;; --header=*) header=${option#*=} ;; esac
done
curl --fail --silent --output /dev/null --header "${header:-X-None: 1}" "$url/work" && echo passed
"""
"""Ask what a version is there for."""
IMPATIENT = {
    "never healthy": {"DEPLOY_TIMEOUT": "3"},
    "not ready": {"DEPLOY_TIMEOUT": "6"},
}
"""For faults that are found by waiting."""

CAUSES = {
    "ends at once": "v3 ends with exit code 2, again and again",
    "never healthy": "v3 does not answer",
    "another revision": f"v3 answers with another revision, {ONE}",
    "not ready": "v3 is not ready database",
    "fails the smoke tests": "the smoke tests failed",
    "fails its migrations": "The migrations of v3 failed",
}
"""What a deployment of such an image, as v3, is said to have failed for."""
REFUSED = {
    "docker": (1, "Error response from daemon: Get https://x/v2/: dial tcp: connection refused"),
    "ssh": (255, "ssh: connect to host server.example port 22: Connection refused"),
}
"""Exit code and words of a program that cannot connect."""
CLOSED = "Connection to server.example closed by remote host."
FAILING = """#!{python}
import os, subprocess, sys, time
from pathlib import Path

folder, faults, arguments = Path({folder!r}), {faults!r}, [{program!r}, *sys.argv[1:]]
code, refused = {refused!r}
words, until = " ".join(sys.argv[1:]).split(), folder / "until"
name = next((word for word in words if word in faults), "")
if name and not (folder / name).exists():
    (folder / name).touch()
    kind, seconds = faults[name]
    if kind == "lost":
        try:
            sys.exit(subprocess.run(arguments, timeout=seconds).returncode)
        except subprocess.TimeoutExpired:
            print({closed!r}, file=sys.stderr)
            sys.exit(code)
    until.write_text(str(time.time() + seconds))
if (name or not {partly!r}) and until.exists() and time.time() < float(until.read_text()):
    print(refused, file=sys.stderr)
    sys.exit(code)
os.execv(arguments[0], arguments)
"""


def host(tree: Path, state: Path, *arguments: str) -> str:
    """Run host.sh as somebody who is on the server that keeps its state in a folder."""
    return subprocess.run(
        [tree / "deploy/compose/host.sh", *arguments],
        env=os.environ | {"HOST_FOLDER": str(state)},
        check=True,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    ).stdout.strip()


def publish(host: str, image: str, revision: str, line: str = "") -> str:
    """Push an image as one of another revision to a registry; return it by its digest.

    Args:
        host: The registry.
        image: What it is made of.
        revision: The commit that it says it is made of.
        line: One more line of its Dockerfile.
    """
    name = f"{host}/octo-org/widget"
    tag = f"{name}:{uuid4().hex}"
    subprocess.run(
        ["docker", "build", "--quiet", f"--tag={tag}", "-"],
        # Deployments ask by themselves: a health check beside them only takes time.
        input=f"FROM {image}\nHEALTHCHECK NONE\nENV APP_REVISION={revision}\n{line}\n".encode(),
        stdout=subprocess.DEVNULL,
        check=True,
    )
    docker("push", tag)
    digests: list[str] = json.loads(docker("inspect", "--format={{json .RepoDigests}}", tag))
    return next(digest for digest in digests if digest.startswith(f"{name}@"))


def fail_network(folder: Path, program: str, **faults: tuple[str, float]) -> dict[str, str]:
    """Put a program over a network that fails in front of PATH; return the environment for it.

    Args:
        folder: Where it is made.
        program: `ssh`, which connects always, or `docker`, which does where a fault is named.
        faults: What happens when it is called with this word for the first time: from then on the
            network is `away` for some seconds; or the connection is `lost` after some seconds.
    """
    folder.mkdir()
    text = FAILING.format(
        python=sys.executable,
        folder=str(folder),
        faults=faults,
        program=shutil.which(program),
        refused=REFUSED[program],
        closed=CLOSED,
        partly=program == "docker",
    )
    (folder / program).write_text(text)
    (folder / program).chmod(0o755)
    return {"PATH": f"{folder}:{os.environ['PATH']}"}


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
            "DEPLOY_TIMEOUT": "60",
            "GITHUB_OUTPUT": str(self.folder / "output"),
            "GITHUB_STEP_SUMMARY": str(self.folder / "summary"),
            "PATIENCE": "3",
            "RUNNER_TEMP": str(self.folder),
            **self.settings,
            **settings,
        }

    def write_smoke_tests(self) -> str:
        """Write smoke tests; return their path, for SMOKE_TESTS."""
        self.folder.mkdir(exist_ok=True)
        path = self.folder / "smoke-tests.sh"
        path.write_text(SMOKE_TESTS)
        path.chmod(0o755)
        return str(path)

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

    def begin(
        self, image: str, version: str, revision: str, **settings: str
    ) -> subprocess.Popen[bytes]:
        """Begin a deployment, as a process group of its own; do not wait for its end."""
        return subprocess.Popen(
            [DRIVER, "deploy", image],
            env=self.environment(version, revision, **settings),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def kill(self, image: str, version: str, revision: str, after: float) -> None:
        """Begin a deployment; kill everything that it has started here after some seconds."""
        with self.begin(image, version, revision) as running:
            time.sleep(after)
            os.killpg(running.pid, signal.SIGKILL)


@dataclass
class Client:
    """Somebody who asks for `/health` every 50 ms, and twice a second for more.

    Attributes:
        url: Where the app answers.
        more: What else is asked, one after the other: method, path and body.
        answers: How often which version answered, and what went wrong.
        total: How often something was asked.
    """

    url: str
    more: Sequence[tuple[str, str, str]] = ()
    answers: Counter[str] = field(default_factory=Counter)
    total: int = 0

    def ask(self) -> str:
        """Return the version and the revision that answer, or what went wrong."""
        wrong, text = self._request("GET", "/health")
        health = {} if wrong else json.loads(text)
        return wrong or f"{health['version']} {health['revision']}"

    def _request(self, method: str, path: str, body: str = "") -> tuple[str, bytes]:
        """Return what went wrong, if anything did, and the content of the answer."""
        connection = HTTPConnection(urlsplit(self.url).netloc, timeout=10)
        try:
            connection.request(method, path, body or None, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            text = answer.read()
        except (HTTPException, OSError) as error:
            return type(error).__name__, b""
        else:
            return "" if answer.status < 300 else f"HTTP {answer.status}", text
        finally:
            connection.close()

    def ask_more(self) -> None:
        """Ask for the rest; count what went wrong."""
        for method, path, body in self.more:
            wrong, _ = self._request(method, path, body)
            self.total += 1
            if wrong:
                self.answers[f"{method} {path}: {wrong}"] += 1

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Ask until the context ends; count the answers."""
        self.answers.clear()
        self.total = 0
        stop = Event()

        def ask() -> None:
            for number in count():
                self.answers[self.ask()] += 1
                self.total += 1
                if number % 10 == 0:
                    self.ask_more()
                if stop.wait(0.05):
                    return

        thread = Thread(target=ask)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
