"""This repository, as it is, passes its own pipelines."""

import pytest
from engine import ROOT
from events import USUAL, Event
from fake_advisories import FakeAdvisories
from harness import CI, RunPipeline, explain, write
from run import choose_events
from workflows import find_workflows

WORKFLOWS = find_workflows(ROOT)


@pytest.mark.parametrize("pipeline", WORKFLOWS)
def test_green(run_pipeline: RunPipeline, pipeline: str) -> None:
    event = choose_events(WORKFLOWS[pipeline], [Event.parse(it) for it in USUAL])
    calls_ci = "uses: ./.github/workflows/ci.yml" in WORKFLOWS[pipeline].read_text()
    with FakeAdvisories() as advisories:
        run = run_pipeline(
            pipeline,
            str(event),
            small=False,
            edit=write(".github/workflows/ci.yml", CI) if calls_ci else None,
            environment=advisories.environment,
        )
    assert run.conclusion == "success", explain(run)
    for job in run.jobs:
        assert job.summary or job.calls or "/" in job.id or job.conclusion == "skipped"
