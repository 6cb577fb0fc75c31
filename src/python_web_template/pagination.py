"""Cursor pagination: a page starts after the last item of the page before.

Unlike an offset, a cursor neither repeats nor skips items when others are added or removed.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Annotated

from fastapi import Query
from fastapi.exceptions import RequestValidationError

MAX_ID = 2**63 - 1
"""Largest identifier a PostgreSQL `bigint` and an SQLite `INTEGER` can hold."""

_PREFIX = b"v1:"

Limit = Annotated[int, Query(ge=1, le=100, description="Most items on one page")]


def encode_cursor(last_id: int) -> str:
    """Turn the identifier of a page's last item into an opaque, URL-safe text (RFC 4648 §5)."""
    return urlsafe_b64encode(_PREFIX + str(last_id).encode()).rstrip(b"=").decode()


def decode_cursor(cursor: str) -> int:
    """Turn a cursor back into the identifier it was made from.

    Raises:
        ValueError: `encode_cursor` did not make this text.
    """
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        last_id = int(urlsafe_b64decode(padded).removeprefix(_PREFIX))
    except ValueError:
        raise ValueError("not a cursor of this service") from None
    if not 0 < last_id <= MAX_ID or encode_cursor(last_id) != cursor:
        raise ValueError("not a cursor of this service")
    return last_id


async def cursor_parameter(
    cursor: Annotated[str | None, Query(description="`next` of the page before")] = None,
) -> int:
    """Read the `cursor` query parameter; without it, the first page starts after 0.

    It waits for nothing, but FastAPI would run a plain function in a thread, which costs more.
    """
    if cursor is None:
        return 0
    try:
        return decode_cursor(cursor)
    except ValueError as error:
        raise RequestValidationError(
            [{"type": "cursor", "loc": ("query", "cursor"), "msg": str(error)}]
        ) from None
