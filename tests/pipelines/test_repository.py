"""This repository, as it is, passes its own pipelines."""

import pytest
from engine import ROOT
from events import USUAL, Event
from harness import CI, RunPipeline, write
from run import choose_events
from workflows import find_workflows


@pytest.mark.parametrize("pipeline", find_workflows(ROOT))
def test_green(run_pipeline: RunPipeline, pipeline: str) -> None:
    event = choose_events(find_workflows(ROOT)[pipeline], [Event.parse(it) for it in USUAL])
    edit = write(".github/workflows/ci.yml", CI) if pipeline != "ci" else None
    run = run_pipeline(pipeline, str(event), small=False, edit=edit)
    assert run.conclusion == "success", [
        (job.id, step.name, step.log[-20:]) for job in run.jobs for step in job.failed_steps
    ]
    assert all(job.summary for job in run.jobs if not job.calls and "/" not in job.id)
