"""The report, from what the tools really wrote once (in the folder `recorded`)."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes.github_api import FakeGitHub
from fakes.github_artifacts import Artifact
from fakes.github_issues import Issue
from lib.markdown import plain
from performance import history, performance_report
from performance.results import read_k6, read_locust, read_server

RECORDED = Path(__file__).parent / "recorded"
TOOLS = ("locust", "k6", "benchmark", "memory")
JOBS = {
    "load": {"result": "failure", "outputs": {"artifact": "https://github.com/a/b/artifacts/1"}},
    "api": {"result": "success", "outputs": {}},
    "benchmark": {"result": "cancelled", "outputs": {}},
    "memory": {"result": "skipped", "outputs": {}},
}
FILES = {
    "locust-results/locust.json": "Load test",
    "locust-results/app.json": "Load test",
    "locust-results/metrics-before.txt": "Load test",
    "locust-results/metrics-after.txt": "Load test",
    "k6-results/summary.json": "API performance",
    "benchmark-results/report.json": "Benchmark",
    "memory-results/report.txt": "Memory profile",
}


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A folder with the results of all tests."""
    folder = tmp_path / "results"
    shutil.copytree(RECORDED, folder)
    return folder


@pytest.fixture
def github(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGitHub]:
    """GitHub, with pull request 7 in it."""
    with FakeGitHub() as fake:
        fake.issues.pull_requests[7] = Issue(7, "feat: x", "", [])
        monkeypatch.setenv("GITHUB_API_URL", fake.url)
        monkeypatch.setenv("GITHUB_REPOSITORY", "octo-org/widget")
        monkeypatch.setenv("GITHUB_TOKEN", "token")
        yield fake
        assert not fake.unexpected


def report(folder: Path, jobs: dict[str, Any] | None = None) -> str:
    return performance_report.describe(performance_report.collect(folder, jobs or {}))


