"""Release notes: everything since the last release, once, and as harmless text."""

import os
import re
import subprocess
import sys
import tempfile
from contextlib import chdir, redirect_stdout
from io import StringIO
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lib import processes
from origin import Git
from release import release_notes

ROOT = Path(__file__).parents[3]
SCRIPT = ROOT / ".github/scripts/release/release_notes.py"
NOISE = ("chore(release): v1.0.0", "chore: release 1.0.0")


class History:
    """A repository with one commit."""

    def __init__(self, directory: Path) -> None:
        self.git = Git(directory)
        self.git("init", "--quiet", "--initial-branch=main")
        self.commit("chore: start")

    def commit(self, message: str) -> str:
        """Make a commit."""
        options = ("--quiet", "--allow-empty", "--allow-empty-message", "--cleanup=verbatim")
        self.git("commit", *options, "-m", message)
        return self.git.find("HEAD")

    @property
    def environment(self) -> dict[str, str]:
        """What the script sees."""
        return {
            "GITHUB_REPOSITORY": "octo-org/widget",
            "GITHUB_SERVER_URL": "https://github.com",
            "GITHUB_STEP_SUMMARY": str(self.git.directory / "summary"),
            "HOME": str(self.git.directory),
            "PATH": f"{sys.prefix}/bin:{os.environ['PATH']}",
        }

    def start(self, *arguments: str, code: int = 0) -> str:
        """Return what the script prints, or what it says when it fails as it should."""
        command = [sys.executable, str(SCRIPT), *arguments]
        folder, apart = self.git.directory, subprocess.PIPE
        done = processes.run(
            command, 300, folder=folder, environment=self.environment, errors=apart
        )
        assert done.returncode == code, done.stderr
        return done.stdout + done.stderr if code else done.stdout

    def notes(self, *arguments: str, code: int = 0) -> str:
        """Return the same, without a process of its own."""
        with (
            chdir(self.git.directory),
            patch.dict(os.environ, self.environment, clear=True),
            redirect_stdout(StringIO()) as printed,
        ):
            assert release_notes.main(arguments) == code
        return printed.getvalue()


def find_listed(notes: str) -> list[str]:
    """Return the commits that the notes link, in order."""
    return re.findall(r"/commit/([0-9a-f]{40})\)", notes)


@pytest.fixture
def history(tmp_path: Path) -> History:
    """Return a repository whose one commit is v1.0.0."""
    history = History(tmp_path)
    history.git("tag", "v1.0.0")
    return history


