#!/usr/bin/env python3
"""Put the results of all performance tests together into one report.

FOLDER holds one folder for each test (locust-results, k6-results, benchmark-results,
memory-results). What is missing or malformed is named as such. The environment tells more, if it
is set: JOBS, the `needs` context as JSON, how each job ended and where its artifact is; and
PULL_REQUEST, the number of the one that gets the report as its comment: one, kept up to date.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.github_rest import GitHubError, ask, list_all
from common.markdown import link, plain, table
from common.performance import (
    Compared,
    Comparison,
    Load,
    Server,
    UnreadableError,
    read_comparison,
    read_k6,
    read_locust,
    read_server,
)
from common.workflow_commands import annotate, summarize

MARKER = "<!-- performance-report -->"
BOT = "github-actions[bot]"
NONE = "-"
MOST_ROWS = 20
MIB = 1024 * 1024
RESULTS = {"success": "✅", "failure": "❌ failed", "cancelled": "🚫 cancelled", "skipped": "⏭️ skipped"}
VERDICTS = {
    "failed": "❌ a test failed",
    "more": "🟡 more than the base",
    "no-baseline": "📝 no base to compare with",
    "noisy": "🟡 too noisy to judge",
    "ok": "as the base",
    "regression": "❌ slower than the base",
}
LOADS = {"load": ("Load test", "locust", read_locust), "api": ("API performance", "k6", read_k6)}
COMPARISONS = {"benchmark": "Benchmark", "memory": "Memory profile"}
HEAD = [
    "Test", "Result", "p50", "p95", "p99", "Throughput", "Errors", "Peak memory", "Database query",
    "Against the base", "Results",
]  # fmt: skip


@dataclass
class Part:
    """What is known of one test; the problems say what is not, and why."""

    title: str
    mark: str
    artifact: str
    load: Load | None = None
    server: Server | None = None
    comparison: Comparison | None = None
    problems: tuple[str, ...] = ()


def collect(folder: Path, jobs: dict[str, Any]) -> dict[str, Part]:
    """Return what is known of each test, by its job.

    Args:
        folder: Where the folders of the results are.
        jobs: The `needs` context; empty if nothing is known of the jobs.
    """
    parts = {}
    for job, title in {key: it[0] for key, it in LOADS.items()} | COMPARISONS:
        pass
    return parts
