"""What is changed in workflow files, so that act runs them."""

from pathlib import Path

import pytest
from engine import FOREIGN_RUNNERS, ROOT
from workflows import (
    find_uses,
    find_workflows,
    leave_out_containers,
    leave_out_keys,
    leave_out_legs,
    load,
    name_first_legs,
    needs_containers,
)

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


MATRICES = {
    "{os: [ubuntu-24.04, windows-2025, macos-15]}": ["j (windows-2025)", "j (macos-15)"],
    "{os: [ubuntu-24.04], include: [{os: windows-11-arm, x: 1}]}": ["j (windows-11-arm, 1)"],
    "{os: [ubuntu-24.04], x: [macos-15]}": [],
    "'${{ fromJSON(needs.plan.outputs.legs) }}'": [],
    "{include: '${{ fromJSON(needs.plan.outputs.legs) }}'}": [],
    "{os: '${{ fromJSON(vars.SYSTEMS) }}', include: [{x: 1}]}": [],
}


@pytest.mark.parametrize("matrix", MATRICES)
def test_legs_of_other_systems_are_named(tmp_path: Path, matrix: str) -> None:
    file = tmp_path / "trial.yml"
    text = f"jobs:\n  j: {{strategy: {{matrix: {matrix}}}, runs-on: '${{{{ matrix.os }}}}'}}\n"
    file.write_text(text)
    assert [name for _, name in leave_out_legs(file, FOREIGN_RUNNERS)] == MATRICES[matrix]
    assert "macos-15" not in file.read_text() or not MATRICES[matrix]


@pytest.mark.parametrize(
    ("job", "said"),
    [
        ("{runs-on: x, services: {db: {image: postgres}}, steps: [{run: echo}]}", "services: is"),
        ("{runs-on: x, container: node, steps: [{run: echo}]}", "container: is not started here"),
        ("{uses: a/b/.github/workflows/c.yml@v1, secrets: inherit}", "a/b/.github/workflows/c.yml"),
        (
            '{runs-on: x, steps: [{uses: "docker://a/b:1@sha256:0", with: {args: x}}]}',
            "title=docker://a/b",
        ),
        ("{runs-on: x, steps: [{run: echo}]}", ""),
        ("{uses: ./.github/workflows/c.yml}", ""),
    ],
)
def test_what_needs_a_container_is_left_out_and_said(tmp_path: Path, job: str, said: str) -> None:
    file = tmp_path / "trial.yml"
    file.write_text(f"jobs:\n  j: {job}\n  next: {{needs: j}}\n")
    before = load(file)
    leave_out_containers(file)
    after = load(file)
    assert (after == before) == (not said)
    assert said in str(after["jobs"]["j"].get("steps"))
    assert not {"container", "services"} & {*after["jobs"]["j"]}


@pytest.mark.parametrize("folder", ["ci/own", ".github/actions/own", ".github/actions/of/own"])
def test_own_actions_are_found_wherever_they_are(tmp_path: Path, folder: str) -> None:
    (tmp_path / ".github/workflows").mkdir(parents=True)
    action = tmp_path / folder / "action.yaml"
    action.parent.mkdir(parents=True)
    (tmp_path / ".github/workflows/trial.yaml").write_text(f"\"uses\":  './{folder}'\n")
    action.write_text('runs: {steps: [{"uses": acme/thing@v1}]}')
    assert [path for path, _ in find_uses(tmp_path)] == [action]


FIRST = {
    "{p: ['3.10', '3.2'], exclude: [{p: '3.2'}]}": "matrix.p == '3.10'",
    "{p: [a, b], q: [c]}": "matrix.p == 'a' && matrix.q == 'c'",
    "{p: [{x: a}, {x: b}]}": "matrix.p.x == 'a'",
    "{p: [true, false]}": "(matrix.p == 'true' || matrix.p == true)",
    '{p: ["it\'s"]}': "matrix.p == 'it''s'",
    "{include: [{p: a, q: b}, {p: b}]}": "matrix.p == 'a' && matrix.q == 'b'",
    "{p: [a], include: [{p: b}]}": "matrix.p == 'a'",
}


@pytest.mark.parametrize("matrix", FIRST)
def test_first_leg_is_named_by_its_values(tmp_path: Path, matrix: str) -> None:
    file = tmp_path / "trial.yml"
    step = "steps:\n    - if: strategy.job-index == 0\n"
    file.write_text(f"jobs:\n  j:\n    strategy: {{matrix: {matrix}}}\n    {step}")
    name_first_legs(file)
    assert load(file)["jobs"]["j"]["steps"][0]["if"] == f"({FIRST[matrix]})"


@pytest.mark.parametrize(
    ("uses", "expected"),
    [
        ("docker/build-push-action@v1", True),
        ("./.github/actions/build", True),
        ("./.github/workflows/called.yml", True),
        ("./.github/workflows/other.yml", False),
    ],
)
def test_docker_is_needed_by_what_is_called_too(tmp_path: Path, uses: str, expected: bool) -> None:
    for name, text in {
        "workflows/own.yaml": uses, "workflows/called.yml": "./.github/actions/build",
        "workflows/other.yml": "actions/checkout@v1", "actions/build/action.yaml": "docker/x@v1",
    }.items():  # fmt: skip
        file = tmp_path / ".github" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"uses: {text}\n")
    assert needs_containers(tmp_path, tmp_path / ".github/workflows/own.yaml") is expected