def sections(notes: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in notes.splitlines():
        if line.startswith("### "):
            found[line[4:]] = []
        elif line.startswith("- "):
            [*found.values()][-1].append(line[2:].rpartition(" ([")[0])
    return found


def test_groups(history: History) -> None:
    for message in (
        "feat(api): one\n\nwith a body\n\n* and a list",
        "Fix: two",
        "docs: three",
        "build(deps): Bump actions/checkout from 6 to 7 (#12)",
        'Revert "feat: zero"',
        "Update readme",
        "feat!: four",
        "fix(db): five\n\nBREAKING CHANGE: move the data\nfirst",
        "refactor(core)!: six",
    ):
        history.commit(message)
    notes = history.start("--since", "v1.0.0", "--tag", "v2.0.0")
    assert notes == history.notes("--since", "v1.0.0", "--tag", "v2.0.0")
    assert sections(notes) == {
        "⚠️ Breaking Changes": ["four", "**db:** five", "**core:** six"],
        "✨ Features": ["**api:** one"],
        "🐛 Bug Fixes": ["two"],
        "📚 Documentation": ["three"],
        "🔧 Other Changes": [
            f"**deps:** Bump actions/checkout from 6 to 7{link(12)}",
            "**Reverted:** feat: zero",
            "Update readme",
        ],
    }
    assert "\\\n  move the data first\n" in notes
    assert notes.endswith(
        "**Full changes:** https://github.com/octo-org/widget/compare/v1.0.0...v2.0.0\n"
    )


HARMLESS = [
    ("feat: <script>alert(1)</script>", "\\<script\\>alert(1)\\</script\\>"),
    ("feat: <!-- gone", "\\<\\!-- gone"),
    ("feat: ![x](http://y) [z]", "\\!\\[x\\](<http://y>) \\[z\\]"),
    ("feat: **b** _i_ `c`", "\\*\\*b\\*\\* \\_i\\_ \\`c\\`"),
    ("feat: ~~s~~ | $m$", "\\~\\~s\\~\\~ \\| \\$m\\$"),
    ("feat: thank @octocat and @a/b", "thank @\u2060octocat and @\u2060a/b"),
    ("feat: fixes #1, gh-2, o/r#3", "fixes \\#\u20601, gh-\u20602, o/r\\#\u20603"),
    ("feat: &lt; \\< &#64;a", "\\&lt; \\\\\\< \\&\\#\u206064;a"),
    ("feat: \u202eabc\u202c\x1b[31m", "abc \\[31m"),
    ("feat: é 日本 🎉", "é 日本 🎉"),
    ("feat: {{ commit.id }}", "\\{\\{ commit.id \\}\\}"),
    ("feat: {% raw %} $1", "\\{% raw %\\} \\$1"),
    ("# heading", "\\# heading"),
    ("ci: bump pypa/gh-action", "bump pypa/gh-action"),
    ("- item", "\u2060- item"),
    ("1. item", "\u20601. item"),
    ("```", "\\`\\`\\`"),
    ("", "(no message)"),
    ("feat: 👩\u200d💻 x", "👩\u200d💻 x"),
    ("fix: می\u200cخواهم", "می\u200cخواهم"),  # noqa: RUF001
    ("docs: see https://a.b/c_d?e=f#g_h, @x", "see <https://a.b/c_d?e=f#g_h>, @\u2060x"),
    ("feat(<b>): x", "**\\<b\\>:** x"),
    ("fix: (see https://a.b/c_(d)#e).", "(see <https://a.b/c_(d)#e>)."),
    ("fix: ssh://git@a.b/c#1 now", "<ssh://git@a.b/c#1> now"),
]


def test_messages_are_harmless(history: History) -> None:
    for message, _ in HARMLESS:
        history.commit(message)
    found = sections(history.notes("--since", "v1.0.0"))
    every = [line for lines in found.values() for line in lines]
    assert sorted(every) == sorted(shown for _, shown in HARMLESS)


def test_nothing_to_tell_is_stated(history: History) -> None:
    assert history.notes("--since", "v1.0.0") == "No changes since v1.0.0.\n"
    bump = history.commit(NOISE[0])
    assert history.notes("--since", "v1.0.0") == (
        f"No changes since v1.0.0.\n\n<sub>Left out: release bumps: 1 ({bump[:7]}).</sub>\n"
    )


def link(number: int) -> str:
    """Return the link to a pull request that a line ends with."""
    return f" ([\\#{number}](https://github.com/octo-org/widget/pull/{number}))"


REVERTS: list[tuple[list[str], dict[str, list[str]], int]] = [
    (["feat: one", "revert: one"], {}, 2),
    (["feat: one", 'revert: "feat: one"'], {}, 2),
    (["feat: one", "chore: revert one"], {}, 2),
    (["feat: one", "revert: one", "feat: one"], {"✨ Features": ["one"]}, 2),
    (["feat: one (#2)", 'Revert "feat: one" (#3)\n\nReverts octo-org/widget#2'], {}, 2),
    (["feat: one (#2)", 'Revert "feat: one (#2)" (#3)'], {}, 2),
    (
        ["fix: one (#7)", "fix: one (#8)", 'Revert "fix: one (#7)" (#9)'],
        {"🐛 Bug Fixes": [f"one{link(8)}"]},
        2,
    ),
    (
        ["feat!: one\n\nBREAKING CHANGE: gone", "revert: other\n\nThis reverts commit {0}."],
        {},
        2,
    ),
    (["feat: one", "feat: two", "revert: never again\n\nRefs: {0:.7}, {1:.7}"], {}, 3),
    (
        ["feat: one", "feat: two", "revert: both\n\nThis reverts commits {0} and\n{1:.12}."],
        {},
        3,
    ),
    (
        [
            "feat: one",
            'Revert "feat: one"\n\nThis reverts commit {0}.',
            'Reapply "feat: one"',
        ],
        {"✨ Features": ["one"]},
        2,
    ),
    (
        [
            "feat: a thing (#1)",
            'Revert "feat: a thing (#1)" (#2)',
            'Reapply "feat: a thing (#1)" (#3)',
        ],
        {"✨ Features": [r"a thing ([\#1](https://github.com/octo-org/widget/pull/1))"]},
        2,
    ),
    (  # what is called otherwise may bring something else
        ["feat: one", "fix: the old way\n\nThis reverts commit {0}."],
        {"🐛 Bug Fixes": ["the old way"]},
        1,
    ),
    (
        [
            "feat: one",
            "feat: two (#3)\n\n* feat: two\n\n* Revert it\n\nThis reverts commit {0}.",
            "feat: button",
            "feat: revert button",
        ],
        {"✨ Features": ["one", f"two{link(3)}", "button", "revert button"]},
        0,
    ),
    (
        [
            "feat: one",
            "fix: revert the colour to blue\n\nRefs: {0:.7}",
            "fix: two\n\n> This reverts commit {0}.",
        ],
        {"✨ Features": ["one"], "🐛 Bug Fixes": ["revert the colour to blue", "two"]},
        0,
    ),
]


@pytest.mark.parametrize(("messages", "told", "taken_back"), REVERTS)
def test_reverts_are_out_with_what_they_reverted(
    history: History, messages: list[str], told: dict[str, list[str]], taken_back: int
) -> None:
    names: list[str] = []
    for message in messages:
        names.append(history.commit(message.format(*names)))
    notes = history.notes("--since", "v1.0.0")
    assert sections(notes) == told
    assert (f"taken back again: {taken_back} " in notes) == bool(taken_back)


@pytest.mark.parametrize("title", ["{0}", "Merge pull request #6 from a/revert-5\n\n{0}"])
@pytest.mark.parametrize("named", ["\n\nReverts octo-org/widget#5", ""])
def test_revert_that_is_merged_takes_out_what_a_merge_brought(
    history: History, title: str, named: str
) -> None:
    revert = 'Revert "feat!: one"'
    for branch, message, merge in (
        ("side", "wip", "Merge pull request #5 from a/side\n\nfeat!: one"),
        ("revert-5", f"{revert}{named}", title.format(revert)),
    ):
        history.git("checkout", "--quiet", "-b", branch)
        history.commit(message)
        history.git("checkout", "--quiet", "main")
        history.git("merge", "--quiet", "--no-ff", "-m", merge, branch)
    assert not sections(history.notes("--since", "v1.0.0"))


@pytest.mark.parametrize(
    ("title", "revert"),
    [
        ("Merge pull request #5 from a/side", 'Revert "Other" (#6)\n\nReverts octo-org/widget#5'),
        ("Merge pull request #1 from side", 'Revert "Merge"\n\nThis reverts commit {0}'),
    ],
)
def test_revert_of_a_merge_takes_out_what_it_brought(
    history: History, title: str, revert: str
) -> None:
    history.git("checkout", "--quiet", "-b", "side")
    history.commit("feat: one")
    history.commit("feat: two")
    history.git("checkout", "--quiet", "main")
    history.git("merge", "--quiet", "--no-ff", "-m", title, "side")
    history.commit(revert.format(history.git.find("HEAD")))
    notes = history.notes("--since", "v1.0.0")
    assert not sections(notes)
    assert "taken back again: 4 " in notes


MERGE = "Merge pull request #5 from a/side\n\nfeat!: drop v1"


@pytest.mark.parametrize(
    ("merge", "brought", "told"),
    [
        (MERGE, "wip", [f"drop v1{link(5)}"]),
        ("feat!: drop v1 (#5)", "wip", [f"drop v1{link(5)}"]),
        ("Merge branch 'side'\n\nBREAKING CHANGE: v1 is gone", "wip", ["Merge branch 'side'"]),
        (MERGE, "feat!: drop v1", ["drop v1"]),
    ],
)
def test_what_only_a_merge_says_to_break_is_told(
    history: History, merge: str, brought: str, told: list[str]
) -> None:
    history.git("checkout", "--quiet", "-b", "side")
    history.commit(brought)
    history.git("checkout", "--quiet", "main")
    history.git("merge", "--quiet", "--no-ff", "-m", merge, "side")
    notes = history.notes("--since", "v1.0.0")
    assert sections(notes)["⚠️ Breaking Changes"] == told


def test_revert_of_an_older_commit_is_said(history: History) -> None:
    name = history.commit("feat: old")
    history.git("tag", "v1.0.1")
    history.commit("feat: old")
    history.commit(f'Revert "feat: old" (#9)\n\nThis reverts commit {name}.')
    assert sections(history.notes("--since", "v1.0.1")) == {
        "✨ Features": ["old"],
        "🔧 Other Changes": [f"**Reverted:** feat: old{link(9)}"],
    }


SQUASHED = """feat(api): one (#7)

* feat: part

## What changes
- [ ] tests

BREAKING CHANGE: move the data
to the new place
Signed-off-by: A <a@example.com>
Co-authored-by: B <b@example.com>

BREAKING-CHANGE: and the keys

## How it was tried
- [x] by hand
"""
QUOTED = """docs: explain

```text
BREAKING CHANGE: one
```
> BREAKING CHANGE: two
<!-- BREAKING CHANGE: three
BREAKING CHANGE: four -->
BREAKING CHANGE: none

Say `BREAKING CHANGE: five` there.
"""
NEAR = """feat: near

```inline``` code opens no block
<img src="a.png">

<https://example.com>
BREAKING CHANGE: counts
"""


def test_breaking_footers(history: History) -> None:
    history.commit(SQUASHED)
    history.commit("feat: two\nBREAKING CHANGE: three")
    history.commit(QUOTED)
    history.commit(NEAR)
    notes = history.notes("--since", "v1.0.0")
    assert "\\\n  move the data to the new place\\\n  and the keys\n" in notes
    assert "\\\n  three\n" in notes
    assert "\\\n  counts\n" in notes
    assert [*sections(notes)] == ["⚠️ Breaking Changes", "📚 Documentation"]
    assert not any(word in notes for word in ("tried", "tests", "Signed", "Co-auth", "four"))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("BREAKING CHANGE:\n\nThe keys moved\nfar away\n\nNext", ["The keys moved far away"]),
        ("BREAKING CHANGE:\n\n- keys\n- values\n\n- [x] tried", ["- keys - values"]),
        ("BREAKING CHANGE:\n- keys\nBREAKING CHANGE: values", ["- keys", "values"]),
        ("BREAKING CHANGE:\n\n## How it was tried\n\nBy hand", []),
        ("BREAKING CHANGE:\n\n- [x] tried", []),
        ("BREAKING CHANGE:\nCo-authored-by: B <b@example.com>", []),
        ("BREAKING CHANGE: keys\n- not of it", ["keys"]),
    ],
)
def test_footer_whose_text_begins_below(text: str, told: list[str]) -> None:
    assert release_notes.find_footers(text) == told


