"""The answers to "would GitHub start this?"."""

from pathlib import Path
from typing import Any

import pytest
from engine import ROOT
from events import Event
from workflows import find_workflows, leave_out_keys, load, starts_on, triggers


def push(ref: str) -> dict[str, Any]:
    return {"ref": ref}


@pytest.mark.parametrize(
    ("filters", "ref", "starts"),
    [
        ({}, "refs/heads/any", True),
        ({}, "refs/tags/v1", True),
        ({"branches": ["main"]}, "refs/heads/main", True),
        ({"branches": ["main"]}, "refs/heads/develop", False),
        ({"branches": ["main"]}, "refs/tags/v1.2.3", False),
        ({"tags": ["v*.*.*"]}, "refs/heads/main", False),
        ({"tags": ["v*.*.*"]}, "refs/tags/v1.2.3", True),
        ({"tags": ["v*.*.*"]}, "refs/tags/v1.2.3-beta.1", True),
        ({"tags": ["v*.*.*"]}, "refs/tags/v1.2", False),
        ({"tags": ["v*.*.*"]}, "refs/tags/1.2.3", False),
        ({"branches": ["main"], "tags": ["v*"]}, "refs/tags/v1", True),
        ({"branches-ignore": ["gh-*"]}, "refs/heads/gh-pages", False),
        ({"branches-ignore": ["gh-*"]}, "refs/heads/main", True),
        ({"branches": ["release/**"]}, "refs/heads/release/1/2", True),
        ({"branches": ["release/*"]}, "refs/heads/release/1/2", False),
        ({"branches": ["**", "!docs/**"]}, "refs/heads/docs/a", False),
        ({"branches": ["!docs/**", "**"]}, "refs/heads/docs/a", True),
        ({"branches": ["v[12].x+"]}, "refs/heads/v2.xx", True),
    ],
)
def test_push(filters: dict[str, Any], ref: str, starts: bool) -> None:
    assert starts_on({"on": {"push": filters}}, "push", push(ref)) == starts


@pytest.mark.parametrize(
    ("filters", "activity", "starts"),
    [
        ({}, "opened", True),
        ({}, "edited", False),
        ({"types": ["edited"]}, "edited", True),
        ({"types": ["edited"]}, "opened", False),
        ({"branches": ["develop"]}, "opened", False),
        ({"branches": ["main", "develop"]}, "opened", True),
    ],
)
def test_pull_request(filters: dict[str, Any], activity: str, starts: bool) -> None:
    event = Event.parse(f"pull_request:{activity}")
    assert starts_on({"on": {"pull_request": filters}}, event.name, event.payload()) == starts


def test_path_filters_are_refused() -> None:
    with pytest.raises(ValueError, match="wait for ever"):
        starts_on({"on": {"push": {"paths": ["src/**"]}}}, "push", push("refs/heads/main"))


@pytest.mark.parametrize("on", ["push", ["push"], {"push": ""}])
def test_forms_of_on(on: object) -> None:
    assert triggers({"on": on}) == {"push": {}}


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
