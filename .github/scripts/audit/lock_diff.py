#!/usr/bin/env python3
"""Say what a change does to uv.lock, and warn of what a reader of pull requests has to look at.

It fails where a package comes from a registry or file host that it did not come from before and
that allow-registries in .github/dependency-review-config.yml does not name. Advisories and licences
are judged by the vulnerability scan and the licence check.
"""

import argparse
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from packaging.version import InvalidVersion, Version

sys.path.insert(0, str(Path(__file__).parents[1]))
from audit.policy import CONFIG, read_list, read_options
from audit.tools import give_up, hand_over
from lib import lockfile
from lib.git import Git, GitError
from lib.lockfile import REGISTRY, Locked
from lib.markdown import plain, table
from lib.workflow_commands import annotate

LOCK = "uv.lock"
TITLE = "Changes of the lock file"
MOST = 100
"""Rows and annotations: GitHub shows no more."""


@dataclass(frozen=True)
class Change:
    """What happened to a package.

    Attributes:
        name: Its name.
        old: Its versions, separated by commas; empty if it was added.
        new: The same; empty if it was removed.
        warnings: What to look at.
        errors: Places that nobody allowed.
    """

    name: str
    old: str = ""
    new: str = ""
    warnings: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()


def compare(
    base: Collection[Locked], head: Collection[Locked], allowed: Collection[str] = ()
) -> list[Change]:
    """Return the changes from one lock to the other, those to look at first.

    Args:
        base: The packages as they were; none if there was no lock.
        head: The packages as they are.
        allowed: Registries and file hosts that are allowed.
    """
    everywhere = _find_places(base)
    changes = []
    for name in {package.name for package in {*base} ^ {*head}}:
        old, new = ([one for one in lock if one.name == name] for lock in (base, head))
        known = _find_places(old) if old else everywhere
        foreign = _find_places(new) - known if base else set()
        errors = [f"comes from {one}" for one in sorted(foreign) if not _is_allowed(one, allowed)]
        was, now = (", ".join(sorted({one.version for one in lock})) for lock in (old, new))
        changes.append(Change(name, was, now, tuple(_find_warnings(old, new)), tuple(errors)))
    return sorted(changes, key=lambda change: (not change.errors, not change.warnings, change.name))


def _find_warnings(old: list[Locked], new: list[Locked]) -> Iterator[str]:
    """Yield what is odd about a package beside its places."""
    if _is_downgrade(*({package.version for package in lock} for lock in (old, new))):
        yield "an older version than before"
    sources = {package.source for package in old}
    for package in new:
        if package.kind != REGISTRY and package.source not in sources:
            yield f"comes from {package.source}, not from a registry"
        if package.kind == REGISTRY and (
            bare := [file.name for file in package.files if not file.hash]
        ):
            yield f"no hash: {', '.join(sorted(bare))}"
        if package.kind == REGISTRY and not package.files:
            yield f"{package.version} has no file, so no hash"
        same = [was for was in old if was.version == package.version]
        for was in [was for was in same if was.source == package.source] or same:
            yield from _find_edits(was, package)


def _find_edits(old: Locked, new: Locked) -> Iterator[str]:
    """Yield what is other about a version that stays, which a registry never changes."""
    before, after = ({file.name: file for file in lock.files} for lock in (old, new))
    if other := [name for name in before.keys() & after if before[name].hash != after[name].hash]:
        yield f"same version, other contents: {', '.join(sorted(other))}"
    if added := after.keys() - before:
        yield f"files added to a version that was there: {', '.join(sorted(added))}"
    if changed := old.needs ^ new.needs:
        signs = [f"{'+' if one in new.needs else '-'} {one}" for one in sorted(changed)]
        yield f"same version, other dependencies: {'; '.join(signs)}"


def _is_downgrade(before: set[str], after: set[str]) -> bool:
    """Say whether a version went down; where there are several, whether any of them did."""
    try:
        old, new = (sorted(map(Version, versions)) for versions in (before, after))
    except InvalidVersion:
        return False
    gone = [one for one in old if one not in new] or old
    pairs = zip(gone, [one for one in new if one not in old], strict=False)
    return any(one > other for one, other in pairs) or bool(old and new and old[-1] > new[-1])