SQUASH = """feat: theme (#12)

* feat: dark mode

* feat!: drop the old colours

  * indented

* feat(api)!: other paths

BREAKING CHANGE: old addresses are gone

* feat!: no cookies

* Revert "feat!: no cookies"

This reverts commit 1234567890123456789012345678901234567890.

* Merge branch 'main' into theme

## Checklist
- [x] BREAKING CHANGE: no
* [ ] feat!: a box

> BREAKING CHANGE: quoted

<details><summary>Log</summary>

BREAKING CHANGE: in HTML
</details>

~~~~text
~~~
BREAKING CHANGE: fenced
~~~~

---------

Co-authored-by: B <b@example.com>
"""


def test_squash_is_one_entry_and_breaks_what_its_commits_break(history: History) -> None:
    squash = history.commit(SQUASH)
    notes = history.notes("--since", "v1.0.0")
    assert find_listed(notes) == [squash]
    assert [*sections(notes)] == ["⚠️ Breaking Changes"]
    lines = notes.splitlines()[3:5]
    assert lines == ["  drop the old colours\\", "  old addresses are gone"]
    assert notes.count("\n  ") == 2


def test_only_release_bumps_are_left_out(history: History) -> None:
    told = [
        "chore: release the lock when a worker dies",
        "chore(release): sign the files",
        "chore(deps): release 1.2.3",
        "chore: bump version 2 of the API to 3.0.0",
    ]
    bumps = [
        "chore(release): 1.0.1-rc.1 (#3) [skip ci]",
        "chore(main): release 17.11.0 (#2858)",
        "bump: version 4.16.5 → 4.17.0",
        "v1.1.0",
        "Bump version to 1.2.0",
    ]
    names = [history.commit(message) for message in [*told, *bumps]]
    assert find_listed(history.notes("--since", "v1.0.0")) == names[: len(told)]


