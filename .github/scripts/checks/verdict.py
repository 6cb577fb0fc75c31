#!/usr/bin/env python3
"""Show how every job of a workflow ended, and fail unless all of them succeeded.

A skipped job counts as success only where it was skipped by design. Reads the `needs` context as
JSON from NEEDS, and the names of jobs that may be skipped from SKIPPABLE.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from lib.markdown import plain, table
from lib.workflow_commands import annotate, summarize

MARKS = {"success": "✅", "failure": "❌", "cancelled": "🚫", "skipped": "⏭️"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Judge the jobs; return 1 if one did not succeed, or if there is none."""
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args(arguments)
    results = {job: it["result"] for job, it in json.loads(os.environ["NEEDS"] or "{}").items()}
    by_design = {*os.environ.get("SKIPPABLE", "").split()}
    rows = []
    failed = []
    for job, result in results.items():
        fine = result == "success" or (result == "skipped" and job in by_design)
        note = " by design" if fine and result == "skipped" else ""
        rows.append([plain(job), f"{MARKS.get(result, '❓')} {plain(result)}{note}"])
        if not fine:
            failed.append(f"{job} ({result})")
    text = table(["Job", "Result"], rows)
    print(text)
    summarize(text)
    if failed or not results:
        annotate("error", "Not every job succeeded", ", ".join(failed) or "no job to judge")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
