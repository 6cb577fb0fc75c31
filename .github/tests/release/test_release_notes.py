"""Release notes: everything since the last release, once, and as harmless text."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from origin import Git

ROOT = Path(__file__).parents[3]
SCRIPT = ROOT / ".github/scripts/release/release_notes.sh"
NOISE = ("chore(release): v1.0.0", "chore: release 1.0.0")


class History:
    """A repository with the project's configuration of git-cliff."""

    def __init__(self, directory: Path) -> None:
        self.git = Git(directory)
        self.git("init", "--quiet", "--initial-branch=main")
        shutil.copy(ROOT / "pyproject.toml", directory)
        self.git("add", ".")
        self.git("commit", "--quiet", "-m", "chore: start")

    def commit(self, message: str) -> str:
        """Make a commit."""
        options = ("--quiet", "--allow-empty", "--allow-empty-message", "--cleanup=verbatim")
        self.git("commit", *options, "-m", message)
        return self.git.find("HEAD")

    def notes(self, *arguments: str, code: int = 0) -> str:
        """Return what the script prints, or what it says when it fails as it should."""
        environment = {
            "GITHUB_REPOSITORY": "octo-org/widget",
            "GITHUB_SERVER_URL": "https://github.com",
            "HOME": str(self.git.directory),
            "PATH": f"{sys.prefix}/bin:{os.environ['PATH']}",
        }
        done = subprocess.run(
            [SCRIPT, *arguments],
            cwd=self.git.directory,
            env=environment,
            text=True,
            capture_output=True,
            check=False,
        )
        assert done.returncode == code, done.stderr
        return done.stderr if code else done.stdout

    def listed(self, *arguments: str) -> list[str]:
        """Return the commits that the notes link, in order."""
        return re.findall(r"/commit/([0-9a-f]{40})\)", self.notes(*arguments))


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path)


def sections(notes: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in notes.splitlines():
        if line.startswith("### "):
            found[line[4:]] = []
        elif line.startswith("- "):
            [*found.values()][-1].append(line[2:].rpartition(" (")[0])
    return found


def test_groups(history: History) -> None:
    history.git("tag", "v1.0.0")
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
    notes = history.notes("--since", "v1.0.0", "--tag", "v2.0.0")
    assert sections(notes) == {
        "⚠️ Breaking Changes": ["four", "**db:** five", "**core:** six"],
        "✨ Features": ["**api:** one"],
        "🐛 Bug Fixes": ["two"],
        "📚 Documentation": ["three"],
        "🔧 Other Changes": [
            "**deps:** Bump actions/checkout from 6 to 7 (\\#\u206012)",
            'Revert "feat: zero"',
            "Update readme",
        ],
    }
    assert "\\\n  move the data first\n" in notes
    assert notes.endswith(
        "**Full changes:** https://github.com/octo-org/widget/compare/v1.0.0...v2.0.0\n"
    )


def test_merges_and_release_noise_are_left_out(history: History) -> None:
    history.git("tag", "v1.0.0")
    history.git("checkout", "--quiet", "-b", "side")
    side = history.commit("fix: on the side")
    history.git("checkout", "--quiet", "main")
    history.commit(NOISE[0])
    history.commit(NOISE[1])
    history.git("merge", "--quiet", "--no-ff", "-m", "feat!: merge the side", "side")
    assert history.listed("--since", "v1.0.0") == [side]


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("feat: <script>alert(1)</script>", "\\<script\\>alert(1)\\</script\\>"),
        ("feat: <!-- gone", "\\<\\!-- gone"),
        ("feat: ![x](http://y) [z]", "\\!\\[x\\](http://y) \\[z\\]"),
        ("feat: **b** _i_ `c`", "\\*\\*b\\*\\* \\_i\\_ \\`c\\`"),
        ("feat: ~~s~~ | $m$", "\\~\\~s\\~\\~ \\| \\$m\\$"),
        ("feat: thank @octocat and @a/b", "thank @\u2060octocat and @\u2060a/b"),
        ("feat: fixes #1, gh-2, o/r#3", "fixes \\#\u20601, gh-\u20602, o/r\\#\u20603"),
        ("feat: &lt; \\< &#64;a", "\\&lt; \\\\\\< \\&\\#\u206064;a"),
        ("feat: \u202eabc\u202c\x1b[31m", "abc \\[31m"),
        ("feat: é 日本 🎉", "é 日本 🎉"),
        ("feat: {{ commit.id }}", "\\{\\{ commit.id \\}\\}"),
        ("feat: {% raw %} $1", "\\{% raw %\\} \\$1"),
        ("# heading", "\\#\u2060 heading"),
        ("- item", "\u2060- item"),
        ("1. item", "\u20601. item"),
        ("```", "\\`\\`\\`"),
        ("", "(no message)"),
        ("feat(<b>): x", "**\\<b\\>:** x"),
    ],
)  # fmt: skip
def test_messages_are_harmless(history: History, message: str, shown: str) -> None:
    history.git("tag", "v1.0.0")
    history.commit(message)
    notes = history.notes("--since", "v1.0.0")
    assert [line for lines in sections(notes).values() for line in lines] == [shown]


