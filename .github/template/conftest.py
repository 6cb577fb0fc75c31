"""What proves the template: its tests outgrow those of a copy."""

from pathlib import Path

import pytest
from copies import make_copy
from first_runs import FIRST_RUN, describe
from once import make_once
from origin import Git

pytest_plugins = ["pipeline_fixtures"]

LONG = ("test_migrations.py", "test_cd.py", "test_repository.py", "test_apps.py")
"""Files with tests of minutes, the longest first."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes long: at the end no worker has to wait for another one then."""
    order = {name: number for number, name in enumerate(LONG)}
    items.sort(key=lambda item: order.get(item.path.name, len(LONG)))


@pytest.fixture(scope="session")
def renamed() -> Git:
    """A copy with a name of its own, and so without the proof."""
    return Git(make_once("renamed", lambda folder: make_copy(folder, "orders")))


@pytest.fixture
def copy(renamed: Git, tmp_path: Path) -> Path:
    """A clone of it, to be changed."""
    renamed("clone", "--quiet", str(renamed.directory), str(tmp_path / "copy"))
    return tmp_path / "copy"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show how the first runs ended."""
    results = {
        tuple(value): outcome == "passed"
        for outcome in ("passed", "failed")
        for report in terminalreporter.getreports(outcome)
        for name, value in report.user_properties
        if name == FIRST_RUN
    }
    if results:
        terminalreporter.section("first runs of a fresh copy")
        terminalreporter.write_line(describe(results))
