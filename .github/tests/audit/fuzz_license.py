"""Licences as packages name them: each gets a verdict, and what is forbidden stays so."""

from audit.licenses import Verdict, judge

DENIED = [f"{name}{end}" for name in ("AGPL-3.0", "GPL-3.0") for end in ("", "-only", "-or-later")]


def check(data: bytes) -> None:
    """Judge a licence, alone and beside one that is forbidden."""
    text = data.decode("utf-8", "replace")
    judge(text, DENIED)
    assert judge(f"GPL-3.0-only; {text}", DENIED).verdict == Verdict.FORBIDDEN, text
