"""Fixtures of whatever runs pipelines or containers: executed on copies of this repository."""

import gc
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import package_index
import pytest
from containers import ContainersError, adapt, docker, find_engine_version, registry
from deployments import publish
from engine import ROOT, Run, run
from events import Event
from fakes.github_api import FakeGitHub
from harness import Edit, RunPipeline, make_quick, make_small
from once import SHARED, make_once
from origin import create

for variable in ("UV_FROZEN", "UV_LOCKED"):  # a person's; projects that tests make have no lock
    os.environ.pop(variable, None)

gc.set_threshold(100_000)  # most of what tests make stays: to look through it takes seconds

REVISION = "0123456789abcdef0123456789abcdef01234567"
VERSION = "v1.2.3"
NO_DOCKER = "Containers were not tested"
PLAIN_ASSERTS = "--assert=plain"
"""pytest rewrites its plugins once in each new environment, which takes longer than two tests."""
SMALL = {
    "PYTEST_ADDOPTS": f"{PLAIN_ASSERTS} -p no:hypothesispytest",
    "PYTHONPATH": "src",
    "PYTEST_XDIST_AUTO_NUM_WORKERS": "0",
    "TEST_DATABASE_URL": "postgresql://nobody",
}
"""Leads to the code of a small copy, whose one test needs no processes, plugin or database."""
LONG_SCRIPT = 10_000
"""Bytes of a shell script that takes ShellCheck seconds: it is judged once, not in each copy."""
TYPES = "MYPY_CACHE_DIR"
MEMORY = Path("/dev/shm")  # noqa: S108
"""A file system without a disk, which is faster for thousands of small files."""
ENOUGH_BYTES = 1 << 30


def _can_write_in_memory() -> bool:
    if not MEMORY.is_dir():
        return False
    space = os.statvfs(MEMORY)
    return space.f_bavail * space.f_frsize > ENOUGH_BYTES and not space.f_flag & os.ST_NOEXEC


