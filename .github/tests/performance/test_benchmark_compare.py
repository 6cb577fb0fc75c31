"""Benchmarks of two commits; sleeping takes as long on a busy machine as on an idle one."""

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from performance import benchmark_compare
from performance.baseline import Tree
from performance.benchmark_compare import Plan, Round, compare, measure_both
from performance.results import Result, read

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


def read_report() -> tuple[Result, dict[str, str]]:
    """Return the result, and the verdict on each benchmark as the report shows it."""
    result, report = read(Path("out"))
    rows = re.findall(r"^\| test\\_\w+\.py::test\\_(\w+) \|.* (\w+) \|$", report, re.MULTILINE)
    return result, dict(rows)


@pytest.mark.usefixtures("our_packages")
def test_slowdown_is_caught_and_equal_code_is_not(
    commit: Commit, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    commit(write("slowed", 0.006) | write("kept", 0.006) | write("dropped", 0.001))
    dropped = {"tests/benchmarks/test_dropped.py": ""}
    commit(write("slowed", 0.006 * SLOWER) | write("added", 0.001) | dropped)

    assert benchmark_compare.main(FAST) == 1

    result, verdicts = read_report()
    assert re.fullmatch(r"slower than the base, at most \+[23]\d%", result.verdict)
    assert verdicts == {"slowed": "slower", "kept": "same", "dropped": "removed", "added": "new"}
    assert "Fastest of 3 rounds" in Path("out/report.md").read_text(), "it looked again"
    slowed = next(ratio for name, ratio in result.ratios.items() if "slowed" in name)
    assert slowed == pytest.approx(SLOWER, rel=0.08)
    log = capfd.readouterr().out
    assert re.search(
        r"::error title=Benchmark::\S+::test_slowed is slower than the base "
        r"\(6\.\d* ms → [78]\.\d* ms, slower in 100%25 of all pairs of rounds\)",
        log,
    )
    summary = (tmp_path / "summary").read_text()
    assert "### ❌ Benchmark: slower than the base" in summary
    assert Path("out/report.md").read_text().strip() in summary
    histograms = {path.read_text()[:5] for path in Path("out").glob("histogram-*.svg")}
    assert histograms == {"<?xml"}
    assert {"base.json", "change.json"} <= {path.name for path in Path("out").iterdir()}


@pytest.mark.usefixtures("our_packages")
def test_equal_commits_are_equal(commit: Commit) -> None:
    commit(write("kept", 0.006))
    commit({"other": "file"})
    assert benchmark_compare.main(FAST) == 0
    assert read_report()[0].verdict.startswith("as the base")
    assert "Fastest of 2 rounds" in Path("out/report.md").read_text()


def test_first_commit_is_recorded(commit: Commit, capfd: pytest.CaptureFixture[str]) -> None:
    commit(write("first", 0.001))
    assert benchmark_compare.main([*FAST, "--base=HEAD~9"]) == 0
    result, verdicts = read_report()
    assert (result.verdict, result.base) == ("no base to compare with", "")
    assert verdicts == {"first": "recorded"}
    log = capfd.readouterr().out
    assert "::notice title=Benchmark::Recorded, nothing to compare with: there is no commit" in log
    assert list(Path("out").glob("histogram-*.svg"))


@pytest.mark.usefixtures("our_packages")
def test_base_without_benchmarks_is_no_baseline(commit: Commit) -> None:
    commit(write("first", 0.001))
    assert benchmark_compare.main(FAST) == 0
    assert "No baseline: the base has no benchmarks" in Path("out/report.md").read_text()


def test_base_that_does_not_install_is_no_baseline(commit: Commit, tmp_path: Path) -> None:
    commit({"uv.lock": "no lock\n"})
    commit(write("first", 0.001))
    assert benchmark_compare.main(FAST) == 0
    assert "No baseline: the base cannot be installed" in (tmp_path / "summary").read_text()


def test_hung_benchmark_is_cut_off_and_named(
    commit: Commit, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    commit(write("hung", 600))
    assert benchmark_compare.main([*FAST, "--base=HEAD~9", "--timeout=6"]) == 1
    assert "::error title=Benchmark::The benchmarks did not run: " in capfd.readouterr().out
    summary = (tmp_path / "summary").read_text()
    assert "did not end within 6 s and was cut off" in summary
    assert "tests/benchmarks/test_hung.py::test_hung" in summary
    assert not Path("out/result.json").exists()


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


def test_effect_is_the_part_of_pairs_that_agree_and_half_of_the_ties() -> None:
    for ours, effect in (((2, 2, 2, 1), 0.75), ((2, 2, 1.5, 1), 0.625)):
        (judged,) = compare(rounds(*ours), rounds(1.5, 1.5, 1.5, 1.5), 0.15)
        assert judged.effect == effect


def test_noise_is_neutral_and_said(capsys: pytest.CaptureFixture[str]) -> None:
    judged = compare(rounds(1, 1), rounds(1, 1.5), 0.15)
    assert benchmark_compare.find_verdict(judged, "") == "noisy"
    assert "| 50.0% | 25% | 🟡 too noisy |" in benchmark_compare.describe(judged, "", 2, 15)
    benchmark_compare.announce(judged, "")
    assert "::warning title=Benchmark::it cannot be judged" in capsys.readouterr().out


@pytest.mark.parametrize("change", [True, False])
def test_benchmark_that_some_rounds_lack_is_named(
    change: bool,
    capsys: pytest.CaptureFixture[str],
) -> None:
    whole, torn = rounds(1, 1, 1), [{"it": 1.0}, {"other": 2.0}, {"it": 9.0, "other": 2.0}]
    ours, theirs = (torn, whole) if change else (whole, torn)
    judged = compare(ours, theirs, 0.15)
    assert {one.name: one.verdict for one in judged} == {"it": "unsteady", "other": "unsteady"}
    assert benchmark_compare.find_verdict(judged, "") == "noisy"
    assert benchmark_compare.describe(judged, "", 3, 15).count("🟡 not in every round") == 2
    benchmark_compare.announce(judged, "")
    assert (
        "::warning title=Benchmark::it is not judged, some rounds lack it"
        in capsys.readouterr().out
    )


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return Plan(tmp_path, rounds=2, most_rounds=5)


type Script = Callable[[Sequence[float], Sequence[float]], tuple[Tree, Tree, list[str]]]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Script:
    """Make two trees whose rounds take the times given; what ran is written down."""

    def make(change: Sequence[float], base: Sequence[float]) -> tuple[Tree, Tree, list[str]]:
        times: dict[str, Iterator[float]] = {"change": iter(change), "base": iter(base)}
        ran: list[str] = []

        def measure(tree: Tree, _plan: Plan, turn: int) -> Round:
            ran.append(f"{tree.name} {turn}")
            return {"it": next(times[tree.name])}

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
    assert compare(ours, theirs, 0.15)[0].verdict == "same"


def test_regression_stays(plan: Plan, script: Script) -> None:
    change, base, _ = script([1.5, 1.4, 1.3, 1.3, 1.3], [1, 1, 1, 1, 1])
    ours, theirs = measure_both(change, base, plan)
    assert len(ours) == 5
    assert compare(ours, theirs, 0.15)[0].verdict == "slower"


@pytest.mark.usefixtures("our_packages")
def test_base_whose_benchmarks_fail_is_no_baseline(commit: Commit) -> None:
    commit({"tests/benchmarks/test_first.py": "def test_first(benchmark):\n    benchmark(max)\n"})
    commit(write("first", 0.001))
    assert benchmark_compare.main(FAST) == 0
    assert "No baseline: the benchmarks of the base do not run" in Path("out/report.md").read_text()
    assert not Path("out/base.json").exists()


@pytest.mark.parametrize("option", ["--rounds=1", "--threshold=0", "--timeout=nan", "--rounds=x"])
def test_wrong_options_are_refused(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        benchmark_compare.main([option])
    assert ended.value.code == 2
    assert option.partition("=")[0] in capsys.readouterr().err


def test_names_of_benchmarks_stay_text() -> None:
    judged = compare([{"a|b<c>@d\n::error::": 1.0}], [], 0.15)
    text = benchmark_compare.describe(judged, "x\n```\ny", 1, 15)
    assert "a\\|b\\<c\\>@\u2060d ::error::" in text
    assert "````text" in text
