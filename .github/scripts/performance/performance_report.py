#!/usr/bin/env python3
"""Put the results of all performance tests together into one report.

FOLDER holds one folder for each test: locust-results, k6-results, benchmark-results,
memory-results. What is missing or malformed is named as such. The environment tells more, if it
is set: JOBS, the `needs` context as JSON, how each job ended and where its artifact is; and
PULL_REQUEST, the number of the one that gets the report as its comment: one, kept up to date.
With --history, the last pushes to main are shown too, and what grew in small steps is a warning.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from lib.github import GitHubError, ask, list_all
from lib.markdown import link, plain, table
from lib.units import NONE, format_ratio, format_size, format_time
from lib.workflow_commands import annotate, show_end, summarize
from performance import history
from performance.baseline import OFF
from performance.results import (
    Comparison,
    Load,
    Memory,
    Server,
    UnreadableError,
    read_comparison,
    read_k6,
    read_locust,
    read_memory,
    read_server,
)

TITLE = "Performance"
MARKER = "<!-- performance-report -->"
MEASURED = {"push", "pull_request", "merge_group"}
"""Events that measure a change; others measure once more what is in the history."""
MOST_ROWS, MOST_PEAKS = 20, 10
LONGEST = 12_000
"""Characters of a tool's own text; a comment on GitHub holds 65,536 in all."""
MARKS = {"success": "✅", "failure": "❌", "cancelled": "🚫", "skipped": "⏭️"}
VERDICTS = {
    "no-baseline": "no base to compare with",
    "off": "off",
    "noisy": "too noisy to judge",
    "ok": "as the base",
    "regression": "slower than the base",
}
HEAD = [
    "Test", "Result", "p50", "p95", "p99", "Throughput", "Errors", "Peak memory",
    "Database query", "Against the base", "Results",
]  # fmt: skip


@dataclass
class Part:
    """What is known of one test.

    Attributes:
        title: What it is called.
        result: How its job ended; empty if that is not known.
        artifact: Where its results are; empty if that is not known.
        problems: What is missing or malformed.
    """

    title: str
    result: str
    artifact: str
    load: Load | None = None
    server: Server | None = None
    comparison: Comparison | None = None
    memory: Memory | None = None
    problems: list[str] = field(default_factory=list)

    def read[Result](self, reader: Callable[[Path], Result], folder: Path) -> Result | None:
        """Return what is in a folder; None, and a problem more, if it is off or cannot be read."""
        if (off := folder / OFF).is_file():
            self.problems.append(off.read_text(encoding="utf-8"))
            return None
        try:
            return reader(folder)
        except UnreadableError as error:
            self.problems.append(str(error))
            return None


def collect(root: Path, jobs: Mapping[str, Any]) -> list[Part]:
    """Return what is known of each test.

    Args:
        root: Where the folders of the results are.
        jobs: The `needs` context; empty if nothing is known of the jobs.
    """

    def start(job: str, title: str) -> Part:
        known = jobs.get(job, {})
        return Part(title, known.get("result", ""), known.get("outputs", {}).get("artifact", ""))

    kept = [job for job, known in jobs.items() if known.get("outputs", {}).get("artifact")]

    def place(job: str, name: str) -> Path:
        folder = root / f"{name}-results"  # a single artifact is downloaded without its folder
        return root if kept == [job] and not folder.exists() else folder

    parts = []
    for job, title, tool, reader in (
        ("load", "Load test", "locust", read_locust),
        ("api", "API performance", "k6", read_k6),
    ):
        part = start(job, title)
        folder = place(job, tool)
        part.load = part.read(reader, folder)
        if not (folder / OFF).is_file():
            part.server = part.read(read_server, folder)
        parts.append(part)
    part = start("benchmark", "Benchmark")
    part.comparison = part.read(read_comparison, place("benchmark", "benchmark"))
    parts.append(part)
    part = start("memory", "Memory profile")
    part.memory = part.read(read_memory, place("memory", "memory"))
    return [*parts, part]


def describe(parts: Sequence[Part], past: str = "") -> str:
    """Return the report as Markdown, with what is known of the past."""
    sections = [
        f"### 📈 {TITLE}\n",
        table(HEAD, [_make_row(part) for part in parts]),
        _describe_problems(parts),
        _draw(parts),
        _attribute(parts),
        past,
        *(_compare(part) for part in parts if part.comparison),
        *(_show_memory(part.memory) for part in parts if part.memory),
    ]
    return "\n".join(section for section in sections if section)


def _make_row(part: Part) -> list[str]:
    cells = [NONE] * 7
    if load := part.load:
        cells[:3] = (f"{ms:.0f} ms" for ms in load.latencies)
        cells[3:5] = f"{load.throughput:.0f}/s", f"{load.errors:.2%}"
    if part.server:
        cells[5] = format_size(part.server.memory)
        if part.server.queries:
            cells[6] = format_time(part.server.query / 1000)
    if part.memory:
        cells[5] = format_size(next(iter(part.memory.peaks.values())))
    against = NONE
    if comparison := part.comparison:
        against = VERDICTS.get(comparison.verdict, plain(comparison.verdict))
        worst = format_ratio(comparison.parts[0].ratio) if comparison.parts else NONE
        if worst.startswith("▲"):
            against += f", at most {worst}"
    result = f"{MARKS.get(part.result, '❓')} {plain(part.result) or 'not known'}"
    return [
        part.title,
        result,
        *cells,
        against,
        link("files", part.artifact) if part.artifact else NONE,
    ]


def _describe_problems(parts: Sequence[Part]) -> str:
    lines = [
        f"- **{part.title}:** {plain(problem)}\n" for part in parts for problem in part.problems
    ]
    return "".join(["Not in this report:\n\n", *lines]) if lines else ""


