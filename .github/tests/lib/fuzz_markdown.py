"""Text of strangers in a job summary: it stays in its cell and its block, and is no markup."""

import re

from lib.markdown import fence, is_visible, link, plain, quote
from lib.workflow_commands import show_end

HARMLESS = re.compile(r"(?:[^\\`*_{}\[\]<>|~&$!#\n\r]|\\[\\`*_{}\[\]<>|~&$!#])*")


def check(data: bytes) -> None:
    """Show a text in each way."""
    text = data.decode("utf-8", "surrogateescape")
    assert "##[" not in quote(text)
    assert all(is_visible(char) for char in quote(text))
    assert HARMLESS.fullmatch(plain(text)), text
    assert re.fullmatch(r"[^\n]*(?:\]\(https?://[^()\s]+\))?", link("a", text)), text
    for block in (fence(quote(text)), show_end(text) or fence("")):
        first, *inner, last = block.rstrip("\n").split("\n")
        assert first == f"{last}text", text
        assert not any(
            line.startswith(last) or "##[" in line or "\x1b" in line for line in inner
        ), text
