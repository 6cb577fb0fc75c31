#!/usr/bin/env python3
"""Judge the licences of all locked packages: production ones must pass, the others are reported.

Production is what the project and its extras need, on any platform. Which licences are denied or
allowed, and which packages somebody looked into, is read from the configuration of the dependency
review, as GitHub's action reads it.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from packaging.licenses import canonicalize_license_expression
from packaging.utils import canonicalize_name

sys.path.insert(0, str(Path(__file__).parents[1]))
from audit.environments import find_licenses, install, list_packages
from audit.licenses import Judgement, Rules, Verdict, judge
from audit.policy import CONFIG, read_list, read_options
from audit.tools import NotKnownError, give_up, hand_over
from lib import lockfile
from lib.lockfile import Locked
from lib.markdown import link, plain, quote, table
from lib.workflow_commands import annotate

LOCK = Path("uv.lock")
OUTPUT = Path("license-report")
TITLE = "Licence check"
KINDS = ("production", "development")
MARKS = {Verdict.FORBIDDEN: "❌ forbidden", Verdict.UNKNOWN: "⚠️ unknown"}


@dataclass(frozen=True)
class Policy:
    """What is forbidden, and the packages (normalised names) that are let through.

    `rules` is None where the configuration turns the check of licences off.
    """

    rules: Rules | None
    looked_into: Collection[str]

    @classmethod
    def read(cls, file: Path) -> "Policy":
        """Read the configuration of the dependency review.

        Raises:
            ValueError: It cannot be read, or GitHub's action would refuse it.
        """
        options = read_options(file)
        try:
            addresses = read_list(options, "allow-dependencies-licenses")
            looked_into = {_read_address(address) for address in addresses}
            if options.get("license-check") is False:
                return cls(None, looked_into)
            denied, allowed = (read_list(options, f"{kind}-licenses") for kind in ("deny", "allow"))
            rules = Rules(denied, allowed)
        except ValueError as error:
            raise ValueError(f"{file}: {error}") from error
        for id_ in (*denied, *allowed):
            if id_ != (right := canonicalize_license_expression(id_)):
                raise ValueError(f"{file}: {id_} has to be {right}: GitHub's action takes no other")
        return cls(rules, looked_into)


def _read_address(address: str) -> str:
    """Return the normalised name of a package address; empty if it is of another ecosystem."""
    kind, _, rest = address.removeprefix("pkg:").partition("/")
    if not address.startswith("pkg:") or not rest:
        raise ValueError(f"allow-dependencies-licenses: {address!r} is not like pkg:pypi/NAME")
    name = unquote(rest.partition("@")[0].partition("?")[0].partition("#")[0])
    return canonicalize_name(name) if kind.lower() == "pypi" else ""


@dataclass(frozen=True)
class Judged:
    """A locked package, what its licence means, and what pip-licenses says of it, if anything."""

    locked: Locked
    judgement: Judgement
    row: Mapping[str, str] | None = None

    @property
    def fails(self) -> bool:
        """Whether it stops the check."""
        return self.locked.is_production and self.judgement.verdict is Verdict.FORBIDDEN


def check(packages: Sequence[Locked], policy: Policy, folder: Path) -> list[Judged]:
    """Judge packages, and keep what pip-licenses says of them.

    Args:
        packages: The packages; one that is there in two versions is judged twice.
        policy: The policy.
        folder: Where the reports go.

    Raises:
        NotKnownError: None of the packages could be installed.
    """
    judged = []
    listed: dict[str, list[dict[str, str]]] = {kind: [] for kind in KINDS}
    with tempfile.TemporaryDirectory() as directory:
        for number, batch in enumerate(_split(packages)):
            environment = Path(directory) / str(number)
            refused = install(batch.values(), environment)
            found = {str(canonicalize_name(row["Name"])): row for row in list_packages(environment)}
            if not found:
                raise NotKnownError(next(iter(refused.values()), "no package is locked"))
            judged += [
                _judge(
                    locked,
                    found.get(name),
                    refused.get(locked, "its metadata is not there"),
                    policy,
                )
                for name, locked in batch.items()
            ]
            for name, row in found.items():
                listed[batch[name].dependencies].append(row)
    for kind, rows in listed.items():
        cells = [
            [link(row["Name"], row["URL"]), plain(row["Version"]), _show_licenses(row)]
            for row in rows
        ]
        markdown = table(["Name", "Version", "License"], cells)
        (folder / f"{kind}.md").write_text(markdown, encoding="utf-8")
        text = json.dumps(rows, indent=2, ensure_ascii=False)
        (folder / f"{kind}.json").write_text(f"{text}\n", encoding="utf-8")
    return judged


def _split(packages: Iterable[Locked]) -> list[dict[str, Locked]]:
    """Return packages by name: one that is there in two versions is in two environments."""
    batches: list[dict[str, Locked]] = [{}]
    for package in packages:
        if all(package.name in batch for batch in batches):
            batches.append({})
        next(one for one in batches if package.name not in one)[package.name] = package
    return batches


def _judge(locked: Locked, row: Mapping[str, str] | None, reason: str, policy: Policy) -> Judged:
    judgement = Judgement(Verdict.ALLOWED)
    if locked.name not in policy.looked_into and row is None:
        judgement = Judgement(Verdict.UNKNOWN, f"Not asked: {reason}")
    elif locked.name not in policy.looked_into and row and policy.rules:
        judgement = judge(find_licenses(row), policy.rules)
    return Judged(locked, judgement, row)


def _show_licenses(row: Mapping[str, str]) -> str:
    return plain("; ".join(find_licenses(row)), 120)


def describe(judged: Sequence[Judged]) -> str:
    """Return the report."""
    mark = "❌" if any(one.fails for one in judged) else "✅"
    rows = []
    for kind in KINDS:
        verdicts = [one.judgement.verdict for one in judged if one.locked.dependencies == kind]
        counts = [len(verdicts), *(verdicts.count(verdict) for verdict in MARKS)]
        rows.append([kind, *map(str, counts)])
    head = ["Dependencies", "Packages", "Forbidden", "Unknown"]
    lines = [f"### {mark} {TITLE}\n", table(head, rows)]
    noted = [one for one in judged if one.judgement.verdict]
    noted.sort(key=lambda one: (not one.fails, -one.judgement.verdict, one.locked))
    if noted:
        head = ["Verdict", "Package", "Version", "Licence", "Why", "Dependencies"]
        lines += [table(head, map(_describe_row, noted)), WHAT_TO_DO]
    return "\n".join(lines)


def _describe_row(judged: Judged) -> list[str]:
    return [
        MARKS[judged.judgement.verdict],
        link(judged.locked.name, judged.row["URL"] if judged.row else ""),
        plain(judged.locked.version),
        _show_licenses(judged.row) if judged.row else "",
        plain(judged.judgement.reason),
        judged.locked.dependencies,
    ]


WHAT_TO_DO = (
    "A forbidden licence stops production dependencies only: what is merely run while developing "
    "is not passed on. Replace the package; or, once somebody has read its licence and may decide, "
    f"add `pkg:pypi/NAME` to `allow-dependencies-licenses` in `{CONFIG}`. The same for an unknown "
    "licence: its home page or its `LICENSE` file says what it is. GitHub's dependency review "
    "reads the same list and judges some licences differently: it refuses `MIT OR GPL-3.0-only` "
    "and `GPL-2.0-or-later`, where this check lets one choose, and lets `MIT AND GPL-3.0-only` and "
    "`GPL-3.0-only WITH …` pass, where this check does not.\n"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Check; return 0 if production may use all it uses, 1 if not, 2 if that is not known."""
    argparse.ArgumentParser(description=__doc__).parse_args(arguments)
    OUTPUT.mkdir(exist_ok=True)
    try:
        policy = Policy.read(CONFIG)
        judged = check(lockfile.read(LOCK.read_text(encoding="utf-8")), policy, OUTPUT)
    except (NotKnownError, OSError, ValueError) as error:
        return give_up(TITLE, error)
    report = describe(judged)
    if policy.rules is None:
        note = f"license-check is false in {CONFIG}: no licence was judged."
        annotate("warning", TITLE, note)
        report = f"### ⚠️ {TITLE}\n\n{note}\n"
    hand_over(report, OUTPUT)
    for one in filter(lambda one: one.fails, judged):
        annotate("error", "Forbidden licence", f"{one.locked.name}: {quote(one.judgement.reason)}")
    of_production = [one for one in judged if one.locked.is_production]
    if unknown := [
        one.locked.name for one in of_production if one.judgement.verdict is Verdict.UNKNOWN
    ]:
        text = f"{', '.join(unknown)}: the job summary says what to do."
        annotate("warning", "Unknown licence", text)
    return int(any(one.fails for one in judged))


if __name__ == "__main__":
    sys.exit(main())
