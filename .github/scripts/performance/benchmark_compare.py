#!/usr/bin/env python3
"""Run the benchmarks of the checked out tree and of a base commit, and say what became slower.

Both run on this machine, in alternating order (ABBA), so that a slow machine slows both. What
counts is the fastest time of each: other work can only make a round slower. If something looks
slower than the threshold, more rounds follow before it is called a regression. The odd rounds of
a tree compared with its even ones (the control) show how far equal code differs here; if that is
over the threshold, only a slowdown beyond threshold and control together counts. The change has to
be slower in three of four pairs of rounds, too. What is in doubt is neutral, and said.

Each commit runs its own benchmarks. The base comes from Git: `actions/checkout` needs
`fetch-depth: 2` for HEAD^1, which is the base of a pull request (from forks too: what is checked
out is the merge) and the commit before a push; any other commit needs `fetch-depth: 0`.

FOLDER gets `change.json` and `base.json` (pytest-benchmark, last round), `histogram-*.svg`,
`report.md`, and `report.json`:

  verdict     "ok", "regression", "noisy" or "no-baseline"
  reason      why there is no baseline, else empty
  base        full commit that was compared with, else empty
  threshold   largest slowdown that is accepted, as a part of 1
  rounds      of each tree
  benchmarks  list of
    name        file and test
    verdict     "same", "faster", "slower", "noisy", "new", "removed" or "recorded" (no baseline)
    change      fastest time in seconds; null if removed
    base        the same of the base; null without one
    ratio       change / base; null without one
    control     slower half of a tree's rounds / faster half, the larger one; null without base
    confidence  part of all pairs of rounds in which the change was slower; null without one

It ends with 1 after a regression, and if the benchmarks of the checked out tree do not run.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from lib.markdown import message, plain, quote, table
from lib.units import NONE, format_time
from lib.workflow_commands import annotate, summarize
from performance import baseline
from performance.baseline import CommandError, NoBaselineError, ShallowError, Tree

TITLE = "Benchmark"
TESTS = "tests/benchmarks"
GROUPS = ("test",)
MARKS = {
    "slower": "🔴 slower",
    "noisy": "🟡 too noisy",
    "faster": "🟢 faster",
    "same": "⚪ same",
    "new": "🆕 new",
    "removed": "🗑️ removed",
    "recorded": "📝 recorded",
}
SURE = 0.75
"""Part of all pairs of rounds in which a slower benchmark has to be slower."""
FEWEST_ROUNDS = 2
"""The control compares the rounds of a tree with each other."""

type Round = Mapping[str, float]
"""Fastest time in seconds of each benchmark, by file and test."""


@dataclass(frozen=True)
class Comparison:
    """What is known of one benchmark; `report.json` explains the attributes."""

    name: str
    verdict: str
    change: float | None = None
    base: float | None = None
    ratio: float | None = None
    control: float | None = None
    confidence: float | None = None


def compare(change: Sequence[Round], base: Sequence[Round], threshold: float) -> list[Comparison]:
    """Judge every benchmark.

    Args:
        change: Rounds of the checked out tree.
        base: Rounds of the base; none if there is no baseline.
        threshold: Largest slowdown that is accepted, as a part of 1.
    """
    ours, theirs = _find_names(change), _find_names(base)
    return [
        _judge(name, change, base, threshold)
        if name in ours and name in theirs
        else Comparison(name, "removed", base=_find_best(base, name))
        if name in theirs
        else Comparison(name, "new" if base else "recorded", change=_find_best(change, name))
        for name in dict.fromkeys([*ours, *theirs])
    ]


def _judge(
    name: str, change: Sequence[Round], base: Sequence[Round], threshold: float
) -> Comparison:
    best, before = _find_best(change, name), _find_best(base, name)
    ratio = best / before
    control = max(_find_control(change, name), _find_control(base, name))
    pairs = [(ours[name], theirs[name]) for ours, theirs in product(change, base)]
    confidence = sum(ours > theirs for ours, theirs in pairs) / len(pairs)
    limit = 1 + threshold
    noise = control if control > limit else 1.0
    if ratio > limit * noise and confidence >= SURE:
        verdict = "slower"
    elif noise > 1 or ratio > limit:
        verdict = "noisy"
    else:
        verdict = "faster" if ratio < 1 / limit else "same"
    return Comparison(name, verdict, best, before, ratio, control, confidence)


def _find_control(rounds: Sequence[Round], name: str) -> float:
    """Return how far equal code differs: the odd rounds of a tree and its even ones."""
    halves = [_find_best(half, name) for half in (rounds[::2], rounds[1::2] or rounds)]
    return max(halves) / min(halves)


def _find_names(rounds: Sequence[Round]) -> list[str]:
    return list(rounds[0]) if rounds else []


def _find_best(rounds: Sequence[Round], name: str) -> float:
    return min(it[name] for it in rounds)


@dataclass(frozen=True)
class Plan:
    """How to measure.

    Attributes:
        rounds: Of each tree.
        most_rounds: If something looks slower.
        seconds: For each benchmark and round.
        timeout: Seconds for all benchmarks of one round.
        threshold: Largest slowdown that is accepted, as a part of 1.
        folder: Where the results of the tools go.
    """

    rounds: int
    most_rounds: int
    seconds: float
    timeout: float
    threshold: float
    folder: Path


def measure(tree: Tree, plan: Plan, name: str, number: int) -> Round:
    """Run all benchmarks of a tree once.

    Args:
        tree: What to measure.
        plan: How.
        name: What the file of the results is called.
        number: Of the round; both trees hash texts alike in a round, differently in the next one.

    Raises:
        CommandError: They fail, or do not end in time.
        NoBaselineError: There are none.
    """
    if not list(tree.folder.glob(f"{TESTS}/**/test_*.py")):
        raise NoBaselineError(f"{tree.name} has no benchmarks")
    file = plan.folder / f"{name}.json"
    tree.run(
        [
            *("pytest", TESTS, "-v", "--no-cov", "--numprocesses=0", "-p", "no:cacheprovider"),
            *("--benchmark-enable", "--benchmark-only", f"--benchmark-json={file}"),
            # A round that is long enough for the clock: calls of some nanoseconds are repeated.
            *(f"--benchmark-max-time={plan.seconds}", "--benchmark-min-time=0.0001"),
        ],
        plan.timeout,
        {"PYTHONHASHSEED": str(number)},
    )
    try:
        return read_round(file)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CommandError(
            f"{tree.name} left no readable results in {file.name}: {error}"
        ) from error


def read_round(file: Path) -> Round:
    """Return the fastest time of each benchmark in a file of pytest-benchmark.

    Raises:
        OSError: It cannot be read.
        ValueError, KeyError, TypeError: It is not what pytest-benchmark writes.
    """
    found = json.loads(file.read_text(encoding="utf-8"))["benchmarks"]
    return {str(it["fullname"]): float(it["stats"]["min"]) for it in found}


def measure_both(change: Tree, base: Tree, plan: Plan) -> tuple[list[Round], list[Round]]:
    """Measure in alternating order; go on while something is in doubt.

    Raises:
        CommandError: The benchmarks of the change fail, or do not end in time.
        NoBaselineError: Those of the base do, or there are none.
    """
    ours: list[Round] = []
    theirs: list[Round] = []
    for number in range(plan.most_rounds):
        for tree in (change, base) if number % 2 else (base, change):
            if tree is change:
                ours.append(measure(change, plan, "change", number))
            else:
                theirs.append(_measure_base(base, plan, number))
        judged = compare(ours, theirs, plan.threshold)
        print(f"round {number + 1}: {_count(judged)}", flush=True)
        if number + 1 >= plan.rounds and not any(
            it.verdict in {"slower", "noisy"} for it in judged
        ):
            break
    return ours, theirs


def _measure_base(base: Tree, plan: Plan, number: int) -> Round:
    try:
        return measure(base, plan, "base", number)
    except CommandError as error:
        raise NoBaselineError(f"the benchmarks of the baseline do not run: {error}") from error


def _count(comparisons: Sequence[Comparison]) -> str:
    verdicts = [it.verdict for it in comparisons]
    return ", ".join(f"{verdicts.count(it)} {it}" for it in MARKS if it in verdicts) or "none"


def draw(plan: Plan) -> None:
    """Draw a histogram for each benchmark from the results in the folder.

    Raises:
        CommandError: It cannot be drawn.
    """
    files = [
        str(it) for it in (plan.folder / "base.json", plan.folder / "change.json") if it.exists()
    ]
    options = [f"--histogram={plan.folder / 'histogram'}", "--group-by=fullname"]
    baseline.find_current().run(["pytest_benchmark", "compare", *files, *options], plan.timeout)


def find_verdict(comparisons: Sequence[Comparison], reason: str) -> str:
    """Return the verdict of all benchmarks."""
    verdicts = {it.verdict for it in comparisons}
    if "slower" in verdicts:
        return "regression"
    if reason:
        return "no-baseline"
    return "noisy" if "noisy" in verdicts else "ok"


def describe(comparisons: Sequence[Comparison], report: Mapping[str, Any]) -> str:
    """Return the report as Markdown.

    Args:
        comparisons: What is known of each benchmark.
        report: The content of `report.json`.
    """
    titles = {
        "ok": f"✅ {TITLE}: nothing became slower",
        "regression": f"❌ {TITLE}: slower than the base",
        "noisy": f"🟡 {TITLE}: too noisy to judge everything",
        "no-baseline": f"📝 {TITLE}: recorded, nothing to compare with",
    }
    lines = [f"### {titles[report['verdict']]}\n"]
    if report["reason"]:
        lines.append(f"No baseline: {message(report['reason'])}\n")
    rows = [
        [
            plain(it.name.removeprefix(f"{TESTS}/")),
            format_time(it.base),
            format_time(it.change),
            NONE if it.ratio is None else f"{it.ratio - 1:+.1%}",
            NONE if it.control is None else f"{it.control - 1:.1%}",
            NONE if it.confidence is None else f"{it.confidence:.0%}",
            MARKS[it.verdict],
        ]
        for it in comparisons
    ]
    head = ["Benchmark", "Base", "Change", "Difference", "Control", "Slower in", "Verdict"]
    lines.append(table(head, rows))
    lines.append(
        f"Fastest of {report['rounds']} rounds. Accepted: {report['threshold']:.0%}. "
        "Control: how far two halves of a tree's own rounds differ. "
        "Slower in: part of all pairs of rounds.\n"
    )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare; return 1 after a regression and if the benchmarks do not run."""
    options = _parse(arguments)
    baseline.end_cleanly()
    try:
        folder = baseline.prepare(options.output)
    except CommandError as error:
        baseline.refuse(TITLE, "the benchmarks did not run", error)
        return 1
    if baseline.leave_out(TITLE, TESTS, folder):
        return 0
    plan = Plan(
        options.rounds,
        max(options.rounds, options.most_rounds),
        options.seconds,
        options.timeout,
        options.threshold / 100,
        folder,
    )
    try:
        ours, theirs, commit, reason = _measure(options.base, plan)
        draw(plan)
    except (CommandError, NoBaselineError, ShallowError) as error:
        baseline.refuse(TITLE, "the benchmarks did not run", error)
        return 1
    comparisons = compare(ours, theirs, plan.threshold)
    report = {
        "verdict": find_verdict(comparisons, reason),
        "reason": reason,
        "base": commit,
        "threshold": plan.threshold,
        "rounds": len(ours),
        "benchmarks": [asdict(it) for it in comparisons],
    }
    (folder / "report.json").write_text(json.dumps(report, indent=2), encoding="utf-8")
    text = describe(comparisons, report)
    (folder / "report.md").write_text(text, encoding="utf-8")
    summarize(text)
    print(text)
    announce(comparisons, report)
    return 1 if report["verdict"] == "regression" else 0


