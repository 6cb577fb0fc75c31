"""Cursors."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from python_web_template.pagination import MAX_ID, decode_cursor, encode_cursor

IDS = st.integers(min_value=1, max_value=MAX_ID)


@given(IDS)
def test_round_trip(last_id: int) -> None:
    assert decode_cursor(encode_cursor(last_id)) == last_id


@given(IDS)
def test_cursor_is_safe_in_a_url(last_id: int) -> None:
    assert encode_cursor(last_id).replace("-", "").replace("_", "").isalnum()


@given(st.text())
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a cursor"):
        decode_cursor(text)


@pytest.mark.parametrize("last_id", [0, -1, MAX_ID + 1])
def test_other_numbers_are_refused(last_id: int) -> None:
    with pytest.raises(ValueError, match="not a cursor"):
        decode_cursor(encode_cursor(last_id))
