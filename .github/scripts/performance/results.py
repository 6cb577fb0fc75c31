"""Read what the load tests, the app's metrics, the benchmarks and the memory profile left."""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

type Json = dict[str, Any]

SAMPLE = re.compile(r"(\w+)(?:\{(.*)\})? (\S+)")
"""A line of Prometheus's text format."""
OWN_ROUTES = ('route="/metrics"', 'route="/ready"', 'route="/health"')
"""What is asked by those who watch the app, not by those who use it."""


class UnreadableError(Exception):
    """A file is missing or is not what the tool writes; the text says which, and why."""


@dataclass(frozen=True)
class Load:
    """What a load test measured.

    Attributes:
        latencies: Milliseconds at p50, p95 and p99.
        throughput: Requests per second.
        requests: Their number.
        errors: Part of the requests that failed.
    """

    latencies: tuple[float, float, float]
    throughput: float
    requests: int
    errors: float


@dataclass(frozen=True)
class Server:
    """What the app itself measured under load; zeros where it has no metrics of that name.

    Attributes:
        workers: Its processes.
        database: The kind of its database.
        memory: Peak resident memory of all processes in bytes.
        request: Mean time to answer a request in milliseconds.
        queries: Mean number of statements per request.
        query: Mean time of a statement in milliseconds.
    """

    workers: int
    database: str
    memory: int
    request: float
    queries: float
    query: float

    @property
    def in_database(self) -> float:
        """Milliseconds per request that go into statements."""
        return self.queries * self.query


@dataclass(frozen=True)
class Compared:
    """One benchmark against the base.

    Attributes:
        name: File and test.
        verdict: As the comparison calls it.
        change: Seconds; None if it was removed.
        base: The same of the base; None without one.
        ratio: Change divided by base; None without one.
    """

    name: str
    verdict: str
    change: float | None
    base: float | None
    ratio: float | None


@dataclass(frozen=True)
class Comparison:
    """The verdict on all benchmarks, the base or why there is none, and each, the worst first."""

    verdict: str
    reason: str
    base: str
    parts: list[Compared]


@dataclass(frozen=True)
class Memory:
    """What the memory tests took.

    Attributes:
        peaks: Most that each test held at a time, in bytes by file and test, the biggest first.
        text: The ten biggest with their places, as pytest-memray shows them.
    """

    peaks: dict[str, int]
    text: str


def read_locust(folder: Path) -> Load:
    """Return what Locust measured; see `_read` for the errors."""
    return _read(folder / "locust.json", _interpret_locust)


def read_k6(folder: Path) -> Load:
    """Return what k6 measured; see `_read` for the errors."""
    return _read(folder / "summary.json", _interpret_k6)


def read_comparison(folder: Path) -> Comparison:
    """Return how the benchmarks compare with the base; see `_read` for the errors."""
    return _read(folder / "report.json", _interpret_comparison)


def read_memory(folder: Path) -> Memory:
    """Return what pytest-memray left.

    Raises:
        UnreadableError: It is missing or malformed.
    """
    text = _read_text(folder / "report.txt")
    peaks = dict(
        _read(file, lambda content: (str(content["test_id"]), int(content["peak_memory"])))
        for file in folder.glob("metadata/*.metadata")
    )
    if not peaks:
        raise UnreadableError("the peaks of the tests are missing")
    return Memory(dict(sorted(peaks.items(), key=lambda item: -item[1])), text)