def _measure(reference: str, plan: Plan) -> tuple[list[Round], list[Round], str, str]:
    """Return the rounds of both trees, the base's commit and why there is no baseline."""
    change = baseline.find_current()
    try:
        with baseline.check_out(reference, GROUPS) as base:
            ours, theirs = measure_both(change, base, plan)
            return ours, theirs, base.commit, ""
    except NoBaselineError as error:
        (plan.folder / "base.json").unlink(missing_ok=True)
        return [measure(change, plan, "change", 0)], [], "", str(error)


def announce(comparisons: Sequence[Comparison], report: Mapping[str, Any]) -> None:
    """Print annotations: slow ones are errors, noise is a warning, a missing base a notice."""
    if report["reason"]:
        first = report["reason"].partition("\n")[0]
        annotate("notice", TITLE, f"Recorded, nothing to compare with: {quote(first)}")
    for it in comparisons:
        if it.ratio is None or it.control is None or it.confidence is None:
            continue
        if it.verdict == "slower":
            annotate(
                "error",
                TITLE,
                f"{quote(it.name)} is {it.ratio:.2f} times as slow as the base "
                f"({format_time(it.base)} → {format_time(it.change)}, "
                f"slower in {it.confidence:.0%} of all pairs of rounds)",
            )
        elif it.verdict == "noisy":
            annotate(
                "warning",
                TITLE,
                f"{quote(it.name)} cannot be judged: {it.ratio - 1:+.0%}, but slower in only "
                f"{it.confidence:.0%} of all pairs of rounds, and equal code differs by "
                f"{it.control - 1:.0%} on this machine. Run the job again.",
            )


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--base", default="HEAD^1", metavar="REF", help="commit to compare with (HEAD^1)")
    add("--output", type=Path, default=Path("benchmark-results"), metavar="FOLDER")
    add(
        "--threshold",
        type=baseline.positive,
        default=15.0,
        help="slowdown that is accepted, in percent",
    )
    add("--rounds", type=_count_of_rounds, default=5, help="of each tree (5)")
    add("--most-rounds", type=_count_of_rounds, default=12, help="if one looks slower (12)")
    add("--seconds", type=baseline.positive, default=0.3, help="for each benchmark and round (0.3)")
    add("--timeout", type=baseline.positive, default=120.0, help="seconds for one round (120)")
    return parser.parse_args(arguments)


def _count_of_rounds(text: str) -> int:
    value = int(text)
    if value < FEWEST_ROUNDS:
        raise argparse.ArgumentTypeError(f"{text} is less than {FEWEST_ROUNDS}")
    return value


if __name__ == "__main__":
    sys.exit(main())
