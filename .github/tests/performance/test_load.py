"""What the tools wrote, and apps that do not do what they should."""

import json
import sys
from pathlib import Path

import pytest
from fakes.servers import Asked, Reply, serve
from performance import load
from performance.load import attribute, read_k6, read_locust, read_metrics
from performance.results import read

RECORDED = Path(__file__).parent / "recorded"
"""What the tools really wrote once."""
NOBODY = "http://127.0.0.1:1"
"""Where nothing listens."""
SERVE = f"{sys.executable} -m http.server {{port}} --bind 127.0.0.1 --directory "
"""Serves files: one that is called health answers."""
LOCUST = """
from locust import HttpUser, constant, task


class Visitor(HttpUser):
    wait_time = constant(0.1)

    @task
    def ask(self):
        self.client.get("/health")
"""
K6 = 'import http from "k6/http"; export default () => http.get(`${__ENV.BASE_URL}/health`);'


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a tiny app, in the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(load, "ROOT", tmp_path)
    monkeypatch.setattr(load, "end_cleanly", lambda: None)  # it is for a process of its own
    (tmp_path / "health").touch()
    (tmp_path / "locustfile.py").write_text(LOCUST)
    serve_with(tmp_path, f"{SERVE}{tmp_path}")
    return tmp_path


def serve_with(project: Path, command: str) -> None:
    (project / "pyproject.toml").write_text(f"[tool.pipelines]\nserve = {json.dumps(command)}\n")


def test_figures_are_those_of_locust() -> None:
    latencies = {"p50": 13, "p95": 91, "p99": 170}
    assert read_locust(RECORDED) == latencies | {"throughput": 76.51557279681833, "errors": 0}


def test_figures_are_those_of_k6_which_may_lack_percentiles(tmp_path: Path) -> None:
    text = (RECORDED / "summary.json").read_text()
    values = json.loads(text)["metrics"]
    figures = read_k6(RECORDED)
    assert figures["p95"] == values["http_req_duration"]["values"]["p(95)"]
    assert figures["throughput"] == values["http_reqs"]["values"]["rate"]
    assert figures.keys() == read_locust(RECORDED).keys()
    (tmp_path / "summary.json").write_text(text.replace("p(99)", "p(90)"))
    assert read_k6(tmp_path).keys() == figures.keys() - {"p99"}


def test_no_request_at_all_has_no_figures(tmp_path: Path) -> None:
    head = (RECORDED / "locust_stats.csv").read_text().partition("\n")[0]
    row = ",Aggregated,0,0,0,0.0,0,0,0,0.0,0.0" + ",N/A" * 11
    (tmp_path / "locust_stats.csv").write_text(f"{head}\n{row}\n")
    (tmp_path / "summary.json").write_text('{"metrics": {}}')
    assert read_locust(tmp_path) == read_k6(tmp_path) == {}


def read_served(text: str) -> dict[str, float]:
    """Return the metrics of an app that answers with a text."""

    def answer(asked: Asked) -> Reply:
        return Reply(200, text.encode()) if asked.path == "/metrics" else Reply(404)

    with serve(answer) as url:
        return read_metrics(url)


def test_metrics_that_break_off_are_none() -> None:
    with serve(lambda _: Reply(200, b"no chunk", {"Transfer-Encoding": "chunked"})) as url:
        assert not read_metrics(url)


def measure(requests: int, seconds: float, queries: int, spent: float) -> dict[str, float]:
    name = "http_request_duration_seconds"
    return read_served(
        "# HELP something\n"
        f'{name}_count{{method="GET",route="/a, }} b",status="200"}} {requests - 1}\n'
        f'{name}_count{{method="PUT",route="/items",status="200"}} 1\n'
        f'{name}_sum{{method="GET",route="/items",status="200"}} {seconds}\n'
        f'database_query_duration_seconds_count{{operation="select"}} {queries}\n'
        f'database_query_duration_seconds_sum{{operation="select"}} {spent} 1700000000\n'
    )


def test_time_is_attributed() -> None:
    text, query = attribute(measure(100, 9.0, 300, 5.0), measure(200, 10.0, 500, 5.4))
    assert query == pytest.approx(0.002)
    assert "takes 10 ms in the app, 4 ms of it (40%) in 2.0 queries of 2 ms" in text


@pytest.mark.parametrize("text", ["process_cpu_seconds_total 2.5\n", "<html>", 'a{b="c} 1'])
def test_app_without_such_metrics_is_said(text: str) -> None:
    assert not read_metrics(NOBODY)
    said, query = attribute({}, read_served(text))
    assert ("has no metrics of how long" in said, query) == (True, 0)


@pytest.mark.parametrize(
    "text", ["0", "-5", "many", "", " ", "1e3", "5.5", "nan", "9" * 5000, "5\n5", "$(id)"]
)
@pytest.mark.parametrize("option", ["users", "duration"])
def test_wrong_number_is_refused_with_its_limits(
    option: str, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        load.main(["k6", f"--{option}={text}"])
    assert ended.value.code == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert f"--{option}: must be a number from " in said
    assert len(said) < 150


def test_few_users_arrive_within_a_long_time(tmp_path: Path) -> None:
    (rate,) = [text for text in load.make_locust(1, 900, tmp_path) if "spawn-rate" in text]
    assert float(rate.partition("=")[2]) == pytest.approx(1 / 225, rel=0.02)


def test_app_with_nothing_but_health_is_loaded(
    project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert load.main(["locust", "--users=2", "--duration=5"]) == 0
    assert "has no /ready" in capfd.readouterr().out
    results = project / "locust-results"
    result, report = read(results)
    assert report.startswith("1 processes, no database. The app has no metrics of how long")
    assert result.figures["memory"] > 1_000_000
    assert result.figures["errors"] == 0
    assert 1 < result.figures["throughput"] < 100
    assert (results / "report.html").exists()


@pytest.mark.usefixtures("project")
def test_missing_tool_is_not_taken_for_the_app(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    assert load.main(["locust"]) == 1
    assert capfd.readouterr().out.endswith("locust is not installed. Try: uv sync --all-groups\n")


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(
    ("tool", "files", "code", "said"),
    [
        ("k6", {}, 0, "::notice title=k6::There is no k6-script.js: k6 is off."),
        ("k6", {"k6-script.js": K6}, 0, "::warning title=k6::What k6 wrote cannot be read"),
        ("locust", {"locustfile.py": LOCUST.replace("@task", "")}, 1, "locust made no request"),
    ],
)
def test_script_that_lacks_something_is_said(
    capfd: pytest.CaptureFixture[str], tool: str, files: dict[str, str], code: int, said: str
) -> None:
    for name, text in files.items():
        Path(name).write_text(text)
    assert load.main([tool, "--users=2", "--duration=5"]) == code
    assert said in capfd.readouterr().out


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("no-such-command {port}", "No such file or directory: 'no-such-command'"),
        ("python -c 'print(99); exit(3)' {port}", "ended with exit code 3 before it answered"),
    ],
)
def test_app_that_does_not_start_is_said_at_once(
    project: Path, capfd: pytest.CaptureFixture[str], command: str, says: str
) -> None:
    serve_with(project, command)
    assert load.main(["locust", "--users=2", "--duration=5"]) == 1
    printed = capfd.readouterr().out
    assert says in printed
    assert "The app is started by `serve` of [tool.pipelines] in pyproject.toml." in printed
    assert ("99" in printed) == ("99" in command), "its last lines"
