"""Clients of the app, on each kind of database."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

from python_web_template.app import create_app
from python_web_template.settings import Settings

type NewClient = Callable[[Settings], TestClient]


@pytest.fixture
def new_client(request: pytest.FixtureRequest) -> Iterator[NewClient]:
    """Make a client of an app with the given settings."""
    request.getfixturevalue("default_settings")
    with ExitStack() as stack:
        yield lambda settings: stack.enter_context(
            TestClient(create_app(settings), raise_server_exceptions=False)
        )


@pytest.fixture
def client(database: str, new_client: NewClient) -> TestClient:
    """A client of an app with the usual settings and an empty database."""
    return new_client(Settings(database_url=SecretStr(database)))
