#!/usr/bin/env python3
"""Write what changed up to the commit that is checked out, as the release notes show it.

Every commit since a version stands there once, or is named as left out: merges, release bumps, what
that version has already, and what was taken back again before anybody got it. Messages are text of
others: nothing in them is markup, notifies somebody or links an issue. GITHUB_REPOSITORY and
GITHUB_SERVER_URL say where links lead.
"""

import argparse
import os
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from lib.git import Git, GitError
from lib.markdown import JOINERS, escape, is_visible
from lib.workflow_commands import refuse, summarize
from release.release_version import Version, find_newest_stable

BREAKING, OTHER = "⚠️ Breaking Changes", "🔧 Other Changes"
GROUPS = {"feat": "✨ Features", "fix": "🐛 Bug Fixes", "docs": "📚 Documentation"}
"""The groups of the notes by type of commit; all other types are in the last one."""
LONGEST = 124_000
"""Characters of notes: GitHub allows 125,000 in a release, and a mark follows."""

LONGEST_SUBJECT = 1000
"""Characters; what is looked for in it takes time that grows with their square."""

HEADER = re.compile(r"(?P<type>[A-Za-z]+)(?:\((?P<scope>[^)]*)\))?(?P<mark>!)?:\s*(?P<subject>.+)")
NUMBER = r"v?\d+\.\d+\.\d+[\w.+-]*"
BUMP = re.compile(
    r"((chore(\((release|main|master)\))?|bump|release):\s*)?"
    r"((release|bump|version|to) )*"
    rf"({NUMBER} (→|->|to) )?{NUMBER}(\s+(\(#\d+\)|\[skip ci\]))*",
    re.IGNORECASE,
)
"""What tools write as the commit of a release, and nothing besides."""
NUMBERS = re.compile(r"(\s*\(#\d+\))+$")
REVERT = re.compile(
    r"revert(?:\([^)]*\))?!?:\s*(?:\"(.+)\"|(.+))|(?:Revert|(Reapply)) \"(.+)\"", re.IGNORECASE
)
HASH = "[0-9a-f]{7,40}"
REVERTED = re.compile(
    rf"^This reverts commits? ({HASH}(?:(?:,| and|\s)+{HASH})*)", re.IGNORECASE | re.MULTILINE
)
REFS = re.compile(rf"^Refs: ({HASH}(?:, {HASH})*)\s*$", re.MULTILINE)
REVERTED_PULL = re.compile(r"^Reverts (?:[\w.-]+/[\w.-]+)?#(\d+)\s*$", re.MULTILINE)
WORDS = re.compile(r"(?:chore(?:\([^)]*\))?!?:\s*)?revert(?:s|ed)? (.+)", re.IGNORECASE)
"""What may be a revert: if it names an earlier commit."""
PULL = re.compile(r"\(#(\d+)\)$|^Merge pull request #(\d+) ")
MERGED = re.compile(r"Merge pull request #(\d+) .*\n\n(\S.*)")
PICKED = re.compile(r"\(cherry picked from commit ([0-9a-f]{40})\)")
LISTED = re.compile(r"^\* (?=\S)", re.MULTILINE)
"""How a squash lists the commits that it is made of."""
FOOTER = re.compile(r"BREAKING[ -]CHANGE:\s*(.*)")
FOOTER_ENDS = re.compile(r"\s*$|#|[-*+>|<]|[A-Za-z][\w-]*(: | #)")
ITEM = re.compile(r"[-+] (?!\[)")
NOT_TEXT = re.compile(
    r"^ *(?P<fence>`{3,}(?=[^`\n]*$)|~{3,}).*?(^ *(?P=fence)|\Z)|<!--.*?(-->|\Z)|^ {0,3}>.*?$"
    r"|^ {0,3}<(?P<tag>[A-Za-z][\w-]*)(?=[\s/>])(.{0,9999}?</(?P=tag)>|.*?(?=\n\s*\n|\Z))",
    re.DOTALL | re.MULTILINE,
)
NOTHING = re.compile(r"[\W_]*(none|no|n/?a)?[\W_]*", re.IGNORECASE)
PART = r"\([^\s<>()|\\`]*\)|[^\s<>()\[\]|\\`\"'"
URL = re.compile(rf"(?:https?|ssh|git)://(?:{PART}])*(?:{PART}.,;:!?])")


