"""Measurements for Prometheus (https://prometheus.io/docs/practices/naming/)."""

import os
from collections.abc import Callable, Iterator
from functools import cache
from http import HTTPStatus
from pathlib import Path

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

DIRECTORY_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""Set when several worker processes add up their metrics in the files of a directory."""

UNMATCHED = "unmatched"
"""Route of all requests that match none: a client can invent paths without end."""

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

_add_shared: Callable[[CollectorRegistry, str], object] = MultiProcessCollector


class Metrics:
    """What one app measures. Durations are in seconds."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        requests = Histogram(
            "http_request_duration_seconds",
            "Time to answer a request",
            ["method", "route", "status"],
            registry=self._registry,
        )
        self._requests = cache(requests.labels)  # looking it up takes longer than the rest
        self._errors = Counter(
            "http_errors_total",
            "Answers with a status of 500 or more",
            ["method", "route"],
            registry=self._registry,
        )
        self.in_flight = Gauge(
            "http_requests_in_flight",
            "Requests being answered",
            multiprocess_mode="livesum",
            registry=self._registry,
        )
        queries = Histogram(
            "database_query_duration_seconds",
            "Time the database takes to run a statement",
            ["operation"],
            registry=self._registry,
        )
        self._queries = cache(queries.labels)
        ProcessCollector(registry=self._registry)

    def observe_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answered request."""
        if method not in _METHODS:
            method = "other"
        self._requests(method, route, status).observe(seconds)
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            self._errors.labels(method, route).inc()

    def observe_query(self, operation: str, seconds: float) -> None:
        """Count one database statement, such as a `select`."""
        self._queries(operation).observe(seconds)

    def render(self) -> bytes:
        """Return the measurements of this process, or of all workers if there are several."""
        directory = os.environ.get(DIRECTORY_VARIABLE)
        if not directory:
            return generate_latest(self._registry)
        workers = _Workers(Path(directory))
        workers.forget_dead()
        shared = CollectorRegistry()
        shared.register(workers)
        _add_shared(shared, directory)
        return generate_latest(shared)


class _Workers(Collector):
    """The worker processes that keep their metrics in a directory, and their memory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def _gauges(self) -> dict[int, Path]:
        files = self._directory.glob("gauge_live*_*.db")
        return {int(file.stem.rpartition("_")[2]): file for file in files}

    def forget_dead(self) -> None:
        """Remove the requests in flight of workers that were killed: they are not any more."""
        for pid, file in self._gauges().items():
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                file.unlink(missing_ok=True)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Measure as `ProcessCollector` does, which knows its own process only."""
        memory = GaugeMetricFamily(
            "process_resident_memory_bytes", "Resident memory size in bytes.", labels=["pid"]
        )
        for pid in sorted(self._gauges()):
            statistics = Path(f"/proc/{pid}/statm")
            if statistics.exists():
                pages = int(statistics.read_text().split()[1])
                memory.add_metric([str(pid)], pages * os.sysconf("SC_PAGE_SIZE"))
        yield memory
