import json
import re

import pytest
from checks.verdict import TEXT_EDITED
from costs import evaluate
from engine import ROOT
from harness import RunPipeline, write
from workflows import find_workflows, load

RESULTS = {
    "success": {"a": "success", "b": "success"},
    "failure": {"a": "success", "b": "failure"},
    "cancelled": {"a": "cancelled", "b": "success"},
    "skipped": {"a": "success", "b": "skipped"},
    "unknown": {"a": "not-run"},
    "nothing": {},
}


def test_accepts_success_and_what_is_skipped_by_design_only(run_pipeline: RunPipeline) -> None:
    jobs = "".join(
        f"""
  {name}:
    runs-on: ubuntu-24.04
    steps:
      - uses: ./.github/actions/verdict
        with:
          needs: '{json.dumps({job: {"result": result} for job, result in results.items()})}'
"""
        for name, results in RESULTS.items()
    )
    checkout = "      - uses: actions/checkout@v7.0.1\n"
    jobs = jobs.replace("    steps:\n", f"    steps:\n{checkout}")
    for name, skippable in {"named": "x b", "another": "x", "part": "bb"}.items():
        jobs += f"""
  {name}:
    runs-on: ubuntu-24.04
    steps:
      - uses: actions/checkout@v7.0.1
      - uses: ./.github/actions/verdict
        with:
          needs: '{json.dumps({job: {"result": end} for job, end in RESULTS["skipped"].items()})}'
          skippable: {skippable}
"""
    run = run_pipeline(
        "trial", "push", edit=write(".github/workflows/trial.yml", f"on: push\njobs:{jobs}")
    )
    conclusions = {job.id: job.conclusion for job in run.jobs}
    assert conclusions == dict.fromkeys([*RESULTS, "another", "part"], "failure") | {
        "success": "success",
        "named": "success",
    }
    assert "| a | 🚫 cancelled |" in run.find_job("cancelled").summary
    assert [note["text"] for note in run.find_job("skipped").annotations] == ["b (skipped)"]
    assert [note["text"] for note in run.find_job("nothing").annotations] == ["no job to judge"]


EDITS = {
    name: text
    for name, file in find_workflows(ROOT).items()
    if TEXT_EDITED in (text := str(load(file).get("run-name")))
}


@pytest.mark.parametrize("name", EDITS)
def test_no_title_makes_a_whole_run_one_of_an_edit(name: str) -> None:
    text = re.sub(r"format\('(#[^']*)'[^)]*\)", r"'\1'", EDITS[name])
    facts = {"github.event.action": "opened", "github.event.pull_request": True}
    # GitHub takes the title where there is no name
    assert (evaluate(text, facts) or TEXT_EDITED) != TEXT_EDITED
    assert evaluate(text, facts | {"github.event.action": "edited"}) == TEXT_EDITED
