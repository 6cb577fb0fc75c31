"""Load: people who mostly look at items, and now and then add, change or remove one.

Address: --host, or BASE_URL. Limits: LOCUST_MAX_P95_MS (default 500), LOCUST_MAX_ERROR_RATE
(default 0.01).
"""

import logging
import os

import gevent
from locust import FastHttpUser, between, events, task
from locust.env import Environment
from locust.runners import WorkerRunner
from locust.stats import CSV_STATS_INTERVAL_SEC

MAX_P95_MS = float(os.environ.get("LOCUST_MAX_P95_MS") or "500")
MAX_ERROR_RATE = float(os.environ.get("LOCUST_MAX_ERROR_RATE") or "0.01")

log = logging.getLogger(__name__)


class Visitor(FastHttpUser):
    """One person."""

    host = os.environ.get("BASE_URL") or "http://127.0.0.1:8000"
    wait_time = between(0.1, 0.5)
    connection_timeout = network_timeout = 5  # seconds

    def on_start(self) -> None:
        """Add an item of one's own."""
        self.own: list[int] = []
        self.add()

    def on_stop(self) -> None:
        """Leave nothing behind."""
        while self.own:
            self.remove()

    @task(10)
    def look_at_list(self) -> None:
        """Read two pages."""
        with self.rest("GET", "/items?limit=20", name="/items") as answer:
            cursor = (answer.js or {}).get("next")
        if cursor:
            self.client.get(f"/items?limit=20&cursor={cursor}", name="/items?cursor")

    @task(10)
    def look_at_item(self) -> None:
        """Read an item of one's own."""
        if self.own:
            self.client.get(f"/items/{self.own[0]}", name="/items/{id}")

    @task(2)
    def add(self) -> None:
        """Create an item."""
        with self.rest("POST", "/items", json={"name": "Tea", "price_cents": 350}) as answer:
            if answer.js:
                self.own.append(answer.js["id"])

    @task(1)
    def change(self) -> None:
        """Replace an item."""
        if self.own:
            content = {"name": "Coffee", "price_cents": 450}
            self.client.put(f"/items/{self.own[-1]}", json=content, name="/items/{id}")

    @task(1)
    def remove(self) -> None:
        """Delete an item."""
        if self.own:
            self.client.delete(f"/items/{self.own.pop()}", name="/items/{id}")


@events.quitting.add_listener
def judge(environment: Environment, **_: object) -> None:
    """Fail the run if it was too slow, had too many errors, or did nothing at all."""
    if isinstance(environment.runner, WorkerRunner):
        return  # the master has all the numbers
    total = environment.stats.total
    p95 = total.get_response_time_percentile(0.95) or 0
    print(f"{total.num_requests} requests, {total.fail_ratio:.1%} failed, p95 {p95:.0f} ms")
    reasons = []
    if not total.num_requests:
        reasons.append("no request was made")
    if total.fail_ratio > MAX_ERROR_RATE:
        often = max(environment.stats.errors.values(), key=lambda failure: failure.occurrences)
        reasons.append(
            f"{total.fail_ratio:.1%} of the requests failed, limit {MAX_ERROR_RATE:.1%}; "
            f"most often {often.method} {often.name}: {often.error}"
        )
    if p95 > MAX_P95_MS:
        reasons.append(f"the 95th percentile is {p95:.0f} ms, limit {MAX_P95_MS:.0f} ms")
    for reason in reasons:
        log.error("load test failed: %s", reason)
    environment.process_exit_code = 1 if reasons else 0
    gevent.sleep(CSV_STATS_INTERVAL_SEC + 0.1)  # or the CSV files lack the last second
