"""Versions with a migration between them, on real containers: forward, back, and by hand.

Each version with a fault brings one migration more. `-rP` shows the table of what happened.
"""

import base64
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_network
from pathlib import Path
from uuid import uuid4

import pytest
import ssh_server
import yaml
from containers import docker
from deployments import FAULTS, IMPATIENT, Client, Driver
from lib.processes import find_free_port
from schemas import write_migration

type Releases = Callable[..., str]

CODE = "/opt/venv/lib/python3.13/site-packages"
ITEM = json.dumps({"name": "a", "description": "b", "price_cents": 1})
ASKED = (("GET", "/items", ""), ("POST", "/items", ITEM))
SLOW_START = 'CMD ["sh", "-c", "sleep 2; exec serve"]'
SCENARIOS = {
    "crashes": FAULTS["ends at once"],
    "never ready": "ENV EXTERNAL_SERVICES=http://127.0.0.1:1/",
    "smoke tests fail": "ENV MAX_BODY_BYTES=1",
    "cancelled in the migration": (
        "USER 0\nRUN sed -i '2i sleep 30' /opt/venv/bin/migrate\nUSER 10001"
    ),
    "killed after the migration": 'CMD ["sh", "-c", "sleep 30; exec serve"]',
    "starts slowly": SLOW_START,
}
"""What is wrong with a version that brings a migration, and the line that makes it so."""
ON_A_SERVER = ("smoke tests fail", "cancelled in the migration", "killed after the migration")
"""Where a connection plays a part; the other two end in host.sh, which is the same for both."""
LIMITS = {"never ready": IMPATIENT["not ready"], "smoke tests fail": {"SMOKE_TESTS": ""}}


def write_migrations(newest: int) -> str:
    """Return lines of a Dockerfile that add migrations up to a number."""
    commands = []
    for number in range(2, newest + 1):
        path, text = write_migration(number)
        code = base64.b64encode(text.encode()).decode()
        commands.append(f"echo {code} | base64 -d >{CODE}/{path}")
    return f"USER 0\nRUN {' && '.join(commands)}\nUSER 10001:10001"


def find_containers(image: str, *, migrates: bool) -> list[str]:
    """Return the containers of an image that migrate, or those that serve.

    Tests at the same time have the same images, each in a registry of its own.
    """
    filters = (f"--filter=ancestor={image}", f"--filter=label=com.docker.compose.oneoff={migrates}")
    listed = docker("ps", "--format={{.Image}} {{.ID}}", *filters).splitlines()
    return [line for line in listed if line.startswith(image.partition("@")[0])]


@contextmanager
def start_postgres(tree: Path) -> Iterator[str]:
    """Start the database of docker-compose.yml; return a URL that containers reach it by."""
    services = yaml.safe_load((tree / "docker-compose.yml").read_text())["services"]
    # The gateway itself is named by an engine that was started before.
    subnet = docker("network", "inspect", "bridge", "--format={{(index .IPAM.Config 0).Subnet}}")
    gateway = next(ip_network(subnet.strip()).hosts())
    name = f"test-{uuid4().hex}"
    variables = ("--env=POSTGRES_USER=app", "--env=POSTGRES_PASSWORD=local")
    docker("run", "--detach", f"--name={name}", f"--publish={gateway}::5432", *variables,
           services["database"]["image"])  # fmt: skip
    try:
        check = ("exec", name, "pg_isready", "--quiet", "--host=127.0.0.1", "--username=app")
        deadline = time.monotonic() + 60
        while subprocess.run(["docker", *check], check=False).returncode:
            assert time.monotonic() < deadline, docker("logs", name)
            time.sleep(0.3)
        yield f"postgresql://app:local@{docker('port', name, '5432/tcp').strip()}/app"
    finally:
        docker("rm", "--force", "--volumes", name)


