"""Metrics of several processes."""

import subprocess
import sys
from pathlib import Path

import pytest

from python_web_template.metrics import DIRECTORY_VARIABLE, Metrics

KILLED = """
import os
from python_web_template.metrics import Metrics

metrics = Metrics()
metrics.in_flight.inc()
metrics.observe_request("GET", "/items", 500, 0.1)
os._exit(0)
"""


def test_killed_worker_has_no_requests_in_flight_but_its_counts_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, child_environment: dict[str, str]
) -> None:
    shared = {DIRECTORY_VARIABLE: str(tmp_path)}
    subprocess.run([sys.executable, "-c", KILLED], check=True, env=child_environment | shared)
    assert list(tmp_path.glob("gauge_livesum_*.db"))

    monkeypatch.setenv(DIRECTORY_VARIABLE, str(tmp_path))
    text = Metrics().render().decode()

    assert "http_requests_in_flight 1.0" not in text
    assert 'http_errors_total{method="GET",route="/items"} 1.0' in text
    assert list(tmp_path.glob("gauge_livesum_*.db")) == []
