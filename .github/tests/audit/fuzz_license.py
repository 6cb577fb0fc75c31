"""Licences as packages name them: each gets a verdict, and what is forbidden stays so."""

from audit.licenses import Rules, Verdict, judge

RULES = Rules(["AGPL-3.0", "GPL-3.0"])


def check(data: bytes) -> None:
    """Judge a licence, alone and beside one that is forbidden."""
    text = data.decode("utf-8", "replace")
    judge(text, RULES)
    assert judge(["GPL-3.0-only", text], RULES).verdict == Verdict.FORBIDDEN, text
