"""This repository, as it is, passes its own pipelines."""

from pathlib import Path

import pytest
from engine import ROOT
from events import USUAL, Event
from fake_advisories import FakeAdvisories
from harness import CI, RunPipeline, explain, write
from run import choose_events
from workflows import find_workflows

WORKFLOWS = find_workflows(ROOT)


def run_a_part_of_the_suite(tree: Path) -> None:
    """Leave the whole suite to CI."""
    pr = tree / ".github/workflows/pr.yml"
    part = "pytest tests/unit --cov-fail-under=0 --cov=src"
    pr.write_text(pr.read_text().replace("pytest tests/ --cov=src", part))


EDITS = {"pr": run_a_part_of_the_suite, "release": write(".github/workflows/ci.yml", CI)}


@pytest.mark.parametrize("pipeline", WORKFLOWS)
def test_green(run_pipeline: RunPipeline, pipeline: str) -> None:
    event = choose_events(WORKFLOWS[pipeline], [Event.parse(it) for it in USUAL])
    with FakeAdvisories() as advisories:
        run = run_pipeline(
            pipeline,
            str(event),
            small=False,
            edit=EDITS.get(pipeline),
            environment=advisories.environment,
        )
    assert run.conclusion == "success", explain(run)
    for job in run.jobs:
        assert job.summary or job.calls or "/" in job.id or job.conclusion == "skipped"
