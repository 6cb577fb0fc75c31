import json
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.request import urlopen
from uuid import uuid4

import pytest
import yaml
from containers import PINNED, ContainersError, docker
from lib import processes

ROOT = Path(__file__).parents[3]
REVISION = "0123456789abcdef0123456789abcdef01234567"
VERSION = "v1.2.3"
MEGABYTE = 1_000_000
MOST_MEGABYTES = 60
START_SECONDS = 60
SAFE = ("--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges")

type StartContainer = Callable[..., str]


@pytest.fixture
def start(image: str) -> Iterator[StartContainer]:
    """Start the image as safely as it can be; return the name of the container."""
    names: list[str] = []

    def run(*options: str, command: Sequence[str] = ()) -> str:
        names.append(f"test-{uuid4().hex}")
        publish = "--publish=127.0.0.1::8000"
        docker("run", "--detach", f"--name={names[-1]}", publish, *SAFE, *options, image, *command)
        return names[-1]

    yield run
    for name in names:
        docker("rm", "--force", "--volumes", name)


def find_port(container: str) -> int:
    return int(docker("port", container, "8000/tcp").splitlines()[0].rpartition(":")[2])


def wait_until(container: str, wanted: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    status = ""
    while status != wanted and time.monotonic() < deadline:
        status = docker("inspect", "--format={{.State.Health.Status}}", container)
        time.sleep(0.1)
    assert status == wanted, docker("logs", container)


def get(port: int, path: str) -> Any:
    with urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
        return json.load(answer)


@contextmanager
def connect(port: int) -> Iterator[HTTPConnection]:
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        yield connection
    finally:
        connection.close()


def docker_context(tree: Path, dockerfile: str) -> set[str]:
    """Return the names of what the builder gets to see."""
    file, out = tree.parent / "Dockerfile", tree.parent / "context"
    file.write_text(dockerfile)
    docker("buildx", "build", f"--file={file}", f"--output=type=local,dest={out}", tree)
    return {path.name for path in out.iterdir()}


def inspect(name: str) -> Any:
    return json.loads(docker("inspect", name))[0]


def test_images_are_pinned_and_nothing_else_is_pulled() -> None:
    text = (ROOT / "Dockerfile").read_text()
    lines = re.findall(r"^FROM (\S+)(?: AS (\S+))?$", text, re.MULTILINE)
    stages = {stage for _, stage in lines}
    assert all(PINNED.fullmatch(f" {name}", 1) for name, _ in lines if name not in stages)
    assert "syntax=" not in text
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"].values()
    assert all(
        "build" in service or PINNED.fullmatch(f" {service['image']}", 1) for service in services
    )


def test_command_may_have_several_lines(tmp_path: Path) -> None:
    table = '[tool.pipelines]\nserve = """\nweb\n  --bind {host}:{port}\n  -n {workers}\n"""\n'
    (tmp_path / "pyproject.toml").write_text(table)
    scripts = re.findall(
        r'python -c "import tomllib.*?"(?= \\\n)', (ROOT / "Dockerfile").read_text(), re.DOTALL
    )
    script = scripts[0].replace("/app/bin", str(tmp_path))
    done = processes.run(["sh", "-c", script], 60, folder=tmp_path)
    assert done.returncode == 0, done.stdout
    lines = (tmp_path / "serve").read_text().splitlines()
    assert lines == ["#!/bin/sh", 'exec web   --bind 0.0.0.0:8000   -n ${WEB_CONCURRENCY:-1} "$@"']


def test_packages_of_the_tree_are_installed_once_it_is_there() -> None:
    before, after = (ROOT / "Dockerfile").read_text().split("COPY . .\n")
    syncs = re.findall(r"uv sync .*?(?= &&|\n)", before)
    assert [sync for sync in syncs if "--frozen" not in sync] == [], "the tree is not there yet"
    assert "--no-install-local" in syncs[0]
    assert "uv sync --quiet --locked --no-default-groups --no-install-project" in after


def test_context_leaves_out_what_the_image_is_not_made_of(tree: Path) -> None:
    (tree / ".git/secret").touch()
    listing = "FROM scratch\nCOPY . /\n"
    names = docker_context(tree, listing)
    assert {"pyproject.toml", "uv.lock", "README.md", "LICENSE", "src"} <= names
    assert not names & {".git", ".github", ".venv", "tests", "docs", "deploy"}


def test_little_is_added_to_the_base(image: str) -> None:
    form = "--format={{.Size}} {{.CreatedBy}}"
    layers = docker("history", "--no-trunc", "--human=false", form, image)
    ours = layers.splitlines()
    first = next(index for index, line in enumerate(ours) if "useradd" in line)
    added = sum(int(line.split()[0]) for line in ours[: first + 1])
    assert added < MOST_MEGABYTES * MEGABYTE, layers


def test_packages_are_whole(image: str) -> None:
    """Some import at run time what is called `testing` or `tests`: SciPy needs `numpy.testing`."""
    script = (
        "from importlib.metadata import distributions;"
        "names = ((one, line.split(',')[0]) for one in distributions()"
        " for line in (one.read_text('RECORD') or '').splitlines());"
        "print([name for one, name in names"
        " if name.endswith('.py') and not one.locate_file(name).exists()])"
    )
    assert docker("run", "--rm", "--entrypoint=python", image, "-c", script).strip() == "[]"


def test_nothing_that_builds_is_in_it(image: str) -> None:
    script = "for name in uv pip gcc strip git curl hatchling; do command -v $name; done; true"
    assert not docker("run", "--rm", "--entrypoint=/bin/sh", image, "-c", script)


def test_version_and_revision_are_labels_and_environment(image: str) -> None:
    config = inspect(image)["Config"]
    assert config["Labels"] == {
        "org.opencontainers.image.revision": REVISION,
        "org.opencontainers.image.version": VERSION,
    }
    assert {f"APP_REVISION={REVISION}", f"APP_VERSION={VERSION}"} <= set(config["Env"])
    assert config["User"] == "10001:10001"


def test_runs_with_few_rights_and_says_what_it_is(start: StartContainer) -> None:
    container = start()
    wait_until(container, "healthy")
    port = find_port(container)
    health = get(port, "/health")
    assert (health["version"], health["revision"]) == (VERSION, REVISION)
    assert get(port, "/ready")["status"] == "ready"
    assert docker("exec", container, "id", "-u") == "10001"
    with pytest.raises(ContainersError, match="Read-only"):
        docker("exec", container, "touch", "/opt/venv/file")


def test_deploy_names_the_version(start: StartContainer) -> None:
    container = start("--env=APP_VERSION=v2.0.0", "--env=HTTP_PROXY=http://127.0.0.1:9")
    wait_until(container, "healthy")
    assert get(find_port(container), "/health")["version"] == "v2.0.0"


def test_stop_waits_for_the_request_in_flight(start: StartContainer) -> None:
    container = start()
    wait_until(container, "healthy")
    body = json.dumps({"name": "in flight", "price_cents": 1}).encode()
    with connect(find_port(container)) as connection:
        connection.putrequest("POST", "/items")
        connection.putheader("Content-Type", "application/json")
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body[:5])
        time.sleep(0.5)
        stopping = Thread(target=docker, args=("stop", container))
        stopping.start()
        time.sleep(1)
        assert inspect(container)["State"]["Running"], "it did not wait"
        connection.send(body[5:])
        assert connection.getresponse().status == 201
    stopping.join(START_SECONDS)
    assert inspect(container)["State"]["ExitCode"] == 0