@dataclass
class Commit:
    """A commit of the history.

    Attributes:
        id: Its name in full.
        message: The whole message.
        parents: The names of its parents.
        known: Whether the version before has the same change as another commit.
    """

    id: str
    message: str
    parents: list[str] = field(default_factory=list)
    known: bool = False

    @cached_property
    def subject(self) -> str:
        """The first line."""
        line = self.message.lstrip("\n").partition("\n")[0].strip()
        return line if len(line) <= LONGEST_SUBJECT else f"{line[:LONGEST_SUBJECT]}…"

    @cached_property
    def title(self) -> str:
        """The subject; of what GitHub's button merged, the title of the pull request."""
        match = MERGED.match(self.text)
        return f"{match[2][:LONGEST_SUBJECT]} (#{match[1]})" if match else self.subject

    @cached_property
    def text(self) -> str:
        """The message without what is quoted, fenced, commented or HTML."""
        return NOT_TEXT.sub("\n", self.message.lstrip("\n"))

    @cached_property
    def listed(self) -> "list[Commit]":
        """The commits that it lists in its body, if it is a squash."""
        return [Commit(self.id, word) for word in LISTED.split(self.text)[1:]]

    @cached_property
    def names(self) -> set[str]:
        """What a revert may call it."""
        inner = "" if self.undone else self.parts.get("subject", "")
        return {simplify(self.subject), simplify(self.title), simplify(inner)} - {""}

    @cached_property
    def pull(self) -> str:
        """The number of its pull request; empty if it names none."""
        match = PULL.search(self.subject)
        return match[1] or match[2] if match else ""

    @cached_property
    def parts(self) -> dict[str, str]:
        """Type, scope, mark and subject; nothing if this is no Conventional Commit."""
        match = HEADER.fullmatch(self.title)
        return {key: text or "" for key, text in match.groupdict().items()} if match else {}

    @cached_property
    def breaks(self) -> list[str]:
        """What its footers say that breaks, and what the commits say that it lists."""
        texts: list[list[str]] = []
        undone: set[str] = set()
        for part in reversed(self.listed):
            undone |= part.takes_back
            if not undone & part.names:
                header = [part.parts["subject"]] if part.parts.get("mark") else []
                texts.append(find_footers(part.text) or header)
        texts.append(find_footers(LISTED.split(self.text)[0]))
        return [text for found in reversed(texts) for text in found]

    @property
    def is_breaking(self) -> bool:
        """Whether the header, a footer or a listed commit says so."""
        return bool(self.parts.get("mark") or self.breaks)

    @cached_property
    def undone(self) -> str:
        """What the subject says that it takes back; empty if this is no revert."""
        match = REVERT.fullmatch(NUMBERS.sub("", self.subject))
        if not match:
            return ""
        return f'Revert "{match[4]}"' if match[3] else match[1] or match[2] or match[4]

    @cached_property
    def is_revert(self) -> bool:
        """Whether its subject calls it one."""
        return bool(self.takes_back) or self.subject.lower().startswith("revert")

    @cached_property
    def takes_back(self) -> set[str]:
        """The names of what the subject may take back."""
        match = WORDS.fullmatch(self.subject)
        text = self.undone or (match[1] if match else "")
        return {simplify(text), simplify(HEADER.sub(r"\g<subject>", text))} - {""}


def find_footers(text: str) -> list[str]:
    """Return what the footers of a text say that breaks."""
    found: list[list[str]] = []
    is_open = False
    for line in text.splitlines():
        if start := FOOTER.fullmatch(line):
            found.append([start[1]])
            is_open = True
        elif is_open and (line.strip() or any(found[-1])):
            is_item = not found[-1][0] and ITEM.match(line)
            is_open = bool(is_item) or not FOOTER_ENDS.match(line)
            found[-1] += [line.strip()] * is_open
    texts = (" ".join(lines).strip() for lines in found)
    return [text for text in texts if not NOTHING.fullmatch(text)]


def read_commits(git: Git, commits: str) -> list[Commit]:
    """Return the commits of a range, oldest first."""
    form = "--format=%H%x1f%P%x1f%B"
    found = git("log", "--topo-order", "--reverse", "-z", form, commits, "--")
    text = found.encode(errors="surrogateescape").decode(errors="replace")
    records = (record.split("\x1f", 2) for record in text.split("\0") if record)
    return [Commit(id_, body, up.split()) for id_, up, body in records]


