import json
import re
from functools import cache
from pathlib import Path
from time import process_time
from typing import Any

import pytest
from audit.licenses import Rules, Verdict, judge
from hypothesis import given
from hypothesis import strategies as st

DENIED = ["AGPL-3.0-only", "AGPL-3.0-or-later", "GPL-3.0-only", "GPL-3.0-or-later"]
RULES = Rules(DENIED)

FORBIDDEN = [
    "GPL-3.0", "gpl-3.0-only", "GPL-3.0-or-later", "GPL-3.0+", "AGPL-3.0", "AGPL-3.0-only",
    "AGPL-3.0-or-later", "AGPL-3.0+", "GPL-3.0-with-GCC-exception", "MIT AND GPL-3.0-only",
    "GPL-3.0-only WITH GCC-exception-3.1", "(MIT OR GPL-3.0-only) AND AGPL-3.0-only",
    "GPL-3.0-or-later OR AGPL-3.0-only", "GNU General Public License v3 (GPLv3)",
    "GNU General Public License v3 or later (GPLv3+)", "GNU Affero General Public License v3",
    "GNU Affero General Public License v3 or later (AGPLv3+)",
    "License :: OSI Approved :: GNU General Public License v3 (GPLv3)",
    "MIT License; GNU General Public License v3 (GPLv3)", "GPLv3", "GPLv3+", "GPL v3", "GPL 3",
    "GPL3", "GPL-3", "GNU GPL v3", "GNU GPLv3", "GNU GPL 3.0 or later", "GPL (>= 3)",
    "GPL version 3", "GNU General Public License version 3.0", "AGPLv3", "AGPL 3", "GNU AGPL v3",
    "GNU General Public License, version 3", "GNU General Public License (GPL) Version 3",
    "            GNU GENERAL PUBLIC LICENSE\n               Version 3, 29 June 2007",
    "GPLv2 and AGPLv3", "LGPLv3 and GPLv3", "LGPLv3 / GPLv3", "GPL-2|GPL-3", "GPLv2/GPLv3",
    "GNU GPL 2.0/3.0", "GPL 2 or 3", "the GNU GPL, either version 2, or version 3", "GPL≥3",
    "GNU Affero GPL 3.0", "Affero GPL v3", "A-GPL 3", "GNU_GPLv3", "GNU-GPL-3.0", "gplv3 only",
    "version 3 of the GNU Affero General Public License", "General Public License v3",
    "GNU Public License 3", "Dual Licensed - GNU AFFERO GPL 3.0 or Commercial License",
    "AGPL-3.0-only OR LicenseRef-Commercial",
    ("the GNU General Public License as published by the Free Software Foundation, either "
    "version 3 of the License, or (at your option) any later version"),
    "Permission is hereby granted, free of charge, to any person. " * 9 + "\nParts are GPLv3.",
    "AGPL", "GNU Affero GPL", "GPL version ≥ 3", "SPDX-License-Identifier: GPL-3.0-only",
    "Copyright 2019. GPLv3", "GPLv3+ (c) 2007 A", "the GPL, v.3", "GPL-v3", "GPL3+", "GPL-3+",
    "https://www.gnu.org/licenses/gpl-3.0.html", "LGPL-2.1 and AGPL-3.0",
    "MIT License. " + "Nothing else is said here. " * 20 + "Some files: AGPL-3.0-or-later",
]  # fmt: skip
ALLOWED = [
    "LGPL-3.0", "LGPL-3.0-only", "LGPL-3.0-or-later", "LGPL-3.0+", "LGPLv3", "LGPL v3",
    "GNU LGPL v3", "GNU Lesser General Public License v3 (LGPLv3)",
    "GNU Lesser General Public License v3 or later (LGPLv3+)",
    "GNU Lesser General Public License version 3", "GNU Lesser GPL v3", "Lesser GPL 3",
    "GNU Library or Lesser General Public License (LGPL)", "MIT", "MIT License", "BSD License",
    "Apache Software License; MIT License", "MIT OR GPL-3.0-only", "GPL-2.0-only", "GPLv2",
    "GNU General Public License v2 (GPLv2)", "GNU General Public License v2 or later (GPLv2+)",
    "Apache 2.0", "Python Software Foundation License", "ISC License (ISCL)", "MPL-2.0",
    "Mozilla Public License 2.0 (MPL 2.0)", "The Unlicense (Unlicense)", "3-Clause BSD License",
    "MIT, GPL-compatible", "BSD (GPL v3 compatible)", "GPL v2 or any later version",
    "MPLv2", "MPLv2.0", "EPLv2", "Apache2", "BSD3", "ZPLv2.1", "Lesser GNU GPL v3",
    "Apache License Version 2.0, January 2004", "LGPLv3 Copyright 2007", "GPLv2 (c) 2003",
    "MIT, Copyright (c) 2019-2023 Somebody", "https://opensource.org/licenses/BSD-3-Clause",
]  # fmt: skip
UNKNOWN = [
    "UNKNOWN", "", "  ", "GPL", "GNU General Public License (GPL)", "Proprietary", "GPL 3000",
    "LicenseRef-Mine", "MIT AND LicenseRef-Mine", "Dual License", "see LICENSE",
    "GPL, Copyright 2019", "GPL (2007)", "Copyright 2013 GPL", "MIT-like", "BSL 1.1",
    "MIT + Commons Clause", "Apache-2.0, not for commercial use", "Some Library License",
    "GPL, 2019-2023", "XGPLv3X", "Parity Public License 7.0", "Modified MIT", "not MIT",
    "Public Domainish", "Boosted", "Other/Proprietary License; MIT License",
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        *((text, Verdict.FORBIDDEN) for text in FORBIDDEN),
        *((text, Verdict.ALLOWED) for text in ALLOWED),
        *((text, Verdict.UNKNOWN) for text in UNKNOWN),
    ],
)
def test_verdict(text: str, verdict: Verdict) -> None:
    found = judge(text, RULES)
    assert found.verdict is verdict
    assert found.reason or verdict is Verdict.ALLOWED


