"""Find the licences that a text names: ids, names, classifiers, notices and whole licences.

Ids and their versions are those of https://spdx.org/licenses, as `packaging` knows them.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression
from packaging.licenses._spdx import LICENSES

SHORT = 300
"""Characters up to which every word of a text has to be understood; a whole licence is longer."""


class License(NamedTuple):
    """A licence: `GPL-2.0-or-later` is of the family gpl, version (2, 0), or a later one."""

    family: str
    version: tuple[int, ...] = ()
    later: bool = False
    exception: str = ""

    def __str__(self) -> str:
        """Return its SPDX id."""
        id_ = "-".join([self.family, ".".join(map(str, self.version))]).removesuffix("-")
        ends = ("-or-later", "+", "") if self.later else ("-only", "")
        return next(
            (LICENSES[id_ + end]["id"] for end in ends if id_ + end in LICENSES), self.family
        )


@dataclass(frozen=True)
class Name:
    """A licence as a text names it.

    Attributes:
        text: The words.
        licenses: What it may mean; several where the text does not say which.
        is_open: Whether the text leaves the version open.
    """

    text: str
    licenses: frozenset[License]
    is_open: bool = False

    @property
    def stem(self) -> str:
        """What a name that leaves something open and one that does not have in common."""
        family = min(self.licenses).family
        return "bsd" if family.startswith("bsd-") else family


@dataclass(frozen=True)
class Reading:
    """What was read in a text.

    Attributes:
        names: The licences that it names.
        understood: Whether it says nothing else.
        restricted: Whether it speaks of something that one may not do.
    """

    names: Sequence[Name]
    understood: bool
    restricted: bool


def parse(id_: str) -> License:
    """Return the licence of an id, old or new, with or without `WITH exception`.

    Raises:
        ValueError: It is no SPDX id, or several.
    """
    try:
        id_ = canonicalize_license_expression(id_)
    except InvalidLicenseExpression as error:
        raise ValueError(f"{id_} is no SPDX id") from error
    id_, _, exception = id_.partition(" WITH ")
    if " " in id_ or "(" in id_:
        raise ValueError(f"{id_} is an expression: list each id by itself")
    id_ = RENAMED.get(id_.lower(), id_).lower()
    if old := re.fullmatch(r"(gpl-[\d.]+)-with-(.+)", id_):
        id_, exception = old.groups()
    match = re.fullmatch(r"(.+?)(?:-(\d+(?:\.\d+)+))?(-only|-or-later|\+)?", id_)
    assert match  # noqa: S101 - the pattern takes every text that is not empty
    family, number, kind = match.groups()
    return License(family, _number(number or ""), kind in {"-or-later", "+"}, exception.lower())


def read(text: str) -> Reading:
    """Read a text of any length."""
    words = re.sub(r"[\s_]+", " ", text.casefold()).translate(PLAIN)
    words = re.sub(r"^licen[cs]e :: (?:osi approved :: )?", "", words)
    words = GLUED.sub(" ", words)
    names = []
    for pattern, id_ in DOCUMENTS:
        for match in pattern.finditer(words):
            kind, version = match.groups() or ("", "")
            license_ = parse(id_ or f"{kind or ''}gpl-{float(version)}")
            names.append(Name(f"the text of {license_}", frozenset([license_])))
        words = pattern.sub(" ", words)
    words = NEUTRAL.sub(" ", words)
    found, rest = _find_names(words)
    names += found
    rest = re.sub(r"https?://\S+|(?:copyright|\(c\)|©).*", " ", rest)
    unknown = set(re.findall(r"[^\W\d_]+", rest)) - FILLERS
    understood = bool(names) and (len(words) > SHORT or not unknown)
    return Reading(names, understood, bool(RESTRICTED.search(words)))


def _find_names(words: str) -> tuple[list[Name], str]:
    """Return the licences that a text names, and what is left of it without them."""
    spans: list[tuple[int, int, list[str]]] = []
    free = words
    for pattern, families in NAMES:
        spans += [(*match.span(), families) for match in pattern.finditer(free)]
        free = pattern.sub(lambda match: "\0" * len(match[0]), free)
    spans.sort()
    names = []
    rest = list(free)
    ends = [start for start, _, _ in spans[1:]] + [len(words)]
    for (start, stop, families), end in zip(spans, ends if spans else [], strict=True):
        before, after = words[max(0, start - BEFORE) : start], words[stop:end]
        if not families:
            license_ = parse(words[start:stop])
            names.append(Name(words[start:stop], frozenset([license_])))
            continue
        numbers, later, length = _find_versions(before, after)
        rest[stop : stop + length] = " " * length
        text = words[start : stop + length]
        names += [Name(text, *found) for found in _find_licenses(families, numbers, later=later)]
    return names, "".join(rest).replace("\0", " ")


def _find_versions(before: str, after: str) -> tuple[list[str], bool, int]:
    """Return the versions beside a name, whether later ones count, and how long that is."""
    if not (match := VERSION.match(after)):
        match = VERSION_OF.search(before)
        return ([match[1]], bool(LATER.search(match[0])), 0) if match else ([], False, 0)
    numbers = [match[1]]
    length = match.end()
    while more := MORE.match(after, length):
        numbers.append(more[1])
        length = more.end()
    is_least = ">=" in after[:length] or "≥" in after[:length]
    later = LATER.match(after, length)
    return numbers, bool(later) or is_least, later.end() if later else length


def _find_licenses(
    families: Sequence[str], numbers: Sequence[str], *, later: bool
) -> Iterator[tuple[frozenset[License], bool]]:
    """Yield the licences of families for each version, and whether the version is left open."""
    wanted = [
        frozenset(
            License(family, version, later)
            for family in families
            for version in VERSIONS.get(family, [])
            if _is_version(version, _number(number))
        )
        for number in numbers
    ]
    if any(wanted):
        yield from ((licenses, False) for licenses in wanted if licenses)
        return
    every = frozenset(
        License(family, version, later)
        for family in families
        for version in USUAL.get(family) or VERSIONS.get(family, [()])
    )
    yield every, len(every) > 1


def _is_version(version: tuple[int, ...], number: tuple[int, ...]) -> bool:
    """Say whether a number such as 2 or 2.0.0 means a version such as 2.1 or 2.0."""
    short = min(len(version), len(number))
    return version[:short] == number[:short] and not any(number[short:])


def _number(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".") if part)


RENAMED = {
    "bsd-2-clause-freebsd": "BSD-2-Clause",
    "bsd-2-clause-netbsd": "BSD-2-Clause",
    "bzip2-1.0.5": "bzip2-1.0.6",
    "standardml-nj": "SMLNJ",
}
"""Deprecated ids that are no older spelling of the same family and version."""
USUAL: dict[str, list[tuple[int, ...]]] = {"agpl": [(3, 0)], "apache": [(2, 0)]}
"""What a name without a version means, where that is not any version."""
VERSIONS: dict[str, list[tuple[int, ...]]] = {}
"""Versions of each family of licences that has any."""
for _license in map(parse, LICENSES):
    if _license.version and _license.version not in VERSIONS.setdefault(_license.family, []):
        VERSIONS[_license.family].append(_license.version)

PLAIN = str.maketrans(
    {
        **dict.fromkeys("\N{HYPHEN}\N{NON-BREAKING HYPHEN}\N{EN DASH}\N{EM DASH}", "-"),
        **dict.fromkeys("\N{LEFT SINGLE QUOTATION MARK}\N{RIGHT SINGLE QUOTATION MARK}", "'"),
    }
)
BEFORE = 80
"""Characters before a name where its version may stand: version 3 of the GNU …"""
NUMBER = r"(\d(?:\.\d)?)(?:\.0)?(?!\.?\d|[\s-]*clause)"
GLUED = re.compile(r"(?<=[^\W\d_]{3})(?=v?\d)(?!2-1\.0)")
"""Where a version begins that follows a name without a space: MPLv2, and not bzip2-1.0.6."""
GNU = r"(?:gnu[\s-]+)?"
GPL = r"(?:gpl|(?:general[\s-]+)?public[\s-]+licen[cs]es?)"
VERSION = re.compile(
    r"(?:[\s,;:()\[\]/'\"=>≥-]|licen[cs]es?\b|either\b"
    r"|as published by the free software foundation)*"
    rf"(?:v(?:ersions?|er)?\.?[\s=>≥]*)?{NUMBER}"
)
MORE = re.compile(rf"(?:-only)?(?:[\s,/|&]|\band\b|\bor\b)+(?:v(?:ersion)?\.?\s*)?{NUMBER}")
LATER = re.compile(
    r"(?:[\s,()]|of the licen[cs]e)*+"
    r"(?:\+|[\s,(-]*(?:or|and)[\s-]+(?:\(?at your option\)?,?\s*)?"
    r"(?:any[\s-]+)?(?:later|newer|greater|higher|above))"
)
VERSION_OF = re.compile(rf"v(?:ersion)?\.?\s*{NUMBER}[^.;]{{0,40}}?\s+of\s+(?:the\s+)?$")
RESTRICTED = re.compile(
    r"non[\s-]?commercial|commercial licen[cs]e|not for commercial|proprietary|commons clause"
    r"|free (?:for|to use but)|evaluation (?:only|licen)"
    r"|(?:academic|educational|internal|personal|research) (?:use|purposes) only"
)
NEUTRAL = re.compile(
    rf"(?:{GNU}[al]?gpl)(?:[\s-]*v?\.?\s*\d(?:\.\d)?)?[\s-]+(?:in)?compatible"
    rf"|(?:in)?compatible (?:to|with) (?:the )?{GNU}{GPL}"
    rf"|(?:not|non)[\s-]+(?:under )?(?:the )?{GNU}{GPL}"
)
"""What names a licence and means that it is another one."""

_END = (
    r"authorization for you to choose that version for the library|end of terms and conditions"
    r"(?:.{0,3500}?(?:why-not-lgpl\.html>|instead of this license\.|www\.gnu\.org/licenses/>))?"
)
DOCUMENTS = [
    (re.compile(f"{start}.*?{end}"), id_)
    for start, end, id_ in [
        (
            rf"gnu (a|l)?(?:ffero |esser |ibrary )?{GPL} version (\d(?:\.\d)?),[\w ]+\d{{4}}",
            f"(?:{_END})",
            "",  # as the title says
        ),
        (
            r"mozilla public license,? version 2\.0",
            "exhibit b .{0,400}?defined by the mozilla public license",
            "MPL-2.0",
        ),
        (r"eclipse public license - v ?2\.0", "notices of copyright ownership", "EPL-2.0"),
        (r"european union public licen[cs]e v\. ?1\.2", r"\(liliq-r\+?\)", "EUPL-1.2"),
    ]
]
"""Whole licences that mention others: from the title to the end they are one name."""

_GNU_NAMES = {
    rf"{GNU}affero[\s-]+{GNU}{GPL}|(?<![a-z]){GNU}a-?gpl": "agpl",
    rf"{GNU}(?:library or )?(?:lesser|library)[\s-]+{GNU}{GPL}|(?<![a-z]){GNU}l-?gpl": "lgpl",
    r"(?:gnu )?free documentation licen[cs]e|\bgfdl": "gfdl",
    r"nethack general public licen[cs]e|\bngpl\b": "ngpl",
    rf"(?<![a-z]){GNU}(?:gpl|general public licen[cs]es?)|gnu (?:public )?licen[cs]e": "gpl",
}
_CLAUSES = r"\bbsd\b(?:[\s(,-]|licen[cs]e)*"
_FAMILIES = """
    cc-by-nc-sa cc-by-nc-nd cc-by-nc cc-by-sa cc-by-nd cc-by cecill-b cecill-c cecill ms-pl ms-rl
    afl artistic busl cddl cpl epl eupl hpnd ipl mit mpl ncsa ofl osl postgresql qpl sleepycat spl
    sspl unlicense upl w3c wtfpl x11 zpl
    """.split()  # noqa: SIM905
"""Families whose id without the version is how people write them; longer names first."""
_OTHER_NAMES = {
    r"redistribution and use in source and binary forms(?=.*neither the name)": "bsd-3-clause",
    r"redistribution and use in source and binary forms": "bsd-2-clause bsd-3-clause",
    r"\b0[\s-]?bsd\b|\bzero[\s-]clause bsd\b|\bbsd zero[\s-]clause": "0bsd",
    r"\b(?:(?:3|three)[\s-]*clause|new|modified|revised)[\s-]+bsd\b"
    rf"|{_CLAUSES}(?:3|three)(?:[\s-]*clause)?\b|\beclipse distribution\b|\bedl\b": "bsd-3-clause",
    r"\b(?:(?:2|two)[\s-]*clause|simplified|freebsd)[\s-]+bsd\b|\bfreebsd\b"
    rf"|{_CLAUSES}(?:2|two)(?:[\s-]*clause)?\b": "bsd-2-clause",
    r"\b(?:(?:4|four)[\s-]*clause|original)[\s-]+bsd\b"
    rf"|{_CLAUSES}(?:4|four)(?:[\s-]*clause)?\b": "bsd-4-clause",
    r"\bbsd\b": "bsd-2-clause bsd-3-clause bsd-4-clause",
    r"\bmit[\s-]no[\s-]attribution": "mit-0",
    r"\bexpat\b|permission is hereby granted, free of charge": "mit",
    r"\bisc\b(?: licen[cs]e)?(?: \(iscl\))?": "isc",
    r"\bapache(?: software)?(?: foundation)?\b|\basl\b": "apache",
    r"\bopen software licen[cs]e": "osl",
    r"\bacademic free\b": "afl",
    r"\bcea cnrs inria logiciel libre": "cecill",
    r"\bserver[\s-]side public\b": "sspl",
    r"\bbusiness source\b": "busl",
    r"\belastic licen[cs]e": "elastic",
    r"\bboost(?: software)?\b": "bsl",
    r"\bcc0\b(?:.{0,12}universal)?(?: \(cc0 1\.0\))?(?: public domain dedication)?": "cc0",
    r"\battribution[\s-]noncommercial\b": "cc-by-nc",
    r"\bcreative commons attribution[\s-]share[\s-]?alike\b": "cc-by-sa",
    r"\bcreative commons attribution\b": "cc-by",
    r"\bpython software foundation\b|\bpsfl?\b|\bpython licen[cs]e\b": "psf python",
    r"this is free and unencumbered software": "unlicense",
    r"\bzlib(?:/libpng)?\b": "zlib",
    r"\bdo what the f\S+ you want": "wtfpl",
    r"\buniversity of illinois\b": "ncsa",
    r"\bhistorical permission notice": "hpnd",
    r"\bblue ?oak\b": "blueoak",
    r"\bsil open font\b": "ofl",
    r"\b(?:q|qt) public\b": "qpl",
    r"\bmulan ?psl\b": "mulanpsl",
    r"\bpublic domain\b": "public-domain",
    **{
        rf"\b{name} public\b": family
        for name, family in {
            "common": "cpl", "eclipse": "epl", "european union": "eupl", "ibm": "ipl",
            "microsoft": "ms-pl", "mozilla": "mpl", "sun": "spl", "zope": "zpl",
        }.items()
    },
    r"\bcommon development and distribution\b": "cddl",
    r"\bmicrosoft reciprocal\b": "ms-rl",
    r"\buniversal permissive\b": "upl",
    **{rf"\b{family.replace('-', '[ -]?')}\b": family for family in _FAMILIES},
}  # fmt: skip
_IDS = "|".join(re.escape(id_) for id_ in sorted(LICENSES, key=len, reverse=True) if "-" in id_)
NAMES = [
    (re.compile(pattern), families.split())
    for pattern, families in [
        *_GNU_NAMES.items(),
        (rf"(?<![\w.-])(?:{_IDS})(?![\w-]|\.\d)", ""),
        *_OTHER_NAMES.items(),
    ]
]
"""How licences are written, and the families that may be meant; none if it is an id itself."""
RECOGNISED = {family for _, families in NAMES for family in families}
FILLERS = set(
    """
    a all an and approved are as at available both by choice clause code condition conditions
    copying details dfsg dual either exception exceptions file files for foundation free freely in
    is it its january june later licence licenced licences license licensed licenses linking md
    new november of only open option or osi package project public released rst same see software
    source special specified style terms text the this to triple txt under universal use v ver
    version versions with you your
    """.split()  # noqa: SIM905
)
"""Words that say nothing about which licence it is."""