def read_history(git: Git, since: str) -> list[Commit]:
    """Return the commits that a version has not, oldest first; known are those it has otherwise."""
    commits = read_commits(git, f"{since}..HEAD" if since else "HEAD")
    theirs = read_commits(git, f"HEAD..{since}") if since else []
    if not theirs:
        return commits
    gone = find_taken_back(git, theirs)
    names = {name for other in theirs if other.id in gone for name in other.names}
    ids = {other.id for other in theirs} - gone
    picked = {id_ for other in theirs if other.id in ids for id_ in PICKED.findall(other.text)}
    # with a path, empty commits are left out: they are all alike
    options = ("--cherry-mark", "--right-only", "--full-history", f"{since}...HEAD", "--", ":/")
    alike = {word[1:] for word in git("rev-list", *options).split() if word.startswith("=")}
    for commit in commits:
        picks = [PICKED.findall(part.text) for part in commit.listed or [commit]]
        commit.known = (
            commit.id in picked
            or (commit.id in alike and not commit.names & names)
            or all(not ids.isdisjoint(found) for found in picks)
        )
    return commits


def find_taken_back(git: Git, commits: Sequence[Commit]) -> set[str]:
    """Return the names of the commits that cancel each other: reverts, and what they revert.

    A commit that takes back something and is called otherwise may bring something else: it stays.
    What was taken back takes nothing back, nor does a merge: what it brought does.
    """
    gone: set[str] = set()
    for number, commit in reversed([*enumerate(commits)]):
        if commit.id not in gone and not commit.known and not commit.parents[1:]:
            found = (
                other for other in find_undone(git, commit, commits[:number]) if not other.known
            )
            if undone := {other.id for other in found} - gone:
                gone |= undone | ({commit.id} if commit.is_revert else set())
    return gone


def find_undone(git: Git, commit: Commit, earlier: Sequence[Commit]) -> list[Commit]:
    """Return which earlier commits a commit takes back; none if it takes back something else."""
    text = LISTED.split(commit.text)[0]
    told = REVERTED.findall(text) + (REFS.findall(text) if commit.undone else [])
    names = re.findall(HASH, " ".join(told))
    pulls = {*REVERTED_PULL.findall(text), *re.findall(r"\(#(\d+)\)$", commit.undone)}
    pulls = pulls if commit.is_revert else set()
    if not names and not commit.is_revert:
        return []
    found = [other for other in earlier if other.id.startswith(tuple(names))] if names else []
    others = [name for name in names if not any(other.id.startswith(name) for other in found)]
    if any(git.find(name) and not git("rev-list", "-1", name, "^HEAD") for name in others):
        return []  # it takes back something older

    def find_newest(fits: Callable[[Commit], bool]) -> list[Commit]:
        return next(([other] for other in reversed(earlier) if fits(other)), [])

    if not found and pulls:
        found = find_newest(lambda change: change.pull in pulls)
    if not found and commit.is_revert:
        wanted = commit.takes_back
        found = find_newest(
            lambda change: not (wanted.isdisjoint(change.names) or (change.pull and pulls))
        )
    for merge in [other for other in found if len(other.parents) > 1]:
        brought = list_brought(git, merge)
        found += [other for other in earlier if other.id in brought]
    return found


def list_brought(git: Git, merge: Commit) -> set[str]:
    """Return the names of the commits that a merge brought."""
    return {*git("rev-list", f"{merge.id}^1..{merge.id}").split()} - {merge.id}


def simplify(subject: str) -> str:
    """Return a subject as people repeat it."""
    return " ".join(NUMBERS.sub("", subject).casefold().split())


def sort_out(git: Git, commits: Sequence[Commit], since: str) -> dict[str, str]:
    """Return the commits that are left out, by their names, each with the reason."""
    out = {commit.id: f"in {since} already" for commit in commits if commit.known}
    out |= dict.fromkeys(find_taken_back(git, commits), "taken back again")
    breaking = {commit.id for commit in commits if commit.is_breaking} - out.keys()
    for commit in commits:
        is_merge = len(commit.parents) > 1
        if commit.id in breaking and not (is_merge and breaking & list_brought(git, commit)):
            continue  # nothing else says what breaks
        if is_merge or BUMP.fullmatch(commit.subject):
            out.setdefault(commit.id, "merges" if is_merge else "release bumps")
    return out