@pytest.mark.parametrize(
    ("texts", "verdict"),
    [
        (["License :: OSI Approved :: MIT License", "GPLv3"], Verdict.FORBIDDEN),
        (["License :: OSI Approved :: MIT License", "Dual License"], Verdict.ALLOWED),
        (["License :: Other/Proprietary License", "MIT"], Verdict.UNKNOWN),
        (["GNU General Public License (GPL)", "GPL-2.0-only"], Verdict.ALLOWED),
        (["GNU General Public License (GPL)", "MIT"], Verdict.UNKNOWN),
        (["", "UNKNOWN"], Verdict.UNKNOWN),
    ],
)
def test_all_that_a_package_says_counts(texts: list[str], verdict: Verdict) -> None:
    assert judge(texts, RULES).verdict is verdict


@pytest.mark.parametrize(
    ("listed", "text", "verdict"),
    [
        ("AGPL-3.0", "AGPL-3.0-only", Verdict.FORBIDDEN),
        ("AGPL-3.0-only", "AGPL-3.0-or-later", Verdict.FORBIDDEN),
        ("AGPL-3.0-only", "GPL-3.0-only", Verdict.ALLOWED),
        ("GPL-2.0-or-later", "GPLv3", Verdict.FORBIDDEN),
        ("GPL-2.0-only", "GPLv3", Verdict.ALLOWED),
        ("GPL-2.0-only", "GPL", Verdict.UNKNOWN),
        ("LGPL-3.0-only", "GPLv3", Verdict.ALLOWED),
        ("Apache-2.0", "Apache Software License", Verdict.FORBIDDEN),
        ("BSD-3-Clause", "BSD License", Verdict.UNKNOWN),
        ("CDDL-1.1", "CDDLv1.1", Verdict.FORBIDDEN),
        ("CC-BY-NC-4.0", "CC BY-NC 4.0", Verdict.FORBIDDEN),
    ],
)
def test_any_list_works(listed: str, text: str, verdict: Verdict) -> None:
    assert judge(text, Rules([listed])).verdict is verdict


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("MIT License", Verdict.ALLOWED),
        ("MIT AND Apache-2.0", Verdict.ALLOWED),
        ("MIT OR GPL-3.0-only", Verdict.ALLOWED),
        ("MIT AND ISC", Verdict.FORBIDDEN),
        ("ISC License (ISCL)", Verdict.FORBIDDEN),
        ("GPLv3", Verdict.FORBIDDEN),
        ("BSD License", Verdict.UNKNOWN),
        ("Some words", Verdict.UNKNOWN),
    ],
)
def test_list_of_what_is_allowed(text: str, verdict: Verdict) -> None:
    assert judge(text, Rules(allowed=["MIT", "Apache-2.0", "BSD-3-Clause"])).verdict is verdict


