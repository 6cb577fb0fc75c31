"""Judge licences: SPDX expressions, classifiers and free text."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from enum import IntEnum

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

LONGEST = 200
KNOWN = re.compile(
    r"\b(?:0BSD|Apache|Artistic|Boost|BSD|BSL|CC0|Eclipse|EPL|ISC|LGPL|Lesser|Library|MIT|Mozilla|"
    r"MPL|PostgreSQL|PSF|Python Software Foundation|Public Domain|Unlicense|ZPL|Zlib|Zope)",
    re.IGNORECASE,
)
"""Words by which a licence is known that no list of ours forbids."""

COPYLEFT = re.compile(
    r"(?P<affero>\bAffero\b|\bA(?=GPL))?.{0,9}?"
    r"(?:\bGPL|(?<=A)GPL|\bGeneral\s+Public\s+Licen[cs]e)(?P<rest>[^;/]*)",
    re.IGNORECASE,
)
LESSER = re.compile(r"\b(?:L-?GPL|(?:Lesser|Library)\s+General\s+Public)", re.IGNORECASE)
VERSION = re.compile(r"(?:v|version)?[\s.-]*(?<![\d.])(\d)(?:\.\d)?", re.IGNORECASE)


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


def judge(text: str, denied: Collection[str]) -> Judgement:
    """Judge a licence as a package names it.

    Args:
        text: An SPDX expression; classifiers or names, joined by semicolons; or free text.
        denied: The SPDX ids that are forbidden.
    """
    unnamed = Judgement(Verdict.UNKNOWN, "The package names no licence.")
    if text.strip().upper() in {"", "UNKNOWN", "NONE", "OTHER", "LICENSE"}:
        return unnamed
    forbidden = {it.lower() for it in denied}
    try:
        expression = canonicalize_license_expression(text)
    except InvalidLicenseExpression:
        text = text[:LONGEST]  # of a whole licence the title says enough
        parts = [_judge_words(part, forbidden) for part in text.split(";") if part.strip()]
        return max(parts, key=lambda it: it.verdict, default=unnamed)
    return _Expression(expression, forbidden).judge()


class _Expression:
    """A valid SPDX expression: AND binds tighter than OR, WITH tighter than both."""

    def __init__(self, text: str, denied: Collection[str]) -> None:
        self._tokens = re.findall(r"[()]|[^\s()]+", text)
        self._denied = denied

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
        family = re.sub(r"(\+|-with-.*)$", "", id_.lower())
        if family in self._denied:
            hint = f" The exception {exception} may allow it: read it." if exception else ""
            return Judgement(Verdict.FORBIDDEN, f"{id_} is on the list of denied licences.{hint}")
        if family.startswith("licenseref-"):
            return Judgement(Verdict.UNKNOWN, f"{id_} is a licence of the package's own.")
        return Judgement(Verdict.ALLOWED)

    def _take(self, token: str) -> bool:
        if self._tokens[:1] == [token]:
            self._tokens.pop(0)
            return True
        return False


def _judge_words(text: str, denied: Collection[str]) -> Judgement:
    match = COPYLEFT.search(LESSER.sub(" ", text))
    if match:
        family = "AGPL" if match["affero"] else "GPL"
        version = VERSION.search(match["rest"])
        if version and f"{family}-{version[1]}.0".lower() in denied:
            return Judgement(Verdict.FORBIDDEN, f"“{text.strip()}” means {family}-{version[1]}.0.")
        if not version and any(it.startswith(f"{family}-".lower()) for it in denied):
            return Judgement(Verdict.UNKNOWN, f"“{text.strip()}” does not say which {family}.")
        return Judgement(Verdict.ALLOWED)
    if KNOWN.search(text):
        return Judgement(Verdict.ALLOWED)
    return Judgement(Verdict.UNKNOWN, f"“{text.strip()}” is no licence that is known here.")
