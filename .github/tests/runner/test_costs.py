"""What GitHub would run and bill, of workflows made up here."""

from pathlib import Path
from typing import Any

import pytest
from costs import Planned, estimate, evaluate, plan
from events import Event

VALUES = {"github.event_name": "pull_request", "github.event.repository.fork": False}
EXPRESSIONS = {
    "github.event_name == 'pull_request'": True,
    "${{ github.event_name != 'pull_request' }}": False,
    "vars.RUNNER || 'ubuntu-24.04'": "ubuntu-24.04",
    "!github.event.repository.fork && always()": True,
    "failure() || cancelled()": False,
    "!cancelled() && (github.event.action != 'edited' || github.event.changes.title.from)": True,
    "'it''s'": "it's",
    "github.event.nothing == ''": True,
    "github.event.repository.fork == false": True,
    "github.event.nothing == null && github.event.repository.fork != true": True,
    "github.event.number == 1": False,
    "'A' == 'a' && '1' == 1.0 && true": True,
    "!(github.event_name == 'push' || github.event_name == 'pull_request')": False,
}


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_expression(text: str) -> None:
    assert evaluate(text, VALUES) == EXPRESSIONS[text]


@pytest.mark.parametrize("text", ["contains('a', 'b')", "fromJSON(x).y", "(a", "a b", "a &&", ""])
def test_what_only_a_run_can_answer(text: str) -> None:
    with pytest.raises(ValueError, match=r"before the run|without end"):
        evaluate(text, VALUES)


def plan_jobs(tree: Path, jobs: dict[str, Any], event: str = "push") -> list[tuple[str, str]]:
    folder = tree / ".github/workflows"
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"  {name}: {body}" for name, body in jobs.items()]
    text = "\n".join(["on: [push, pull_request]", "jobs:", *lines])
    (folder / "trial.yml").write_text(text)
    return [(job.id, job.runner) for job in plan(tree, Event.parse(event), {"app"})]


def test_jobs_that_run(tmp_path: Path) -> None:
    jobs = {
        "last": "{needs: [a, b], if: always(), runs-on: small}",
        "b": "{needs: a, runs-on: big}",
        "a": "{if: github.event_name == 'push', runs-on: \"${{ vars.X || 'big' }}\"}",
        "asked": "{if: \"contains(github.ref, 'x')\", runs-on: [self-hosted, arm]}",
    }
    asked = ("asked", "['self-hosted', 'arm']")
    assert plan_jobs(tmp_path, jobs) == [
        ("a", "big"), ("b", "big"), ("last", "small"), asked,
    ]  # fmt: skip
    assert plan_jobs(tmp_path, jobs, "pull_request") == [("last", "small"), asked]


def test_jobs_that_a_change_does_not_touch(tmp_path: Path) -> None:
    outputs = {name: f"'${{{{ steps.changes.outputs.{name} }}}}'" for name in ("app", "image")}
    jobs: dict[str, Any] = {
        "decide": f"{{runs-on: x, outputs: {{app: {outputs['app']}, image: {outputs['image']}}}}}"
    }
    for area in outputs:
        jobs[area] = f"{{needs: decide, if: needs.decide.outputs.{area} != 'false', runs-on: x}}"
    assert plan_jobs(tmp_path, jobs) == [("decide", "x"), ("app", "x")]


def test_legs_and_called_workflows(tmp_path: Path) -> None:
    fewer = "exclude: [{a: 1, b: 3}], include: [{a: 1, c: 5}, {a: 2, b: 3, c: 6}, {a: 7}]"
    legs = "{include: [{runner: x}, {runner: \"${{ vars.ARM || 'arm' }}\"}]}"
    jobs = {
        "axes": "{runs-on: x, strategy: {matrix: {a: [1, 2], b: [3, 4]}}}",
        "named": "{runs-on: '${{ matrix.runner }}', strategy: {matrix: " + legs + "}}",
        "made": "{runs-on: x, strategy: {matrix: '${{ fromJSON(needs.a.outputs.b) }}'}}",
        "called": "{uses: ./.github/workflows/other.yml}",
        "elsewhere": "{uses: acme/flows/.github/workflows/other.yml@v1}",
        "fewer": "{runs-on: x, strategy: {matrix: {a: [1, 2], b: [3, 4], " + fewer + "}}}",
    }
    (tmp_path / ".github/workflows").mkdir(parents=True)
    other = tmp_path / ".github/workflows/other.yml"
    other.write_text("on: workflow_call\njobs: {one: {runs-on: y}}\n")
    assert plan_jobs(tmp_path, jobs) == [
        *[("axes", "x")] * 4, ("named", "x"), ("named", "arm"), ("made", "x"), ("called/one", "y"),
        ("elsewhere", "None"), *[("fewer", "x")] * 4,
    ]  # fmt: skip


def test_each_job_is_rounded_up() -> None:
    jobs = [Planned("ci", name, runner) for name, runner in (("a", "ubuntu-24.04"), ("b", "x"))]
    small = Planned("ci", "c", "ubuntu-slim")
    assert estimate([*jobs, small], {("ci", "a"): 40, ("ci", "b"): 40.1}) == (4, 1, 1)