def pytest_configure(config: pytest.Config) -> None:
    """Let tests write in memory, and not into the summary and outputs of the job that runs them.

    The types of what is the same in every copy are checked once, not once a copy. What is started
    in the background ignores SIGINT, and so does all that it starts: not what is tested here.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if _can_write_in_memory() and os.environ.get("ACT") != "true":
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))
    types = tempfile.TemporaryDirectory(dir=os.environ.get("PYTEST_DEBUG_TEMPROOT"), prefix="mypy-")
    os.environ[TYPES] = types.name
    config.add_cleanup(types.cleanup)
    if "PYTEST_XDIST_WORKER" not in os.environ:
        shared = tempfile.TemporaryDirectory(prefix="shared-", ignore_cleanup_errors=True)
        os.environ[SHARED] = shared.name
        config.add_cleanup(shared.cleanup)
    os.environ["GITHUB_PATIENCE"] = "0"  # a GitHub that refuses is meant to
    for name in ("GITHUB_ENV", "GITHUB_OUTPUT", "GITHUB_PATH", "GITHUB_STEP_SUMMARY"):
        os.environ.pop(name, None)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was left out, and what brings it back."""
    reasons = "".join(str(report.longrepr) for report in terminalreporter.getreports("skipped"))
    if NO_DOCKER in reasons:
        fix = "install and start Docker with buildx and compose"
        terminalreporter.write_line(f"{NO_DOCKER}: {fix}", yellow=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what runs pipelines or containers; inside a pipeline, leave it out: no recursion."""
    for item in items:
        if {"engine", "run_pipeline"}.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)
            if os.environ.get("ACT") == "true":
                item.add_marker(pytest.mark.skip(reason="left out inside a pipeline"))


@pytest.fixture(scope="session")
def engine() -> None:
    """A Docker Engine is here; otherwise the tests that need it are left out, aloud."""
    try:
        find_engine_version()
    except ContainersError as error:
        reason = f"{NO_DOCKER}: {error}"
        if os.environ.get("REQUIRE_DOCKER") == "1":
            pytest.fail(reason)
        pytest.skip(reason)


@pytest.fixture(scope="session")
def tree(engine: None, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: ARG001
    """A copy of this repository, for the engine that is here."""
    copy = create(ROOT, tmp_path_factory.mktemp("tree") / "copy").directory
    adapt(copy)
    return copy


@pytest.fixture(scope="session")
def image(tree: Path) -> Iterator[str]:
    """Name of an image of the app."""
    tag = f"test-{uuid4().hex}"
    arguments = (f"--build-arg=APP_REVISION={REVISION}", f"--build-arg=APP_VERSION={VERSION}")
    docker("buildx", "build", "--load", f"--tag={tag}", *arguments, tree)
    yield tag
    docker("image", "rm", "--force", tag)


@pytest.fixture(scope="session")
def layers(image: str) -> Path:
    """What a registry keeps of the layers of the app: whoever pushes them compresses them first."""

    def make(folder: Path) -> None:
        with registry(folder) as address:
            publish(address, image, REVISION)
        (repository,) = folder.rglob("octo-org/widget")
        shutil.rmtree(repository / "_manifests")
        for other in ("broken", "private"):  # else they are compressed for each of them again
            shutil.copytree(repository, repository.with_name(other))

    return make_once("layers", make)


@pytest.fixture(scope="session")
def host(layers: Path) -> Iterator[str]:
    """Host and port of a container registry on this machine; it has no image yet."""

    def copy(source: str, target: str) -> None:
        (os.link if source.endswith("/data") else shutil.copyfile)(source, target)

    folder = layers.with_name(f"registry-{uuid4().hex}")
    shutil.copytree(layers, folder, copy_function=copy)
    with registry(folder) as address:
        yield address


@pytest.fixture(scope="session")
def releases(image: str, host: str) -> Callable[[str, str], str]:
    """Return a function that makes an image of a revision with a fault, and pushes it.

    It takes the revision and a line of a Dockerfile, and returns the image by its digest.
    """
    made: dict[tuple[str, str], str] = {}

    def make(revision: str, line: str = "") -> str:
        if (revision, line) not in made:
            made[revision, line] = publish(host, image, revision, line)
        return made[revision, line]

    return make


@pytest.fixture
def index(tmp_path: Path) -> Iterator[str]:
    """Address of an empty package index on this machine."""
    with package_index.serve(tmp_path / "index") as address:
        yield address


@pytest.fixture
def github(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGitHub]:
    """GitHub, as the scripts of this process find it; it was asked for nothing that it lacks."""
    with FakeGitHub() as fake:
        monkeypatch.setenv("GITHUB_API_URL", fake.url)
        monkeypatch.setenv("GITHUB_REPOSITORY", "octo-org/widget")
        monkeypatch.setenv("GITHUB_TOKEN", "token")
        yield fake
        assert not fake.unexpected


@pytest.fixture(scope="session")
def types() -> None:
    """What mypy knows of this repository and its packages: found once, and not in each copy."""

    def make(folder: Path) -> None:
        mypy = (sys.executable, "-m", "mypy", f"--cache-dir={folder}")
        subprocess.run(mypy, cwd=ROOT, check=False, stdout=subprocess.DEVNULL)

    shutil.copytree(make_once("types", make), os.environ[TYPES], dirs_exist_ok=True)


@pytest.fixture
def quick_pipeline(run_pipeline: RunPipeline) -> RunPipeline:
    """`run_pipeline`, with the packages that are installed here and the copy's own code."""

    def execute(*arguments: str, edit: Edit | None = None, **options: Any) -> Run:
        def change(tree: Path) -> None:
            make_quick(tree)
            for script in tree.rglob("*.sh") if arguments[0] == "ci" else ():
                if script.stat().st_size > LONG_SCRIPT:
                    script.write_text("#!/usr/bin/env bash\n")
            if edit:
                edit(tree)

        return run_pipeline(*arguments, edit=change, environment=SMALL, **options)

    return execute


@pytest.fixture
def run_pipeline(tmp_path: Path) -> RunPipeline:
    """Return a function that runs a pipeline on a small copy of this repository.

    It takes the pipeline's name, the event as text, the `repository` where it happens, and what
    `engine.run` takes; `edit` changes the copy after it was made small, `small=False` leaves the
    copy whole.
    """
    count = 0

    def execute(
        pipeline: str,
        event: str,
        *,
        edit: Callable[[Path], None] | None = None,
        small: bool = True,
        overrides: dict[str, Any] | None = None,
        **options: Any,
    ) -> Run:
        def change(tree: Path) -> None:
            if small:
                make_small(tree)
            if edit:
                edit(tree)

        nonlocal count
        count += 1
        happens = Event.parse(event, overrides)
        happens.repository = options.pop("repository", happens.repository)
        return run(
            pipeline,
            happens,
            options.pop("directory", tmp_path / str(count)),
            source=options.pop("source", ROOT),
            edit=change,
            attestations=tmp_path / "attestations",
            environment={
                TYPES: os.environ[TYPES],
                "PYTEST_ADDOPTS": PLAIN_ASSERTS,
            }
            | options.pop("environment", {}),
            **{"timeout": 300} | options,
        )

    return execute
