"""How long it takes to build the image, to deploy it without a gap, and to put the old one back.

Everything is real: the image, a registry on this machine, the driver with its smoke tests, and
somebody who asks every 50 ms.
"""

import argparse
import itertools
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from containers import adapt, docker, registry
from deployments import ONE, ROOT, TWO, Client, Deployment, Driver, publish

MEGABYTE = 1_000_000
ROLLBACK_SECONDS = 30
"""The goal for the time from the verdict until the old version is verified."""

FAILS_WITH_TRAFFIC = """#!/bin/sh
case "$*" in *X-Preview*) exit 0 ;; esac
date +%s.%N >>{file}
exit 1
"""
"""In the place of the smoke tests: pass before the switch, fail after it, and note when."""


def measure(work: Callable[[], object]) -> float:
    """Return the seconds that it takes."""
    started = time.monotonic()
    work()
    return time.monotonic() - started


def report(what: str, value: float, unit: str) -> None:
    """Print one line."""
    print(f"{what:58} {value:7.1f} {unit}", flush=True)


def build(tree: Path, tag: str, *options: str) -> None:
    """Build the image of a tree."""
    docker("buildx", "build", "--load", f"--tag={tag}", *options, tree)


def measure_image(tree: Path, tag: str) -> None:
    """Build it in several ways; report times and its size."""
    report("build, no layer there (downloads may be cached)", measure(
        lambda: build(tree, tag, "--no-cache")), "s")  # fmt: skip
    report("build, nothing changed", measure(lambda: build(tree, tag)), "s")
    source = next((tree / "src").glob("*/app.py"))
    source.write_text(f"{source.read_text()}\n# {uuid4()}\n")
    report("build, source changed", measure(lambda: build(tree, tag)), "s")
    text = (tree / "Dockerfile").read_text()
    (base,) = re.findall(r"^FROM (\S+) AS base$", text, re.MULTILINE)
    size, base_size = (
        int(docker("image", "inspect", "--format={{.Size}}", reference))
        for reference in (tag, base)
    )
    report("image over its base", (size - base_size) / MEGABYTE, "MB")


def measure_container(tag: str) -> None:
    """Start and stop it; report times."""
    started = time.monotonic()
    name = docker("run", "--detach", "--rm", "--publish=127.0.0.1::8000", "--read-only", tag)
    client = Client(f"http://{docker('port', name, '8000/tcp').splitlines()[0]}")
    while not client.ask().startswith("0.0.0 "):
        time.sleep(0.01)
    report("first healthy answer after docker run", time.monotonic() - started, "s")
    report("docker stop", measure(lambda: docker("stop", name)), "s")


@contextmanager
def rehearsing(tree: Path, folder: Path) -> Iterator[Driver]:
    """Yield the driver of the rehearsal; remove what it started."""
    state = folder / "state"
    settings = {"DEPLOY_TARGETS": str(tree / "deploy/targets"), "HOST_FOLDER": str(state)}
    settings |= dict.fromkeys(("DEPLOY_TIMEOUT", "HOST_TIMEOUT", "READY_TIMEOUT"), "120")
    try:
        yield Driver(folder / "driver", settings)
    finally:
        subprocess.run(
            ["env", f"HOST_FOLDER={state}", tree / "deploy/compose/host.sh", "remove"], check=True
        )


def measure_deployments(driver: Driver, images: dict[str, str], rounds: int) -> bool:
    """Deploy and roll back under the eyes of a client; return whether the goals are met."""
    done = driver.run("deploy", images[ONE], version="first", revision=ONE)
    _expect(done, "deployed")
    client = Client(done.outputs["url"])
    times, asked, failed = [], 0, 0
    turns = itertools.cycle((TWO, ONE))
    for revision in itertools.islice(turns, rounds):
        with client.asking():
            started = time.monotonic()
            done = driver.run("deploy", images[revision], version="next", revision=revision)
            times.append(time.monotonic() - started)
        _expect(done, "deployed")
        asked += client.answers.total()
        failed += count_failed(client)
    report(f"deployment, median of {rounds}, with two runs of the smoke tests",
           sorted(times)[rounds // 2], "s")  # fmt: skip
    revision = next(turns)
    with client.asking():
        back = measure_rollback(driver, images[revision], revision)
    asked += client.answers.total()
    failed += count_failed(client)
    report("rollback: from the verdict until the old version is verified", back, "s")
    print(f"requests: {asked}, failed: {failed}")
    return back <= ROLLBACK_SECONDS and not failed


def count_failed(client: Client) -> int:
    """Return how many of a client's requests got no version as the answer."""
    return sum(
        count
        for answer, count in client.answers.items()
        if answer.partition(" ")[2] not in {ONE, TWO}
    )


def measure_rollback(driver: Driver, image: str, revision: str) -> float:
    """Deploy an image that fails with traffic; return how long it takes to put the other back."""
    smoke_tests, file = driver.folder / "smoke", driver.folder / "verdict"
    smoke_tests.write_text(FAILS_WITH_TRAFFIC.format(file=file))
    smoke_tests.chmod(0o755)
    done = driver.run(
        "deploy", image, version="bad", revision=revision, SMOKE_TESTS=str(smoke_tests)
    )
    ended = time.time()
    _expect(done, "rolled-back")
    return ended - float(file.read_text())


def _expect(done: Deployment, outcome: str) -> None:
    if done.outputs.get("outcome") != outcome:
        sys.exit(f"It was not {outcome}:\n{done.log[-4000:]}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and report; return 1 if a request failed or the rollback took too long."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="deployments (default: 5)")
    options = parser.parse_args(arguments)
    tag = f"bench-{uuid4().hex}"
    with tempfile.TemporaryDirectory(prefix="bench-deploy-") as text, registry() as host:
        folder = Path(text)
        tree = folder / "tree"
        shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(".git", ".venv", ".*_cache"))
        adapt(tree)
        try:
            measure_image(tree, tag)
            measure_container(tag)
            images = {revision: publish(host, tag, revision) for revision in (ONE, TWO)}
            with rehearsing(tree, folder) as driver:
                met = measure_deployments(driver, images, options.rounds)
        finally:
            docker("image", "rm", "--force", tag)
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