@pytest.fixture
def lines(history: History) -> History:
    """Return a repository whose branch release/1.0 fixes a and c, is v1.0.1, and is not merged."""
    history.git("checkout", "--quiet", "-b", "release/1.0")
    change(history, "a", "fix: a")
    change(history, "c", "fix: c")
    history.git("tag", "v1.0.1")
    history.git("checkout", "--quiet", "main")
    return history


def change(history: History, file: str, message: str) -> str:
    (history.git.directory / file).write_text(file)
    history.git("add", file)
    return history.commit(message)


def test_what_the_version_before_has_is_not_new(lines: History) -> None:
    one, two = (lines.git.find(f"v1.0.1~{number}") for number in (1, 0))
    picks = [f"\n\n(cherry picked from commit {name})" for name in (one, two)]
    change(lines, "a", "fix: a (#4)")
    change(lines, "b", "feat: b")
    change(lines, "c2", f"fix: c as well{picks[1]}")
    lines.commit(f"fix: port (#5)\n\n* fix: a{picks[0]}\n\n* fix: c{picks[1]}")
    lines.commit(f"fix: port more (#6)\n\n* fix: a{picks[0]}\n\n* feat: d")
    notes = lines.notes("--since", "v1.0.1")
    assert sections(notes) == {"✨ Features": ["b"], "🐛 Bug Fixes": [f"port more{link(6)}"]}
    assert "in v1.0.1 already: 3 " in notes


