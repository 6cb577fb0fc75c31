"""What the last pushes to a branch measured: kept as lines of an artifact, drawn, and judged.

Each such push leaves an artifact with its own results and those before it, one line of JSON
each. Runners differ, so benchmarks are kept relative to their base: the products of these ratios
say how far they moved since. There, steps that no gate stops add up.
"""

import io
import json
import math
import re
import zipfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import accumulate
from statistics import fmean, median
from typing import Any

from lib.github import GitHubError, ask, download
from lib.markdown import quote
from performance.results import MALFORMED, Result, interpret

ARTIFACT, FILE = "performance-history", "history.jsonl"
SCAN, SIZE = "trivy-amd64", "size.json"
"""Artifact of the Docker pipeline, and its file with the image's size."""
IMAGE = "image"
"""What the size of the image is called among the results and in what they say."""
UNREADABLE = (GitHubError, zipfile.BadZipFile, *MALFORMED)
KEPT = 20
"""Pushes that are kept, drawn and judged."""
READ = 3
"""Artifacts that are read: runs at the same time do not know of each other."""
GATE = 1.15
"""A larger step of a benchmark was named when it came; all others together may be as large."""
SURE = 1.5
"""Standard deviations of mere noise that a growth has to exceed."""
DEVIATION = 1.4826
"""Standard deviation of normally distributed values / their median absolute deviation."""
NOTICEABLE_BYTES = 1_000_000
"""Less is not judged: imports, caches and garbage come and go."""


@dataclass(frozen=True)
class Push:
    """What one push measured.

    Attributes:
        run: Id of the workflow run; a second attempt has the same.
        commit: The full commit.
        results: What each test measured, by job.
    """

    run: int
    commit: str
    results: Mapping[str, Result]

    @property
    def base(self) -> str:
        """The commit that the benchmarks were compared with; empty without one."""
        return next((one.base for one in self.results.values() if one.base), "")

    @property
    def ratios(self) -> dict[str, float]:
        """Time / time of the base, by benchmark."""
        return {k: v for one in self.results.values() for k, v in one.ratios.items() if v}

    @property
    def peaks(self) -> dict[str, float]:
        """Peak in bytes, by memory test; the size of the image."""
        return {k: v for one in self.results.values() for k, v in one.peaks.items() if v}


def fetch(branch: str) -> tuple[list[Push], str]:
    """Return the last pushes to a branch, the newest last, and what is missing of them.

    Only artifacts of this repository's own runs on it count: a fork may have a branch and an
    artifact of these names.
    """
    try:
        found = _list(ARTIFACT, branch)
        scans = {scan["workflow_run"]["head_sha"]: scan for scan in _list(SCAN, branch)}
    except UNREADABLE as error:
        return [], f"The history could not be read: {error}"
    if not found:
        return [], f"There is no history: the next push to {branch} that is measured starts it."
    pushes: list[Push] = []
    problems = []
    for artifact in found[-READ:]:
        try:
            pushes = merge(pushes, parse(_read(artifact, FILE)))
        except UNREADABLE as error:
            problems.append(f"A part of the history could not be read: {error!r}")
    # An image takes longer than its measurements: its size comes with a later push.
    lacking = [one for one in pushes if one.commit in scans and IMAGE not in one.results]
    for push in lacking[-READ:]:
        try:
            size = float(json.loads(_read(scans[push.commit], SIZE))["bytes"])
            sized = interpret(asdict(Result(peaks={IMAGE: size})))
            pushes = merge(pushes, [replace(push, results={**push.results, IMAGE: sized})])
        except UNREADABLE as error:
            problems.append(f"The size of an image could not be read: {error!r}")
    return pushes, " ".join(problems)


def _list(name: str, branch: str) -> list[Any]:
    """Return this repository's own artifacts of a name, the newest last."""
    answer = ask("GET", f"actions/artifacts?name={name}&per_page=100")
    artifacts = (one for one in answer["artifacts"] if one["name"] == name)
    found = [one for one in artifacts if _is_ours(one, branch)]
    return sorted(found, key=lambda one: int(one["id"]))


def _is_ours(artifact: Mapping[str, Any], branch: str) -> bool:
    run = artifact["workflow_run"] or {}
    own = run.get("head_repository_id") == run.get("repository_id")
    return own and run.get("head_branch") == branch and not artifact["expired"]


def _read(artifact: Mapping[str, Any], file: str) -> str:
    content = download(f"actions/artifacts/{int(artifact['id'])}/zip", archive=True)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return archive.read(file).decode()


def merge(pushes: Iterable[Push], newer: Iterable[Push]) -> list[Push]:
    """Return the last pushes of both; what is newer replaces an earlier attempt of the same run."""
    found = {push.run: push for push in (*pushes, *newer)}
    return [found[run] for run in sorted(found)][-KEPT:]


