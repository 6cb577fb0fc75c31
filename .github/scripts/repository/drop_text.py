"""Take what dropped pipelines leave behind out of the text of files that stay.

What belongs to a pipeline says so itself: a block stands between the comments `NAME` and `/NAME`,
in Markdown also within a line; a row of a table or an item of a list carries the comment `NAME`.
Several names, separated by commas, share it: it goes with the last of them.
"""

import re
import tomllib
from dataclasses import dataclass
from pathlib import PurePosixPath
from posixpath import relpath

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
    """What is gone: pipelines, files and folders, tasks; and the pipelines that stay."""

    names: set[str]
    stay: set[str]
    paths: set[str]
    tasks: set[str]

    def owns(self, listed: str) -> bool:
        """Say whether something of these pipelines, separated by commas, goes."""
        owners = set(listed.split(", "))
        return bool(owners & self.names) and not owners & self.stay

    def find_spoken(self, page: str) -> re.Pattern[str]:
        """Return what a page says of something that is gone: a command, path, cell, box, link."""
        names, tasks = ("|".join(sorted(words)) or "$^" for words in (self.names, self.tasks))
        paths = "|".join(re.escape(path) for path in sorted(self.paths))
        here = PurePosixPath(page).parent
        links = "|".join(re.escape(relpath(path, here)) for path in sorted(self.paths))
        return re.compile(
            rf"poe (?:-q )?(?:{tasks})(?![\w-])|poe pipelines (?:[a-z-]+ )*(?:{names})(?![\w-])"
            rf"|gh workflow run (?:{names})\.yml|`(?:{paths})/?`|\| `?(?:{names})`? \|"
            rf"|--> (?:{names})(?![\w-])|^ +(?:{names})\b.* -->|\]\((?:{links})(?:#[^)]*)?\)",
            re.MULTILINE,
        )


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


def edit_documents(texts: dict[str, str], dropped: Dropped) -> list[str]:
    """Take what is gone out of all Markdown documents.

    These go: rows and items of lists that speak of it or carry its comment; lines of code and of
    diagrams that speak of it.

    Args:
        texts: All files, to be changed.
        dropped: What is gone.

    Returns:
        The places that a person has to look at, as `file: what stands there`.
    """
    found: list[str] = []
    for page in (path for path in texts if path.endswith(".md")):
        spoken = dropped.find_spoken(page)

        def cut(entry: re.Match[str], spoken: re.Pattern[str] = spoken) -> str:
            marks = [match["names"] for match in MARK.finditer(entry[0])]
            is_over = any(map(dropped.owns, marks)) or (not marks and spoken.search(entry[0]))
            return "" if is_over else entry[0]

        parts = FENCED.split(texts[page])
        parts[::2] = [ENTRY.sub(cut, part) for part in parts[::2]]
        for number in range(1, len(parts), 2):
            lines = parts[number].splitlines(keepends=True)
            parts[number] = "".join(line for line in lines if not spoken.search(line))
        texts[page] = "".join(parts).rstrip("\n") + "\n"
        found += [f"{page}: {match[0]}" for match in spoken.finditer(texts[page])]
    return found
