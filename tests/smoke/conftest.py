"""Where the deployment to test is."""

from collections.abc import Iterator

import httpx2
import pytest

TIMEOUT_SECONDS = 10.0


@pytest.fixture(scope="session")
def base_url(request: pytest.FixtureRequest) -> str:
    """URL of the deployment; without `--base-url`, the app is started for the tests."""
    given: str | None = request.config.getoption("--base-url")
    url: str = given or request.getfixturevalue("app_url")
    return url.rstrip("/")


@pytest.fixture
def client(base_url: str, request: pytest.FixtureRequest) -> Iterator[httpx2.Client]:
    """A client of the deployment that does not wait for long."""
    name, _, value = (request.config.getoption("--header") or "").partition(": ")
    headers = {name: value} if name else {}
    with httpx2.Client(base_url=base_url, headers=headers, timeout=TIMEOUT_SECONDS) as client:
        yield client
