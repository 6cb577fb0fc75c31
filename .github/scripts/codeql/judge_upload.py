#!/usr/bin/env python3
"""Say why GitHub did not take the results of an analysis, and whether that is a failure.

Where CodeQL's default setup is on, GitHub refuses the results of a workflow. That is no failure:
the output `gate` is `true` then, and this run has to judge the results by itself. Whether the
setup is on, only an administrator may ask; the refusal tells it every time anew. SARIF_ID is the
id that GitHub gave the upload; empty if it gave none.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from lib.github import GitHubError, ask
from lib.markdown import plain
from lib.workflow_commands import annotate, set_outputs, summarize

DEFAULT_SETUP = "when the default setup is enabled"
"""What GitHub's refusal ends with: shouldConsiderConfigurationError in github/codeql-action."""
OFF = (
    "GitHub's default setup analyses this repository, so it refuses the results of this workflow — "
    "findings are in the job summary and in an artifact, and inline suppressions do not count "
    "under Security — Settings → Advanced Security → CodeQL analysis → Switch to advanced, or "
    "uv run poe setup-github --apply; or keep the default setup and delete this workflow."
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Judge; return 0 if the default setup is why, else 1."""
    argparse.ArgumentParser(description=__doc__).parse_args(arguments)
    reason = ""
    try:
        if number := os.environ.get("SARIF_ID"):
            answer = ask("GET", f"code-scanning/sarifs/{number}")
            reason = "; ".join(answer.get("errors") or [])
    except GitHubError as error:
        reason = str(error)
    if DEFAULT_SETUP in reason:
        set_outputs({"gate": "true"})
        annotate("notice", "Not available here", OFF)
        summarize(f"### 💡 Not available here\n\n{OFF}")
        return 0
    reason = reason or "it gave no reason; the log of the step before has what it answered"
    annotate("error", "GitHub did not take the results", reason)
    summarize(f"### ❌ GitHub did not take the results\n\n{plain(reason, 900)}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
