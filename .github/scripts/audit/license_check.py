#!/usr/bin/env python3
"""Judge the licences of the locked packages: production ones must pass, the others are reported.

The denied licences, and the packages that somebody looked into, are those of the dependency review.
"""

import argparse
import sys
import tempfile
import tomllib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

sys.path.insert(0, str(Path(__file__).parents[1]))
from audit.licenses import Judgement, Verdict, judge
from lib.environments import CouldNotListError, Package, list_packages, show, sync
from lib.markdown import link, plain, quote, table
from lib.workflow_commands import annotate, summarize

CONFIG = Path(".github/dependency-review-config.yml")
TITLE = "Licence check"
GATE = "production"
SELECTIONS = {GATE: ["--no-default-groups"], "development": ["--only-group=dev"]}
MARKS = {Verdict.FORBIDDEN: "❌ forbidden", Verdict.UNKNOWN: "⚠️ unknown"}


@dataclass(frozen=True)
class Judged:
    """A package and what its licence means."""

    package: Package
    judgement: Judgement


@dataclass(frozen=True)
class Policy:
    """Denied licences as SPDX ids, and packages (lower case) that are let through."""

    denied: Collection[str]
    looked_into: Collection[str]

    @classmethod
    def read(cls, file: Path) -> "Policy":
        """Read the configuration of the dependency review.

        Raises:
            ValueError: It denies no licence, or is not readable.
        """
        try:
            content = yaml.safe_load(file.read_text(encoding="utf-8"))
            allowed = content.get("allow-dependencies-licenses") or []
            policy = cls(
                list(content["deny-licenses"]),
                {it.removeprefix("pkg:pypi/").partition("@")[0].lower() for it in allowed},
            )
        except (AttributeError, LookupError, OSError, TypeError, yaml.YAMLError) as error:
            raise ValueError(f"{file} cannot be read: {error!r}") from error
        if not policy.denied:
            raise ValueError(f"{file} denies no licence")
        return policy

    def judge(self, package: Package) -> Judged:
        """Judge a package."""
        if package.name.lower() in self.looked_into:
            return Judged(package, Judgement(Verdict.ALLOWED, "looked into"))
        return Judged(package, judge(package.license, self.denied))


def check(name: str, selection: Sequence[str], policy: Policy, folder: Path) -> list[Judged]:
    """Judge a selection of packages, and keep what pip-licenses says of them.

    Args:
        name: What the selection is called.
        selection: Options of uv that make it.
        policy: The policy.
        folder: Where the reports go.

    Raises:
        CouldNotListError: The packages could not be installed or listed.
    """
    with tempfile.TemporaryDirectory() as directory:
        environment = Path(directory) / "environment"
        sync(selection, environment)
        for suffix, form in {"md": "markdown", "json": "json"}.items():
            text = show(environment, form)
            (folder / f"{name}.{suffix}").write_text(text, encoding="utf-8")
        packages = list_packages(environment)
    if not packages:
        raise CouldNotListError(f"pip-licenses listed no {name} package")
    return [policy.judge(it) for it in packages]


def find_elsewhere(judged: Sequence[Judged], lock: Path) -> list[str]:
    """Return the locked packages that were not judged, because other platforms need them."""
    seen = {_normalize(it.package.name) for it in judged}
    packages = tomllib.loads(lock.read_text(encoding="utf-8"))["package"]
    return sorted(
        {
            it["name"]
            for it in packages
            if not it["source"].keys() & {"editable", "virtual"} and it["name"] not in seen
        }
    )


def describe(judged: dict[str, list[Judged]], elsewhere: Sequence[str]) -> str:
    """Return the report."""
    fails = any(it.judgement.verdict is Verdict.FORBIDDEN for it in judged[GATE])
    rows = [
        [name, str(len(found)), *(str(count) for count in _count(found))]
        for name, found in judged.items()
    ]
    head = ["Dependencies", "Packages", "Forbidden", "Unknown"]
    lines = [f"### {'❌' if fails else '✅'} {TITLE}\n", table(head, rows)]
    noted = [
        [
            MARKS[it.judgement.verdict],
            link(it.package.name, it.package.address),
            plain(it.package.version),
            plain(it.package.license),
            plain(it.judgement.reason),
            name,
        ]
        for name, found in judged.items()
        for it in sorted(found, key=lambda it: -it.judgement.verdict)
        if it.judgement.verdict
    ]
    if noted:
        head = ["Verdict", "Package", "Version", "Licence", "Why", "Dependencies"]
        lines += [table(head, noted), WHAT_TO_DO]
    if elsewhere:
        lines.append(
            f"Not judged, other platforms need them: {', '.join(map(plain, elsewhere))}.\n"
        )
    return "\n".join(lines)


WHAT_TO_DO = (
    "A forbidden licence stops production dependencies only: what is merely run while developing "
    "is not passed on. Replace the package; or, once somebody has read its licence and may decide, "
    f"add `pkg:pypi/NAME` to `allow-dependencies-licenses` in `{CONFIG}`. The same for an unknown "
    "licence: its home page or its `LICENSE` file says what it is.\n"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Check; return 0 if production may use all it uses, 1 if not, 2 if that is not known."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=Path("license-report"), metavar="DIR")
    options = parser.parse_args(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    try:
        policy = Policy.read(CONFIG)
        judged = {
            name: check(name, selection, policy, options.output)
            for name, selection in SELECTIONS.items()
        }
    except (CouldNotListError, ValueError) as error:
        annotate("error", TITLE, f"Could not judge the licences. {quote(str(error), 500)}")
        summarize(f"### ❌ {TITLE}\n\nCould not judge the licences. {plain(str(error), 1000)}\n")
        return 2
    everything = [it for found in judged.values() for it in found]
    report = describe(judged, find_elsewhere(everything, Path("uv.lock")))
    (options.output / "report.md").write_text(report, encoding="utf-8")
    summarize(report)
    print(report)
    forbidden = [it for it in judged[GATE] if it.judgement.verdict is Verdict.FORBIDDEN]
    for it in forbidden:
        annotate("error", "Forbidden licence", f"{quote(it.package.name)}: {it.judgement.reason}")
    unknown = [it.package.name for it in judged[GATE] if it.judgement.verdict is Verdict.UNKNOWN]
    if unknown:
        annotate(
            "warning", "Unknown licence", f"{', '.join(unknown)}: the job summary says what to do."
        )
    return int(bool(forbidden))


def _count(found: Sequence[Judged]) -> list[int]:
    verdicts = [it.judgement.verdict for it in found]
    return [verdicts.count(verdict) for verdict in (Verdict.FORBIDDEN, Verdict.UNKNOWN)]


def _normalize(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


if __name__ == "__main__":
    sys.exit(main())
