"""Pipelines, executed on copies of this repository."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import package_index
import pytest
from containers import registry
from engine import ROOT, Run, run
from events import Event
from first_runs import FIRST_RUN, describe
from harness import Edit, RunPipeline, make_quick, make_small

SMALL = {
    "PYTHONPATH": "src",
    "PYTEST_XDIST_AUTO_NUM_WORKERS": "0",
    "TEST_DATABASE_URL": "postgresql://nobody",
}
"""Leads to the code of a small copy, whose one test needs no more processes and no database."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with the longest."""
    items.sort(key=lambda item: item.path.name != "test_repository.py")


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


@pytest.fixture(scope="session")
def host(engine: None) -> Iterator[str]:  # noqa: ARG001
    """Host and port of a container registry on this machine."""
    with registry() as address:
        yield address


@pytest.fixture
def index(tmp_path: Path) -> Iterator[str]:
    """Address of an empty package index on this machine."""
    with package_index.serve(tmp_path / "index") as address:
        yield address


@pytest.fixture
def quick_pipeline(run_pipeline: RunPipeline) -> RunPipeline:
    """`run_pipeline`, with the packages that are installed here and the copy's own code."""

    def execute(*arguments: str, edit: Edit | None = None, **options: Any) -> Run:
        def change(tree: Path) -> None:
            make_quick(tree)
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
        overrides: dict[str, str] | None = None,
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
            **{"timeout": 300} | options,
        )

    return execute