def test_what_the_version_before_took_back_and_empty_commits_are_new(lines: History) -> None:
    lines.git("checkout", "--quiet", "release/1.0")
    lines.git("revert", "--no-edit", "HEAD")
    lines.commit("fix: empty")
    lines.git("tag", "v1.0.2")
    lines.git("checkout", "--quiet", "main")
    change(lines, "c", "fix: c")
    lines.commit("feat: empty too")
    assert sections(lines.notes("--since", "v1.0.2")) == {
        "✨ Features": ["empty too"],
        "🐛 Bug Fixes": ["c"],
    }


@pytest.mark.parametrize("item", ["* ", "* <a></a>"])
def test_endless_list_is_read(item: str) -> None:
    text = f"feat: one\n\n{item * 2000}two\n\nBREAKING CHANGE: three"
    assert release_notes.Commit("", text).breaks == ["three"]


def test_endless_subject_is_cut(history: History) -> None:
    history.commit(f"feat: one {'(#1) ' * 5000}two")
    (line,) = sections(history.notes("--since", "v1.0.0"))["✨ Features"]
    assert line.startswith("one (")
    assert len(line) < 2000


def test_old_encodings_are_decoded(history: History) -> None:
    message = history.git.directory / "message"
    message.write_bytes("fix: café".encode("latin-1"))
    options = ("commit", "--quiet", "--allow-empty", "-F", str(message))
    history.git("-c", "i18n.commitEncoding=ISO-8859-1", *options)
    history.git(*options)
    lines = sections(history.notes("--since", "v1.0.0"))["🐛 Bug Fixes"]
    assert lines == ["café", "café"]


def test_whole_history_whatever_the_settings_of_git(history: History) -> None:
    history.git("config", "log.showSignature", "true")
    history.git("config", "log.decorate", "full")
    history.commit("feat: one")
    assert sections(history.notes("--since", "")) == {
        "✨ Features": ["one"],
        "🔧 Other Changes": ["start"],
    }