def parse(text: str) -> list[Push]:
    """Return what the lines of an artifact say.

    Raises:
        ValueError, or another of `MALFORMED`: A line is malformed.
    """
    pushes = []
    for content in map(json.loads, text.splitlines()):
        results = {job: interpret(one) for job, one in content["results"].items()}
        pushes.append(Push(int(content["run"]), str(content["commit"]), results))
    return pushes


def write(pushes: Iterable[Push]) -> str:
    """Return the lines of an artifact."""
    return "".join(f"{json.dumps(asdict(push))}\n" for push in pushes)


def find_drifts(pushes: Sequence[Push]) -> list[str]:
    """Say what grew by more than the gate of the benchmarks allows at once, and no gate stopped.

    The logarithms of neighbouring steps are added up, from the lowest sum to now: what was put
    right since does not count. The growth has to exceed the gate, and `SURE` times what noise alone
    adds up to: a random walk, whose standard deviation grows with the square root of the number of
    steps. That of one step is estimated from the median absolute deviation (P. J. Rousseeuw and
    C. Croux, Alternatives to the Median Absolute Deviation, 1993).

    Args:
        pushes: The newest last.

    Returns:
        The worst first: what grew and since when, and how to see whether that is so.
    """
    steps: defaultdict[str, list[tuple[int, float]]] = defaultdict(list)
    last: dict[str, float] = {}
    for number, push in enumerate(pushes):
        for name, ratio in push.ratios.items():
            if ratio <= GATE:
                steps[name].append((number, ratio))
        for name, peak in push.peaks.items():
            if name in last and peak >= NOTICEABLE_BYTES:
                steps[name].append((number, peak / last[name]))
            last[name] = peak
    found = [drift for name, ratios in steps.items() for drift in _judge(name, ratios, pushes)]
    return [text for _, text in sorted(found, reverse=True)]


def _judge(
    name: str, steps: Sequence[tuple[int, float]], pushes: Sequence[Push]
) -> Iterator[tuple[float, str]]:
    values = [math.log(ratio) for _, ratio in steps]
    noise = DEVIATION * median(abs(value - median(values)) for value in values)
    sums = [0.0, *accumulate(values)]
    start = min(range(len(sums)), key=sums.__getitem__)
    growth, count = sums[-1] - sums[start], len(steps) - start
    if growth > max(math.log(GATE), SURE * noise * math.sqrt(count)):
        first = steps[start][0]
        since = quote((pushes[first - 1].commit if first else pushes[0].base)[:12])
        text = (
            f"{quote(name)} grew by {math.exp(growth) - 1:.0%} in {count} push{'es' * (count > 1)} "
            f"since {since}, and no gate stopped it. To measure a benchmark directly: "
            f"uv run poe bench-compare --base {since}"
        )
        yield growth, text


def describe(pushes: Sequence[Push]) -> str:
    """Return charts of the history as Markdown; nothing if there are less than two pushes.

    Args:
        pushes: The newest last.
    """
    if len(pushes) < 2:  # noqa: PLR2004
        return ""
    products: dict[str, float] = {}
    charts: defaultdict[str, list[tuple[str, list[float]]]] = defaultdict(list)
    for push in pushes:
        products |= {name: products.get(name, 100) * by for name, by in push.ratios.items()}
        loads = [one.figures for one in push.results.values() if "p95" in one.figures]
        peaks = {name: peak / 1e6 for name, peak in push.peaks.items()}
        for title, values in {
            "Benchmarks, % of the first base": [products[name] for name in push.ratios],
            "p95 of the load tests, ms": [figures["p95"] for figures in loads],
            "Peak memory under load, MB": [figures["memory"] / 1e6 for figures in loads],
            "Memory tests, MB": [peak for name, peak in peaks.items() if name != IMAGE],
            "Image, MB, unpacked": [peak for name, peak in peaks.items() if name == IMAGE],
        }.items():
            if values:
                charts[title].append((push.commit[:7], values))
    lines = [f"<details><summary>The last {len(pushes)} pushes</summary>\n"]
    for title, series in charts.items():
        if len(series) > 1:
            axis = [f'"{re.sub(r"[^\w ]", "", label)}"' for label, _ in series]
            both = [fmean(values) for _, values in series], [max(values) for _, values in series]
            lines.append(draw(f"{title} (bar: mean, line: highest)", axis, both))
    end = "Runners differ: only benchmarks, memory tests and the image are judged.\n\n</details>\n"
    return "\n".join([*lines, end])


def draw(title: str, axis: Sequence[str], series: Sequence[Sequence[float]]) -> str:
    """Return a chart of bars and of a line: https://mermaid.js.org/syntax/xyChart.html."""
    lines = ["```mermaid", "xychart-beta", f'  title "{title}"', f"  x-axis [{', '.join(axis)}]"]
    for kind, values in zip(("bar", "line"), series, strict=False):
        lines.append(f"  {kind} [{', '.join(f'{value:.1f}' for value in values)}]")
    return "\n".join([*lines, "```\n"])
