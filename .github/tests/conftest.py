"""The tests of the machinery."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from containers import docker

pytest_plugins = ["pipeline_fixtures"]

DOCKERFILE = """
COPY --chmod=755 small_app.py /usr/local/bin/serve
RUN printf '#!/bin/sh\\n[ -z "$MIGRATION_FAILS" ]\\n' >/usr/local/bin/migrate \\
  && chmod 755 /usr/local/bin/migrate && install --directory --owner=10001 /data
USER 10001:10001
VOLUME /data
CMD ["serve"]
"""


@pytest.fixture(scope="session")
def image(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Name of an image of a small app, whatever the app of this repository is."""
    found = re.search(r"^FROM \S*python\S*", (tree / "Dockerfile").read_text(), re.MULTILINE)
    assert found, "the Dockerfile has no image of Python"
    folder = tmp_path_factory.mktemp("small-app")
    (folder / "Dockerfile").write_text(found[0] + DOCKERFILE)
    shutil.copy(Path(__file__).parent / "support/small_app.py", folder)
    tag = f"test-{uuid4().hex}"
    docker("buildx", "build", "--load", f"--tag={tag}", folder)
    yield tag
    docker("image", "rm", "--force", tag)