@pytest.mark.parametrize(
    ("denied", "allowed", "reason"),
    [
        (["GPLv3"], [], "no SPDX id"),
        (["MIT OR GPL-3.0-only"], [], "list each id by itself"),
        (["MIT", "Apache-2.0 WITH LLVM-exception"], [], "LLVM-exception is recognised in"),
        (["GPL-2.0-with-classpath-exception"], [], "recognised in SPDX expressions only"),
        (["CECILL-2.1", "Aladdin"], [], "Aladdin is recognised in SPDX expressions only"),
        ([], [], "license-check: false"),
        (["MIT"], ["MIT"], "either"),
    ],
)
def test_list_that_cannot_work_is_refused(
    denied: list[str], allowed: list[str], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        Rules(denied, allowed)


def test_whole_licence_is_one_name() -> None:
    text = (
        "GNU LESSER GENERAL PUBLIC LICENSE\nVersion 3, 29 June 2007\nThis version of the GNU "
        "Lesser General Public License incorporates version 3 of the GNU General Public "
        "License.\n… is permanent authorization for you to choose that version for the\nLibrary."
    )
    assert judge(text, RULES).verdict is Verdict.ALLOWED
    assert judge(f"{text}\nThe tests are under the GPLv3.", RULES).verdict is Verdict.FORBIDDEN


@cache
def recorded() -> list[dict[str, Any]]:
    """Licence fields of real distributions, and by hand what they name; `A | B` is either."""
    file = Path(__file__).parent / "recorded/licenses.json"
    return list(json.loads(file.read_text(encoding="utf-8")))


def find_reach() -> list[str]:
    """Every licence that the distributions name; what `or-later` denies is tested above."""
    found = {id_ for record in recorded() for name in record["names"] for id_ in name.split(" | ")}
    return sorted({id_.replace("or-later", "only") for id_ in found} - {"public-domain"})


def base(id_: str) -> str:
    return re.sub(r"-only$|-or-later$|\+$", "", id_)


def expect(entry: dict[str, Any], denied: str) -> set[Verdict]:
    """Return what may be said of a distribution, from what was written down by hand."""
    names = [name.split(" | ") for name in entry["names"]]
    certain = {base(id_).split("-")[0] for name in names if len(name) == 1 for id_ in name}
    names = [name for name in names if len(name) == 1 or name[0].split("-")[0] not in certain]
    hits = [{base(id_) == base(denied) for id_ in name} for name in names]
    if {True} in hits:
        return {Verdict.FORBIDDEN}
    return {Verdict.UNKNOWN} if {True, False} in hits else {Verdict.ALLOWED, Verdict.UNKNOWN}


@pytest.mark.parametrize("denied", find_reach())
def test_denied_is_red_and_nothing_else_is(denied: str) -> None:
    rules = Rules([denied])
    assert sum(len(record["distributions"]) for record in recorded()) >= 300
    for record in recorded():
        found = judge(record["fields"], rules)
        if record["names"]:
            assert found.verdict in expect(record, denied), (record["distributions"], found)
        else:  # an expression alone, or nothing that says which licence
            ids = set(re.findall(r"[\w.+-]+", " ".join(record["fields"])))
            assert found.verdict is not Verdict.FORBIDDEN or base(denied) in map(base, ids)


def test_what_real_distributions_write_is_known() -> None:
    unknown = {
        name
        for record in recorded()
        if judge(record["fields"], RULES).verdict is Verdict.UNKNOWN
        for name in record["distributions"]
    }
    assert unknown == {"biopython", "docutils", "igraph", "pypiwin32", "pyramid", "python-igraph"}


ids = st.sampled_from(["MIT", "Apache-2.0", "LGPL-3.0-only", "GPL-3.0-only", "AGPL-3.0-or-later"])
expressions = st.recursive(
    ids,
    lambda inner: st.builds("({} {} {})".format, inner, st.sampled_from(["AND", "OR"]), inner),
    max_leaves=8,
)


@given(expressions)
def test_expression_is_allowed_if_a_way_through_it_is(text: str) -> None:
    python = text.replace("AND", "and").replace("OR", "or")
    for id_ in ("AGPL-3.0-or-later", "LGPL-3.0-only", "GPL-3.0-only", "Apache-2.0", "MIT"):
        python = python.replace(id_, str(id_ not in DENIED))
    allowed = eval(python)  # noqa: S307
    assert judge(text, RULES).verdict == (Verdict.ALLOWED if allowed else Verdict.FORBIDDEN)


FAMILIES = {"GPL": True, "AGPL": True, "LGPL": False}
LONG = {"GPL": "General", "AGPL": "Affero General", "LGPL": "Lesser General"}


FORMS = [
    "{short}v{n}", "{short} {n}", "{short}-{n}", "GNU {short} v{n}", "{short} version {n}.0",
    "GNU {long} Public License v{n}", "GNU {long} Public License, Version {n}",
    "version {n} of the GNU {long} Public License", "{short}{n}+", "{short} >= {n}",
]  # fmt: skip
AROUND = ["{}", "MIT and {}", "{} and MIT", "(c) 2019 A\n{}", "x " * 400 + "{}"]


@pytest.mark.parametrize("text", ["GPL v3 " + blank * 20_000 for blank in (",", " (", ", ")])
def test_endless_text_is_read_at_once(text: str) -> None:
    start = process_time()
    assert judge(text, RULES).verdict is Verdict.FORBIDDEN
    assert process_time() - start < 1


@given(
    family=st.sampled_from(sorted(FAMILIES)),
    form=st.sampled_from(FORMS),
    number=st.sampled_from(["2", "3"]),
    around=st.sampled_from(AROUND),
)
def test_every_way_of_writing(family: str, form: str, number: str, around: str) -> None:
    text = around.format(form.format(short=family, long=LONG[family], n=number))
    found = judge(text, RULES).verdict
    if number == "3":
        assert (found is Verdict.FORBIDDEN) == FAMILIES[family], text
    elif family == "GPL":
        assert found is not Verdict.FORBIDDEN, text
