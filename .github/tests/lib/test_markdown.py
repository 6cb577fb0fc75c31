import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lib.markdown import fence, link, plain, quote, table


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a | b", r"a \| b"),
        ("<img src=x>", r"\<img src=x\>"),
        ("[a](javascript:b)", r"\[a\](javascript:b)"),
        ("@octocat #1 o/r#2 gh-3 #c", "@\u2060octocat \\#\u20601 o/r\\#\u20602 gh-\u20603 \\#c"),
        ("see https://example.org", "see https\u2060://example.org"),
        ("two\nlines", "two lines"),
        ("\x1b[31m", r"\\u001b\[31m"),
    ],
)
def test_plain(text: str, shown: str) -> None:
    assert plain(text) == shown


@given(st.text())
def test_text_stays_in_its_cell(text: str) -> None:
    rows = table(["A", "B"], [[plain(text), "b"]]).splitlines()
    assert len(rows) == 3
    assert len(re.findall(r"(?<!\\)(?:\\\\)*\|", rows[2])) == 3


@given(st.text(), st.text())
def test_link_is_of_the_web_or_none(text: str, address: str) -> None:
    shown = link(text, address)
    assert shown == plain(text) or re.fullmatch(r".*\]\(https?://[^()\s]+\)", shown)
    assert link("a", "https://osv.dev/x") == "[a](https://osv.dev/x)"
    assert link("a", "javascript:alert(1)") == "a"


@given(st.text())
def test_block_cannot_be_closed(text: str) -> None:
    first, *inner, last = fence(quote(text)).splitlines()
    assert first == f"{last}text"
    assert last not in inner
