#!/usr/bin/env python3
"""Show what uv says of newer versions, and what is worth doing about it.

It reports and never fails for what it finds; it fails if the package index cannot be asked.
"""

import argparse
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from audit.tools import UV, NotKnownError, give_up, hand_over, run
from lib.markdown import fence

TITLE = "Outdated check"
OUTPUT = Path("outdated-report")
FROZEN = {"UV_FROZEN", "UV_LOCKED"}
NEWER = re.compile(r"([\w.-]+)\S* (v\d\S*).*(\(latest: \S+\))")
WHAT_TO_DO = """**What to do first**

1. Patches and minor versions together, then the tests: `uv lock --upgrade-package NAME` for each.
1. Major versions one by one, after their changelogs.
1. A newer version that an upgrade does not bring is kept out by a bound: `uv tree --invert
   --package NAME` shows whose. Raise ours in `pyproject.toml`, wait for those of others.
"""


def describe(listed: str, plan: str) -> str:
    """Return the report.

    Args:
        listed: What `uv tree --outdated` prints: a line for each place of a package.
        plan: What `uv lock --upgrade --dry-run` prints of what it would do.
    """
    newer = sorted({" ".join(found) for found in NEWER.findall(listed)})
    lines = [f"### 🕰️ {TITLE}\n", f"{len(newer)} locked packages have a newer version.\n"]
    lines += [fence("\n".join(newer))] if newer else []
    if updates := re.findall(r"^Update .*", plan, re.MULTILINE):
        lines += ["`uv lock --upgrade` would bring now:\n", fence("\n".join(updates))]
    if "error: " in plan:
        lines += [
            "⚠️ No upgrade can be planned: is a version gone or yanked?\n",
            fence(plan.rstrip()),
        ]
    return "\n".join([*lines, *([WHAT_TO_DO] if newer or updates else [])])


def main(arguments: Sequence[str] | None = None) -> int:
    """Report; return 0, or 2 if the package index could not be asked."""
    argparse.ArgumentParser(description=__doc__).parse_args(arguments)
    OUTPUT.mkdir(exist_ok=True)
    try:
        # where the lock is frozen there is never anything new
        free = {key: value for key, value in os.environ.items() if key not in FROZEN}
        plan = run([UV, "lock", "--upgrade", "--dry-run"], codes={0, 1}, environment=free).stderr
        # of the registries that the lock names: elsewhere a package of ours would be a stranger's
        tree = ("tree", "--frozen", "--outdated", "--universal", "--all-groups")
        listed = run([UV, *tree], environment=free).stdout
    except NotKnownError as error:
        return give_up(TITLE, error)
    hand_over(describe(listed, plan), OUTPUT)
    return 0


if __name__ == "__main__":
    sys.exit(main())