def test_unhealthy_when_it_does_not_answer(start: StartContainer) -> None:
    container = start(
        "--health-retries=1", "--health-start-period=1s", command=("serve", "--port=9000")
    )
    wait_until(container, "unhealthy")


@pytest.fixture
def compose(tree: Path) -> Iterator[tuple[str, ...]]:
    """How to call compose for a project of its own, which takes a free port."""
    file = tree / "docker-compose.yml"
    fixed, free = "127.0.0.1:${PORT:-8000}:8000", "127.0.0.1::8000"
    assert fixed in (ROOT / file.name).read_text()
    file.write_text(file.read_text().replace(fixed, free))
    project = f"test-{uuid4().hex[:12]}"
    call = ("compose", f"--file={file}", f"--project-name={project}")
    yield call
    docker(*call, "--profile=load", "down", "--volumes")
    docker("image", "rm", "--force", f"{project}-app", f"{project}-load")


def test_compose_gives_an_app_whose_data_survive(
    compose: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSTGRES_PASSWORD", "a/b@c#%d")

    def up() -> int:
        docker(*compose, "up", "--build", "--detach", "--wait", f"--wait-timeout={START_SECONDS}")
        return int(docker(*compose, "port", "app", "8000").rpartition(":")[2])

    port = up()
    assert get(port, "/ready")["checks"] == {"database": "ok", "schema": "ok"}
    sent = json.dumps({"name": "kept", "price_cents": 1})
    with connect(port) as connection:
        connection.request("POST", "/items", sent, {"Content-Type": "application/json"})
        assert connection.getresponse().status == 201
    docker(*compose, "down")
    assert [item["name"] for item in get(up(), "/items")["items"]] == ["kept"]
    database = inspect(docker(*compose, "ps", "--quiet", "database"))
    assert not any(database["NetworkSettings"]["Ports"].values())


def test_compose_loads_the_app_from_several_processes(
    compose: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = {"DURATION": "5", "LOCUST_MAX_P95_MS": "10000", "USERS": "10", "WORKERS": "2"}
    for key, value in numbers.items():
        monkeypatch.setenv(key, value)
    load = (*compose, "--profile=load")
    docker(*load, "up", "--build", "--detach", "--scale=locust-worker=2")
    docker(*load, "wait", "locust")
    log = docker(*load, "logs", "--no-log-prefix", "locust")
    assert "2 workers connected" in log, log
    assert re.search(r"\d{2,} requests, 0.0% failed", log), log


def test_compose_publishes_on_this_machine_only() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)
