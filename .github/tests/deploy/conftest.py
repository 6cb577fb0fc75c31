"""The image, built as the pipelines build it."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from containers import adapt, docker, registry
from deployments import publish

ROOT = Path(__file__).parents[3]
PARTS = ("Dockerfile", ".dockerignore", "deploy", "docker-compose.yml", "LICENSE", "README.md",
         "locustfile.py", "pyproject.toml", "src", "uv.lock")  # fmt: skip
REVISION = "0123456789abcdef0123456789abcdef01234567"
VERSION = "v1.2.3"


@pytest.fixture(scope="session")
def tree(engine: None, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: ARG001
    """A copy of what the image is made of, for the engine that is here."""
    copy = tmp_path_factory.mktemp("tree")
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, copy / part)
        else:
            shutil.copy(ROOT / part, copy / part)
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
def releases(image: str) -> Iterator[Callable[[str, str], str]]:
    """Return a function that makes an image of a revision with a fault, and pushes it.

    It takes the revision and a line of a Dockerfile, and returns the image by its digest.
    """
    made: dict[tuple[str, str], str] = {}
    with registry() as host:

        def make(revision: str, line: str = "") -> str:
            if (revision, line) not in made:
                made[revision, line] = publish(host, image, revision, line)
            return made[revision, line]

        yield make