def test_ten_thousand_commits(history: History, tmp_path: Path) -> None:
    commits = "".join(
        f"commit refs/heads/main\ncommitter a <a@b> {n} +0000\ndata <<E\nfeat: change {n}\nE\n"
        + ("from v1.0.0^0\n" if n == 0 else "")
        for n in range(10_000)
    )
    command = ["git", "fast-import", "--quiet"]
    subprocess.run(command, cwd=tmp_path, input=commits.encode(), check=True)
    notes = history.notes("--since", "v1.0.0", "--tag", "v1.1.0")
    assert notes.count("\n- ") == 10_000
    summary = (tmp_path / "summary").read_text()
    assert len(summary) < 125_000
    assert "more changes do not fit here" in summary
    assert "/compare/v1.0.0...v1.1.0" in summary


def test_without_options_what_is_not_released(history: History) -> None:
    history.commit("feat: one")
    history.git("tag", "v1.1.0-beta.1")
    history.commit("feat: two")
    history.git.directory /= "folder"
    history.git.directory.mkdir()
    assert sections(history.notes()) == {"✨ Features": ["one", "two"]}


@pytest.mark.parametrize("since", ["v9.9.9", "HEAD", "--all"])
def test_unknown_version_and_shallow_clone_are_errors(
    history: History, tmp_path: Path, since: str
) -> None:
    assert "There is no version" in history.start(f"--since={since}", code=1)
    clone = tmp_path / "clone"
    history.git("clone", "--quiet", "--depth=1", f"file://{tmp_path}", str(clone))
    history.git.directory = clone
    assert "The clone is shallow" in history.notes("--since", "", code=1)


ORDINARY = ("feat: a", "fix(b)!: c", "Merge branch 'x'", "docs: d\n\nBREAKING CHANGE: e")
MESSAGES = st.one_of(
    st.sampled_from([*NOISE, *ORDINARY]),
    st.builds(
        "{}{}: {}".format,
        st.sampled_from(["feat", "fix", "docs", "Perf", "chore", "unknown"]),
        st.sampled_from(["", "!", "(scope)", "(a b)!"]),
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20),
    ),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30),
)  # fmt: skip
MARKS = [
    "<beta>", "<stable>", "<merge>", "<pick>", "<revert>", "revert: a",
    'Revert "fix(b)!: c" (#3)', SQUASH,
]  # fmt: skip
STEPS = st.lists(st.one_of(MESSAGES, st.sampled_from(MARKS)), max_size=8)


@settings(max_examples=15, deadline=None)
@given(STEPS)
def test_every_commit_since_the_last_stable_tag_is_listed_once_or_named(steps: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        history = History(Path(folder))
        since = ""
        contained = {"": True}
        for number, step in enumerate(steps):
            if step == "<stable>":
                since = f"v1.{number}.0"
                history.git("tag", since)
            elif step == "<beta>":
                history.git("tag", f"v2.0.0-beta.{number}")
            elif step == "<merge>":
                history.git("checkout", "--quiet", "--detach", "HEAD")
                side = history.commit(f"fix: on a branch {number}")
                history.git("checkout", "--quiet", "main")
                history.commit(f"fix: on main {number}")
                history.git("merge", "--quiet", "--no-ff", "-m", f"Merge {number}", side)
            elif step == "<pick>":
                base = history.git.find("HEAD")
                history.git("checkout", "--quiet", "--detach", f"{since or base}^0")
                picked = history.commit(f"fix: on a line {number}")
                since = f"v1.{number}.0"
                history.git("tag", since)
                history.git("checkout", "--quiet", "main")
                history.commit(f"fix: again {number}\n\n(cherry picked from commit {picked})")
            elif step == "<revert>":
                last = history.git.find("HEAD")
                history.commit(f'Revert "x"\n\nThis reverts commit {last}.')
                contained[last] = False
            else:
                history.commit(step)
        every = history.git("rev-list", f"{since}..HEAD" if since else "HEAD").split()
        notes = history.notes("--since", since)
        listed = find_listed(notes)
        left_out = re.findall(r"\b[0-9a-f]{7}\b", notes.partition("<sub>Left out: ")[2])
        assert sorted([*(name[:7] for name in listed), *left_out]) == sorted(
            name[:7] for name in every
        )
        merges = history.git("rev-list", "--merges", "HEAD").split()
        for name in every:
            if not contained.get(name, True) and name not in merges:
                reverter = history.git("log", "--format=%H", f"--grep=reverts commit {name}")
                assert name not in listed or not contained.get(reverter, True)
        assert history.notes() == notes
