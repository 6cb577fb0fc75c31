"""Find the licences that a text names: ids, names, classifiers, notices and whole licences.

Ids and their versions are those of https://spdx.org/licenses, as `packaging` knows them.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
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
        family: The family; the first one, if it may be of several.
        licenses: What it may mean; several where the text does not say which.
        is_open: Whether the text leaves the version open.
        place: The words around it.
    """

    family: str
    licenses: frozenset[License]
    is_open: bool = False
    place: str = ""

    @property
    def stem(self) -> str:
        """What a name that leaves something open and one that does not have in common."""
        return "bsd" if self.family.startswith("bsd-") else self.family


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
    for license_, pattern in DOCUMENTS.items():
        words, number = pattern.subn(" ", words)
        whole = Name(license_.family, frozenset([license_]), place=f"the text of {license_}")
        names += [whole] * bool(number)
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
        place = f"{before[-PLACE:]}{words[start : stop + PLACE]}"
        if not families:
            license_ = parse(words[start:stop])
            names.append(Name(license_.family, frozenset([license_]), place=place))
            continue
        numbers, later, length = _find_versions(before, after)
        rest[stop : stop + length] = " " * length
        names += [replace(it, place=place) for it in _name(families, numbers, later=later)]
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


def _name(families: Sequence[str], numbers: Sequence[str], *, later: bool) -> Iterator[Name]:
    """Yield the licences of families that may have several versions; each number counts."""
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
        yield from (Name(families[0], licenses) for licenses in wanted if licenses)
        return
    every = frozenset(
        License(family, version, later)
        for family in families
        for version in USUAL.get(family) or VERSIONS.get(family, [()])
    )
    yield Name(families[0], every, is_open=len(every) > 1)


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
PLACE = 40
"""Characters on either side of a name that show where it is."""
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
    r"(?:[\s,()]|of the licen[cs]e)*"
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

DOCUMENTS = {
    parse(id_): re.compile(f"{start}.*?{end}")
    for id_, start, end in [
        (
            "AGPL-3.0-only",
            "gnu affero general public license version 3, 19 november 2007",
            r"end of terms and conditions(?:.{0,2500}?see <?https?://www\.gnu\.org/licenses/>)?",
        ),
        (
            "LGPL-3.0-only",
            "gnu lesser general public license version 3, 29 june 2007",
            "authorization for you to choose that version for the library",
        ),
        (
            "LGPL-2.1-only",
            r"gnu lesser general public license version 2\.1, february 1999",
            "end of terms and conditions",
        ),
        (
            "LGPL-2.0-only",
            "gnu library general public license version 2, june 1991",
            "end of terms and conditions",
        ),
        (
            "GPL-3.0-only",
            "gnu general public license version 3, 29 june 2007",
            r"end of terms and conditions(?:.{0,3500}?why-not-lgpl\.html>)?",
        ),
        (
            "GPL-2.0-only",
            "gnu general public license version 2, june 1991",
            r"end of terms and conditions(?:.{0,3500}?instead of this license\.)?",
        ),
        (
            "MPL-2.0",
            r"mozilla public license,? version 2\.0",
            "(?:exhibit b .{0,400}?defined by the mozilla public license)",
        ),
        ("EPL-2.0", r"eclipse public license - v ?2\.0", "notices of copyright ownership"),
        ("EUPL-1.2", r"european union public licen[cs]e v\. ?1\.2", r"\(liliq-r\+?\)"),
    ]
}
"""Whole licences that mention others: from the title to the end they are one name."""

