#!/usr/bin/env python3
"""Tell for each environment what a run did to it: deployed, rolled back, left alone, and why."""

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from lib.markdown import link, plain, table
from lib.workflow_commands import summarize

LONGEST = 600
OUTCOMES = {
    "deployed": "✅ {version} deployed{where}",
    "rolled-back": "❌ {version} **rolled back** to {previous}, because {reason}",
    "failed": "❌ {version} not deployed, because {reason}",
    "rollback-failed": "🔥 {version} failed, because {reason}, and **{previous} could not be put "
    "back**. Look at it now: the job *Deploy* has the log and what to do",
}
"""How a deployment ends, as the driver calls it, and how that is told."""


def tell(needs: Mapping[str, Any]) -> dict[str, str]:
    """Return what happened to each environment, as Markdown.

    Args:
        needs: The jobs plan and deploy, and those between: each with `result` and `outputs`.
    """
    plan, deploy = (needs[key].get("outputs", {}) for key in ("plan", "deploy"))
    environment, story = plan.get("environment", ""), {}
    if deploy.get("outcome") in OUTCOMES:
        url = deploy.get("url", "")
        story[environment] = OUTCOMES[deploy["outcome"]].format(
            version=plain(plan["version"]),
            previous=plain(deploy.get("previous", ""), LONGEST) or "what served before",
            reason=plain(deploy.get("reason", ""), LONGEST) or "of what the log says",
            where=f" at {link(url, url)}" if url else "",
        )
        if deploy.get("target") == "rehearsal":
            story[environment] += " (a rehearsal on the runner: no target is configured)"
    elif deploy.get("newest") == "false":
        story[environment] = "⏭️ not deployed, because something newer has a run of its own"
    elif environment:
        unbuilt = "skipped" if plan.get("build") == "false" else ""  # by design
        why = ", ".join(
            f"{key} ended as {need['result']}"
            for key, need in needs.items()
            if need["result"] not in {"success", unbuilt if key == "build" else ""}
        )
        story[environment] = f"⏭️ not deployed, because {plain(why) or 'nobody knows how it ended'}"
    for other in filter(None, plan.get("elsewhere", "").split("; ")):
        name, _, why = other.partition(": ")
        story[name] = f"⏭️ not deployed, because {plain(why)}"
    return story


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the summary; return 0 whatever it tells."""
    argparse.ArgumentParser(
        description=__doc__, epilog="Reads NEEDS, the needs context as JSON."
    ).parse_args(arguments)
    story = tell(json.loads(os.environ["NEEDS"]))
    if story:
        rows = [[plain(name), text] for name, text in story.items()]
        text = table(["Environment", "What happened"], rows)
    else:
        text = "Nothing was deployed: the job *Plan* says why."
    summarize(f"### 🚀 Deployments\n\n{text}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
