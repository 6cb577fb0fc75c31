"""The report, from what the tests leave."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from fakes.github_api import FakeGitHub
from fakes.github_artifacts import Artifact
from fakes.github_issues import Issue
from performance import history, performance_report
from performance.results import Result

COMMIT = "9" * 40
BENCHMARK = "tests/x.py::test_planted"
RESULTS = {
    "locust": Result(
        {"p50": 13.2, "p95": 91, "p99": 1170, "throughput": 76.5, "errors": 0.0, "memory": 3.2e8}
        | {"query": 7.14}
    ),
    "k6": Result({"p50": 8, "p95": 80, "p99": 90, "throughput": 95, "errors": 0.1, "memory": 3e8}),
    "benchmark": Result(verdict="as the base, at most +4%", base=COMMIT, ratios={BENCHMARK: 1.04}),
    "memory": Result({"memory": 1.09e6}, peaks={"t.py::test_a": 1.09e6, "t.py::test_b": 8e4}),
}
JOBS = {
    "load": {"result": "failure", "outputs": {"artifact": "https://github.com/a/b/artifacts/1"}},
    "api": {"result": "success", "outputs": {}},
    "benchmark": {"result": "cancelled", "outputs": {}},
    "memory": {"result": "skipped", "outputs": {}},
}


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A folder with the results of all tests."""
    for name, result in RESULTS.items():
        folder = tmp_path / f"results/{name}-results"
        folder.mkdir(parents=True)
        result.write(folder, f"Report of {name}.\n")
    return tmp_path / "results"


@pytest.fixture
def github(github: FakeGitHub) -> FakeGitHub:
    """GitHub, with pull request 7 in it."""
    github.issues.pull_requests[7] = Issue(7, "feat: x", "", [])
    return github


def report(folder: Path, jobs: dict[str, Any] | None = None) -> str:
    left, problems = performance_report.collect(folder, jobs or {})
    return performance_report.describe(left, problems, jobs or {})


def row(text: str, title: str) -> list[str]:
    line = next(line for line in text.splitlines() if line.startswith(f"| {title} |"))
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


def test_every_number_is_in_the_table(results: Path) -> None:
    text = report(results, JOBS)
    assert "Not in this report" not in text
    artifact = "[files](https://github.com/a/b/artifacts/1)"
    figures = ["13 ms", "91 ms", "1170 ms", "76/s", "0.00%", "320.0 MB", "7.14 ms", "-"]
    assert row(text, "Load test") == ["❌ failure", *figures, artifact]
    figures = ["8 ms", "80 ms", "90 ms", "95/s", "10.00%", "300.0 MB", "-", "-"]
    assert row(text, "API performance") == ["✅ success", *figures, "-"]
    assert row(text, "Benchmark")[-2:] == ["as the base, at most +4%", "-"]
    assert row(text, "Benchmark")[0] == "🚫 cancelled"
    assert row(text, "Memory profile")[0] == "⏭️ skipped"
    assert row(text, "Memory profile")[6] == "1.1 MB"
    for name in RESULTS:
        assert text.count(f"Report of {name}.") == 1
    assert '  title "Time to answer, ms (bar: Load test, line: API performance)"\n' in text
    assert "  bar [13.2, 91.0, 1170.0]\n  line [8.0, 80.0, 90.0]\n" in text


MISSING = "the result is missing; the summary of the job says why"
OFF = "There are no tests: this part is off."
FIGURES = [json.dumps({"figures": {"p95": value}}) for value in ("x", None, -1, float("inf"))]


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [("result.json", None, MISSING), ("report.md", None, MISSING)]
    + [("result.json", json.dumps({"off": OFF}), OFF)]
    + [
        ("result.json", content, "the result is malformed: ")
        for content in ["", "{", "null", "[]", "[1]", '{"figures": 1}', "\x00", *FIGURES]
    ],
)
def test_what_is_not_there_is_named(
    results: Path, file: str, content: str | None, said: str
) -> None:
    path = results / "k6-results" / file
    if content is None:
        path.unlink()
    elif content.startswith('{"'):
        path.write_text(json.dumps(json.loads(path.read_text()) | json.loads(content)))
    else:
        path.write_text(content)
    text = report(results)
    assert f"Not in this report:\n\n- **API performance:** {said}" in text
    assert text.count("- **") == 1
    assert said == OFF or row(text, "API performance")[1:4] == ["-", "-", "-"]


def test_results_of_one_test_alone_have_no_folder(results: Path) -> None:
    jobs = {"load": {"result": "failure"}, "memory": {"outputs": {"artifact": "https://a"}}}
    left, problems = performance_report.collect(results / "memory-results", jobs)
    assert left == {"memory": (RESULTS["memory"], "Report of memory.\n")}
    assert len(problems) == 3


