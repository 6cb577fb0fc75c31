"""Our own pipelines on this machine: what the command says, and what it leaves alone."""

import os
import re
import subprocess
import sys
from pathlib import Path

import engine
import machine
import pytest
import run as cli
from containers import find_engine_version
from engine import ROOT
from harness import RunPipeline
from lib import processes
from origin import Git
from rich.console import Console
from workflows import find_workflows


def test_working_tree_is_not_touched(run_pipeline: RunPipeline) -> None:
    def state() -> str:
        return Git(ROOT)("status", "--porcelain=v2", "--branch", "--ignored=no")

    before = state()
    run_pipeline("pr", "pull_request", job="validate")
    assert state() == before


def call(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / ".github/runner/run.py"), *arguments]
    environment = os.environ | {"COLUMNS": "120"}
    return processes.run(command, 300, environment=environment, errors=subprocess.PIPE)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing"], "no pipeline nothing; there are: cd, ci, "),
        (["--event", "pusj"], "unknown event 'pusj'; known are: push, pull_request, "),
        (["pr", "--event", "push"], "pr does not start on push; it starts on: pull_request"),
        (["ci", "--event", "push:develop"], "ci does not start on push:develop"),
        (["cd", "--event", "workflow_dispatch"], "cd needs --set inputs.environment=staging or "),
        (
            ["cd", "--event", "workflow_dispatch", "--set", "inputs.environment=prod"],
            "cd needs --set inputs.environment=staging or production",
        ),
        (
            ["cd", "--event", "workflow_dispatch", "--set", "inputs.env=staging"],
            "cd has no input env; it has: environment, version",
        ),
        (["ci", "--job", "nothing"], "ci has no job nothing; it has: lint, "),
        (["ci", "--set", "x"], "--set takes PATH=VALUE, not x"),
    ],
)
def test_mistakes_are_answered_with_what_is_valid(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(arguments)
    assert end.value.code == 2
    assert message in capsys.readouterr().err


def test_shows_a_table_the_summaries_and_the_failure() -> None:
    done = call("pr", "--job", "validate", "--set", "pull_request.title=Wrong")
    assert done.returncode == 1
    assert "pr: failure in " in done.stdout
    assert "✘ failure" in done.stdout
    assert "Validate the title / summary" in done.stdout
    assert "It must be a type" in done.stdout
    end = done.stdout[done.stdout.index("what failed") :]
    assert "✘ pr / Validate the title / Check the title — " in end
    assert "uv run poe pipelines pr --event pull_request:opened --job validate" in end
    log = Path(end.rpartition("The whole logs: ")[2].strip())
    assert "pr / Validate the title / Check the title: failure" in log.read_text()
    assert len(end.splitlines()) < 10, end


def test_keeps_what_it_made() -> None:
    done = call("pr", "--job", "validate", "--keep")
    assert done.returncode == 0, done.stderr
    folder = re.search(r"^pr: kept in (.+)$", done.stdout, re.MULTILINE)
    assert folder
    assert (Path(folder[1]) / "artifacts").is_dir()


def test_advisories_of_a_stand_in_are_said_to_be(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["dependency-review", "--job", "vulnerabilities", "--stand-in-advisories"]
    assert cli.main([*arguments, "--event", "workflow_dispatch"]) == 0
    shown = capsys.readouterr().out
    assert "A stand-in that knows 0 advisories answers the scan." in shown
    assert "a copy answered, not the database itself" in " ".join(shown.split())


def test_job_that_is_left_out(run_pipeline: RunPipeline) -> None:
    run = run_pipeline("release", "push:v1.0.0", job="test", without="test")
    job = run.find_job("test")
    assert job.conclusion == "success"
    (note,) = job.annotations
    assert note["text"] == "It has run above, or --without names it."
    with pytest.raises(LookupError, match="has no job nowhere; it has: validate"):
        run_pipeline("release", "push:v1.0.0", without="nowhere")


def test_pipeline_that_another_calls_runs_once() -> None:
    workflow = find_workflows(ROOT)["release"]
    green, red = (
        engine.Run("ci", "push:main", [engine.Job("lint", "Lint", conclusion)])
        for conclusion in ("success", "failure")
    )
    assert cli.find_repeated(workflow, [engine.Run("cd", "push:main"), green]) == "test"
    assert not cli.find_repeated(workflow, [red])
    assert not cli.find_repeated(find_workflows(ROOT)["pr"], [green])


def test_step_that_is_made_to_fail(run_pipeline: RunPipeline) -> None:
    run = run_pipeline("pr", "pull_request", job="security", fail="security/Ruff security rules")
    job = run.find_job("security")
    assert [step.name for step in job.failed_steps] == ["Ruff security rules"]
    assert "made to fail" in [note["text"] for note in job.annotations]
    assert job.find_step("Annotate the findings").outcome == "success", "conditions stay"
    with pytest.raises(LookupError, match="pr has no step security/Bandit; it has: security/"):
        run_pipeline("pr", "pull_request", fail="security/Bandit")


@pytest.fixture
def no_docker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine on which no Docker Engine runs."""
    find_engine_version.cache_clear()
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody")


@pytest.mark.usefixtures("no_docker")
def test_pipelines_that_need_docker_are_left_out_by_name(
    capsys: pytest.CaptureFixture[str],
) -> None:
    options = cli.parse_arguments(["--event", "push"])
    assert "docker" in [name for name, _ in options.plan]
    cli.check_machine(options, Console(width=200))
    assert "Left out: cd, docker. Docker is missing: " in capsys.readouterr().out
    names = [name for name, _ in options.plan]
    assert not {"cd", "docker"} & {*names}
    assert "ci" in names
    assert cli.main(["docker", "--event", "workflow_dispatch", "--job", "lint"]) == 2
    assert "docker cannot run here. " in capsys.readouterr().out


def test_docker_is_not_asked_for_where_nothing_needs_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(machine, "_find_engine", lambda: ("28.0", ""))
    for names in (["ci", "pr"], ["ci", "docker"]):
        cli.check_machine(cli.parse_arguments(names), Console(width=200))
        assert ("│ Docker" in capsys.readouterr().out) == ("docker" in names)


def test_missing_program_is_said_before_anything_runs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        machine, "find_program", lambda name: "" if name == "git" else engine.find_program(name)
    )
    assert cli.main(["pr"]) == 2
    assert "pr cannot run here. git is missing: install the package 'git'" in (
        " ".join(capsys.readouterr().out.split())
    )


def test_costs_are_the_last_thing_that_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    job = engine.Job("analyze", "Analyze", "success", seconds=100.5)
    console = Console(width=80)
    cli.show_costs(console, [engine.Run("codeql", "push:main", [job])])
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == (
        "pull_request: 21 jobs, about 23 billed minutes in a private repository "
        "(8 of them on ubuntu-slim): the app; 20 jobs that did not run here count one minute"
    )
