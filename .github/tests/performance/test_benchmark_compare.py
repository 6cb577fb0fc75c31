"""Benchmarks of two commits; sleeping takes as long on a busy machine as on an idle one."""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from performance import benchmark_compare
from performance.baseline import CommandError, NoBaselineError, Tree
from performance.benchmark_compare import Plan, Round, compare, measure_both

SLOWER, SAME = 1.3, 1.0
BENCHMARK = """
import time

def test_{name}(benchmark):
    benchmark(time.sleep, {seconds})
"""
FAST = ["--rounds=2", "--most-rounds=3", "--seconds=0.05", "--output=out"]

type Commit = Callable[[dict[str, str]], None]


def write(name: str, seconds: float) -> dict[str, str]:
    return {f"tests/benchmarks/test_{name}.py": BENCHMARK.format(name=name, seconds=seconds)}


def read_report() -> dict[str, Any]:
    report: dict[str, Any] = json.loads(Path("out/report.json").read_text())
    return report


def find_verdicts(report: dict[str, Any]) -> dict[str, str]:
    return {it["name"].rpartition("::test_")[2]: it["verdict"] for it in report["benchmarks"]}


@pytest.mark.usefixtures("our_packages")
def test_slowdown_is_caught_and_equal_code_is_not(
    commit: Commit, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    commit(write("slowed", 0.006) | write("kept", 0.006) | write("dropped", 0.001))
    dropped = {"tests/benchmarks/test_dropped.py": ""}
    commit(write("slowed", 0.006 * SLOWER) | write("added", 0.001) | dropped)

    assert benchmark_compare.main(FAST) == 1

    report = read_report()
    assert report["verdict"] == "regression"
    assert report["rounds"] == 3  # it looked again before it said so
    assert find_verdicts(report) == {
        "slowed": "slower",
        "kept": "same",
        "dropped": "removed",
        "added": "new",
    }
    slowed = next(it for it in report["benchmarks"] if it["verdict"] == "slower")
    assert slowed["ratio"] == pytest.approx(SLOWER, rel=0.08)
    assert slowed["confidence"] == 1
    log = capfd.readouterr().out
    assert re.search(r"::error title=Benchmark::\S+::test_slowed is 1\.[23]\d times as slow", log)
    assert "slower in 100%25 of all pairs of rounds" in log
    summary = (tmp_path / "summary").read_text()
    assert "### ❌ Benchmark: slower than the base" in summary
    assert summary.strip() == Path("out/report.md").read_text().strip()
    histograms = {it.read_text()[:5] for it in Path("out").glob("histogram-*.svg")}
    assert histograms == {"<?xml"}
    assert {"base.json", "change.json"} <= {it.name for it in Path("out").iterdir()}


@pytest.mark.usefixtures("our_packages")
def test_equal_commits_are_equal(commit: Commit) -> None:
    commit(write("kept", 0.006))
    commit({"other": "file"})
    assert benchmark_compare.main(FAST) == 0
    report = read_report()
    assert (report["verdict"], report["rounds"]) == ("ok", 2)


def test_first_commit_is_recorded(commit: Commit, capfd: pytest.CaptureFixture[str]) -> None:
    commit(write("first", 0.001))
    assert benchmark_compare.main([*FAST, "--base=HEAD~9"]) == 0
    report = read_report()
    assert report["verdict"] == "no-baseline"
    assert report["base"] == ""
    assert find_verdicts(report) == {"first": "recorded"}
    log = capfd.readouterr().out
    assert "::notice title=Benchmark::Recorded, nothing to compare with: there is no commit" in log
    assert list(Path("out").glob("histogram-*.svg"))


@pytest.mark.usefixtures("our_packages")
def test_base_without_benchmarks_is_no_baseline(commit: Commit) -> None:
    commit(write("first", 0.001))
    assert benchmark_compare.main(FAST) == 0
    assert read_report()["reason"] == "the baseline has no benchmarks"


def test_base_that_does_not_install_is_no_baseline(commit: Commit, tmp_path: Path) -> None:
    commit({"uv.lock": "no lock\n"})
    commit(write("first", 0.001))
    assert benchmark_compare.main(FAST) == 0
    assert "the baseline cannot be installed" in read_report()["reason"]
    assert "No baseline: the baseline cannot be installed" in (tmp_path / "summary").read_text()


def test_hung_benchmark_is_cut_off_and_named(
    commit: Commit, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    commit(write("hung", 600))
    assert benchmark_compare.main([*FAST, "--base=HEAD~9", "--timeout=6"]) == 1
    assert "::error title=Benchmark::The benchmarks did not run: " in capfd.readouterr().out
    summary = (tmp_path / "summary").read_text()
    assert "did not end within 6 s and was cut off" in summary
    assert "tests/benchmarks/test_hung.py::test_hung" in summary
    assert not Path("out/report.json").exists()


def test_failing_benchmark_is_an_error(commit: Commit, tmp_path: Path) -> None:
    commit(
        {"tests/benchmarks/test_bad.py": "def test_bad(benchmark):\n    assert benchmark(int)\n"}
    )
    assert benchmark_compare.main([*FAST, "--base=HEAD~9"]) == 1
    assert "FAILED tests/benchmarks/test_bad.py::test_bad" in (tmp_path / "summary").read_text()


def test_no_benchmarks_at_all_are_said_to_be_off(commit: Commit, tmp_path: Path) -> None:
    commit({})
    assert benchmark_compare.main([*FAST, "--base=HEAD~9"]) == 0
    assert "There are no tests in tests/benchmarks" in (tmp_path / "summary").read_text()


def rounds(*times: float) -> list[Round]:
    return [{"it": time} for time in times]


@pytest.mark.parametrize(
    ("change", "base", "verdict"),
    [
        ((1.0, 1.1), (1.0, 1.1), "same"),
        ((1.2, 1.14), (1.0, 1.0), "same"),
        ((1.16, 9.0), (1.0, 1.1), "noisy"),  # its own rounds differ
        ((1.16, 1.2), (1.0, 1.1), "slower"),
        ((1.2, 1.2), (1.0, 1.0, 1.3, 1.3), "noisy"),  # slower in half of the pairs only
        ((0.8, 0.8), (1.0, 1.0), "faster"),
        ((1.0, 1.0), (1.0, 1.2), "noisy"),
        ((1.3, 1.3), (1.0, 1.2), "noisy"),
        ((1.4, 1.4), (1.0, 1.2), "slower"),  # more than the noise explains
    ],
)
def test_judgement(change: tuple[float, ...], base: tuple[float, ...], verdict: str) -> None:
    assert compare(rounds(*change), rounds(*base), 0.15)[0].verdict == verdict


def test_confidence_is_the_part_of_pairs_that_agree() -> None:
    judged = compare(rounds(2, 2, 2, 1), rounds(1.5, 1.5, 1.5, 1.5), 0.15)[0]
    assert judged.confidence == 0.75


def test_noise_is_neutral_and_said(capsys: pytest.CaptureFixture[str]) -> None:
    judged = compare(rounds(1, 1), rounds(1, 1.5), 0.15)
    assert benchmark_compare.find_verdict(judged, "") == "noisy"
    report = {"verdict": "noisy", "reason": "", "threshold": 0.15, "rounds": 2}
    assert "too noisy" in benchmark_compare.describe(judged, report)
    benchmark_compare.announce(judged, report)
    log = capsys.readouterr().out
    assert "::warning title=Benchmark::it cannot be judged" in log
    assert "equal code differs by 50%25" in log


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return Plan(rounds=2, most_rounds=5, seconds=1, timeout=1, threshold=0.15, folder=tmp_path)


type Script = Callable[[Sequence[float], Sequence[float]], tuple[Tree, Tree, list[str]]]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Script:
    """Make two trees whose rounds take the times given; what ran is written down."""

    def make(change: Sequence[float], base: Sequence[float]) -> tuple[Tree, Tree, list[str]]:
        times: dict[str, Iterator[float]] = {"change": iter(change), "base": iter(base)}
        ran: list[str] = []

        def measure(_tree: Tree, _plan: Plan, name: str, number: int) -> Round:
            ran.append(f"{name} {number}")
            return {"it": next(times[name])}

        monkeypatch.setattr(benchmark_compare, "measure", measure)
        trees = [Tree(name, Path(), Path()) for name in ("change", "base")]
        return trees[0], trees[1], ran

    return make


def test_order_alternates(plan: Plan, script: Script) -> None:
    change, base, ran = script([1, 1], [1, 1])
    measure_both(change, base, plan)
    assert ran == ["base 0", "change 0", "change 1", "base 1"]


def test_doubt_is_measured_away(plan: Plan, script: Script) -> None:
    change, base, ran = script([1.5, 1.4, 1.3, 1.0, 1.0], [1, 1, 1, 1, 1])
    ours, theirs = measure_both(change, base, plan)
    assert len(ran) == 10
    assert compare(ours, theirs, plan.threshold)[0].verdict == "same"


def test_regression_stays(plan: Plan, script: Script) -> None:
    change, base, _ = script([1.5, 1.4, 1.3, 1.3, 1.3], [1, 1, 1, 1, 1])
    ours, theirs = measure_both(change, base, plan)
    assert len(ours) == 5
    assert compare(ours, theirs, plan.threshold)[0].verdict == "slower"


def test_base_whose_benchmarks_fail_is_no_baseline(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> Round:
        raise CommandError("pytest ended with 1")

    monkeypatch.setattr(benchmark_compare, "measure", fail)
    trees = [Tree(name, Path(), Path()) for name in ("change", "base")]
    with pytest.raises(NoBaselineError, match="of the baseline do not run: pytest ended with 1"):
        measure_both(trees[0], trees[1], plan)


@pytest.mark.parametrize("option", ["--rounds=1", "--threshold=0", "--timeout=nan", "--rounds=x"])
def test_wrong_options_are_refused(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        benchmark_compare.main([option])
    assert ended.value.code == 2
    assert option.partition("=")[0] in capsys.readouterr().err


def test_names_of_benchmarks_stay_text() -> None:
    judged = compare([{"a|b<c>@d\n::error::": 1.0}], [], 0.15)
    report = {"verdict": "no-baseline", "reason": "x\n```\ny", "threshold": 0.15, "rounds": 1}
    text = benchmark_compare.describe(judged, report)
    assert "a\\|b\\<c\\>@\u2060d ::error::" in text
    assert "````text" in text
