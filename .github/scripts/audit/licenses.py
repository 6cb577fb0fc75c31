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


@dataclass(frozen=True)
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
        unknown = [
            id_
            for id_, it in zip(denied, self._listed, strict=False)
            if it.family not in RECOGNISED or it.exception
        ]
        if unknown:
            raise ValueError(
                f"{unknown[0]} is recognised in SPDX expressions only, not by name or classifier, "
                "so packages that use it would pass: add how it is written to "
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
        if listed.exception != license_.exception and (listed.exception or not self.denies):
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
    named: list[tuple[Name, str]] = []
    understood = False
    for text in texts:
        expression = _find_expression(text)
        reading = read(text)
        understood |= bool(expression) or reading.understood
        named += [(name, "" if expression else text) for name in reading.names]
        if expression:
            judged.append(_Expression(expression, rules).judge())
        elif reading.restricted:
            reason = f"“{_shorten(text)}” restricts what one may do."
            judged.append(Judgement(Verdict.UNKNOWN, reason))
    versioned = {name.stem for name, _ in named if not name.is_open}
    judged += [
        _judge_name(name, text, rules)
        for name, text in named
        if text and not (name.is_open and name.stem in versioned)
    ]
    worst = max(judged, key=lambda it: it.verdict, default=Judgement(Verdict.ALLOWED))
    if worst.verdict is Verdict.ALLOWED and not understood:
        reason = f"“{_shorten(texts[0])}” is no licence that is known here."
        return Judgement(Verdict.UNKNOWN, reason)
    return worst


class _Expression:
    """A valid SPDX expression: AND binds tighter than OR, WITH tighter than both."""

    def __init__(self, text: str, rules: Rules) -> None:
        self._tokens = re.findall(r"[()]|[^\s()]+", text)
        self._rules = rules

    def judge(self) -> Judgement:
        """One alternative that is allowed is enough; every part of an AND counts."""
        alternatives = [self._judge_all()]
        while self._take("OR"):
            alternatives.append(self._judge_all())
        return min(alternatives, key=lambda it: it.verdict)

    def _judge_all(self) -> Judgement:
        parts = [self._judge_one()]
        while self._take("AND"):
            parts.append(self._judge_one())
        return max(parts, key=lambda it: it.verdict)

    def _judge_one(self) -> Judgement:
        if self._take("("):
            inner = self.judge()
            self._take(")")
            return inner
        id_ = self._tokens.pop(0)
        exception = self._tokens.pop(0) if self._take("WITH") else ""
        license_ = parse(f"{id_} WITH {exception}" if exception else id_)
        verdict = self._rules.judge(license_)
        if verdict is Verdict.FORBIDDEN:
            hint = f" The exception {exception} may allow it: read it." if exception else ""
            listed = "on the list of denied" if self._rules.denies else "not among the allowed"
            return Judgement(verdict, f"{id_} is {listed} licences.{hint}")
        if verdict is Verdict.UNKNOWN:
            return Judgement(verdict, f"{id_} is a licence of the package's own.")
        return Judgement(verdict)

    def _take(self, token: str) -> bool:
        if self._tokens[:1] == [token]:
            self._tokens.pop(0)
            return True
        return False


def _find_expression(text: str) -> str:
    try:
        return canonicalize_license_expression(text)
    except InvalidLicenseExpression:
        return ""


def _judge_name(name: Name, text: str, rules: Rules) -> Judgement:
    verdicts = {rules.judge(it) for it in name.licenses}
    meant = " or ".join(sorted(map(str, name.licenses)))
    text = text.rpartition(" :: ")[2]  # of a classifier, what is not in front of every one
    place = text if len(text) <= LONGEST else f"…{name.place}…"
    if len(verdicts) > 1:
        return Judgement(Verdict.UNKNOWN, f"“{_shorten(place)}” does not say which: {meant}.")
    return Judgement(verdicts.pop(), f"“{_shorten(place)}” means {meant}.")


def _shorten(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else f"{line[:LONGEST]}…"
