#!/usr/bin/env python3
"""Show how every job of a workflow ended, and fail unless all of them succeeded.

A skipped job counts as success only where it was skipped by design. Reads the `needs` context as
JSON from NEEDS, and the names of jobs that may be skipped from SKIPPABLE.

Where only the text of a pull request was edited, nothing was run again, and the newest check of a
name is the one that counts. So the verdict is then that of the commit's last whole run: red while
that is not finished, and red if there is none.
"""

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from lib.github import GitHubError, list_all
from lib.markdown import plain, table
from lib.workflow_commands import annotate, summarize

MARKS = {"success": "✅", "failure": "❌", "cancelled": "🚫", "skipped": "⏭️"}

TEXT_EDITED = "Text edited"
"""What `run-name` calls the runs in which only text was edited."""


def only_text_changed(event: Mapping[str, Any]) -> bool:
    """Say whether an event is an edit of a pull request that left its base branch as it was."""
    return event.get("action") == "edited" and "base" not in event.get("changes", {})


def find_earlier_faults(event: Mapping[str, Any]) -> list[str]:
    """Return what was wrong in the commit's last whole run, apart from jobs that ran again now.

    Raises:
        GitHubError: GitHub could not be asked.
    """
    workflow = os.environ["GITHUB_WORKFLOW_REF"].partition("@")[0].rpartition("/")[2]
    own = int(os.environ["GITHUB_RUN_ID"])
    query = f"head_sha={event['pull_request']['head']['sha']}&event=pull_request"
    runs = list_all(f"actions/workflows/{workflow}/runs?{query}", "workflow_runs")
    whole = [it for it in runs if it["id"] != own and it["display_title"] != TEXT_EDITED
             and event["number"] in {one["number"] for one in it["pull_requests"]} | (
                 set() if it["pull_requests"] else {event["number"]})]  # fmt: skip
    if not whole:
        return ["no run of this commit's checks: close the pull request and open it again"]
    last = max(whole, key=lambda run: int(run["run_number"]))
    if last["status"] != "completed":
        return [f"run {last['run_number']} is not finished: its own verdict follows"]
    if last["conclusion"] not in {"success", "failure"}:
        return [f"run {last['run_number']} was {last['conclusion']}: run it again"]
    again = {
        job["name"]
        for job in list_all(f"actions/runs/{own}/jobs", "jobs")
        if job["conclusion"] != "skipped"
    }
    return [
        f"{job['name']} ({job['conclusion']} in run {last['run_number']})"
        for job in list_all(f"actions/runs/{last['id']}/jobs", "jobs")
        if job["name"] not in again and job["conclusion"] not in {"success", "skipped"}
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Judge the jobs; return 1 if one did not succeed, or if there is none."""
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args(arguments)
    results = {job: it["result"] for job, it in json.loads(os.environ["NEEDS"] or "{}").items()}
    by_design = {*os.environ.get("SKIPPABLE", "").split()}
    event = json.loads(Path(os.environ["GITHUB_EVENT_PATH"]).read_text(encoding="utf-8"))
    repeated = only_text_changed(event)
    if repeated:
        by_design |= results.keys()
    rows = []
    failed = []
    for job, result in results.items():
        fine = result == "success" or (result == "skipped" and job in by_design)
        note = " by design" if fine and result == "skipped" else ""
        rows.append([plain(job), f"{MARKS.get(result, '❓')} {plain(result)}{note}"])
        if not fine:
            failed.append(f"{job} ({result})")
    text = table(["Job", "Result"], rows)
    if repeated:
        text = f"Only text was edited, so that nothing was run again.\n\n{text}"
        try:
            failed += find_earlier_faults(event)
        except GitHubError as error:
            failed.append(f"how this commit's checks ended cannot be asked ({error})")
    print(text)
    summarize(text)
    if failed or not (results or repeated):
        annotate("error", "Not every job succeeded", ", ".join(failed) or "no job to judge")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
