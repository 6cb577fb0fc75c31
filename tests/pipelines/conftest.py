"""Pipelines, executed on copies of this repository."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from engine import ROOT, Run, run
from events import Event
from harness import RunPipeline, make_small


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Inside a pipeline, leave out the tests that run pipelines: no recursion."""
    if os.environ.get("ACT") == "true":
        skip = pytest.mark.skip(reason="a pipeline runs this already")
        for item in items:
            if Path(__file__).parent in item.path.parents and "run_pipeline" in getattr(
                item, "fixturenames", ()
            ):
                item.add_marker(skip)


@pytest.fixture
def run_pipeline(tmp_path: Path) -> RunPipeline:
    """Return a function that runs a pipeline on a small copy of this repository.

    It takes the pipeline's name, the event as text, and what `engine.run` takes; `edit` changes
    the copy after it was made small, `small=False` leaves the copy whole.
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
        return run(
            pipeline,
            Event.parse(event, overrides),
            tmp_path / str(count),
            source=options.pop("source", ROOT),
            edit=change,
            timeout=300,
            **options,
        )

    return execute
