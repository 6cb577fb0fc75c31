"""Options of the smoke tests."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what a deployment passes on."""
    for option in ("--base-url", "--header", "--expect-revision", "--expect-version"):
        parser.addoption(option)
