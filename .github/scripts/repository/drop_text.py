"""Take what dropped pipelines leave behind out of the text of files that stay.

What belongs to a pipeline says so itself: a block stands between the comments `NAME` and `/NAME`,
in Markdown also within a line; a row of a table or an item of a list carries the comment `NAME`.
Several names, separated by commas, share it: it goes with the last of them.
"""

import re
import tomllib
from dataclasses import dataclass

NAMES = r"(?P<names>[a-z][a-z-]*(?:, [a-z][a-z-]*)*)"
BLOCK = re.compile(
    rf"^ *(?P<open><!--|#|//) {NAMES}(?P<close> -->|)\n.*?^ *(?P=open) /(?P=names)(?P=close)\n\n?",
    re.DOTALL | re.MULTILINE,
)
INLINE = re.compile(rf"<!-- {NAMES} -->[^\n]*?<!-- /(?P=names) -->")
MARK = re.compile(rf"<!-- {NAMES} -->")
FENCED = re.compile(r"(^ *```.*?^ *```\n)", re.DOTALL | re.MULTILINE)
ENTRY = re.compile(r"^\|.*\n|^( *)(?:[-*]|\d+\.) .*\n(?:\1 +\S.*\n)*", re.MULTILINE)


@dataclass(frozen=True)
class Dropped:
    """The pipelines that are gone, and those that stay."""

    names: set[str]
    stay: set[str]

    def owns(self, listed: str) -> bool:
        """Say whether something of these pipelines, separated by commas, goes."""
        owners = set(listed.split(", "))
        return bool(owners & self.names) and not owners & self.stay


def cut_blocks(text: str, dropped: Dropped) -> str:
    """Return a text without the blocks that belong to what is gone."""

    def cut(found: re.Match[str]) -> str:
        return "" if dropped.owns(found["names"]) else found[0]

    return INLINE.sub(cut, BLOCK.sub(cut, text))


def cut_groups(old: str, texts: dict[str, str]) -> None:
    """Take dependency groups that `pyproject.toml` has lost out of what includes and installs them.

    Args:
        old: What `pyproject.toml` said before.
        texts: All files, to be changed.
    """
    now = texts["pyproject.toml"]
    before, after = (set(tomllib.loads(text).get("dependency-groups", {})) for text in (old, now))
    for group in before - after:
        include = rf'^ *\{{ include-group = "{group}" \}},\n|\{{ include-group = "{group}" \}}, '
        now = re.sub(include, "", now, flags=re.MULTILINE)
        for path in (path for path in texts if path.startswith(".github/workflows/")):
            lines = rf"^( *groups:.*?) {group}(?![\w-])"
            texts[path] = re.sub(lines, r"\1", texts[path], flags=re.MULTILINE)
    texts["pyproject.toml"] = now


def edit_document(text: str, dropped: Dropped) -> str:
    """Return a Markdown document without rows and items that carry the comment of what is gone.

    In code and diagrams, which cannot carry it, the lines go that run or draw what is gone.
    """
    names = "|".join(sorted(dropped.names))
    drawn = re.compile(
        rf"poe pipelines (?:[a-z-]+ )*(?:{names})(?![\w-])|gh workflow run (?:{names})\.yml"
        rf"|--> (?:{names})(?![\w-])|^ +(?:{names})\b.* -->",
    )

    def cut(entry: re.Match[str]) -> str:
        return (
            "" if any(dropped.owns(mark["names"]) for mark in MARK.finditer(entry[0])) else entry[0]
        )

    parts = FENCED.split(text)
    parts[::2] = [ENTRY.sub(cut, part) for part in parts[::2]]
    for number in range(1, len(parts), 2):
        lines = parts[number].splitlines(keepends=True)
        parts[number] = "".join(line for line in lines if not drawn.search(line))
    return "".join(parts).rstrip("\n") + "\n"
