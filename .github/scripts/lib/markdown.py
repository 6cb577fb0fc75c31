"""Markdown that shows text which others wrote, and lets none of it act."""

import re
import unicodedata
from collections.abc import Iterable, Sequence

LONGEST = 256
JOINERS = "\u200c\u200d"
"""Invisible characters that scripts and emoji need."""
FILLERS = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0\U000e0100-\U000e01ef]")
"""Letters, marks and symbols that show nothing."""


def quote(text: str, longest: int = LONGEST) -> str:
    """Return text as one line that shows every character and starts no workflow command."""
    shown = "".join(char if is_visible(char) else f"\\u{ord(char):04x}" for char in text)
    shown = shown.replace("##[", "#\\u0023[")
    return shown if len(shown) <= longest else f"{shown[:longest]}…"


def fence(text: str) -> str:
    """Return text as a Markdown code block that the text cannot close."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    marks = "`" * max(3, longest + 1)
    return f"{marks}text\n{text}\n{marks}\n"


def plain(text: str, longest: int = LONGEST) -> str:
    """Return text as one line without any markup, link or mention in effect."""
    line = escape(quote(" ".join(text.split()), longest))
    return re.sub(r"(?i)(ftp|https?|mailto|www|xmpp)(?=[:.])", "\\1\u2060", line)


def escape(text: str) -> str:
    """Return text without any markup or mention in effect, nor a link to an issue."""
    text = re.sub(r"([\\`*_{}\[\]<>|~&$!#])", r"\\\1", text)
    return re.sub(r"(@|#(?=\d)|gh-(?=\d))", "\\1\u2060", text, flags=re.IGNORECASE)


def link(text: str, address: str) -> str:
    """Return a link, or the text alone if the address is not one of the web."""
    if re.fullmatch(r"https?://[^\s<>()|\\`\"]+", address):
        return f"[{plain(text)}]({address})"
    return plain(text)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; the cells are Markdown, so that text of others must come through `plain`."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def is_visible(char: str) -> bool:
    """Say whether a character is no control, formatting or blank character, and no line break."""
    is_control = unicodedata.category(char) in {"Cc", "Cf", "Cs", "Zl", "Zp"}
    return not is_control and not FILLERS.match(char)
