"""Take what dropped pipelines leave behind out of the text of files that stay.

What belongs to a pipeline says so itself: a block stands between the comments `NAME` and `/NAME`,
in Markdown also within a line; a row of a table or an item of a list carries the comment `NAME`.
Several names, separated by commas, share it: it goes with the last of them.
"""

import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath
from posixpath import normpath

NAMES = r"(?P<names>[a-z][a-z-]*(?:, [a-z][a-z-]*)*)"
BLOCK = re.compile(
    rf"^ *(?P<open><!--|#|//) {NAMES}(?P<close> -->|)\n.*?^ *(?P=open) /(?P=names)(?P=close)\n\n?",
    re.DOTALL | re.MULTILINE,
)
INLINE = re.compile(rf"<!-- {NAMES} -->[^\n]*?<!-- /(?P=names) -->")
MARK = re.compile(rf"<!-- {NAMES} -->")
LINK = re.compile(r"(?<!!)\[([^\[\]]*)\]\(([^()\s]+)\)")
LEAD = re.compile(r"\s*\[[^\]]*\]\(([^()\s]+)\)")
HEADING = re.compile(r"(#+) (.+)")
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

    def leads(self, page: str, target: str) -> bool:
        """Say whether a link on a page leads to a file or folder that is gone."""
        path = target.partition("#")[0]
        return bool(path) and normpath(PurePosixPath(page).parent / path) in self.paths

    @property
    def spoken(self) -> re.Pattern[str]:
        """What a document says about something that is gone: a command, a path, a cell."""
        names, tasks = ("|".join(sorted(it)) or "$^" for it in (self.names, self.tasks))
        paths = "|".join(re.escape(it) for it in sorted(self.paths))
        return re.compile(
            rf"poe (?:-q )?(?:{tasks})(?![\w-])|poe pipelines (?:[a-z-]+ )*(?:{names})(?![\w-])"
            rf"|gh workflow run (?:{names})\.yml|`(?:{paths})/?`|\| `?(?:{names})`? \|"
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
    before, after = (set(tomllib.loads(it).get("dependency-groups", {})) for it in (old, now))
    for group in before - after:
        include = rf'^ *\{{ include-group = "{group}" \}},\n|\{{ include-group = "{group}" \}}, '
        now = re.sub(include, "", now, flags=re.MULTILINE)
        for path in (it for it in texts if it.startswith(".github/workflows/")):
            lines = rf"^( *groups:.*?) {group}(?![\w-])"
            texts[path] = re.sub(lines, r"\1", texts[path], flags=re.MULTILINE)
    texts["pyproject.toml"] = now


def edit_documents(texts: dict[str, str], dropped: Dropped) -> list[str]:
    """Take what is gone out of all Markdown documents.

    These go: a section that begins with a link to something that is gone; rows and items of lists
    that link to it, name it as code, or carry its comment; commands that run it; its arrows in a
    diagram. Elsewhere in a text a link becomes plain words.

    Args:
        texts: All files, to be changed.
        dropped: What is gone.

    Returns:
        The places that a person has to look at, as `file: what stands there`.
    """
    pages = [it for it in texts if it.endswith(".md")]
    lost = {it: find_anchors(texts[it]) for it in pages}
    for page in pages:
        texts[page] = cut_sections(texts[page], partial(dropped.leads, page))
        lost[page] -= find_anchors(texts[page])
    found: list[str] = []
    for page in pages:
        texts[page] = _edit(page, texts[page], dropped, lost, found)
    return found


def find_anchors(text: str) -> set[str]:
    """Return the anchors that GitHub gives the headings of a document."""
    heads = [it[2].lower() for line in text.splitlines() if (it := HEADING.fullmatch(line))]
    return {re.sub(r"[^\w\- ]", "", it).replace(" ", "-") for it in heads}


def cut_sections(text: str, leads: Callable[[str], bool]) -> str:
    """Return a document without the sections that begin with a link to what is gone."""
    kept, depth, fenced = [], 0, False
    lines = text.splitlines(keepends=True)
    for number, line in enumerate(lines):
        fenced ^= line.lstrip().startswith("```")
        head = None if fenced else HEADING.match(line)
        if head and len(head[1]) <= (depth or 9):
            begin = LEAD.match("".join(lines[number + 1 :]))
            depth = len(head[1]) if begin and leads(begin[1]) else 0
        if not depth:
            kept.append(line)
    return "".join(kept).rstrip("\n") + "\n" if text else text


def cut_arrows(line: str, names: set[str]) -> str:
    """Return a line of a diagram without the boxes of these pipelines; nothing if none is left."""
    kept: list[list[str]] = [[]]
    indent = line[: len(line) - len(line.lstrip())]
    for box in line.strip().split(" --> "):
        if re.split(r"[\[({]", box)[0] in names:
            kept.append([])
        else:
            kept[-1].append(box)
    return "".join(f"{indent}{' --> '.join(it)}\n" for it in kept if len(it) > 1)


def _edit(
    page: str, text: str, dropped: Dropped, lost: dict[str, set[str]], found: list[str]
) -> str:
    spoken = dropped.spoken

    def is_over(entry: str) -> bool:
        marks = [it["names"] for it in MARK.finditer(entry)]
        if any(dropped.owns(it) for it in marks):
            return True
        return not marks and (
            bool(spoken.search(entry))
            or any(dropped.leads(page, it[2]) for it in LINK.finditer(entry))
        )

    def unlink(link: re.Match[str]) -> str:
        path, _, anchor = link[2].partition("#")
        target = normpath(PurePosixPath(page).parent / path) if path else page
        if not dropped.leads(page, link[2]) and anchor not in lost.get(target, ()):
            return link[0]
        found.append(f"{page}: {link[1]}")
        return link[1]

    parts = FENCED.split(text)
    for number, part in enumerate(parts):
        if number % 2:
            lines = part.splitlines(keepends=True)
            if "mermaid" in lines[0]:
                lines = [cut_arrows(it, dropped.names) if "-->" in it else it for it in lines]
            parts[number] = "".join(it for it in lines if not spoken.search(it))
        else:
            kept = ENTRY.sub(lambda it: "" if is_over(it[0]) else it[0], part)
            parts[number] = LINK.sub(unlink, kept)
            found += [f"{page}: {it[0]}" for it in spoken.finditer(parts[number])]
    return "".join(parts)
