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
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from packaging.utils import canonicalize_name
from packaging.version import Version

sys.path.insert(0, str(Path(__file__).parents[1]))
from lib import lockfile
from lib.markdown import plain, quote, table
from lib.workflow_commands import annotate, summarize

TITLE = "Outdated check"
JUMPS = ("patch", "minor", "major", "")
UV = os.environ.get("UV") or "uv"


class CouldNotLookError(Exception):
    """uv could not say what is new."""


@dataclass(frozen=True)
class Outdated:
    """A package that has a newer version.

    Attributes:
        possible: The version that an upgrade would bring now; empty if other packages or bounds of
            ours keep every newer one out.
        jump: What that changes: `major`, `minor` or `patch`.
    """

    name: str
    current: str
    latest: str
    possible: str
    jump: str
    direct: bool

    @property
    def command(self) -> str:
        """What upgrades it."""
        return f"uv lock --upgrade-package {self.name}" if self.possible else ""


def find_jump(current: str, latest: str) -> str:
    """Return what changes from one version to the other: `major`, `minor` or `patch`."""
    old, new = Version(current), Version(latest)
    if (old.epoch, old.major) != (new.epoch, new.major):
        return "major"
    return "minor" if old.minor != new.minor else "patch"


def find_outdated(
    listed: str, direct: Collection[str], possible: Mapping[str, str]
) -> list[Outdated]:
    """Return the outdated packages, those worth doing first on top.

    Args:
        listed: What `uv pip list --outdated --format=json` prints.
        direct: Names of the packages that the project asks for itself.
        possible: Versions that an upgrade of the lock would bring.
    """
    found = []
    for it in json.loads(listed):
        name = canonicalize_name(it["name"])
        new = possible.get(name, "")
        jump = find_jump(it["version"], new) if new else ""
        versions = (it["version"], it["latest_version"], new, jump)
        found.append(Outdated(name, *versions, name in direct))
    return sorted(found, key=lambda it: (JUMPS.index(it.jump), not it.direct, it.name))


def read_plan(plan: str) -> dict[str, str]:
    """Return the versions that `uv lock --upgrade --dry-run` says it would lock."""
    lines = re.findall(r"^Update (\S+) v\S.* -> v(\S+)$", plan, re.MULTILINE)
    return {canonicalize_name(name): version for name, version in lines}


def describe(outdated: Sequence[Outdated], number: int) -> str:
    """Return the report on so many installed packages."""
    lines = [f"### 🕰️ {TITLE}\n", f"{len(outdated)} of {number} packages have a newer version.\n"]
    if not outdated:
        return "\n".join(lines)
    rows = [
        [
            *map(plain, (it.name, it.current, it.possible or "held back", it.latest)),
            it.jump,
            "direct" if it.direct else "transitive",
        ]
        for it in outdated
    ]
    head = ["Package", "Current", "Possible now", "Latest", "Jump", "Kind"]
    lines += [table(head, rows), "**What to do first**\n"]
    easy = [f"--upgrade-package {it.name}" for it in outdated if it.jump in {"patch", "minor"}]
    if easy:
        lines.append(f"1. Patch and minor together, then the tests: `uv lock {' '.join(easy)}`\n")
    if major := [it.command for it in outdated if it.jump == "major"]:
        commands = ", ".join(f"`{command}`" for command in major)
        lines.append(f"1. Major ones one by one, after their changelogs: {commands}\n")
    if held := [it.name for it in outdated if it.possible != it.latest]:
        lines.append(
            f"1. Bounds keep the latest out for {', '.join(held)}: `uv tree --invert --package "
            "NAME` shows whose; raise ours in `pyproject.toml`, wait for those of others.\n"
        )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Report; return 0, or 2 if the package index could not be asked."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=Path("outdated-report"), metavar="DIR")
    options = parser.parse_args(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    here = f"--python={sys.executable}"
    try:
        plan = read_plan(_ask("lock", "--upgrade", "--dry-run").stderr)
        listed = _ask("pip", "list", "--outdated", "--format=json", here).stdout
        number = len(json.loads(_ask("pip", "list", "--format=json", here).stdout))
        if not number:
            raise CouldNotLookError("No package is installed")  # noqa: TRY301
        direct = lockfile.find_direct(Path("pyproject.toml").read_text(encoding="utf-8"))
    except (CouldNotLookError, OSError, ValueError) as error:
        annotate("error", TITLE, f"Could not look for newer versions. {quote(str(error), 500)}")
        text = f"Could not look for newer versions. {plain(str(error), 1000)}"
        summarize(f"### ❌ {TITLE}\n\n{text}\n")
        return 2
    outdated = find_outdated(listed, direct, plan)
    report = describe(outdated, number)
    (options.output / "report.md").write_text(report, encoding="utf-8")
    facts = [asdict(it) | {"command": it.command} for it in outdated]
    (options.output / "report.json").write_text(json.dumps(facts, indent=2), encoding="utf-8")
    summarize(report)
    print(report)
    return 0


def _ask(*arguments: str) -> "subprocess.CompletedProcess[str]":
    try:
        return subprocess.run(
            [UV, *arguments], check=True, text=True, capture_output=True, timeout=180
        )
    except subprocess.CalledProcessError as error:
        raise CouldNotLookError(f"uv {arguments[0]}: {error.stderr.strip()}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CouldNotLookError(str(error)) from error


if __name__ == "__main__":
    sys.exit(main())
