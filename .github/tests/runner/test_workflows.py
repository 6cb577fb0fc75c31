"""What is changed in workflow files, so that act runs them."""

from pathlib import Path

import pytest
from engine import ROOT
from workflows import find_workflows, leave_out_keys, load

STRANGE = """# a comment
on: push
concurrency: {group: all, queue: max}
jobs:
  a:
    runs-on: x
    concurrency: {group: a, queue: max, cancel-in-progress: false}
    environment: {name: queue, deployment: false, url: deployment}
    env: {queue: max, deployment: "false"}
    steps: [{run: echo, with: {queue: max}}]
  b: {runs-on: x, concurrency: queue, environment: deployment}
  queue: {runs-on: x, steps: [{run: "echo 010 1e3 yes"}]}
"""


def test_only_what_act_does_not_know_is_taken_out(tmp_path: Path) -> None:
    file = tmp_path / "trial.yml"
    file.write_text(STRANGE)
    before = load(file)
    gone = ["concurrency.queue", "a.concurrency.queue", "a.environment.deployment"]
    assert leave_out_keys(file) == gone
    del before["concurrency"]["queue"]
    del before["jobs"]["a"]["concurrency"]["queue"]
    del before["jobs"]["a"]["environment"]["deployment"]
    assert load(file) == before
    kept = file.read_text()
    assert not leave_out_keys(file)
    assert file.read_text() == kept


@pytest.mark.parametrize("name", find_workflows(ROOT))
def test_a_workflow_without_them_stays_as_it_is(name: str, tmp_path: Path) -> None:
    text = find_workflows(ROOT)[name].read_text()
    file = tmp_path / "trial.yml"
    file.write_text(text)
    gone = leave_out_keys(file)
    assert {path.rpartition(".")[2] for path in gone} <= {"queue", "deployment"}
    assert (file.read_text() == text) == (not gone)
