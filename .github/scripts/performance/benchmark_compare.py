#!/usr/bin/env python3
"""Run the benchmarks of the checked out tree and of a base commit, and say what became slower.

Both run on this machine, in alternating order (ABBA), so that a slow machine slows both. What
counts, when it counts, and what the folder benchmark-results gets: docs/performance.md. It ends
with 1 after a regression, and if the benchmarks of the checked out tree do not run.
"""

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from lib.git import GitError
from lib.markdown import fence, plain, quote, table
from lib.workflow_commands import annotate, refuse, summarize
from performance.baseline import NoBaselineError, Tree, check_out, draw, run
from performance.results import (
    NONE,
    MeasureError,
    Result,
    end_cleanly,
    format_time,
    leave_out,
    prepare,
    rename_for_upload,
)

TITLE, TESTS = "Benchmark", "tests/benchmarks"
MARKS = {
    "slower": "🔴 slower",
    "noisy": "🟡 too noisy",
    "faster": "🟢 faster",
    "same": "⚪ same",
    "recorded": "📝 recorded",
}
JUDGED = ("slower", "faster", "same")

SURE = 0.75
"""Smallest effect size of what is called slower."""
THRESHOLD = 0.15
"""Largest slowdown that is accepted, as a part of 1."""
ROUNDS, MOST_ROUNDS = 5, 12
"""Of each tree; the most if something looks slower."""
SECONDS, TIMEOUT, LONGEST = 0.3, 120, 900
"""For each benchmark and round; for all benchmarks of a round; till no round is added."""

type Round = Mapping[str, float]
"""Fastest time in seconds of each benchmark, by file and test."""


@dataclass(frozen=True)
class Comparison:
    """What is known of one benchmark.

    Attributes:
        name: File and test.
        verdict: One of `MARKS`.
        change: Fastest time in seconds; None if it was removed.
        base: The same of the base; None without one.
        control: Slower half of a tree's rounds / faster half, the larger one of both trees.
        effect: Effect size of Mann and Whitney's U: the part of all pairs of rounds in which the
            change was slower, ties counted half (H. B. Mann and D. R. Whitney, On a Test of
            Whether One of Two Random Variables is Stochastically Larger than the Other, 1947).
    """

    name: str
    verdict: str
    change: float | None = None
    base: float | None = None
    control: float = 1
    effect: float = 0.5

    @property
    def ratio(self) -> float | None:
        """Change / base; None without one of them."""
        return self.change / self.base if self.change and self.base else None


def compare(change: Sequence[Round], base: Sequence[Round]) -> list[Comparison]:
    """Judge every benchmark, the worst first.

    Args:
        change: Rounds of the checked out tree.
        base: Rounds of the base; none if there is no baseline.
    """
    judged = []
    for name in dict.fromkeys(name for one in (*change, *base) for name in one):
        ours, theirs = ([one[name] for one in rounds if name in one] for rounds in (change, base))
        if len(ours) not in {0, len(change)} or len(theirs) not in {0, len(base)}:
            verdict = "noisy"  # some rounds lack it
        elif ours and theirs:
            judged.append(_judge(name, ours, theirs))
            continue
        else:
            verdict = "recorded"
        fastest = min(ours, default=None), min(theirs, default=None)
        judged.append(Comparison(name, verdict, *fastest))
    return sorted(judged, key=lambda one: -(one.ratio or 0))


def _judge(name: str, ours: Sequence[float], theirs: Sequence[float]) -> Comparison:
    ratio, limit = min(ours) / min(theirs), 1 + THRESHOLD
    control = max(map(_find_control, (ours, theirs)))
    pairs = [(after > before) + (after == before) / 2 for after, before in product(ours, theirs)]
    effect = sum(pairs) / len(pairs)
    noise = control if control > limit else 1.0
    if ratio > limit * noise and effect >= SURE:
        verdict = "slower"
    elif noise > 1 or ratio > limit:
        verdict = "noisy"
    else:
        verdict = "faster" if ratio < 1 / limit else "same"
    return Comparison(name, verdict, min(ours), min(theirs), control, effect)


