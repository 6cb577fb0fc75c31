"""The app under load, with real Locust and k6, and with faults put into the app."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from engine import Run
from fakes.github_api import FakeGitHub
from fakes.github_artifacts import Artifact
from harness import RunPipeline, explain, make_quick, report_to, said, start_anew
from lib import processes
from performance import history, load
from performance.performance_report import MARKER
from performance.results import Result

ROOT = Path(__file__).parents[3]
FAULTY = """

import asyncio
import itertools

_create_app = create_app


class Faulty:
    def __init__(self, app):
        self.app, self.count = app, itertools.count()

    async def __call__(self, scope, receive, send):
        number = next(self.count)
        if scope["type"] == "http" and scope["path"].startswith("/items"):
            {fault}
        await self.app(scope, receive, send)


def create_app(*arguments):
    return Faulty(_create_app(*arguments))
"""
ERRORS = """
            if number % 20 == 0:
                raise RuntimeError("one in twenty")
"""
SLOW = "await asyncio.sleep(0.6)"
HUNG = "await asyncio.sleep(3600)"
SHORT = {"inputs.duration": "5", "inputs.users": "20"}

type Measure = Callable[..., Run]


def prepare(fault: str) -> Callable[[Path], None]:
    """Return an edit that puts a fault into the app, and leaves benchmarks and memory out."""

    def edit(tree: Path) -> None:
        make_quick(tree)
        scripts = tree / ".github/scripts/performance"
        (scripts / "benchmark_compare.py").write_text(report_to("benchmark-results"))
        (scripts / "memory_profile.py").write_text(report_to("memory-results"))
        (app,) = (tree / "src").glob("*/app.py")
        app.write_text(app.read_text() + (FAULTY.format(fault=fault) if fault else ""))

    return edit


@pytest.fixture
def measure(run_pipeline: RunPipeline) -> Measure:
    """Return a function that runs the pipeline for a short time."""

    def run(event: str = "workflow_dispatch", fault: str = "", **options: Any) -> Run:
        options = {"overrides": SHORT, "edit": prepare(fault), "small": False} | options
        return run_pipeline("performance", event, **options)

    return run


def conclusions(run: Run) -> dict[str, str]:
    return {job.id: job.conclusion for job in run.jobs}


def test_slow_app_with_errors_is_red_and_says_why(measure: Measure) -> None:
    run = measure(fault=f"{ERRORS}\n            {SLOW}")
    assert conclusions(run) == {
        "changes": "success",
        "load": "failure",
        "benchmark": "success",
        "memory": "success",
        "api": "failure",
        "summary": "failure",
    }, explain(run)
    load, api, report = (run.find_job(name).summary for name in ("load", "api", "summary"))
    causes = [
        "Load test\n\n",
        r"% of the requests failed, limit 1\.0%; most often",
        "the 95th percentile is ",
    ]
    assert re.search(".*".join(causes), load), load
    told = api.partition("\n\n")[2].partition("\n")[0]  # in any order
    for limit in (r"checks must be rate\>=0.99,", r"p(95)\<=500, and is", r"\<=0.01, and is"):
        assert limit in told, api
    assert "http_req_duration must be p(95)<=500, and is " in api
    assert "one in twenty" in (run.artifacts / "locust-results/app.log").read_text()
    assert "| Load test | ❌ failure | " in report
    for artifact, files in {
        "locust-results": [
            "report.html",
            "locust_stats.csv",
            "locust_stats_history.csv",
            "app.log",
        ],
        "k6-results": ["report.html", "summary.json", "app.log"],
    }.items():
        for file in files:
            assert (run.artifacts / artifact / file).stat().st_size
            assert "<script src=" not in (run.artifacts / artifact / file).read_text()
        assert f"/artifacts/{artifact})" in report
    assert (run.artifacts / "performance-report/report.md").read_text().strip() in report


def test_hung_app_is_cut_off(measure: Measure) -> None:
    run = measure(fault=HUNG)
    assert run.seconds < 120
    load, api = run.find_job("load"), run.find_job("api")
    assert (load.conclusion, api.conclusion) == ("failure", "failure")
    assert "100.0% of the requests failed" in load.summary
    assert "timed out" in load.summary
    assert "http_req_failed must be rate<=0.01, and is 1" in api.summary


@pytest.mark.parametrize("tool", load.TOOLS)
def test_dead_server_is_red_with_the_reason(
    tool: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "ROOT", ROOT)
    _, make, _ = load.TOOLS[tool]
    command, environment = make(2, 2, tmp_path), load.name_host("http://127.0.0.1:1")
    done = processes.run(command, 150, environment=environment)
    assert done.returncode, done.stdout
    assert "refused" in done.stdout


def test_wrong_number_is_refused_with_its_limits(measure: Measure) -> None:
    run = measure(overrides=SHORT | {"inputs.duration": "1$(id)"})
    for job in (run.find_job("load"), run.find_job("api")):
        assert job.conclusion == "failure"
        assert "--duration: must be a number from 5 to 900, not '1$(id)'" in job.summary


STEP = Result(base="0" * 40, ratios={"t::test_it": 1.04})
COMPARED = f"""import json, pathlib, subprocess, sys

