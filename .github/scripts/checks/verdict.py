#!/usr/bin/env python3
"""Show how every job of a workflow ended, and fail unless all of them succeeded.

A skipped job counts as success only where it was skipped by design. Reads the `needs` context as
JSON from NEEDS, the names of jobs that may be skipped from SKIPPABLE, and from JUDGED the name of a
job whose question this job has answered again.

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

FINE = {"success", "skipped"}

TEXT_EDITED = "Text edited"
"""What `run-name` calls the runs in which only text was edited."""


def find_earlier_faults(event: Mapping[str, Any], judged: str = "") -> list[str]:
    """Return what was wrong in the commit's last whole run, apart from what was judged again now.

    Args:
        event: The payload of the edit.
        judged: Name of the job whose question the job that asks has answered again.

    Raises:
        GitHubError: GitHub could not be asked.
    """
    workflow = os.environ["GITHUB_WORKFLOW_REF"].partition("@")[0].rpartition("/")[2]
    own = int(os.environ["GITHUB_RUN_ID"])
    query = f"head_sha={event['pull_request']['head']['sha']}&event=pull_request"
    last: Mapping[str, Any] = {}
    for run in list_all(f"actions/workflows/{workflow}/runs?{query}", "workflow_runs"):
        # Those of forks name no pull request.
        numbers = {request["number"] for request in run["pull_requests"] or ()} or {event["number"]}
        whole = run["id"] != own and run["display_title"] != TEXT_EDITED
        if whole and event["number"] in numbers and run["run_number"] > last.get("run_number", 0):
            last = run
    if not last:
        return ["no run of this commit's checks: close the pull request and open it again"]
    name = f"run {last['run_number']}"
    if last["status"] != "completed":
        return [f"{name} is not finished: its own verdict follows; if not, run this job again"]
    if last["conclusion"] not in {"success", "failure"}:
        return [f"{name} was {last['conclusion']}: run it again"]
    jobs = list_all(f"actions/runs/{last['id']}/jobs", "jobs")
    failed = {job["name"]: job["conclusion"] for job in jobs if job["conclusion"] not in FINE}
    if judged:
        # The verdict of that run may have been red for what was judged again, and for nothing else.
        now = list_all(f"actions/runs/{own}/jobs", "jobs")
        for answered in (judged, *(job["name"] for job in now if not job["conclusion"])):
            failed.pop(answered, None)
    elif last["conclusion"] != "success" and not failed:
        return [f"{name} failed"]
    return [f"{job} ({result} in {name})" for job, result in failed.items()]


def main(arguments: Sequence[str] | None = None) -> int:
    """Judge the jobs; return 1 if one did not succeed, or if there is none."""
    argparse.ArgumentParser(description=__doc__).parse_args(arguments)
    results = {
        job: known["result"] for job, known in json.loads(os.environ["NEEDS"] or "{}").items()
    }
    by_design = {*os.environ.get("SKIPPABLE", "").split()}
    event = json.loads(Path(os.environ["GITHUB_EVENT_PATH"]).read_text(encoding="utf-8"))
    repeated = event.get("action") == "edited" and "base" not in event.get("changes", {})
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
            failed += find_earlier_faults(event, os.environ.get("JUDGED", ""))
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