def _find_control(times: Sequence[float]) -> float:
    """Return how far equal code differs: the odd rounds of a tree and its even ones."""
    halves = [min(half) for half in (times[::2], times[1::2] or times)]
    return max(halves) / min(halves)


def measure(tree: Tree, folder: Path, turn: int) -> Round:
    """Run all benchmarks of a tree once; return the fastest time of each, nothing if none ran.

    Args:
        tree: What to measure.
        folder: Where the results of pytest-benchmark go.
        turn: Number of the round; in each, both trees hash texts in the same way, another one.

    Raises:
        MeasureError: They fail, or do not end in time.
        NoBaselineError: Those of the base do, or it has none.
    """
    file = folder / f"{tree.name}.json"
    command: list[str | Path] = [
        *(tree.python, "-m", "pytest", TESTS, "-v", "--no-cov", "--numprocesses=0"),
        *("-p", "no:cacheprovider", "--benchmark-enable", "--benchmark-only"),
        # A round that is long enough for the clock: calls of some nanoseconds are repeated.
        *(f"--benchmark-max-time={SECONDS}", "--benchmark-min-time=0.0001"),
        f"--benchmark-json={file}",
    ]
    file.unlink(missing_ok=True)
    try:
        run(command, tree.folder, TIMEOUT, PYTHONHASHSEED=str(turn))
        if not file.exists():  # all were skipped
            return {}
        found = json.loads(file.read_text(encoding="utf-8"))["benchmarks"]
        return {str(one["fullname"]): float(one["stats"]["min"]) for one in found}
    except (MeasureError, LookupError, OSError, TypeError, ValueError) as error:
        kind = NoBaselineError if tree.name == "base" else MeasureError
        raise kind(f"the benchmarks of the {tree.name} do not run: {error}") from error


def measure_both(change: Tree, base: Tree, folder: Path) -> tuple[list[Round], list[Round]]:
    """Measure in alternating order; go on while something is in doubt.

    Args:
        change: The tree that is judged.
        base: What it is compared with.
        folder: Where the results of pytest-benchmark go.

    Raises:
        MeasureError: The benchmarks of the change fail, or do not end in time.
        NoBaselineError: Those of the base do, or there are none.
    """
    ours: list[Round] = []
    theirs: list[Round] = []
    started = time.monotonic()
    for turn in range(MOST_ROUNDS):
        order = ((change, ours), (base, theirs))
        for tree, rounds in order if turn % 2 else reversed(order):
            rounds.append(measure(tree, folder, turn))
        found = [one.verdict for one in compare(ours, theirs)]
        counts = [f"{found.count(verdict)} {verdict}" for verdict in MARKS if verdict in found]
        print(f"round {turn + 1}: {', '.join(counts) or 'none'}", flush=True)
        is_over = time.monotonic() - started > LONGEST or not {"slower", "noisy"} & {*found}
        if is_over and turn + 1 >= ROUNDS:
            break
    return ours, theirs


def conclude(comparisons: Sequence[Comparison]) -> tuple[str, str]:
    """Return a mark and the verdict of all benchmarks."""
    verdicts = {one.verdict for one in comparisons}
    if "slower" in verdicts:
        return "❌", "slower than the base"
    if verdicts == {"recorded"}:
        return "📝", "no base to compare with"
    if "noisy" in verdicts:
        return "🟡", "too noisy to judge everything"
    return "✅", "as the base"