def read_server(folder: Path) -> Server:
    """Return what the app measured between `metrics-before.txt` and `metrics-after.txt`.

    Raises:
        UnreadableError: One of the files is missing or malformed.
    """
    app = _read(folder / "app.json", lambda it: it)
    before: dict[str, float] = {}
    after: dict[str, float] = {}
    if [*folder.glob("metrics-*.txt")]:
        before, after = (_read_metrics(folder / f"metrics-{it}.txt") for it in ("before", "after"))
    grown = defaultdict(float, {name: after[name] - before.get(name, 0) for name in after})
    requests, queries = (
        grown["http_request_duration_seconds_count"],
        grown["database_query_duration_seconds_count"],
    )
    if requests <= 0 and "http_request_duration_seconds_count" in {*before, *after}:
        raise UnreadableError("the metrics count no request")
    try:
        return Server(
            int(app["workers"]),
            str(app["database"]),
            int(app["peak_memory_bytes"]),
            grown["http_request_duration_seconds_sum"] / max(requests, 1) * 1000,
            queries / max(requests, 1),
            grown["database_query_duration_seconds_sum"] / max(queries, 1) * 1000,
        )
    except (LookupError, TypeError, ValueError) as error:
        raise UnreadableError(f"app.json is malformed: {error!r}") from error


def _read[Result](file: Path, interpret: Callable[[Any], Result]) -> Result:
    """Return what a JSON file means.

    Raises:
        UnreadableError: It is missing or malformed.
    """
    text = _read_text(file)
    try:
        return interpret(json.loads(text))
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise UnreadableError(f"{file.name} is malformed: {error!r}") from error


def _read_text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise UnreadableError(f"{file.name} is missing") from error
    except (OSError, ValueError) as error:
        raise UnreadableError(f"{file.name} is malformed: {error}") from error


def _interpret_locust(content: list[Json]) -> Load:
    requests = sum(int(it["num_requests"]) for it in content)
    if not requests:
        return Load((0, 0, 0), 0, 0, 0)
    times: Counter[float] = Counter()
    for it in content:
        times.update({float(ms): int(count) for ms, count in it["response_times"].items()})
    seconds = max(it["last_request_timestamp"] or 0 for it in content) - min(
        it["start_time"] for it in content
    )
    failures = sum(int(it["num_failures"]) for it in content)
    latencies = (
        _find_quantile(times, 0.5),
        _find_quantile(times, 0.95),
        _find_quantile(times, 0.99),
    )
    return Load(latencies, requests / max(seconds, 1), requests, failures / requests)


def _find_quantile(times: Counter[float], part: float) -> float:
    left = part * times.total()
    for value in sorted(times):
        left -= times[value]
        if left <= 0:
            return value
    return 0


def _interpret_k6(content: Json) -> Load:
    metrics = {name: it["values"] for name, it in content["metrics"].items()}
    if not metrics.get("http_reqs", {}).get("count"):
        return Load((0, 0, 0), 0, 0, 0)
    duration = metrics["http_req_duration"]
    return Load(
        (float(duration["med"]), float(duration["p(95)"]), float(duration["p(99)"])),
        float(metrics["http_reqs"]["rate"]),
        int(metrics["http_reqs"]["count"]),
        float(metrics["http_req_failed"]["rate"]),
    )


def _interpret_comparison(content: Json) -> Comparison:
    parts = [
        Compared(
            str(it["name"]),
            str(it["verdict"]),
            *(_maybe(it[key]) for key in ("change", "base", "ratio")),
        )
        for it in content.get("benchmarks", [])
    ]
    parts.sort(key=lambda it: -(it.ratio or 0))
    return Comparison(str(content["verdict"]), str(content["reason"]), str(content["base"]), parts)


def _maybe(value: object) -> float | None:
    return None if value is None else float(str(value))


def _read_metrics(file: Path) -> dict[str, float]:
    """Return the sum of each metric over all its labels.

    Raises:
        UnreadableError: The file is missing or malformed.
    """
    try:
        return _add_up(_read_text(file).splitlines())
    except ValueError as error:
        raise UnreadableError(f"{file.name} is malformed: {error}") from error


def _add_up(lines: Iterable[str]) -> dict[str, float]:
    sums: defaultdict[str, float] = defaultdict(float)
    for line in lines:
        if not line or line.startswith("#"):
            continue
        match = SAMPLE.fullmatch(line)
        if not match:
            raise ValueError(f"not a sample: {line[:80]!r}")
        name, labels, value = match.groups("")
        if not any(route in labels for route in OWN_ROUTES):
            sums[name] += float(value)
    return dict(sums)