@contextmanager
def start_target(
    target: str, database: str, tree: Path, repository: str, folder: Path
) -> Iterator[Driver]:
    """Make a place for deployments; return the driver for it."""
    settings = {"SMOKE_TESTS": "true", "DEPLOY_TARGETS": str(tree / "deploy/targets")}
    driver = Driver(folder / "driver", settings)
    host = tree / "deploy/compose/host.sh"
    state = folder / "state"
    try:
        if target == "rehearsal":
            driver.settings["HOST_FOLDER"] = str(state)
            yield driver
            return
        folder.joinpath("server").mkdir()
        gate = host.with_name("gate.sh")
        with ssh_server.serve(folder / "server", gate, repository) as server:
            state = server.state
            state.mkdir()
            port = find_free_port()
            (state / "proxy.env").write_text(f"HTTP_BIND=127.0.0.1:{port}\n")
            driver.settings |= server.settings | {
                "DEPLOY_TARGET": "compose", "DEPLOY_URL": f"http://127.0.0.1:{port}",
            }  # fmt: skip
            if database == "sqlite":
                yield driver
            else:
                with start_postgres(tree) as url:
                    driver.settings["DATABASE_URL"] = url
                    yield driver
    finally:
        subprocess.run([host, "remove"], env=os.environ | {"HOST_FOLDER": str(state)}, check=True)


def deploy_scenario(driver: Driver, scenario: str, image: str, revision: str) -> str:
    """Deploy a version with a fault, end it as the scenario says; return how it ended."""
    settings = LIMITS.get(scenario, {})
    if scenario not in {"cancelled in the migration", "killed after the migration"}:
        done = driver.run("deploy", image, version="v2", revision=revision, **settings)
        return done.outputs["outcome"]
    cancelled = "cancelled" in scenario
    with driver.begin(image, "v2", revision) as running:
        while not find_containers(image, migrates=cancelled):
            assert running.poll() is None
            time.sleep(0.1)
        if cancelled:
            running.send_signal(signal.SIGINT)
            assert running.wait(60) == 1
        else:
            os.killpg(running.pid, signal.SIGKILL)
    if not cancelled:
        return driver.run("rollback", version="v2", revision=revision).outputs["outcome"]
    assert not find_containers(image, migrates=True), "the migration ended with its deployment"
    lines = (driver.folder / "output").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines)["outcome"]


@pytest.mark.parametrize(
    ("target", "database"), [("rehearsal", "sqlite"), ("compose", "postgresql")]
)
def test_version_before_lives_with_a_newer_schema(
    target: str, database: str, tree: Path, releases: Releases, tmp_path: Path
) -> None:
    one = f"{1:040x}"
    first = releases(one)
    rows: list[tuple[str, str, int, int, float]] = []
    with start_target(target, database, tree, first.partition("@")[0], tmp_path) as driver:
        made = driver.run("deploy", first, version="v1", revision=one)
        assert made.code == 0, made.log
        client = Client(made.outputs["url"], ASKED)

        def note(name: str, outcome: str, began: float) -> None:
            wrong = {
                answer: count
                for answer, count in client.answers.items()
                if not answer.startswith("v")
            }
            rows.append(
                (name, outcome, client.total, sum(wrong.values()), time.monotonic() - began)
            )
            assert not wrong, name

        for number, (scenario, line) in enumerate(SCENARIOS.items(), 2):
            if target == "compose" and scenario not in ON_A_SERVER:
                continue
            revision = f"{number:040x}"
            image = releases(revision, f"{write_migrations(number)}\n{line}")
            began = time.monotonic()
            with client.asking():
                outcome = deploy_scenario(driver, scenario, image, revision)
            note(scenario, outcome, began)
            slow = scenario == "starts slowly"
            assert outcome == ("deployed" if slow else "rolled-back")
            assert client.ask() == (f"v2 {revision}" if slow else f"v1 {one}")

        newest = f"{len(SCENARIOS) + 1:040x}"
        again = releases(newest, f"{write_migrations(len(SCENARIOS) + 1)}\n{SLOW_START}")
        for name, image, version, revision in (
            ("version 1 by hand", first, "v1", one),
            ("version 2 again", again, "v2", newest),
        ):
            began = time.monotonic()
            with client.asking():
                done = driver.run("deploy", image, version=version, revision=revision)
            assert done.code == 0, done.log
            note(name, done.outputs["outcome"], began)
            assert client.ask() == f"{version} {revision}"
    for name, outcome, total, failed, seconds in rows:
        print(f"{name} | {target}, {database} | {outcome} | {failed} of {total} | {seconds:.0f} s")
