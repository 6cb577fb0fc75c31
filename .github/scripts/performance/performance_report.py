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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from lib.github import GitHubError, ask, list_all
from lib.markdown import link, plain, table
from lib.workflow_commands import annotate, summarize
from performance import history
from performance.results import REPORT, MeasureError, Result, read
from performance.units import NONE, format_size, format_time

TITLE = "Performance"
MARKER = "<!-- performance-report -->"
MEASURED = {"push", "pull_request", "merge_group"}
"""Events that measure a change; others measure once more what is in the history."""
MOST_DRIFTS = 10
TESTS = {
    "load": ("Load test", "locust-results"),
    "api": ("API performance", "k6-results"),
    "benchmark": ("Benchmark", "benchmark-results"),
    "memory": ("Memory profile", "memory-results"),
}
"""Title and artifact by job."""
MARKS = {"success": "✅", "failure": "❌", "cancelled": "🚫", "skipped": "⏭️"}
LATENCIES = ("p50", "p95", "p99")
HEAD = [
    "Test", "Result", *LATENCIES, "Throughput", "Errors", "Peak memory", "Database query",
    "Against the base", "Results",
]  # fmt: skip


@dataclass(frozen=True)
class Part:
    """What is known of one test.

    Attributes:
        title: What it is called.
        ended: How its job ended; empty if that is not known.
        artifact: Where its results are; empty if that is not known.
        result: What it measured; without figures if nothing.
        problem: What is missing or malformed.
        report: Its own report, as Markdown.
    """

    title: str
    ended: str
    artifact: str
    result: Result
    problem: str
    report: str


def collect(root: Path, jobs: Mapping[str, Any]) -> dict[str, Part]:
    """Return what is known of each test.

    Args:
        root: Where the folders of the results are.
        jobs: The `needs` context; empty if nothing is known of the jobs.
    """
    artifacts = {job: known.get("outputs", {}).get("artifact") for job, known in jobs.items()}
    kept = [job for job, address in artifacts.items() if address]
    parts = {}
    for job, (title, name) in TESTS.items():
        folder = root / name  # a single artifact is downloaded without its folder
        folder = root if kept == [job] and not folder.exists() else folder
        result, problem, report = Result(), "", ""
        try:
            result, report = read(folder)
            problem = result.off
        except MeasureError as error:
            problem = str(error)
        ended, artifact = jobs.get(job, {}).get("result", ""), artifacts.get(job) or ""
        parts[job] = Part(title, ended, artifact, result, problem, report)
    return parts


def describe(parts: Mapping[str, Part], past: str = "") -> str:
    """Return the report as Markdown, with what is known of the past."""
    problems = [f"- **{it.title}:** {plain(it.problem)}\n" for it in parts.values() if it.problem]
    drawn = [part for part in parts.values() if {*LATENCIES} <= part.result.figures.keys()]
    series = [[part.result.figures[name] for name in LATENCIES] for part in drawn]
    kinds = zip(("bar", "line"), drawn, strict=False)
    names = ", ".join(f"{kind}: {part.title}" for kind, part in kinds)
    sections = [
        f"### 📈 {TITLE}\n",
        table(HEAD, [_make_row(part) for part in parts.values()]),
        "".join(["Not in this report:\n\n", *problems]) if problems else "",
        history.draw(f"Time to answer, ms ({names})", LATENCIES, series) if drawn else "",
        past,
    ]
    for part in parts.values():
        if part.report:
            head = f"<details><summary>{part.title}</summary>"
            sections.append(f"{head}\n\n{part.report}\n</details>\n")
    return "\n".join(section for section in sections if section)


def _make_row(part: Part) -> list[str]:
    figures = part.result.figures
    query = figures.get("query")
    return [
        part.title,
        f"{MARKS.get(part.ended, '❓')} {plain(part.ended) or 'not known'}",
        *(f"{figures[name]:.0f} ms" if name in figures else NONE for name in LATENCIES),
        f"{figures['throughput']:.0f}/s" if "throughput" in figures else NONE,
        f"{figures['errors']:.2%}" if "errors" in figures else NONE,
        format_size(figures.get("memory")),
        format_time(query / 1000) if query else NONE,
        plain(part.result.verdict) or NONE,
        link("files", part.artifact) if part.artifact else NONE,
    ]


def look_back(parts: Mapping[str, Part], file: Path) -> str:
    """Return the history as Markdown; keep it, with what a push to main has measured.

    Args:
        parts: What this run has measured.
        file: Where the history goes after a push; other events leave none.
    """
    event, commit = (os.environ.get(f"GITHUB_{it}", "") for it in ("EVENT_NAME", "SHA"))
    run = int(os.environ.get("GITHUB_RUN_ID") or 0)
    now = history.Push(run, commit, {job: part.result for job, part in parts.items()})
    pushes, problem = history.fetch()
    text = [f"{plain(problem)}\n"] if problem else []
    newest = pushes[-1].commit[:7] if pushes else ""
    if event in MEASURED and any(it.figures or it.ratios for it in now.results.values()):
        pushes = history.merge(pushes, [now])
        newest = commit[:7] if event == "push" else "this change"
        if event == "push":
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(history.write(pushes), encoding="utf-8")
    for drift in history.find_drifts(pushes)[:MOST_DRIFTS]:
        annotate("warning", TITLE, history.explain(drift))
        text.append(f"🟡 **Slower or larger step by step:** {history.explain(drift)}\n")
    return "\n".join([*text, history.describe(pushes, newest)])


def comment(number: str, text: str) -> str:
    """Make the report the one comment of ours on a pull request; return what was done.

    Raises:
        GitHubError: GitHub refused, or did not answer.
    """
    body = {"body": f"{MARKER}\n{text}"}
    for one in list_all(f"issues/{number}/comments"):
        if (one["body"] or "").startswith(MARKER) and one["user"]["type"] == "Bot":
            ask("PATCH", f"issues/comments/{one['id']}", body)
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
        (options.output / REPORT).write_text(text, encoding="utf-8")
    if number := os.environ.get("PULL_REQUEST"):
        try:
            print(comment(number, text))
        except GitHubError as error:
            annotate("error", TITLE, f"The report could not be put into a comment: {error}")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