def _find_places(packages: Iterable[Locked]) -> set[str]:
    """Return the registries and file hosts of packages; none of those from elsewhere."""
    places = set()
    for package in packages:
        if package.kind == REGISTRY:
            local = "file:" if "://" in package.place else package.place
            places |= {package.place, *(file.host or local for file in package.files)}
    return places


def _is_allowed(place: str, allowed: Collection[str]) -> bool:
    """Say whether a place is one of the allowed ones: the same address, or the same host."""
    addresses = [one if "/" in one else f"https://{one}" for one in allowed]
    hosts = {"://".join(urlsplit(address)[:2]) for address in addresses}
    return place.rstrip("/") in {*hosts, *(address.rstrip("/") for address in addresses)}


def find_settings(base: str, head: str) -> list[str]:
    """Return what two lock files say differently beside their packages.

    Raises:
        ValueError: One of them is not a lock file.
    """
    old, new = (lockfile.read_settings(text) for text in (base, head))
    return sorted(key for key in old.keys() | new if old.get(key) != new.get(key))


def read_base(revision: str) -> str:
    """Return the lock file as it was; empty if there was none.

    Raises:
        ValueError: The revision is not here.
    """
    git = Git()
    if not git.find(revision):
        raise ValueError(f"the commit {revision} is not here: check out with a depth of 2")
    try:
        return git("show", f"{revision}:{LOCK}")
    except GitError:
        return ""


def describe(changes: Sequence[Change], settings: Sequence[str]) -> str:
    """Return the report: a row for what to look at, a number for the rest."""
    failed = any(change.errors for change in changes)
    lines = [f"### {'❌' if failed else '📦'} {TITLE}\n"]
    if settings:
        names = ", ".join(map(plain, settings))
        lines.append(f"Other than the packages, this changed in `{LOCK}`: {names}.\n")
    if not changes:
        lines.append(f"`{LOCK}` locks the same packages, from the same places.\n")
    rows = []
    for change in changes:
        notes = [f"❌ {plain(text, 600)}" for text in change.errors]
        notes += [f"⚠️ {plain(text, 600)}" for text in change.warnings]
        if notes:
            rows.append([*map(plain, (change.name, change.old, change.new)), "; ".join(notes)])
    if changes:
        lines.append(f"Packages that changed: {len(changes)}, to look at: {len(rows)}.\n")
    if rows:
        lines.append(table(["Package", "Before", "After", "Look at"], rows[:MOST]))
    if failed:
        lines.append(WHAT_TO_DO)
    return "\n".join(lines)


WHAT_TO_DO = (
    "**A package comes from a place that it did not come from before.** Whoever controls that "
    "place decides what is installed. If the change is meant, add the address to "
    f"`allow-registries` in `{CONFIG}`; if not, restore `{LOCK}` from the base branch and run "
    "`uv lock`.\n"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare; return 0, 1 for a place that is not allowed, 2 if a lock could not be read."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("base", help="the commit to compare the working tree with, such as HEAD^1")
    options = parser.parse_args(arguments)
    try:
        old, new = read_base(options.base), Path(LOCK).read_text(encoding="utf-8")
        allowed = read_list(read_options(CONFIG), "allow-registries")
        changes = compare(lockfile.read(old), lockfile.read(new), allowed)
        settings = find_settings(old, new) if old else []
    except (OSError, ValueError) as error:
        return give_up(TITLE, error)
    hand_over(describe(changes, settings))
    for change in changes[:MOST]:
        advice = f"if that is meant, add it to allow-registries in {CONFIG}"
        for text in change.errors:
            annotate("error", TITLE, f"{change.name}: {text}; {advice}.")
        for text in change.warnings:
            annotate("warning", TITLE, f"{change.name} {change.new}: {text}.")
    if other := [key for key in settings if key != "project"]:
        annotate("warning", TITLE, f"{LOCK} has another {', '.join(other)}.")
    return int(any(change.errors for change in changes))


if __name__ == "__main__":
    sys.exit(main())
