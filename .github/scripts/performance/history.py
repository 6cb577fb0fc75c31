"""What the last pushes to main measured: kept as lines of an artifact, drawn, and judged.

Each push to main leaves an artifact with its own figures and those before it, one line of JSON
each. Runners differ, so benchmarks are kept relative to their base: the products of these ratios
say how far they moved since. There, steps that each stay below the gate add up.
"""

import io
import json
import math
import re
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import accumulate
from statistics import median
from typing import Any

from lib.github import GitHubError, ask, download
from lib.markdown import plain, quote

ARTIFACT, FILE, BRANCH = "performance-history", "history.jsonl", "main"
KEPT = 20
"""Pushes that are kept, drawn and judged."""
READ = 3
"""Artifacts that are read: runs at the same time do not know of each other."""
MOST_BYTES = 1_000_000
GATE = 1.15
"""A larger step was named when it came; the smaller ones together may grow by as much."""
SURE = 2.0
"""Standard deviations of mere noise that a growth has to exceed."""
DEVIATION = 1.4826
"""Standard deviation of normally distributed values / their median absolute deviation."""
NOTICEABLE_BYTES = 100_000
"""Less is no growth of memory: imports, caches and garbage come and go."""
COMMIT = re.compile("(?:[0-9a-f]{40})?")
KINDS = ("benchmarks", "p95", "memory", "peaks")


@dataclass(frozen=True)
class Push:
    """What one push measured.

    Attributes:
        run: Id of the workflow run; a second attempt has the same.
        commit: The full commit.
        base: The commit that its benchmarks were compared with; empty without one.
        benchmarks: Time / time of the base, by file and test; without what was too noisy.
        p95: Milliseconds, by load test.
        memory: Peak in bytes, by load test.
        peaks: Peak in bytes, by memory test.
    """

    run: int
    commit: str
    base: str = ""
    benchmarks: Mapping[str, float] = field(default_factory=dict)
    p95: Mapping[str, float] = field(default_factory=dict)
    memory: Mapping[str, float] = field(default_factory=dict)
    peaks: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Drift:
    """A growth in steps of which each passed the gate.

    Attributes:
        name: Of the benchmark or memory test.
        growth: Now / before.
        steps: Pushes since then that measured it.
        since: The last commit before the growth.
    """

    name: str
    growth: float
    steps: int
    since: str


def fetch() -> tuple[list[Push], str]:
    """Return the last pushes to main, the newest last, and what is missing of them.

    Only artifacts of this repository's own runs on main count: a fork may have a branch and an
    artifact of these names.
    """
    problems = []
    pushes: dict[int, Push] = {}
    try:
        answer = ask("GET", f"actions/artifacts?name={ARTIFACT}&per_page=100")
        found = [artifact for artifact in answer["artifacts"] if _is_ours(artifact)]
    except (GitHubError, LookupError, TypeError) as error:
        return [], f"The history could not be read: {error}"
    if not found:
        return (
            [],
            f"There is no history yet: the first push to {BRANCH} that is measured starts it.",
        )
    found = [artifact for artifact in found if not artifact["expired"]]
    if not found:
        return [], f"The history has expired: the next push to {BRANCH} starts it anew."
    for artifact in sorted(found, key=lambda it: -int(it["id"]))[:READ]:
        try:
            content = download(f"actions/artifacts/{int(artifact['id'])}/zip", archive=True)
            pushes = {push.run: push for push in parse(_unpack(content))} | pushes
        except (GitHubError, LookupError, ValueError, zipfile.BadZipFile) as error:
            problems.append(f"A part of the history could not be read: {error}")
    return [pushes[run] for run in sorted(pushes)][-KEPT:], " ".join(problems)


def _is_ours(artifact: Mapping[str, Any]) -> bool:
    run = artifact["workflow_run"] or {}
    own = run.get("head_repository_id") == run.get("repository_id")
    return own and run.get("head_branch") == BRANCH and artifact["name"] == ARTIFACT


def _unpack(content: bytes) -> str:
    with zipfile.ZipFile(io.BytesIO(content)) as archive, archive.open(FILE) as file:
        text = file.read(MOST_BYTES + 1)
    if len(text) > MOST_BYTES:
        raise ValueError(f"{FILE} is longer than {MOST_BYTES} bytes")
    return text.decode()


def parse(text: str) -> list[Push]:
    """Return what the lines of an artifact say.

    Raises:
        ValueError: A line is malformed.
    """
    pushes = []
    for line in text.splitlines():
        try:
            content = json.loads(line)
            figures = (_read_figures(content[kind]) for kind in KINDS)
            commit, base = _read_commit(content["commit"]), _read_commit(content["base"])
            pushes.append(Push(int(content["run"]), commit, base, *figures))
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise ValueError(f"not what a push measured: {quote(line, 80)}") from error
    return pushes


def _read_commit(text: str) -> str:
    if not COMMIT.fullmatch(text):
        raise ValueError("a commit is 40 hexadecimal digits")
    return text


def _read_figures(content: Mapping[str, object]) -> dict[str, float]:
    figures = {str(name): float(str(value)) for name, value in content.items()}
    if not all(0 < value < math.inf for value in figures.values()):
        raise ValueError("figures are above 0")
    return figures


def write(pushes: Sequence[Push], push: Push) -> str:
    """Return the lines of the next artifact; an earlier attempt of the same run is replaced."""
    found = {one.run: one for one in pushes} | {push.run: push}
    lines = [json.dumps(asdict(found[run])) for run in sorted(found)][-KEPT:]
    return "".join(f"{line}\n" for line in lines)


