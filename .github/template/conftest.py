"""What proves the template: its tests outgrow those of a copy."""

import pytest
from first_runs import FIRST_RUN, describe

pytest_plugins = ["pipeline_fixtures"]


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