def test_nothing_to_tell_is_stated(history: History) -> None:
    history.git("tag", "v1.0.0")
    assert history.notes("--since", "v1.0.0") == "No changes since v1.0.0.\n"
    history.commit(NOISE[0])
    assert history.notes("--since", "v1.0.0") == "No changes since v1.0.0.\n"


def test_without_options_what_is_not_released(history: History) -> None:
    history.git("tag", "v1.0.0")
    history.commit("feat: one")
    history.git("tag", "v1.1.0-beta.1")
    history.commit("feat: two")
    assert sections(history.notes()) == {"✨ Features": ["one", "two"]}
    nested = history.git.directory / "folder"
    nested.mkdir()
    history.git.directory, top = nested, history.git.directory
    assert sections(history.notes()) == {"✨ Features": ["one", "two"]}
    history.git.directory = top


def test_whole_history_when_nothing_was_released(history: History) -> None:
    history.commit("feat: one")
    assert sections(history.notes("--since", "")) == {
        "✨ Features": ["one"],
        "🔧 Other Changes": ["start"],
    }


def test_shallow_clone_is_an_error(history: History, tmp_path: Path) -> None:
    history.commit("feat: one")
    clone = tmp_path / "clone"
    history.git("clone", "--quiet", "--depth=1", f"file://{tmp_path}", str(clone))
    history.git.directory = clone
    assert "The clone is shallow" in history.notes("--since", "", code=1)


def test_missing_configuration_is_an_error(history: History) -> None:
    (history.git.directory / "pyproject.toml").write_text("[project]\n")
    assert "no [tool.git-cliff.changelog]" in history.notes(code=1)


def test_tag_that_is_no_ancestor_is_an_error(history: History) -> None:
    history.git("checkout", "--quiet", "-b", "side")
    history.commit("fix: on the side")
    history.git("tag", "v1.0.0")
    history.git("checkout", "--quiet", "main")
    assert "not an ancestor" in history.notes("--since", "v1.0.0", code=1)
    assert "not an ancestor" in history.notes("--since", "v9.9.9", code=1)


def test_help(history: History) -> None:
    assert history.notes("--help").startswith("usage:")
    history.notes("--unknown", code=2)


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
STEPS = st.lists(
    st.one_of(MESSAGES, st.just("<beta>"), st.just("<stable>"), st.just("<merge>")), max_size=8
)


@settings(max_examples=15, deadline=None)
@given(STEPS)
def test_every_commit_since_the_last_stable_tag_is_listed_once(steps: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        history = History(Path(folder))
        since, betas = "", 0
        expected = [history.git.find("HEAD")]
        for number, step in enumerate(steps):
            if step == "<stable>":
                since, expected = f"v1.{number}.0", []
                history.git("tag", since)
            elif step == "<beta>":
                betas += 1
                history.git("tag", f"v2.0.0-beta.{betas}")
            elif step == "<merge>":
                history.git("checkout", "--quiet", "--detach", "HEAD")
                expected.append(history.commit("fix: on a branch"))
                side = history.git.find("HEAD")
                history.git("checkout", "--quiet", "main")
                expected.append(history.commit("fix: on main"))
                history.git("merge", "--quiet", "--no-ff", "-m", "Merge", side)
            else:
                commit = history.commit(step)
                if step not in NOISE:
                    expected.append(commit)
        assert sorted(history.listed("--since", since)) == sorted(expected)
        assert sorted(history.listed()) == sorted(expected)