def row(text: str, title: str) -> list[str]:
    line = next(line for line in text.splitlines() if line.startswith(f"| {title} |"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def change(file: Path, **values: object) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def test_every_number_is_in_the_table(results: Path) -> None:
    text = report(results, JOBS)
    assert "Not in this report" not in text
    load, api = row(text, "Load test"), row(text, "API performance")
    for cells in (load, api):
        for cell, pattern in zip(
            cells[2:9],
            [r"\d+ ms", r"\d+ ms", r"\d+ ms", r"\d+/s", r"0\.00%", r"[\d.]+ MB", r"[\d.]+ m?s"],
            strict=True,
        ):
            assert re.fullmatch(pattern, cell)
    assert load[1] == "❌ failure"
    assert load[-1] == "[files](https://github.com/a/b/artifacts/1)"
    assert api[1] == "✅ success"
    assert api[-1] == "-"
    assert row(text, "Benchmark")[1] == "🚫 cancelled"
    assert re.fullmatch(r"too noisy to judge, at most ▲ \+\d+%", row(text, "Benchmark")[-2])
    assert row(text, "Memory profile")[1] == "⏭️ skipped"
    assert re.fullmatch(r"[\d.]+ MB", row(text, "Memory profile")[7])


def test_numbers_are_those_of_the_tools() -> None:
    content = json.loads((RECORDED / "locust-results/locust.json").read_text())
    load = read_locust(RECORDED / "locust-results")
    assert load.requests == sum(it["num_requests"] for it in content)
    times = sorted(
        float(ms)
        for it in content
        for ms, count in it["response_times"].items()
        for _ in range(count)
    )
    expected = (times[(len(times) - 1) // 2], times[round(0.95 * len(times)) - 1])
    assert load.latencies[:2] == pytest.approx(expected, rel=0.1)
    values = json.loads((RECORDED / "k6-results/summary.json").read_text())["metrics"]
    api = read_k6(RECORDED / "k6-results")
    assert api.latencies[1] == values["http_req_duration"]["values"]["p(95)"]
    assert api.throughput == values["http_reqs"]["values"]["rate"]


def test_time_is_attributed(results: Path) -> None:
    def write(when: str, requests: int, seconds: float, queries: int, spent: float) -> None:
        name = "http_request_duration_seconds"
        (results / f"locust-results/metrics-{when}.txt").write_text(
            "# HELP something\n"
            f'{name}_count{{method="GET",route="/items",status="200"}} {requests}\n'
            f'{name}_sum{{method="GET",route="/items",status="200"}} {seconds}\n'
            f'{name}_count{{method="GET",route="/ready",status="200"}} 1000\n'
            f'database_query_duration_seconds_count{{operation="select"}} {queries}\n'
            f'database_query_duration_seconds_sum{{operation="select"}} {spent}\n'
        )

    write("before", 100, 9.0, 300, 5.0)
    write("after", 200, 10.0, 500, 5.4)
    server = read_server(results / "locust-results")
    assert server.request == pytest.approx(10)
    assert server.query == pytest.approx(2)
    assert server.queries == 2
    cells = [line for line in report(results).splitlines() if line.startswith("| Load test | 2,")]
    assert cells == ["| Load test | 2, postgresql | 10 ms | 4 ms (40%) | 2.0 | 2 ms |"]


def test_chart_is_one_that_github_draws(results: Path) -> None:
    (chart,) = re.findall(r"^```mermaid\n(.*?)^```$", report(results), re.DOTALL | re.MULTILINE)
    head, title, axis, unit, *series = chart.splitlines()
    assert head == "xychart-beta"
    assert re.fullmatch(r'  title "[\w ():,]+"', title)
    assert axis == "  x-axis [p50, p95, p99]"
    assert unit == '  y-axis "ms"'
    assert len(series) == 2
    assert all(re.fullmatch(r"  (bar|line) \[[\d.]+, [\d.]+, [\d.]+\]", it) for it in series)


@pytest.mark.parametrize("file", FILES)
def test_what_is_missing_is_named(results: Path, file: str) -> None:
    (results / file).unlink()
    text = report(results)
    assert f"- **{FILES[file]}:** {plain(Path(file).name)} is missing\n" in text
    assert text.count(" is missing") == 1


@pytest.mark.parametrize("content", ["", "{", "null", "[]", "[1]", '{"metrics": 1}', "\x00"])
@pytest.mark.parametrize("file", [*FILES][:-1])  # the last is text for people
def test_what_is_malformed_is_named(results: Path, file: str, content: str) -> None:
    (results / file).write_text(content)
    text = report(results)
    if file.endswith("before.txt") and not content:
        return  # an app that has counted nothing yet
    if file.endswith("locust.json") and content == "[]":
        assert row(text, "Load test")[2] == "0 ms"  # no request was made
        return
    assert f"- **{FILES[file]}:** " in text
    assert re.search(r"malformed|count no request", text)


def test_nothing_at_all_is_still_a_report(tmp_path: Path) -> None:
    text = report(tmp_path, JOBS)
    assert text.count(" is missing") == 6
    assert "mermaid" not in text
    assert "❌ failure" in text


def test_results_of_one_test_alone_have_no_folder(results: Path) -> None:
    jobs = {"load": {"result": "failure"}, "memory": {"outputs": {"artifact": "https://a"}}}
    _, _, benchmark, memory = performance_report.collect(results / "memory-results", jobs)
    assert memory.memory
    assert not benchmark.comparison


def test_memory_shows_the_biggest_first(results: Path) -> None:
    text = report(results)
    names = re.findall(r"^\| .*::test\\_(\w+) \| [\d.]+ MB \|$", text, re.MULTILINE)
    assert names == ["much", "little"]
    assert "hold:tests/memory/test_it.py:" in text
    assert text.count("```text") == 1


@pytest.mark.parametrize("content", ["", "[]", '{"test_id": "a"}', '{"peak_memory": "x"}'])
def test_damaged_peaks_are_named(results: Path, content: str) -> None:
    for file in (results / "memory-results/metadata").iterdir():
        file.write_text(content)
    assert "- **Memory profile:** run" in report(results)
    shutil.rmtree(results / "memory-results/metadata")
    assert "- **Memory profile:** the peaks of the tests are missing" in report(results)


def test_what_is_off_is_said(results: Path) -> None:
    shutil.rmtree(results / "memory-results")
    (results / "memory-results").mkdir()
    (results / "memory-results/off.txt").write_text("There are no tests: this part is off.")
    text = report(results)
    assert "- **Memory profile:** There are no tests: this part is off.\n" in text
    assert "missing" not in text


def test_regressions_come_first_with_arrows(results: Path) -> None:
    file = results / "benchmark-results/report.json"
    known = json.loads(file.read_text())["benchmarks"]
    slow = known[-1] | {"name": "tests/x.py::test_slow", "verdict": "slower", "ratio": 1.31}
    gone = known[0] | {"name": "gone", "verdict": "removed", "change": None, "ratio": None}
    change(file, verdict="regression", benchmarks=[*known[:-1], gone, slow])
    text = report(results)
    assert "slower than the base, at most ▲ +31%" in text
    names = [
        line for line in text.splitlines() if "tests/x.py" in line or "tests/benchmarks" in line
    ]
    assert "x.py" in names[0]
    assert "▲ +31% | slower" in names[0]
    assert re.search(r"\| gone \| \S+ \S+ \| - \| - \| removed \|", text)


def test_first_run_says_that_there_is_no_base(results: Path) -> None:
    file = results / "benchmark-results/report.json"
    one = {"name": "a", "verdict": "recorded", "change": 0.1, "base": None, "ratio": None}
    change(file, verdict="no-baseline", reason="there is no commit before\nfatal", benchmarks=[one])
    text = report(results)
    assert row(text, "Benchmark")[-2] == "no base to compare with"
    assert "there is no commit before" in text
    assert "fatal" not in text


def test_names_of_others_do_nothing(results: Path) -> None:
    name = "</details>@octocat [x](http://evil.example) | `a` \n::error::x"
    file = results / "benchmark-results/report.json"
    known = json.loads(file.read_text())
    change(file, benchmarks=[known["benchmarks"][0] | {"name": name}] * 60, verdict="@octocat")
    for file in (results / "memory-results/metadata").iterdir():
        change(file, test_id=name)
    text = report(results)
    assert "@octocat" not in text
    assert "http://evil" not in text
    assert text.count("</details>") == text.count("<details>")
    assert "\n::error" not in text
    assert "40 more are in the files." in text


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


def test_main_reports_everywhere(
    github: FakeGitHub, results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    summary = tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    monkeypatch.setenv("PULL_REQUEST", "7")
    monkeypatch.setenv("JOBS", json.dumps(JOBS))
    words = [str(results), f"--output={tmp_path / 'out'}"]
    assert performance_report.main(words) == 0
    text = (tmp_path / "out/report.md").read_text()
    assert text.strip() in summary.read_text()
    assert github.issues.pull_requests[7].comments == [f"{performance_report.MARKER}\n{text}"]


@pytest.fixture
def at_push(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of a push to main, run 9."""
    environment = {"GITHUB_EVENT_NAME": "push", "GITHUB_RUN_ID": "9", "GITHUB_SHA": "9" * 40}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


def keep_past(github: FakeGitHub, name: str) -> None:
    """Plant three pushes, each of which made a benchmark 4 % slower."""
    pushes = [history.Push(n, f"{n}" * 40, f"{n - 1}" * 40, {name: 1.04}) for n in range(1, 4)]
    content = {history.FILE: history.write(pushes[:-1], pushes[-1])}
    github.artifacts.artifacts = [Artifact(1, history.ARTIFACT, content)]


@pytest.mark.usefixtures("at_push")
@pytest.mark.parametrize("event", ["push", "pull_request", "schedule"])
def test_small_steps_are_named_and_a_push_is_kept(  # noqa: PLR0913, PLR0917
    github: FakeGitHub,
    results: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    event: str,
) -> None:
    monkeypatch.setenv("GITHUB_EVENT_NAME", event)
    file = results / "benchmark-results/report.json"
    known = json.loads(file.read_text())["benchmarks"]
    planted = known[0] | {"name": "tests/x.py::test_planted", "ratio": 1.04, "verdict": "same"}
    noisy = known[0] | {"name": "tests/x.py::test_noisy", "ratio": 1.04, "verdict": "noisy"}
    change(file, benchmarks=[planted, noisy])
    keep_past(github, planted["name"])
    assert performance_report.main([str(results), f"--history={tmp_path / 'kept'}"]) == 0
    log = capsys.readouterr().out
    if event == "schedule":
        assert "The last 3 pushes" in log
        assert "step by step" not in log  # what was measured again counts once
    else:
        assert "::warning title=Performance::" in log
        assert "test\\_planted grew by 17% in 4 pushes since 000000000000, each of them" in log
        assert f'"{"9999999" if event == "push" else "this change"}"' in log
    if event == "push":
        kept = history.parse((tmp_path / "kept" / history.FILE).read_text())
        assert [push.run for push in kept] == [1, 2, 3, 9]
        assert kept[-1].benchmarks == {planted["name"]: 1.04}
        assert kept[-1].base == json.loads(file.read_text())["base"]
        assert set(kept[-1].p95) == set(kept[-1].memory) == {"load", "api"}
        assert len(kept[-1].peaks) == 2
    else:
        assert not (tmp_path / "kept").exists()


@pytest.mark.usefixtures("at_push")
def test_history_that_cannot_be_read_is_said_and_costs_nothing(
    github: FakeGitHub, results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    github.artifacts.allowed = False
    assert performance_report.main([str(results), f"--history={tmp_path / 'kept'}"]) == 0
    assert "The history could not be read" in capsys.readouterr().out
    assert len(history.parse((tmp_path / "kept" / history.FILE).read_text())) == 1


@pytest.mark.usefixtures("at_push", "github")
def test_a_run_that_measured_nothing_leaves_no_history(tmp_path: Path) -> None:
    assert performance_report.main([str(tmp_path), f"--history={tmp_path / 'kept'}"]) == 0
    assert not (tmp_path / "kept").exists()


def test_refused_comment_is_an_error_and_the_report_stays(
    github: FakeGitHub,
    results: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    github.issues.allowed = False
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    monkeypatch.setenv("PULL_REQUEST", "7")
    assert performance_report.main([str(results)]) == 1
    assert "::error title=Performance::" in capsys.readouterr().out
    assert "Load test" in (tmp_path / "summary.md").read_text()