folder = pathlib.Path("benchmark-results")
result = json.loads({json.dumps(json.dumps(asdict(STEP)))})
base = sys.argv[1].removeprefix("--base=")
command = ["git", "rev-parse", "--verify", base + "^{{commit}}"]
result["base"] = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
folder.mkdir()
(folder / "result.json").write_text(json.dumps(result))
(folder / "report.md").write_text("Compared.")
"""


def test_push_keeps_its_figures_and_names_small_steps(
    run_pipeline: RunPipeline, tmp_path: Path
) -> None:
    source = start_anew(tmp_path / "source")
    source.save("feat: start")
    before = source.find("HEAD")
    for number in range(3):
        source("commit", "--quiet", "--allow-empty", "-m", f"feat: commit {number} of a push")
    github = FakeGitHub()
    lines = history.write(history.Push(-n, "a" * 40, {"benchmark": STEP}) for n in (4, 3, 2, 1))
    github.artifacts.artifacts = [Artifact(1, history.ARTIFACT, {history.FILE: lines})]

    def edit(tree: Path) -> None:
        make_quick(tree)
        scripts = tree / ".github/scripts"
        (scripts / "checks/check.sh").write_text("#!/bin/sh\n")
        (scripts / "performance/memory_profile.py").write_text(report_to("memory-results"))
        (scripts / "performance/benchmark_compare.py").write_text(COMPARED)

    options = {"source": source.directory, "overrides": {"before": before}}
    run = run_pipeline("performance", "push", edit=edit, github=github, **options)
    assert conclusions(run)["summary"] == "success", explain(run)
    assert not github.unexpected
    assert "grew by 22% in 5 pushes since" in said(run, "warning")
    assert "The last 5 pushes" in run.find_job("summary").summary
    kept = history.parse((run.artifacts / history.ARTIFACT / history.FILE).read_text())
    assert [one.run for one in kept] == [-4, -3, -2, -1, 1]
    assert kept[-1].ratios == {"t::test_it": 1.04}
    assert kept[-1].base == before


def test_pull_request_gets_one_comment(measure: Measure) -> None:
    github = FakeGitHub()
    environment = {"LOCUST_MAX_P95_MS": "20000", "K6_MAX_P95_MS": "20000"}
    options: dict[str, Any] = {"github": github, "environment": environment, "overrides": {}}
    edit = prepare("")

    def shorten(tree: Path) -> None:
        edit(tree)
        file = tree / ".github/workflows/performance.yml"
        file.write_text(file.read_text().replace("'20'", "'5'"))

    run = measure("pull_request", edit=shorten, **options)
    assert conclusions(run)["summary"] == "success", explain(run)
    (comment,) = github.issues.pull_requests[1].comments
    assert comment.startswith(MARKER)
    assert "| Load test | ✅ success |" in comment
    assert "2 processes, PostgreSQL. A request takes" in comment


def test_empty_limits_of_the_load_test_count_as_not_set() -> None:
    """As where a workflow sets them from a variable that nobody has set."""
    empty = {"BASE_URL": "", "LOCUST_MAX_ERROR_RATE": "", "LOCUST_MAX_P95_MS": ""}
    code = "import locustfile; print(locustfile.MAX_P95_MS, locustfile.Visitor.host)"
    shown = subprocess.check_output([sys.executable, "-c", code], env=os.environ | empty, cwd=ROOT)
    assert shown.decode().split() == ["500.0", "http://127.0.0.1:8000"]
