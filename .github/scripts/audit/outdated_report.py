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
from dataclasses import dataclass
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
        direct: Whether the project asks for it itself.
    """

    name: str
    current: str
    latest: str
    possible: str
    jump: str
    direct: bool


def find_jump(current: str, latest: str) -> str:
    """Return what changes from one version to the other: `major`, `minor` or `patch`."""
    old, new = Version(current), Version(latest)
    if (old.epoch, old.major) != (new.epoch, new.major):
        return "major"
    return "minor" if old.minor != new.minor else "patch"


def find_outdated(
    listed: Sequence[Mapping[str, str]], direct: Collection[str], plan: str
) -> list[Outdated]:
    """Return the outdated packages, those worth doing first on top.

    Args:
        listed: What `uv pip list --outdated --format=json` prints.
        direct: Names of the packages that the project asks for itself.
        plan: What `uv lock --upgrade --dry-run` prints.
    """
    lines = re.findall(r"^Update (\S+) v\S.* -> .*?v?(\S+)$", plan, re.MULTILINE)
    possible = {canonicalize_name(name): version for name, version in lines}
    found = []
    for it in listed:
        name, current = canonicalize_name(it["name"]), it["version"]
        new = possible.get(name, "")
        jump = find_jump(current, new) if new else ""
        found.append(Outdated(name, current, it["latest_version"], new, jump, name in direct))
    return sorted(found, key=lambda it: (JUMPS.index(it.jump), not it.direct, it.name))


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
    options = {it.name: f"--upgrade-package {it.name}" for it in outdated}
    if easy := [options[it.name] for it in outdated if it.jump in {"patch", "minor"}]:
        lines.append(f"1. Patch and minor together, then the tests: `uv lock {' '.join(easy)}`\n")
    if major := [f"`uv lock {options[it.name]}`" for it in outdated if it.jump == "major"]:
        lines.append(f"1. Major ones one by one, after their changelogs: {', '.join(major)}\n")
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
        plan = _ask("lock", "--upgrade", "--dry-run").stderr
        listed = json.loads(_ask("pip", "list", "--outdated", "--format=json", here).stdout)
        number = len(json.loads(_ask("pip", "list", "--format=json", here).stdout))
        if not number:
            raise CouldNotLookError("No package is installed")  # noqa: TRY301
        direct = lockfile.find_direct(Path("pyproject.toml").read_text(encoding="utf-8"))
    except (CouldNotLookError, OSError, ValueError) as error:
        annotate("error", TITLE, f"Could not look for newer versions. {quote(str(error), 500)}")
        text = f"Could not look for newer versions. {plain(str(error), 1000)}"
        summarize(f"### ❌ {TITLE}\n\n{text}\n")
        return 2
    report = describe(find_outdated(listed, direct, plan), number)
    (options.output / "report.md").write_text(report, encoding="utf-8")
    (options.output / "report.json").write_text(json.dumps(listed, indent=2), encoding="utf-8")
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
