"""This repository, as it is, passes its own pipelines."""

import pytest
from engine import ROOT
from events import EVENTS, Event
from harness import RunPipeline
from run import choose_events
from workflows import find_workflows


@pytest.mark.parametrize("pipeline", find_workflows(ROOT))
def test_green(run_pipeline: RunPipeline, pipeline: str) -> None:
    event = choose_events(find_workflows(ROOT)[pipeline], [Event.parse(it) for it in EVENTS])
    run = run_pipeline(pipeline, str(event), small=False)
    assert run.conclusion == "success", [
        (job.id, step.name, step.log[-20:]) for job in run.jobs for step in job.failed_steps
    ]
    assert all(job.summary for job in run.jobs)