def _draw(parts: Sequence[Part]) -> str:
    """Return a chart of the latencies."""
    drawn = [
        (part.title, part.load.latencies) for part in parts if part.load and part.load.requests
    ]
    if not drawn:
        return ""
    kinds = zip(("bar", "line"), drawn, strict=False)
    names = ", ".join(f"{kind}: {title}" for kind, (title, _) in kinds)
    series = [latencies for _, latencies in drawn]
    return history.draw(f"Time to answer ({names})", ["p50", "p95", "p99"], "ms", series)


def _attribute(parts: Sequence[Part]) -> str:
    """Return where the app spent the time of a request, as its own metrics tell."""
    rows = [
        [
            part.title,
            f"{it.workers}, {plain(it.database)}",
            format_time(it.request / 1000),
            f"{format_time(it.in_database / 1000)} ({it.in_database / it.request:.0%})",
            f"{it.queries:.1f}",
            format_time(it.query / 1000),
        ]
        for part in parts
        if (it := part.server) and it.request
    ]
    head = ["In the app", "Workers, database", "Request", "In the database", "Queries", "Each"]
    return f"{table(head, rows)}\nMeans of `/metrics`, per request.\n" if rows else ""


def _compare(part: Part) -> str:
    comparison = part.comparison or Comparison("", "", "", [])
    rows = [
        [
            plain(it.name),
            format_time(it.base),
            format_time(it.change),
            format_ratio(it.ratio),
            plain(it.verdict),
        ]
        for it in comparison.parts[:MOST_ROWS]
    ]
    lines = [f"<details><summary>{part.title}</summary>\n"]
    if comparison.reason:
        lines.append(f"{plain(comparison.reason.partition(chr(10))[0])}\n")
    lines.append(table(["Name", "Base", "Change", "Difference", "Verdict"], rows))
    if more := len(comparison.parts) - MOST_ROWS:
        lines.append(f"{more} more are in the files.\n" if more > 0 else "")
    return "\n".join([*lines, "</details>\n"])


def _show_memory(memory: Memory) -> str:
    """Return the tests that took most; the tool's own text shows where."""
    rows = [[plain(name), format_size(peak)] for name, peak in memory.peaks.items()]
    return "\n".join(
        [
            "<details><summary>Memory profile</summary>\n",
            table(["Test", "Peak"], rows[:MOST_PEAKS]),
            show_end(memory.text[:LONGEST], LONGEST),
            "</details>\n",
        ]
    )


def look_back(parts: Sequence[Part], file: Path) -> str:
    """Return the history as Markdown; keep it, with what a push to main has measured.

    Args:
        parts: What this run has measured.
        file: Where the history goes after a push; other events leave none.
    """
    event = os.environ.get("GITHUB_EVENT_NAME", "")
    past, problem = history.fetch()
    text = [f"{plain(problem)}\n"] if problem else []
    now = _make_push(parts)
    pushes, newest = past, past[-1].commit[:7] if past else ""
    if event in MEASURED and (now.benchmarks or now.p95 or now.peaks):
        pushes = [*(push for push in past if push.run != now.run), now][-history.KEPT :]
        newest = now.commit[:7] if event == "push" else "this change"
        if event == "push":
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(history.write(past, now), encoding="utf-8")
    for drift in history.find_drifts(pushes):
        annotate("warning", TITLE, history.explain(drift))
        text.append(f"🟡 **Slower or larger step by step:** {history.explain(drift)}\n")
    return "\n".join([*text, history.describe(pushes, newest=newest)])


def _make_push(parts: Sequence[Part]) -> history.Push:
    load, api, benchmark, memory = parts
    tests = {"load": load, "api": api}
    compared = benchmark.comparison
    return history.Push(
        int(os.environ.get("GITHUB_RUN_ID") or 0),
        os.environ.get("GITHUB_SHA", ""),
        compared.base if compared else "",
        {
            one.name: one.ratio
            for one in (compared.parts if compared else [])
            if one.ratio and one.verdict != "noisy"
        },
        {
            name: part.load.latencies[1]
            for name, part in tests.items()
            if part.load and part.load.requests
        },
        {
            name: part.server.memory
            for name, part in tests.items()
            if part.server and part.server.memory
        },
        memory.memory.peaks if memory.memory else {},
    )


def comment(number: str, text: str) -> str:
    """Make the report the one comment of ours on a pull request; return what was done.

    Raises:
        GitHubError: GitHub refused, or did not answer.
    """
    body = {"body": f"{MARKER}\n{text}"}
    for it in list_all(f"issues/{number}/comments"):
        if (it["body"] or "").startswith(MARKER) and it["user"]["type"] == "Bot":
            ask("PATCH", f"issues/comments/{it['id']}", body)
            return f"Updated the comment on #{number}."
    ask("POST", f"issues/{number}/comments", body)
    return f"Commented on #{number}."


def main(arguments: Sequence[str] | None = None) -> int:
    """Report; return 0, or 1 if GitHub did not take the comment."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="where the results are")
    parser.add_argument("--output", type=Path, help="folder for the report, as report.md")
    parser.add_argument("--history", type=Path, help="folder for the history, after a push")
    options = parser.parse_args(arguments)
    parts = collect(options.folder, json.loads(os.environ.get("JOBS") or "{}"))
    past = look_back(parts, options.history / history.FILE) if options.history else ""
    text = describe(parts, past)
    print(text)
    summarize(text)
    if options.output:
        options.output.mkdir(parents=True, exist_ok=True)
        (options.output / "report.md").write_text(text, encoding="utf-8")
    if number := os.environ.get("PULL_REQUEST"):
        try:
            print(comment(number, text))
        except GitHubError as error:
            annotate("error", TITLE, f"The report could not be put into a comment: {error}")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
