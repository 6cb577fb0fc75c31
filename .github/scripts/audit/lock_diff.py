#!/usr/bin/env python3
"""Say what a change does to uv.lock: packages added, removed and replaced.

For what is new it says the licence and the known vulnerabilities. It reports and never fails for
what it finds: the vulnerability scan and the licence check are the gates.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from audit.advisories import CouldNotScanError, Finding, ask_uv
from lib import lockfile
from lib.environments import CouldNotListError, install, list_packages
from lib.lockfile import Locked
from lib.markdown import plain, table
from lib.workflow_commands import annotate, summarize
from packaging.version import InvalidVersion, Version

LOCK = "uv.lock"
TITLE = "Changes of the lock file"
UNKNOWN = "not known"


@dataclass(frozen=True)
class Change:
    """What happened to one package; `old` and `new` are its versions, separated by commas."""

    kind: str
    name: str
    old: str = ""
    new: str = ""
    warning: str = ""


def compare(base: set[Locked], head: set[Locked]) -> list[Change]:
    """Return the changes from one lock to the other, those to look at first."""
    names = {it.name for it in base ^ head}
    changes = [
        _compare(name, *({it for it in lock if it.name == name} for lock in (base, head)))
        for name in names
    ]
    order = ["hashes", "source", "added", "downgraded", "upgraded", "changed", "removed"]
    return sorted(changes, key=lambda it: (order.index(it.kind), it.name))


def _compare(name: str, base: set[Locked], head: set[Locked]) -> Change:
    old, new = (", ".join(sorted(it.version for it in lock)) for lock in (base, head))
    if not base:
        warning = "; ".join(sorted({f"comes from {it.source}" for it in head if it.source}))
        return Change("added", name, old, new, warning)
    if not head:
        return Change("removed", name, old, new)
    if sources := {it.source for it in head} - {it.source for it in base}:
        places = ", ".join(it or "the package index" for it in sorted(sources))
        return Change("source", name, old, new, f"now comes from {places}")
    if old == new:
        before, after = ({hash_ for it in lock for hash_ in it.hashes} for lock in (base, head))
        only_more_or_less = before <= after or after <= before
        if only_more_or_less:
            return Change("changed", name, old, new, "other set of files")
        return Change("hashes", name, old, new, "same version, other contents")
    return Change(_find_direction(old, new), name, old, new)


def _find_direction(old: str, new: str) -> str:
    try:
        return "upgraded" if Version(old) < Version(new) else "downgraded"
    except InvalidVersion:
        return "changed"


def read_base(revision: str) -> str:
    """Return the lock file as it was; empty if there was none.

    Raises:
        ValueError: The revision is not here.
    """
    if _git("cat-file", "-e", f"{revision}^{{commit}}") is None:
        raise ValueError(f"the commit {revision} is not here: check out with a depth of 2")
    return _git("show", f"{revision}:{LOCK}") or ""


def _git(*arguments: str) -> str | None:
    done = subprocess.run(["git", *arguments], check=False, text=True, capture_output=True)
    return done.stdout if done.returncode == 0 else None


def find_licenses(changes: Sequence[Change]) -> dict[str, str]:
    """Return the licences of the new packages; one that cannot be installed here is left out."""
    wanted = [f"{it.name}=={it.new}" for it in changes if "," not in it.new]
    with tempfile.TemporaryDirectory() as directory:
        try:
            install(wanted, Path(directory) / "environment")
            packages = list_packages(Path(directory) / "environment")
        except CouldNotListError as error:
            print(error, file=sys.stderr)
            return {}
    return {lockfile.normalize(it.name): it.license for it in packages}


def find_vulnerabilities(timeout: float) -> dict[str, list[Finding]] | None:
    """Return the findings of each locked package; None if nobody answered."""
    with tempfile.TemporaryDirectory() as directory:
        try:
            scan = ask_uv([], Path(directory) / "audit", timeout)
        except CouldNotScanError as error:
            annotate("notice", TITLE, f"Vulnerabilities are not known here: {error}.")
            return None
    found: dict[str, list[Finding]] = {}
    for finding in scan.findings:
        found.setdefault(finding.package, []).append(finding)
    return found


def describe(
    changes: Sequence[Change],
    licenses: Mapping[str, str],
    findings: Mapping[str, Sequence[Finding]] | None,
) -> str:
    """Return the report."""
    lines = [f"### 📦 {TITLE}\n"]
    if not changes:
        return "\n".join([*lines, f"`{LOCK}` locks the same packages as before.\n"])
    rows = []
    for it in changes:
        is_new = it.kind != "removed"
        found = findings.get(it.name, []) if findings is not None else []
        known = ", ".join(plain(finding.ids[0]) for finding in found)
        none = "none" if findings is not None else UNKNOWN
        rows.append(
            [
                {"source": "⚠️ source", "hashes": "⚠️ contents"}.get(it.kind, it.kind),
                plain(it.name),
                plain(it.old),
                plain(it.new),
                plain(licenses.get(it.name, UNKNOWN)) if is_new else "",
                (f"❌ {known}" if known else none) if is_new else "",
                plain(it.warning),
            ]
        )
    head = ["Change", "Package", "Before", "After", "Licence", "Known vulnerabilities", "Note"]
    return "\n".join([*lines, table(head, rows)])


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare; return 0, or 2 if the lock files could not be read."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("base", help="the commit to compare the working tree with, such as HEAD^1")
    parser.add_argument("--timeout", type=float, default=60, help="seconds for the vulnerabilities")
    options = parser.parse_args(arguments)
    try:
        base = lockfile.read(read_base(options.base))
        changes = compare(base, lockfile.read(Path(LOCK).read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        annotate("error", TITLE, f"The lock files could not be compared: {error}")
        summarize(f"### ❌ {TITLE}\n\nThey could not be compared: {plain(str(error), 1000)}\n")
        return 2
    new = [it for it in changes if it.kind != "removed"]
    report = describe(
        changes,
        find_licenses(new) if new else {},
        find_vulnerabilities(options.timeout) if new else {},
    )
    summarize(report)
    print(report)
    for it in changes:
        if it.kind in {"hashes", "source"}:
            annotate("warning", TITLE, f"{it.name} {it.new}: {it.warning}. Look at it closely.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