def describe(comparisons: Sequence[Comparison], reason: str, rounds: int) -> str:
    """Return the report as Markdown.

    Args:
        comparisons: What is known of each benchmark, the worst first.
        reason: Why there is no baseline; empty if there is one.
        rounds: Of each tree.
    """
    rows = []
    for one in comparisons:
        cells = [NONE] * 3
        if one.ratio:
            cells = [f"{one.ratio - 1:+.1%}", f"{one.control - 1:.1%}", f"{one.effect:.0%}"]
        name = plain(one.name.removeprefix(f"{TESTS}/"))
        times = format_time(one.base), format_time(one.change)
        rows.append([name, *times, *cells, MARKS[one.verdict]])
    head = ["Benchmark", "Base", "Change", "Difference", "Control", "Slower in", "Verdict"]
    return (
        (f"No baseline:\n\n{fence(reason)}\n" if reason else "")
        + table(head, rows)
        + f"\nFastest of {rounds} rounds. Accepted: {THRESHOLD:.0%}. Control: how far two halves "
        "of a tree's own rounds differ. Slower in: part of all pairs of rounds.\n"
    )


def announce(comparisons: Sequence[Comparison], reason: str) -> None:
    """Print annotations: slow ones are errors, doubt is a warning, a missing base a notice."""
    if reason:
        first = quote(reason.partition("\n")[0])
        annotate("notice", TITLE, f"Recorded, nothing to compare with: {first}")
    for one in comparisons:
        times = f"{format_time(one.base)} → {format_time(one.change)}"
        text = f"({times}, slower in {one.effect:.0%} of all pairs of rounds)"
        if one.verdict == "slower":
            annotate("error", TITLE, f"{quote(one.name)} is slower than the base {text}")
        elif one.verdict == "noisy":
            text += ": the machine is too busy, or some rounds lack it. Run the job again."
            annotate("warning", TITLE, f"{quote(one.name)} cannot be judged {text}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare; return 1 after a regression, or if the benchmarks do not run."""
    parser = argparse.ArgumentParser(description=__doc__)
    text = "commit to compare with (HEAD^1)"
    parser.add_argument("--base", default="HEAD^1", metavar="REF", help=text)
    options = parser.parse_args(arguments)
    end_cleanly()
    try:
        folder = prepare("benchmark-results")
        if not any(Path(TESTS).glob("**/test_*.py")):
            return leave_out(TITLE, f"There are no tests in {TESTS}: this part is off.", folder)
        ours, theirs, commit, reason = _measure(options.base, folder)
        if not any((*ours, *theirs)):
            return leave_out(TITLE, f"No benchmark ran in {TESTS}: all were skipped.", folder)
        files = [file for file in (folder / "base.json", folder / "change.json") if file.exists()]
        command = [sys.executable, "-m", "pytest_benchmark", "compare", "--group-by=fullname"]
        draw(TITLE, [*command, f"--histogram={folder}/histogram", *files], Path.cwd(), TIMEOUT)
        rename_for_upload(folder)
    except (GitError, MeasureError) as error:
        print(error)
        refuse(TITLE, f"The benchmarks did not run: {error}")
        return 1
    comparisons = compare(ours, theirs)
    mark, said = conclude(comparisons)
    text = describe(comparisons, reason, len(ours))
    announce(comparisons, reason)
    summarize(f"### {mark} {TITLE}: {said}\n\n{text}")
    print(text)
    known = {one.name: one.ratio for one in comparisons if one.ratio and one.verdict in JUDGED}
    worst = max(known.values(), default=1) - 1
    said += f", at most {worst:+.0%}" if worst > 0 else ""
    Result(verdict=said, base=commit, ratios=known).write(folder, text)
    return int(any(one.verdict == "slower" for one in comparisons))


def _measure(reference: str, folder: Path) -> tuple[list[Round], list[Round], str, str]:
    """Return the rounds of both trees, the base's commit and why there is no baseline."""
    change = Tree("change", Path.cwd(), Path(sys.executable))
    try:
        with check_out(reference) as base:
            return *measure_both(change, base, folder), base.commit, ""
    except NoBaselineError as error:
        (folder / "base.json").unlink(missing_ok=True)
        return [measure(change, folder, 0)], [], "", str(error)


if __name__ == "__main__":
    sys.exit(main())