_GNU_NAMES = {
    rf"{GNU}affero[\s-]+{GNU}{GPL}|(?<![a-z]){GNU}a-?gpl": "agpl",
    rf"{GNU}(?:library or )?(?:lesser|library)[\s-]+{GNU}{GPL}|(?<![a-z]){GNU}l-?gpl": "lgpl",
    r"(?:gnu )?free documentation licen[cs]e|\bgfdl": "gfdl",
    r"nethack general public licen[cs]e|\bngpl\b": "ngpl",
    rf"(?<![a-z]){GNU}(?:gpl|general public licen[cs]es?)|gnu (?:public )?licen[cs]e": "gpl",
}
_CLAUSES = r"\bbsd\b(?:[\s(,-]|licen[cs]e)*"
_OTHER_NAMES = {
    r"redistribution and use in source and binary forms(?=.*neither the name)": "bsd-3-clause",
    r"redistribution and use in source and binary forms": "bsd-2-clause bsd-3-clause",
    r"\b0[\s-]?bsd\b|\bzero[\s-]clause bsd\b|\bbsd zero[\s-]clause": "0bsd",
    r"\b(?:(?:3|three)[\s-]*clause|new|modified|revised)[\s-]+bsd\b"
    rf"|{_CLAUSES}(?:3|three)(?:[\s-]*clause)?\b": "bsd-3-clause",
    r"\b(?:(?:2|two)[\s-]*clause|simplified|freebsd)[\s-]+bsd\b|\bfreebsd\b"
    rf"|{_CLAUSES}(?:2|two)(?:[\s-]*clause)?\b": "bsd-2-clause",
    r"\b(?:(?:4|four)[\s-]*clause|original)[\s-]+bsd\b"
    rf"|{_CLAUSES}(?:4|four)(?:[\s-]*clause)?\b": "bsd-4-clause",
    r"\bbsd\b": "bsd-2-clause bsd-3-clause bsd-4-clause",
    r"\bmit[\s-]no[\s-]attribution": "mit-0",
    r"\bmit\b|\bexpat\b|permission is hereby granted, free of charge": "mit",
    r"\bisc\b(?: licen[cs]e)?(?: \(iscl\))?": "isc",
    r"\bapache(?: software)?(?: foundation)?\b|\basl\b": "apache",
    r"\bmozilla public\b|\bmpl\b": "mpl",
    r"\beclipse public\b|\bepl\b": "epl",
    r"\beclipse distribution\b|\bedl\b": "bsd-3-clause",
    r"\beuropean union public\b|\beupl\b": "eupl",
    r"\bcommon development and distribution\b|\bcddl\b": "cddl",
    r"\bopen software licen[cs]e|\bosl\b": "osl",
    r"\bacademic free\b|\bafl\b": "afl",
    r"\bartistic\b": "artistic",
    r"\bcecill-?b\b": "cecill-b",
    r"\bcecill-?c\b": "cecill-c",
    r"\bcecill\b|\bcea cnrs inria logiciel libre": "cecill",
    r"\bserver[\s-]side public\b|\bsspl\b": "sspl",
    r"\bbusiness source\b|\bbusl\b": "busl",
    r"\belastic licen[cs]e": "elastic",
    r"\bboost(?: software)?\b": "bsl",
    r"\bcc0\b(?:.{0,12}universal)?(?: \(cc0 1\.0\))?(?: public domain dedication)?": "cc0",
    r"\bcc[\s-]by[\s-]nc[\s-]sa\b": "cc-by-nc-sa",
    r"\bcc[\s-]by[\s-]nc[\s-]nd\b": "cc-by-nc-nd",
    r"\bcc[\s-]by[\s-]nc\b|\battribution[\s-]noncommercial\b": "cc-by-nc",
    r"\bcc[\s-]by[\s-]sa\b|\bcreative commons attribution[\s-]share[\s-]?alike\b": "cc-by-sa",
    r"\bcc[\s-]by[\s-]nd\b": "cc-by-nd",
    r"\bcc[\s-]by\b|\bcreative commons attribution\b": "cc-by",
    r"\bpython software foundation\b|\bpsfl?\b|\bpython licen[cs]e\b": "psf python",
    r"\bzope public\b|\bzpl\b": "zpl",
    r"\bunlicense\b|this is free and unencumbered software": "unlicense",
    r"\bzlib(?:/libpng)?\b": "zlib",
    r"\bwtfpl\b|\bdo what the f\S+ you want": "wtfpl",
    r"\bx11\b": "x11",
    r"\bncsa\b|\buniversity of illinois\b": "ncsa",
    r"\bpostgresql\b": "postgresql",
    r"\bhpnd\b|\bhistorical permission notice": "hpnd",
    r"\bw3c\b": "w3c",
    r"\bblue ?oak\b": "blueoak",
    r"\bms-?pl\b|\bmicrosoft public\b": "ms-pl",
    r"\bms-?rl\b|\bmicrosoft reciprocal\b": "ms-rl",
    r"\buniversal permissive\b": "upl",
    r"\bsil open font\b|\bofl\b": "ofl",
    r"\bqpl\b|\bq public\b|\bqt public\b": "qpl",
    r"\bcommon public\b": "cpl",
    r"\bibm public\b": "ipl",
    r"\bsun public\b": "spl",
    r"\bsleepycat\b": "sleepycat",
    r"\bmulan ?psl\b": "mulanpsl",
    r"\bpublic domain\b": "public-domain",
}
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
