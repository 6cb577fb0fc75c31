"""Judge licences: SPDX expressions, classifiers, names and whole texts."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import IntEnum

from audit.license_names import RECOGNISED, License, Name, parse, read
from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

NAMELESS = {"", "UNKNOWN", "NONE", "OTHER", "LICENSE", "N/A"}
LONGEST = 120


class Verdict(IntEnum):
    """What a licence means for the gate, the worst last."""

    ALLOWED = 0
    UNKNOWN = 1
    FORBIDDEN = 2


@dataclass(frozen=True, order=True)
class Judgement:
    """A verdict and its reason."""

    verdict: Verdict
    reason: str = ""


class Rules:
    """Which licences are let through: all but the denied ones, or none but the allowed ones.

    Args:
        denied: SPDX ids that are forbidden.
        allowed: SPDX ids, beside which all others are forbidden; not together with `denied`.

    Raises:
        ValueError: An id is none; both lists or neither have entries; or no way of writing a
            denied id outside of an expression is known here, so that the check would miss it.
    """

    def __init__(self, denied: Collection[str] = (), allowed: Collection[str] = ()) -> None:
        if bool(denied) == bool(allowed):
            raise ValueError(
                "list either the licences that are denied or those that are allowed; "
                "license-check: false judges none"
            )
        self.denies = bool(denied)
        self._listed = [parse(id_) for id_ in denied or allowed]
        for id_, listed in zip(denied, self._listed, strict=False):
            if listed.family not in RECOGNISED or listed.exception:
                raise ValueError(
                    f"{id_} is recognised in SPDX expressions only, not by name or classifier, so "
                    "packages that use it would pass: add how it is written to "
                    ".github/scripts/audit/license_names.py"
                )

    def judge(self, license_: License) -> Verdict:
        """Judge one licence."""
        if any(self._fits(license_, listed) for listed in self._listed):
            return Verdict.FORBIDDEN if self.denies else Verdict.ALLOWED
        if not self.denies:
            return Verdict.FORBIDDEN
        is_own = license_.family.startswith("licenseref-")
        return Verdict.UNKNOWN if is_own else Verdict.ALLOWED

    def _fits(self, license_: License, listed: License) -> bool:
        """Say whether a licence is a listed one; who may choose a version may have each of them."""
        if license_.family != listed.family:
            return False
        if listed.exception != license_.exception and not self.denies:
            return False
        if license_.version == listed.version:
            return True
        if listed.later and license_.version > listed.version:
            return True
        return not self.denies and license_.later and license_.version < listed.version


def judge(texts: str | Sequence[str], rules: Rules) -> Judgement:
    """Judge all that a package says of its licence; every licence that it names counts.

    Args:
        texts: SPDX expressions, classifiers, names or whole texts.
        rules: What is forbidden.
    """
    texts = [texts] if isinstance(texts, str) else texts
    texts = [text.strip() for text in texts if text.strip().upper() not in NAMELESS]
    if not texts:
        return Judgement(Verdict.UNKNOWN, "The package names no licence.")
    judged: list[Judgement] = []
    names: list[Name] = []
    certain: set[str] = set()  # families whose version is known
    understood = False
    for text in texts:
        reading = read(text)
        certain |= {name.stem for name in reading.names if not name.is_open}
        if expression := _find_expression(text):
            understood = True
            judged.append(_judge_expression(expression, rules))
            continue
        understood |= reading.understood
        names += reading.names
        if reading.restricted:
            reason = f"“{_shorten(text)}” restricts what one may do."
            judged.append(Judgement(Verdict.UNKNOWN, reason))
    judged += [
        _judge_name(name, rules) for name in names if not (name.is_open and name.stem in certain)
    ]
    worst = max(judged, default=Judgement(Verdict.ALLOWED))
    if worst.verdict is Verdict.ALLOWED and not understood:
        reason = f"“{_shorten(texts[0])}” is no licence that is known here."
        return Judgement(Verdict.UNKNOWN, reason)
    return worst


def _find_expression(text: str) -> str:
    try:
        return canonicalize_license_expression(text)
    except InvalidLicenseExpression:
        return ""


def _judge_expression(text: str, rules: Rules) -> Judgement:
    """Judge a valid expression: of an AND the worst counts; of an OR what is allowed, if any is."""
    inner: dict[str, Judgement] = {}

    def judge_flat(flat: str) -> Judgement:
        """Judge an expression without parentheses: AND binds tighter than OR."""
        choices = [
            max(inner.get(id_) or _judge_id(id_, rules) for id_ in part.split(" AND "))
            for part in flat.split(" OR ")
        ]
        # nobody has an unknown licence, such as one that is for sale, by choosing it
        return min(choices, key=lambda one: (bool(one.verdict), -one.verdict))

    while match := re.search(r"\(([^()]+)\)", text):
        key = f"#{len(inner)}"
        inner[key] = judge_flat(match[1].strip())
        text = f"{text[: match.start()]}{key}{text[match.end() :]}"
    return judge_flat(text)


def _judge_id(id_: str, rules: Rules) -> Judgement:
    license_ = parse(id_)
    verdict = rules.judge(license_)
    listed = "on the list of denied" if rules.denies else "not among the allowed"
    hint = " Its exception may allow it: read it." if license_.exception else ""
    reasons = {
        Verdict.FORBIDDEN: f"{id_} is {listed} licences.{hint}",
        Verdict.UNKNOWN: f"{id_} is a licence of the package's own.",
    }
    return Judgement(verdict, reasons.get(verdict, ""))


def _judge_name(name: Name, rules: Rules) -> Judgement:
    verdicts = {rules.judge(license_) for license_ in name.licenses}
    meant = " or ".join(sorted(map(str, name.licenses)))
    if len(verdicts) > 1:
        reason = f"“{_shorten(name.text)}” does not say which: {meant}."
        return Judgement(Verdict.UNKNOWN, reason)
    return Judgement(verdicts.pop(), f"“{_shorten(name.text)}” means {meant}.")


def _shorten(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else f"{line[:LONGEST]}…"
