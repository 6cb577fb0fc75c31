"""Measure how well benchmark_compare.py judges, with the real benchmarks.

Two equal trees of HEAD are compared again and again. In the one series every benchmarked function
of one tree is made 30 % slower: each comparison has to find a regression. In the other series
nothing differs: none may.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3] / ".github" / "scripts"))

from performance.baseline import check_out
from performance.benchmark_compare import TESTS, compare, measure_both
from performance.results import end_cleanly

SLOWDOWN = """
from time import perf_counter

from pytest_benchmark.fixture import BenchmarkFixture

call = BenchmarkFixture.__call__


def slow_down(function):
    def slowed(*arguments, **options):
        started = perf_counter()
        result = function(*arguments, **options)
        end = started + (perf_counter() - started) * {factor}
        while perf_counter() < end:
            pass
        return result

    return slowed


BenchmarkFixture.__call__ = lambda self, function, *arguments, **options: call(
    self, slow_down(function), *arguments, **options
)
"""
"""A `conftest.py` that makes what is benchmarked slower in proportion."""


def count_alarms(trials: int, factor: float, folder: Path) -> int:
    """Compare two trees of HEAD, one of them slower by a factor; return how often it was found."""
    alarms = 0
    with check_out("HEAD") as base, check_out("HEAD") as other:
        change = replace(other, name="change")
        if factor != 1:
            slowdown = SLOWDOWN.format(factor=factor)
            (change.folder / TESTS / "conftest.py").write_text(slowdown, encoding="utf-8")
        for trial in range(trials):
            judged = compare(*measure_both(change, base, folder))
            ratios = [judgement.ratio for judgement in judged if judgement.ratio]
            found = [judgement.verdict for judgement in judged]
            alarms += "slower" in found
            print(
                f"{factor} x, trial {trial + 1}: {found.count('slower')} slower, "
                f"{found.count('noisy')} noisy; ratios {min(ratios):.2f} to {max(ratios):.2f}",
                flush=True,
            )
    return alarms


def main(arguments: Sequence[str] | None = None) -> int:
    """Run both series; return 1 if a slowdown was missed, or found where there is none."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--slow", type=int, default=10, help="trials with 30 %% slowdown (10)")
    parser.add_argument("--equal", type=int, default=20, help="trials without (20)")
    options = parser.parse_args(arguments)
    end_cleanly()
    with tempfile.TemporaryDirectory() as directory:
        caught = count_alarms(options.slow, 1.3, Path(directory))
        false = count_alarms(options.equal, 1, Path(directory))
    print(f"caught {caught} of {options.slow}, false alarms {false} of {options.equal}")
    return 0 if caught == options.slow and not false else 1


if __name__ == "__main__":
    sys.exit(main())
