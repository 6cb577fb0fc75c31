#!/usr/bin/env python3
"""Show what uv says of newer versions, and what is worth doing about it.

It reports and never fails for what it finds; it fails if the package index cannot be asked.
"""

import argparse
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from lib.markdown import fence, plain, quote
from lib.workflow_commands import annotate, summarize

TITLE = "Outdated check"
UV = os.environ.get("UV") or "uv"
WHAT_TO_DO = """**What to do first**

1. Patches and minor versions together, then the tests: `uv lock --upgrade-package NAME` for each.
1. Major versions one by one, after their changelogs.
1. A newer version that an upgrade does not bring is kept out by a bound: `uv tree --invert
   --package NAME` shows whose. Raise ours in `pyproject.toml`, wait for those of others.
"""


class CouldNotLookError(Exception):
    """uv could not say what is new."""


def describe(listed: str, plan: str) -> str:
    """Return the report.

    Args:
        listed: What `uv pip list --outdated` prints: two lines of heading, one for each package.
        plan: What `uv lock --upgrade --dry-run` prints of what it would do.
    """
    number = len(listed.splitlines()[2:])
    lines = [f"### 🕰️ {TITLE}\n", f"{number} installed packages have a newer version.\n"]
    lines += [fence(listed.rstrip())] if number else []
    if updates := re.findall(r"^Update .*", plan, re.MULTILINE):
        lines += ["`uv lock --upgrade` would bring now:\n", fence("\n".join(updates))]
    return "\n".join([*lines, *([WHAT_TO_DO] if number or updates else [])])


def main(arguments: Sequence[str] | None = None) -> int:
    """Report; return 0, or 2 if the package index could not be asked."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=Path("outdated-report"), metavar="DIR")
    folder: Path = parser.parse_args(arguments).output
    folder.mkdir(parents=True, exist_ok=True)
    try:
        plan = _ask("lock", "--upgrade", "--dry-run").stderr
        listed = _ask("pip", "list", "--outdated", f"--python={sys.executable}").stdout
    except CouldNotLookError as error:
        text = f"Could not look for newer versions. {error}"
        annotate("error", TITLE, quote(text, 600))
        summarize(f"### ❌ {TITLE}\n\n{plain(text, 1000)}\n")
        return 2
    report = describe(listed, plan)
    (folder / "report.md").write_text(report, encoding="utf-8")
    summarize(report)
    print(report)
    return 0


def _ask(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [UV, *arguments]
    try:
        return subprocess.run(command, check=True, text=True, capture_output=True, timeout=180)
    except subprocess.CalledProcessError as error:
        raise CouldNotLookError(f"uv {arguments[0]}: {error.stderr.strip()}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CouldNotLookError(str(error)) from error


if __name__ == "__main__":
    sys.exit(main())