def test_names_of_others_do_nothing(results: Path) -> None:
    hostile = "</details>@octocat [x](http://evil.example) | `a` \n::error::x"
    Result(verdict=hostile, off=hostile).write(results / "benchmark-results")
    text = report(results, JOBS | {"benchmark": {"result": hostile}})
    assert "@octocat" not in text
    assert "http://evil" not in text
    assert text.count("</details>") == text.count("<details>")
    assert "\n::error" not in text


def test_comment_is_one_and_stays_current(github: FakeGitHub) -> None:
    request = github.issues.pull_requests[7]
    request.remarks = [f"{performance_report.MARKER} by a person"] * 150
    assert performance_report.comment("7", "first") == "Commented on #7."
    request.comments.append("of another workflow")
    assert performance_report.comment("7", "second") == "Updated the comment on #7."
    assert request.comments == [
        f"{performance_report.MARKER}\nsecond",
        "of another workflow",
    ]


@pytest.fixture(autouse=True)
def at_push(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of a push to a default branch that is not called main, run 9."""
    environment = {
        "DEFAULT_BRANCH": "trunk",
        "GITHUB_EVENT_NAME": "push", "GITHUB_RUN_ID": "9", "GITHUB_SHA": COMMIT,
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"), "JOBS": json.dumps(JOBS),
        "PULL_REQUEST": "7",
    }  # fmt: skip
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)


KEPT = Path(history.ARTIFACT, history.FILE)


def test_main_reports_everywhere(github: FakeGitHub, results: Path) -> None:
    assert performance_report.main([str(results)]) == 0
    text = Path("performance-report/report.md").read_text()
    assert text.strip() in Path("summary.md").read_text()
    comments = github.issues.pull_requests[7].comments
    assert comments == [f"{performance_report.MARKER}\n{text}"]
    performance_report.comment("7", f"Table.\n<details>{'x' * 70_000}")
    assert comments[0].endswith("\nTable.\nThe rest is in the summary of the job.\n")


def keep_past(github: FakeGitHub) -> None:
    """Plant three pushes, each of which made a benchmark 4 % slower."""
    pushes = [
        history.Push(
            n, f"{n}" * 40, {"benchmark": Result(base=f"{n - 1}" * 40, ratios={BENCHMARK: 1.04})}
        )
        for n in range(1, 4)
    ]
    content = {history.FILE: history.write(pushes)}
    github.artifacts.artifacts = [Artifact(1, history.ARTIFACT, content, "trunk")]


@pytest.mark.parametrize("event", ["push", "pull_request", "schedule"])
def test_small_steps_are_named_and_a_push_is_kept(
    github: FakeGitHub,
    results: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    event: str,
) -> None:
    monkeypatch.setenv("GITHUB_EVENT_NAME", event)
    keep_past(github)
    assert performance_report.main([str(results)]) == 0
    log = capsys.readouterr().out
    if event == "schedule":
        assert "The last 3 pushes" in log
        assert "than before" not in log  # what was measured again counts once
    else:
        assert re.search("::warning title=Performance::.*test_planted grew by 17%", log)
        assert "test\\_planted grew by 17% in 4 pushes since 000000000000, and no" in log
        assert "The last 4 pushes" in log
    if event == "push":
        kept = history.parse(KEPT.read_text())
        assert [push.run for push in kept] == [1, 2, 3, 9]
        measured = {"load": "locust", "api": "k6", "benchmark": "benchmark", "memory": "memory"}
        assert kept[-1].results == {job: RESULTS[name] for job, name in measured.items()}
    else:
        assert not KEPT.exists()


def test_history_that_cannot_be_read_is_said_and_costs_nothing(
    github: FakeGitHub, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    github.artifacts.allowed = False
    assert performance_report.main([str(results)]) == 0
    log = capsys.readouterr().out
    assert "The history could not be read: " in log
    assert "Resource not accessible by integration" in log
    assert len(history.parse(KEPT.read_text())) == 1


@pytest.mark.usefixtures("github")
def test_a_run_that_measured_nothing_leaves_no_history(results: Path) -> None:
    shutil.rmtree(results)
    assert performance_report.main([str(results)]) == 0
    assert not KEPT.exists()
    assert Path("summary.md").read_text().count(" is missing") == 4


def test_refused_comment_is_an_error_and_the_report_stays(
    github: FakeGitHub, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    github.issues.allowed = False
    assert performance_report.main([str(results)]) == 1
    assert "::error title=Performance::" in capsys.readouterr().out
    assert "Load test" in Path("summary.md").read_text()
