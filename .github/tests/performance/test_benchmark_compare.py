"""Benchmarks of two commits; sleeping takes as long on a busy machine as on an idle one."""

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from performance import benchmark_compare
from performance.baseline import Tree
from performance.benchmark_compare import Round, compare, conclude, measure_both
from performance.results import read

SLOWER = 1.3
BENCHMARK = """
import time

def test_{name}(benchmark):
    benchmark(time.sleep, {seconds})
"""
FAILS = "def test_first(benchmark):\n    assert benchmark(int)\n"

type Commit = Callable[[dict[str, str]], None]


@pytest.fixture
def _few_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer and shorter rounds."""
    values = {"ROUNDS": 2, "MOST_ROUNDS": 3, "SECONDS": 0.05, "TIMEOUT": 6}
    for name, value in values.items():
        monkeypatch.setattr(benchmark_compare, name, value)


def write(name: str, seconds: float) -> dict[str, str]:
    return {f"tests/benchmarks/test_{name}.py": BENCHMARK.format(name=name, seconds=seconds)}


@pytest.fixture
def results(measured: object) -> Path:
    """The folder of the results."""
    assert measured
    return Path("benchmark-results")


@pytest.mark.usefixtures("_few_rounds", "our_packages")
def test_slowdown_is_caught_and_equal_code_is_not(
    commit: Commit, results: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    commit(write("slowed", 0.006) | write("kept", 0.006) | write("dropped", 0.001))
    dropped = {"tests/benchmarks/test_dropped.py": ""}
    commit(write("slowed", 0.006 * SLOWER) | write("added", 0.001) | dropped)

    assert benchmark_compare.main([]) == 1

    result, report = read(results)
    row = r"^\| test\\_\w+\.py::test\\_(\w+) \| (\S+).*? \| (\S+).*? \|.* (\w+) \|$"
    verdicts = {name: said for name, _, _, said in re.findall(row, report, re.MULTILINE)}
    assert verdicts == {
        "slowed": "slower", "kept": "same", "dropped": "recorded", "added": "recorded",
    }  # fmt: skip
    assert re.fullmatch(r"slower than the base, at most \+[23]\d%", result.verdict)
    assert "Fastest of 3 rounds" in report, "it looked again"
    slowed = next(ratio for name, ratio in result.ratios.items() if "slowed" in name)
    assert slowed == pytest.approx(SLOWER, rel=0.08)
    log = capfd.readouterr().out
    assert re.search(
        r"::error title=Benchmark::\S+::test_slowed is slower than the base "
        r"\(6\.\d* ms → [78]\.\d* ms, slower in 100%25 of all pairs of rounds\)",
        log,
    )
    summary = (tmp_path / "summary").read_text()
    assert f"### ❌ Benchmark: slower than the base\n\n{report.strip()}" in summary
    histograms = {path.read_text()[:5] for path in results.glob("histogram-*.svg")}
    assert histograms == {"<?xml"}
    assert {"base.json", "change.json"} <= {path.name for path in results.iterdir()}


BASES: dict[str, dict[str, str]] = {
    "there is no commit nothing": {},
    "the base cannot be installed": {"uv.lock": "no lock\n"},
    "the benchmarks of the base do not run": {"tests/benchmarks/test_first.py": FAILS},
}


@pytest.mark.parametrize("reason", BASES)
@pytest.mark.usefixtures("_few_rounds")
def test_what_has_no_base_is_recorded_and_said(
    commit: Commit, results: Path, reason: str, capfd: pytest.CaptureFixture[str]
) -> None:
    commit(BASES[reason])
    commit(write("first", 0.001))
    arguments = ["--base=nothing"] if "commit" in reason else []
    assert benchmark_compare.main(arguments) == 0
    result, report = read(results)
    assert (result.verdict, result.base) == ("no base to compare with", "")
    assert "| 📝 recorded |" in report
    assert f"No baseline:\n\n```text\n{reason}" in report
    said = f"::notice title=Benchmark::Recorded, nothing to compare with: {reason}"
    assert said in capfd.readouterr().out
    assert list(results.glob("histogram-*.svg"))
    assert not (results / "base.json").exists()


@pytest.mark.usefixtures("_few_rounds")
@pytest.mark.parametrize(
    ("files", "said"),
    [
        (write("hung", 600), r"not end within 6 s and was cut off(.|\n)*/test_hung.py::test_hung"),
        ({"tests/benchmarks/test_first.py": FAILS}, "FAILED tests/benchmarks/test_first.py::test"),
    ],
)
def test_benchmarks_that_do_not_run_are_an_error(
    commit: Commit, results: Path, tmp_path: Path, files: dict[str, str], said: str
) -> None:
    commit(files)
    assert benchmark_compare.main(["--base=HEAD~9"]) == 1
    summary = (tmp_path / "summary").read_text()
    assert "### ❌ Benchmark\n\nThe benchmarks did not run: " in summary
    assert re.search(said, summary)
    assert not (results / "result.json").exists()


@pytest.mark.usefixtures("our_packages")
def test_benchmarks_that_are_not_there_or_skipped_are_off(commit: Commit, tmp_path: Path) -> None:
    skipped = "import pytest\n@pytest.mark.skip\ndef test_it(benchmark): ...\n"
    for name, said in (("README.md", "There are no tests"), ("test_it.py", "No benchmark ran")):
        commit({f"tests/benchmarks/{name}": skipped})
        assert benchmark_compare.main(["--base=HEAD"]) == 0
        assert f"{said} in tests/benchmarks" in (tmp_path / "summary").read_text()


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
    assert compare(rounds(*change), rounds(*base))[0].verdict == verdict


def test_effect_is_the_part_of_pairs_that_agree_and_half_of_the_ties() -> None:
    for ours, effect in (((2, 2, 2, 1), 0.75), ((2, 2, 1.5, 1), 0.625)):
        (judged,) = compare(rounds(*ours), rounds(1.5, 1.5, 1.5, 1.5))
        assert judged.effect == effect


def test_renamed_benchmarks_are_not_as_the_base() -> None:
    assert conclude(compare([{"new": 1.0}], [{"old": 1.0}])) == ("📝", "no base to compare with")


TORN = [{"it": 1.0}, {"other": 2.0}, {"it": 9.0, "other": 2.0}]
"""Rounds some of which lack a benchmark."""


@pytest.mark.parametrize(
    ("change", "base", "names"),
    [
        (rounds(1, 1), rounds(1, 1.5), ["it"]),
        (TORN, rounds(1, 1, 1), ["it", "other"]),
        (rounds(1, 1, 1), TORN, ["it", "other"]),
    ],
)
def test_doubt_is_neutral_and_said(
    change: list[Round], base: list[Round], names: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    judged = compare(change, base)
    assert sorted(one.name for one in judged) == names
    assert conclude(judged)[0] == "🟡"
    assert benchmark_compare.describe(judged, "", 2).count("🟡 too noisy |") == len(names)
    benchmark_compare.announce(judged, "")
    said = capsys.readouterr().out
    assert all(f"::warning title=Benchmark::{name} cannot be judged" in said for name in names)


@pytest.mark.parametrize(
    ("times", "verdict", "longest"),
    [
        ([1.5, 1.4, 1.3, 1.0, 1.0], "same", 60),
        ([1.5, 1.4, 1.3, 1.3, 1.3], "slower", 60),
        ([1, 1], "same", 60),
        ([1.5, 1.4], "slower", 0),
    ],
)
def test_rounds_alternate_and_doubt_is_measured_away_while_there_is_time(
    times: Sequence[float], verdict: str, longest: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    left: dict[str, Iterator[float]] = {"change": iter(times), "base": iter([1] * 5)}
    ran: list[str] = []

    def measure(tree: Tree, _folder: Path, turn: int) -> Round:
        ran.append(f"{tree.name} {turn}")
        return {"it": next(left[tree.name])}

    monkeypatch.setattr(benchmark_compare, "measure", measure)
    monkeypatch.setattr(benchmark_compare, "ROUNDS", 2)
    monkeypatch.setattr(benchmark_compare, "MOST_ROUNDS", 5)
    monkeypatch.setattr(benchmark_compare, "LONGEST", longest)
    change, base = (Tree(name, Path(), Path()) for name in ("change", "base"))
    ours, theirs = measure_both(change, base, Path())
    assert len(ours) == len(theirs) == len(times)
    assert ran[:4] == ["base 0", "change 0", "change 1", "base 1"]
    assert compare(ours, theirs)[0].verdict == verdict


def test_names_of_benchmarks_stay_text() -> None:
    judged = compare([{"a|b<c>@d\n::error::": 1.0}], [])
    text = benchmark_compare.describe(judged, "x\n```\ny", 1)
    assert "a\\|b\\<c\\>@\u2060d ::error::" in text
    assert "````text" in text
