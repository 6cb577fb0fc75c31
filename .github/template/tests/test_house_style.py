"""Our taste in workflows, composite actions and scripts; a copy may have another."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from engine import ROOT, STAND_INS
from lib.triggers import triggers
from repository.drop_text import Dropped, cut_blocks
from repository.rename_project import TEMPLATE_ONLY
from workflows import USES, find_actions, find_uses, find_workflows, load

WORKFLOWS = find_workflows(ROOT)
ACTIONS = {path.parent.name: path for path in find_actions(ROOT)}
PINS = {
    match["action"]: match.group().split("uses:")[1].strip()
    for match in USES.finditer((ROOT / ".github/runner/pins/action.yml").read_text())
}

TOP_LEVEL = ["name", "run-name", "on", "permissions", "concurrency", "env", "defaults", "jobs"]
JOB = [
    "name", "needs", "if", "runs-on", "timeout-minutes", "permissions", "environment",
    "concurrency", "strategy", "outputs", "env", "steps", "uses", "with", "secrets",
]  # fmt: skip
STEP = ["name", "id", "if", "continue-on-error", "timeout-minutes", "uses", "with", "shell",
        "working-directory", "env", "run"]  # fmt: skip
RUNNERS = {
    "${{ matrix.runner }}",
    "${{ vars.RUNNER || 'ubuntu-24.04' }}",
    "${{ vars.RUNNER_SMALL || 'ubuntu-slim' }}",
    (
        "${{ github.event.action == 'edited' && !github.event.changes.base.ref.from "
        "&& (vars.RUNNER_SMALL || 'ubuntu-slim') || vars.RUNNER || 'ubuntu-24.04' }}"
    ),
}
ONE_JOB = {"codeql"}
"""Whose one job has a name that never changes, and so is its own verdict."""
LONGEST_STEP = 10
LONGEST_WORKFLOW = 270
MOST_INLINE_SHELL = 150

each_workflow = pytest.mark.parametrize("name", WORKFLOWS)
each_file = pytest.mark.parametrize(
    "path", [*WORKFLOWS.values(), *ACTIONS.values()], ids=lambda path: path.relative_to(ROOT)
)


def jobs_of(name: str) -> dict[str, dict[str, Any]]:
    jobs: dict[str, dict[str, Any]] = load(WORKFLOWS[name])["jobs"]
    return jobs


def steps_of(path: Path) -> Iterator[dict[str, Any]]:
    content = load(path)
    if "runs" in content:
        yield from content["runs"]["steps"]
    for job in content.get("jobs", {}).values():
        yield from job.get("steps", [])


def in_order(keys: Iterator[str] | dict[str, Any], order: list[str]) -> bool:
    positions = [order.index(key) for key in keys]
    return positions == sorted(positions)


@each_workflow
def test_header(name: str) -> None:
    text = WORKFLOWS[name].read_text()
    workflow = load(WORKFLOWS[name])
    assert re.match(r"# [A-Z].+\n# Yours to edit: .+\nname: ", text)
    assert in_order(workflow, TOP_LEVEL)
    assert workflow.keys() >= set(TOP_LEVEL) - {"env", "run-name"}
    assert workflow["permissions"] == {}
    assert "permissions: {} # each job asks for its own\n" in text
    assert workflow["defaults"] == {"run": {"shell": "bash"}}


@each_workflow
def test_concurrency(name: str) -> None:
    concurrency = load(WORKFLOWS[name])["concurrency"]
    assert re.match(r"[a-z-]+-\$\{\{", concurrency["group"]), "a literal prefix keeps groups apart"
    only_pull_requests = triggers(load(WORKFLOWS[name])).keys() == {"pull_request"}
    if concurrency.get("cancel-in-progress") == "true":
        assert only_pull_requests, "only runs of pull requests are superseded"


@each_workflow
def test_jobs(name: str) -> None:
    for job_id, job in jobs_of(name).items():
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", job_id)
        assert in_order(job, JOB)
        assert job["name"][0].isupper()
        if "uses" not in job:
            assert job["timeout-minutes"].isdecimal()
            assert job["runs-on"] in RUNNERS
            assert job["steps"]


@each_workflow
def test_permissions(name: str) -> None:
    text = WORKFLOWS[name].read_text()
    for block in re.findall(r"^ {4}permissions:\n((?: {6}.+\n)+)", text, re.MULTILINE):
        for line in block.splitlines():
            assert re.fullmatch(r" {6}[a-z-]+: (read|write) # .+", line), f"{line}: why?"


@pytest.mark.parametrize("name", sorted(WORKFLOWS.keys() - ONE_JOB))
def test_ends_in_a_verdict(name: str) -> None:
    *others, (last_id, last) = jobs_of(name).items()
    assert last_id == "summary"
    assert last["name"].endswith(" summary")
    assert last["needs"] == [job_id for job_id, _ in others]
    assert last["if"] == "always()"
    judge = last["steps"][-1]
    assert judge["uses"] == "./.github/actions/verdict"
    assert judge["with"]["needs"] == "${{ toJSON(needs) }}"


def test_verdicts_have_names_of_their_own() -> None:
    names = [jobs_of(name)["summary"]["name"] for name in WORKFLOWS.keys() - ONE_JOB]
    assert len(names) == len(set(names))


@each_workflow
def test_scheduled_runs_do_not_start_in_forks(name: str) -> None:
    if "schedule" in triggers(load(WORKFLOWS[name])):
        for job_id, job in jobs_of(name).items():
            condition = job.get("if", "")
            scheduled = not condition.startswith("github.event_name == 'pull_request'")
            if scheduled and "needs" not in job and job_id != "summary":
                assert "github.event.repository.fork" in condition


@each_file
def test_steps(path: Path) -> None:
    for step in steps_of(path):
        assert in_order(step, STEP)
        assert step["name"]
        if "run" in step:
            lines = step["run"].strip().splitlines()
            assert len(lines) <= LONGEST_STEP, f"{step['name']}: make it a script"
            assert "${{" not in step["run"], f"{step['name']}: pass data through env"


@each_file
def test_local_actions_exist_and_get_what_they_declare(path: Path) -> None:
    for step in steps_of(path):
        action = step.get("uses", "")
        if action.startswith("./"):
            declared = load(ROOT / action / "action.yml").get("inputs", {})
            required = {key for key, value in declared.items() if value.get("required") == "true"}
        elif action:
            name = action.partition("@")[0]
            interface = load(STAND_INS / name / "interface.yml") or {}
            required = {*interface.get("required", [])}
            declared = interface.get("inputs", {})
        else:
            continue
        given = step.get("with", {})
        assert given.keys() <= declared.keys(), f"{action} has no such input"
        assert given.keys() >= required


@each_file
def test_size(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= LONGEST_WORKFLOW


def test_inline_shell_is_little() -> None:
    steps = [step for path in (*WORKFLOWS.values(), *ACTIONS.values()) for step in steps_of(path)]
    lines = [line for step in steps for line in step.get("run", "").strip().splitlines()]
    assert len(lines) < MOST_INLINE_SHELL


def test_pins_are_those_of_the_table() -> None:
    used = {}
    for path, match in find_uses(ROOT):
        pin = match.group().split("uses:")[1].strip()
        assert pin == PINS[match["action"]], path
        used[match["action"]] = pin
    assert used == PINS, "a pin that nothing uses"


def test_pins_are_commits_with_their_versions() -> None:
    for pin in PINS.values():
        assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", pin)


def test_nothing_names_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["name"]
    name = re.compile(re.escape(project).replace(r"\-", "[-_. ]"), re.IGNORECASE)
    for folder in ("workflows", "actions", "scripts", "runner"):
        for path in (ROOT / ".github" / folder).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                assert not name.search(path.read_text()), path


def is_command(path: Path) -> bool:
    """Say whether a file is run, and not only imported."""
    return path.suffix in {".py", ".sh"} and path.read_text().startswith("#!")


def test_scripts_explain_themselves() -> None:
    scripts = [path for path in (ROOT / ".github/scripts").glob("*/*.*") if is_command(path)]
    assert len(scripts) > 20
    for path in scripts:
        assert "--help" in path.read_text() or "argparse" in path.read_text(), path
        assert path.stat().st_mode & 0o100, f"{path} cannot be executed"


@each_workflow
def test_tables_of_a_copys_project_stand_apart(name: str) -> None:
    text = TEMPLATE_ONLY.sub("", (ROOT / "pyproject.toml").read_text())
    text = cut_blocks(text, Dropped({name}, WORKFLOWS.keys() - {name}))
    tables = re.sub(r"(?m)^# .*\n", "", text)
    assert not re.findall(r"(?m)^.+\n(\[.*)", tables)
