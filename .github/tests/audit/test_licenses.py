from pathlib import Path

import pytest
import yaml
from audit.licenses import Verdict, judge
from hypothesis import given
from hypothesis import strategies as st
from packaging.licenses import canonicalize_license_expression

ROOT = Path(__file__).parents[3]
CONFIG = yaml.safe_load((ROOT / ".github/dependency-review-config.yml").read_text())
DENIED = CONFIG["deny-licenses"]

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
]  # fmt: skip
ALLOWED = [
    "LGPL-3.0", "LGPL-3.0-only", "LGPL-3.0-or-later", "LGPL-3.0+", "LGPLv3", "LGPL v3",
    "GNU LGPL v3", "GNU Lesser General Public License v3 (LGPLv3)",
    "GNU Lesser General Public License v3 or later (LGPLv3+)",
    "GNU Lesser General Public License version 3",
    "GNU Library or Lesser General Public License (LGPL)", "MIT", "MIT License", "BSD License",
    "Apache Software License; MIT License", "MIT OR GPL-3.0-only", "GPL-2.0-only", "GPLv2",
    "GNU General Public License v2 (GPLv2)", "GNU General Public License v2 or later (GPLv2+)",
    "Apache 2.0", "Python Software Foundation License", "ISC License (ISCL)", "MPL-2.0",
    "Mozilla Public License 2.0 (MPL 2.0)", "The Unlicense (Unlicense)", "3-Clause BSD License",
]  # fmt: skip
UNKNOWN = [
    "UNKNOWN", "", "  ", "GPL", "GNU General Public License (GPL)", "AGPL", "Proprietary",
    "LicenseRef-Mine", "MIT AND LicenseRef-Mine", "Dual License", "see LICENSE",
]  # fmt: skip


@pytest.mark.parametrize("text", FORBIDDEN)
def test_forbidden(text: str) -> None:
    found = judge(text, DENIED)
    assert found.verdict is Verdict.FORBIDDEN
    assert found.reason


@pytest.mark.parametrize("text", ALLOWED)
def test_allowed(text: str) -> None:
    assert judge(text, DENIED).verdict is Verdict.ALLOWED


@pytest.mark.parametrize("text", UNKNOWN)
def test_unknown(text: str) -> None:
    found = judge(text, DENIED)
    assert found.verdict is Verdict.UNKNOWN
    assert found.reason


def test_configuration_is_what_the_action_takes() -> None:
    assert CONFIG["fail-on-severity"] == "moderate"
    for id_ in DENIED:
        assert canonicalize_license_expression(id_) == id_, "the action stops at anything else"
    for address in CONFIG["allow-dependencies-licenses"]:
        assert address.startswith("pkg:pypi/")


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
    assert judge(text, DENIED).verdict == (Verdict.ALLOWED if allowed else Verdict.FORBIDDEN)


@given(st.text() | st.text(" ;"))
def test_every_text_is_judged(text: str) -> None:
    assert judge(text, DENIED).verdict in Verdict