def find_drifts(pushes: Sequence[Push]) -> list[Drift]:
    """Return what grew in small steps by more than the gate allows at once, the worst first.

    The logarithms of neighbouring steps are added up, from any push to any later one. A sum has to
    exceed the gate, and `SURE` times what noise alone adds up to: a random walk, whose standard
    deviation grows with the square root of the number of steps. That of one step is estimated
    from the median absolute deviation (P. J. Rousseeuw and C. Croux, Alternatives to the Median
    Absolute Deviation, 1993). What was put right since does not count.

    Args:
        pushes: The newest last.
    """
    found = []
    for name in _find_names(push.benchmarks for push in pushes):
        steps = [
            (n, push.benchmarks[name]) for n, push in enumerate(pushes) if name in push.benchmarks
        ]
        found += _judge(name, steps, pushes)
    for name in _find_names(push.peaks for push in pushes):
        peaks = [(n, push.peaks[name]) for n, push in enumerate(pushes) if name in push.peaks]
        steps = [(n, peak / peaks[i][1]) for i, (n, peak) in enumerate(peaks[1:])]
        if peaks[-1][1] - min(peak for _, peak in peaks) >= NOTICEABLE_BYTES:
            found += _judge(name, steps, pushes)
    return sorted(found, key=lambda drift: -drift.growth)


def _find_names(figures: Iterable[Mapping[str, float]]) -> list[str]:
    return list(dict.fromkeys(name for one in figures for name in one))


def _judge(name: str, steps: Sequence[tuple[int, float]], pushes: Sequence[Push]) -> list[Drift]:
    small = [(number, math.log(ratio)) for number, ratio in steps if ratio <= GATE]
    if not small:
        return []
    middle = median(value for _, value in small)
    noise = DEVIATION * median(abs(value - middle) for _, value in small)
    sums = [0.0, *accumulate(value for _, value in small)]

    def grew(start: int, end: int) -> bool:
        limit = max(math.log(GATE), SURE * noise * math.sqrt(end - start))
        return sums[end] - sums[start] > limit

    starts = [
        start
        for start in range(len(small) - 1)
        if sums[-1] - sums[start] > math.log(GATE)
        and any(grew(start, end) for end in range(start + 2, len(sums)))
    ]
    if not starts:
        return []
    start = min(starts, key=lambda number: sums[number])
    first = small[start][0]
    since = pushes[first - 1].commit if first else pushes[0].base
    return [Drift(name, math.exp(sums[-1] - sums[start]), len(small) - start, since)]


def explain(drift: Drift) -> str:
    """Return what grew and since when, as Markdown, and how to see whether that is so."""
    return (
        f"{plain(drift.name)} grew by {drift.growth - 1:.0%} in {drift.steps} pushes since "
        f"{plain(drift.since[:12])}, each of them below the gate. To measure a benchmark directly: "
        f"uv run poe bench-compare --base {plain(drift.since[:12])}"
    )


def describe(pushes: Sequence[Push], *, newest: str) -> str:
    """Return charts of the history as Markdown; nothing if there are less than two pushes.

    Args:
        pushes: The newest last.
        newest: What the last of them is called.
    """
    if len(pushes) < 2:  # noqa: PLR2004
        return ""
    labels = [*(push.commit[:7] for push in pushes[:-1]), newest]
    products: dict[str, float] = {}
    moved = []
    for push in pushes:
        for name, ratio in push.benchmarks.items():
            products[name] = products.get(name, 1) * ratio
        moved.append({name: product * 100 for name, product in products.items()})
    worst = max(products, key=lambda name: products[name], default="")
    sizes = [{test: size / 1e6 for test, size in push.memory.items()} for push in pushes]
    peaks = [[size / 1e6 for size in push.peaks.values()] for push in pushes]
    short = "".join(char for char in worst.rpartition("::")[2] if char.isidentifier())
    charts = [
        (f"Benchmarks (bar: mean, line: {short})", "% of the first base",
         [(sum(now.values()) / len(now), now[worst]) if worst in now else None for now in moved]),
        ("p95 (bar: load test, line: API)", "ms", [_pair(push.p95) for push in pushes]),
        ("Peak memory (bar: load test, line: API)", "MB", [_pair(size) for size in sizes]),
        ("Memory tests (bar: sum of the peaks, line: the highest)", "MB",
         [(sum(one), max(one)) if one else None for one in peaks]),
    ]  # fmt: skip
    drawn = [_draw_known(title, unit, labels, values) for title, unit, values in charts]
    return "\n".join(
        [
            f"<details><summary>The last {len(pushes)} pushes</summary>\n",
            *(chart for chart in drawn if chart),
            "Runners differ: only benchmarks and memory tests are judged.\n",
            "</details>\n",
        ]
    )


def _pair(figures: Mapping[str, float]) -> tuple[float, float] | None:
    return (figures["load"], figures["api"]) if {"load", "api"} <= figures.keys() else None


def _draw_known(
    title: str, unit: str, labels: Sequence[str], values: Sequence[tuple[float, float] | None]
) -> str:
    known = [(label, *pair) for label, pair in zip(labels, values, strict=True) if pair]
    if len(known) < 2:  # noqa: PLR2004
        return ""
    names, *series = zip(*known, strict=True)
    return draw(title, [f'"{name}"' for name in names], unit, series)


def draw(title: str, axis: Sequence[str], unit: str, series: Sequence[Sequence[float]]) -> str:
    """Return a chart of bars and of a line: https://mermaid.js.org/syntax/xyChart.html."""
    return "\n".join(
        [
            "```mermaid",
            "xychart-beta",
            f'  title "{title}"',
            f"  x-axis [{', '.join(axis)}]",
            f'  y-axis "{unit}"',
            *(
                f"  {kind} [{', '.join(f'{value:.1f}' for value in values)}]"
                for kind, values in zip(("bar", "line"), series, strict=False)
            ),
            "```\n",
        ]
    )