def write(git: Git, since: str, tag: str) -> str:
    """Return the notes as Markdown.

    Args:
        git: The work tree.
        since: Tag that the changes start from; empty takes the whole history.
        tag: Tag to compare with; empty adds no link.
    """
    commits = read_history(git, since)
    out = sort_out(git, commits, since)
    groups: dict[str, list[str]] = {name: [] for name in (BREAKING, *GROUPS.values(), OTHER)}
    for commit in commits:
        if commit.id not in out:
            name = GROUPS.get(commit.parts.get("type", "").lower(), OTHER)
            groups[BREAKING if commit.is_breaking else name].append(show(commit))
    parts = [f"### {name}\n\n" + "\n".join(lines) for name, lines in groups.items() if lines]
    parts = parts or [f"No changes{f' since {since}' if since else ''}."]
    if out:
        reasons: dict[str, list[str]] = {}
        for commit in (commit for commit in commits if commit.id in out):
            reasons.setdefault(out[commit.id], []).append(commit.id[:7])
        named = (f"{why}: {len(names)} ({', '.join(names)})" for why, names in reasons.items())
        parts.append(f"<sub>Left out: {'; '.join(named)}.</sub>")
    if tag and since and (repository := find_repository()):
        parts.append(f"**Full changes:** {repository}/compare/{since}...{tag}")
    return "\n\n".join(parts) + "\n"


def show(commit: Commit) -> str:
    """Return the line of a commit, and lines for what it breaks."""
    parts = commit.parts
    scope = f"**{plain(parts['scope'])}:** " if parts.get("scope") else ""
    text = parts.get("subject") or commit.title
    if commit.undone:
        scope, text = "**Reverted:** ", commit.undone
        text += "".join(f" (#{number})" for number in re.findall(r"\(#(\d+)\)$", commit.subject))
    repository = find_repository()
    short = commit.id[:7]
    place = f"[{short}]({repository}/commit/{commit.id})" if repository else short
    line = f"- {scope}{plain(text) or '(no message)'} ({place})"
    return "\\\n  ".join([line, *(plain(change) for change in commit.breaks if change != text)])


def plain(text: str) -> str:
    """Return text as one line of Markdown that shows it; only addresses and pulls are links."""
    kept = (char if is_visible(char) or char in JOINERS else " " for char in text)
    words = " ".join("".join(kept).split())
    numbers = match[0] if (match := NUMBERS.search(words)) else ""
    words = words.removesuffix(numbers)
    shown, end = "", 0
    for url in URL.finditer(words):
        shown += escape(words[end : url.start()]) + f"<{url[0]}>"
        end = url.end()
    shown += escape(words[end:])
    shown = re.sub(r"^([-+]|[0-9]+[.)])( |$)", "\u2060\\1\\2", shown)
    for number in re.findall(r"\d+", numbers):
        repository = find_repository()
        link = f"[\\#{number}]({repository}/pull/{number})" if repository else f"\\#\u2060{number}"
        shown += f" ({link})"
    return shown.strip()


def find_repository() -> str:
    """Return the address of the repository; empty if it is not known."""
    name = os.environ.get("GITHUB_REPOSITORY")
    return f"{os.environ.get('GITHUB_SERVER_URL') or 'https://github.com'}/{name}" if name else ""


def shorten(notes: str) -> str:
    """Return notes that GitHub accepts, cut between two lines; the cut is stated."""
    if len(notes) <= LONGEST:
        return notes
    last = notes.rstrip().rpartition("\n\n")[2]
    kept = notes[: LONGEST - 1000].rpartition("\n")[0]
    left = notes[len(kept) :].count("\n- ")
    link = f"\n\n{last}" if last.startswith("**Full changes:**") else ""
    return f"{kept}\n\n**{left} more changes do not fit here.** See the commits of the tag.{link}\n"


def check_input(since: str | None) -> tuple[Git, str]:
    """Return the work tree and the tag to start from: a partial changelog looks like a whole one.

    Raises:
        GitError: The history or the tag is missing.
    """
    git = Git(Path(Git()("rev-parse", "--show-toplevel")))
    if git("rev-parse", "--is-shallow-repository") == "true":
        fix = "Fetch all: git fetch --unshallow --tags"
        raise GitError(f"The clone is shallow, so the changes would be incomplete. {fix}")
    since = str(find_newest_stable() or "") if since is None else since
    if since and not (Version.parse(since) and git.find(f"refs/tags/{since}")):
        raise GitError(f"There is no version {since} to start from: git tag --list lists them.")
    return git, since


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the notes that the command line asks for; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    text = (
        "show what this version has not, by default the newest stable one; '' is the whole history"
    )
    parser.add_argument("--since", metavar="TAG", help=text)
    parser.add_argument("--tag", default="", help="add a link to the comparison with this tag")
    options = parser.parse_args(arguments)
    try:
        git, since = check_input(options.since)
        notes = write(git, since, options.tag)
    except GitError as error:
        refuse("Release notes", str(error))
        return 1
    summarize(shorten(notes))
    print(notes, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
