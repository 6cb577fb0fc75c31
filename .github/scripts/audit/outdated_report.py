#!/usr/bin/env python3
"""List the installed packages that have a newer version, what is worth doing first on top.

It reports and never fails for what it finds; it fails if the package index cannot be asked.
"""

import argparse
import json
import os
import re
import subprocess
import sys
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from lib import lockfile
from lib.markdown import plain, quote, table
from lib.workflow_commands import annotate, summarize
from packaging.version import Version

TITLE = "Outdated check"
JUMPS = ("patch", "minor", "major")
UV = os.environ.get("UV") or "uv"


class CouldNotLookError(Exception):
    """uv could not say what is new."""


@dataclass(frozen=True)
class Outdated:
    """A package that has a newer version.

    Attributes:
        held: Whether other packages or bounds of ours keep the newer version out.
    """

    name: str
    current: str
    latest: str
    jump: str
    direct: bool
    held: bool

    @property
    def command(self) -> str:
        """What upgrades it; nothing can while it is held back."""
        return "" if self.held else f"uv lock --upgrade-package {self.name}"


def find_jump(current: str, latest: str) -> str:
    """Return what changes from one version to the other: `major`, `minor` or `patch`."""
    old, new = Version(current), Version(latest)
    if (old.epoch, old.major) != (new.epoch, new.major):
        return "major"
    return "minor" if old.minor != new.minor else "patch"


def find_outdated(
    listed: str, direct: Collection[str], upgradable: Collection[str]
) -> list[Outdated]:
    """Return the outdated packages, those worth doing first on top.

    Args:
        listed: What `uv pip list --outdated --format=json` prints.
        direct: Names of the packages that the project asks for itself.
        upgradable: Names of the packages that can be upgraded right now.
    """
    found = []
    for it in json.loads(listed):
        name = lockfile.normalize(it["name"])
        jump = find_jump(it["version"], it["latest_version"])
        new = (name in direct, name not in upgradable)
        found.append(Outdated(name, it["version"], it["latest_version"], jump, *new))
    return sorted(found, key=lambda it: (it.held, not it.direct, JUMPS.index(it.jump), it.name))


def describe(outdated: Sequence[Outdated], number: int) -> str:
    """Return the report on so many installed packages."""
    lines = [f"### 🕰️ {TITLE}\n", f"{len(outdated)} of {number} packages have a newer version.\n"]
    if not outdated:
        return "\n".join(lines)
    rows = [
        [
            plain(it.name),
            plain(it.current),
            plain(it.latest),
            it.jump,
            "direct" if it.direct else "transitive",
            f"`{it.command}`" if it.command else "held back by a bound",
        ]
        for it in outdated
    ]
    head = ["Package", "Current", "Latest", "Jump", "Kind", "Upgrade"]
    return "\n".join([*lines, table(head, rows), "**What to do first**\n", *_advise(outdated)])


def _advise(outdated: Sequence[Outdated]) -> list[str]:
    free = [it for it in outdated if not it.held]
    easy = [it.name for it in free if it.jump != "major"]
    major = [it.name for it in free if it.jump == "major"]
    advice = []
    if easy:
        options = " ".join(f"--upgrade-package {name}" for name in easy)
        advice.append(f"1. Patch and minor together, then the tests: `uv lock {options}`")
    if major:
        advice.append(f"1. Major ones one by one, after their changelogs: {', '.join(major)}")
    if held := [it.name for it in outdated if it.held]:
        advice.append(
            f"1. Nothing to do yet for {', '.join(held)}: `uv tree --invert --package NAME` shows "
            "who needs the older version."
        )
    return [f"{line}\n" for line in advice]


def main(arguments: Sequence[str] | None = None) -> int:
    """Report; return 0, or 2 if the package index could not be asked."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=Path("outdated-report"), metavar="DIR")
    options = parser.parse_args(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    try:
        plan = _ask("lock", "--upgrade", "--dry-run")
        upgradable = set(re.findall(r"^Update ([\w.-]+) v", plan, re.MULTILINE))
        here = f"--python={sys.executable}"
        listed = _ask("pip", "list", "--outdated", "--format=json", here)
        number = len(json.loads(_ask("pip", "list", "--format=json", here)))
    except CouldNotLookError as error:
        annotate("error", TITLE, f"Could not look for newer versions. {quote(str(error), 500)}")
        text = f"Could not look for newer versions. {plain(str(error), 1000)}"
        summarize(f"### ❌ {TITLE}\n\n{text}\n")
        return 2
    if not number:
        annotate("error", TITLE, "No package is installed: nothing was looked at.")
        return 2
    direct = lockfile.find_direct(Path("pyproject.toml").read_text(encoding="utf-8"))
    outdated = find_outdated(listed, direct, upgradable)
    report = describe(outdated, number)
    (options.output / "report.md").write_text(report, encoding="utf-8")
    facts = [asdict(it) | {"command": it.command} for it in outdated]
    (options.output / "report.json").write_text(json.dumps(facts, indent=2), encoding="utf-8")
    summarize(report)
    print(report)
    return 0


def _ask(*arguments: str) -> str:
    """Return what uv prints; of a plan to lock that is its log."""
    try:
        done = subprocess.run(
            [UV, *arguments], check=True, text=True, capture_output=True, timeout=180
        )
    except subprocess.CalledProcessError as error:
        raise CouldNotLookError(f"uv {arguments[0]}: {error.stderr.strip()}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CouldNotLookError(str(error)) from error
    return done.stderr if arguments[0] == "lock" else done.stdout


if __name__ == "__main__":
    sys.exit(main())
