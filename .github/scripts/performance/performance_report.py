#!/usr/bin/env python3
"""Put the results of all performance tests together into one report.

FOLDER holds one folder for each test, such as locust-results. The report goes to
performance-report, the history after a push to performance-history. DEFAULT_BRANCH names the branch
whose history counts. The environment may tell more: JOBS, the `needs` context as JSON, how each job
ended and where its artifact is; and PULL_REQUEST, the number of the one that gets the report as its
comment: one, kept up to date.
"""

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from lib.github import GitHubError, ask, list_all
from lib.markdown import link, plain, table
from lib.workflow_commands import annotate, summarize
from performance import history
from performance.results import NONE, REPORT, MeasureError, Result, format_time, prepare, read

TITLE = "Performance"
MARKER = "<!-- performance-report -->"
LONGEST = 60_000
"""Characters of a comment; GitHub takes 65,536."""
MEASURED = {"push", "pull_request", "merge_group"}
"""Events that measure a change; others measure once more what is in the history."""
TESTS = {
    "load": ("Load test", "locust-results"),
    "api": ("API performance", "k6-results"),
    "benchmark": ("Benchmark", "benchmark-results"),
    "memory": ("Memory profile", "memory-results"),
}
"""Title and artifact by job."""
MARKS = {"success": "✅", "failure": "❌", "cancelled": "🚫", "skipped": "⏭️"}
LATENCIES, KINDS = ("p50", "p95", "p99"), ("bar", "line")
HEAD = [
    "Test", "Result", *LATENCIES, "Throughput", "Errors", "Peak memory", "Database query",
    "Against the base", "Results",
]  # fmt: skip

type Left = dict[str, tuple[Result, str]]
"""What each test left, by job: its result, and its report as Markdown."""


def collect(root: Path, jobs: Mapping[str, Any]) -> tuple[Left, list[str]]:
    """Return what each test left, and what is missing or malformed, as lines of Markdown.

    Args:
        root: Where the folders of the results are.
        jobs: The `needs` context; empty if nothing is known of the jobs.
    """
    kept = [job for job, known in jobs.items() if known.get("outputs", {}).get("artifact")]
    left: Left = {}
    problems = []
    for job, (title, name) in TESTS.items():
        folder = root / name  # a single artifact is downloaded without its folder
        folder = root if kept == [job] and not folder.exists() else folder
        try:
            left[job] = read(folder)
            problem = left[job][0].off
        except MeasureError as error:
            problem = str(error)
        if problem:
            problems.append(f"- **{title}:** {plain(problem)}\n")
    return left, problems


def describe(left: Left, problems: Sequence[str], jobs: Mapping[str, Any], past: str = "") -> str:
    """Return the report as Markdown.

    Args:
        left: What each test left, by job.
        problems: What is missing or malformed, as lines of Markdown.
        jobs: The `needs` context; empty if nothing is known of the jobs.
        past: What is known of the past, as Markdown.
    """
    rows = [_make_row(job, left.get(job, (Result(), ""))[0], jobs.get(job, {})) for job in TESTS]
    drawn = {
        TESTS[job][0]: [result.figures[name] for name in LATENCIES]
        for job, (result, _) in left.items()
        if {*LATENCIES} <= result.figures.keys()
    }
    names = ", ".join(f"{kind}: {title}" for kind, title in zip(KINDS, drawn, strict=False))
    sections = [f"### 📈 {TITLE}\n", table(HEAD, rows)]
    if problems:
        sections.append("".join(["Not in this report:\n\n", *problems]))
    if drawn:
        title = f"Time to answer, ms ({names})"
        sections.append(history.draw(title, LATENCIES, [*drawn.values()]))
    sections.append(past)
    for job, (_, report) in left.items():
        if report:
            head = f"<details><summary>{TESTS[job][0]}</summary>"
            sections.append(f"{head}\n\n{report}\n</details>\n")
    return "\n".join(section for section in sections if section)


def _make_row(job: str, result: Result, known: Mapping[str, Any]) -> list[str]:
    figures, ended = result.figures, known.get("result", "")
    query, artifact = figures.get("query"), known.get("outputs", {}).get("artifact")
    return [
        TESTS[job][0],
        f"{MARKS.get(ended, '❓')} {plain(ended) or 'not known'}",
        *(f"{figures[name]:.0f} ms" if name in figures else NONE for name in LATENCIES),
        f"{figures['throughput']:.0f}/s" if "throughput" in figures else NONE,
        f"{figures['errors']:.2%}" if "errors" in figures else NONE,
        f"{figures['memory'] / 1e6:.1f} MB" if "memory" in figures else NONE,
        format_time(query / 1000) if query else NONE,
        plain(result.verdict) or NONE,
        link("files", artifact) if artifact else NONE,
    ]


def look_back(left: Left) -> str:
    """Return the history as Markdown; after a push, keep it with what this run measured.

    Args:
        left: What each test left, by job.
    """
    event, commit = (os.environ.get(name, "") for name in ("GITHUB_EVENT_NAME", "GITHUB_SHA"))
    results = {job: result for job, (result, _) in left.items()}
    pushes, problem = history.fetch(os.environ["DEFAULT_BRANCH"])
    text = [f"{plain(problem)}\n"] if problem else []
    if event in MEASURED and any(one.figures or one.ratios for one in results.values()):
        now = history.Push(int(os.environ["GITHUB_RUN_ID"]), commit, results)
        pushes = history.merge(pushes, [now])
        if event == "push":
            file = prepare(history.ARTIFACT) / history.FILE
            file.write_text(history.write(pushes), encoding="utf-8")
    for drift in history.find_drifts(pushes):
        annotate("warning", TITLE, drift)
        text.append(f"🟡 **Slower or larger than before:** {plain(drift, LONGEST)}\n")
    return "\n".join([*text, history.describe(pushes)])


def comment(number: str, text: str) -> str:
    """Make the report the one comment of ours on a pull request; return what was done.

    Raises:
        GitHubError: GitHub refused, or did not answer.
    """
    if len(text) > LONGEST:
        text = f"{text.partition('<details>')[0]}The rest is in the summary of the job.\n"
    body = {"body": f"{MARKER}\n{text}"}
    for one in list_all(f"issues/{number}/comments"):
        if (one["body"] or "").startswith(MARKER) and one["user"]["type"] == "Bot":
            ask("PATCH", f"issues/comments/{one['id']}", body)
            return f"Updated the comment on #{number}."
    ask("POST", f"issues/{number}/comments", body)
    return f"Commented on #{number}."


def main(arguments: Sequence[str] | None = None) -> int:
    """Report; return 0, or 1 if GitHub did not take the comment."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="where the results are")
    options = parser.parse_args(arguments)
    jobs = json.loads(os.environ.get("JOBS") or "{}")
    left, problems = collect(options.folder, jobs)
    text = describe(left, problems, jobs, look_back(left))
    print(text)
    summarize(text)
    (prepare("performance-report") / REPORT).write_text(text, encoding="utf-8")
    if number := os.environ.get("PULL_REQUEST"):
        try:
            print(comment(number, text))
        except GitHubError as error:
            annotate("error", TITLE, f"The report could not be put into a comment: {error}")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
