import re
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest
import yaml
from checks import pr_title
from fakes.github_api import FakeGitHub
from hypothesis import given
from hypothesis import strategies as st

ROOT = Path(__file__).parents[3]
JOINERS = "\u200c\u200d"
RIGHT = [
    "feat: add items",
    "fix(api): keep the cursor",
    "refactor(db/migrations)!: drop the old table",
    "perf!: faster",
    "revert: feat: add items",
    "docs: объяснить выпуск",
    "style: 🎨 colours",
    "test: `code` and $(echo) and ${{ x }}",
    "build(deps): bump the python group with 3 updates",
    'Revert "feat: add items"',
    'Revert "feat: add items (#12)" (#13)',
    'Reapply "feat: add items"',
    "feat: 👩\u200d💻 x",
    "fix: می\u200cخواهم",  # noqa: RUF001
]
FORM = "It must be a type"
WRONG = {
    "": "empty",
    "   ": "empty",
    'Revert "feat: add it…': "cut off",
    "feat: caf\ufffd": "It is not UTF-8",
    "feat: a\nb": "U+000A",
    "feat: a\x1b[31mb": "U+001B",
    "feat: \u202eabc": "U+202E RIGHT-TO-LEFT OVERRIDE",
    "feat: a\u200bb": "U+200B ZERO WIDTH SPACE",
    "feat: \u3164": "U+3164 HANGUL FILLER",
    "feat: a\U000e0101b": "U+E0101 VARIATION SELECTOR-18",
    "feat: " + "x" * 251: "257 characters",
} | dict.fromkeys(
    ["add items", "Feat: add items", "feature: add items", "bump: 1.2.3", "Merge branch 'main'",
     "[A-1] feat: x", "✨ feat: x", "WIP: feat: x", "feat : x", "feat (api): x", "fix(api) !: x",
     "fixup! feat: add items", "feat add items", "feat:add items", "feat: ", "feat:  two spaces",
     "feat(): no scope", "feat(API): upper case", "feat(two words): x"],
    FORM,
)  # fmt: skip


@pytest.mark.parametrize("title", RIGHT)
def test_right(title: str) -> None:
    assert pr_title.find_fault(title) == ""


@pytest.mark.parametrize("title", WRONG)
def test_wrong(title: str) -> None:
    assert WRONG[title] in pr_title.find_fault(title)


@pytest.mark.parametrize(
    ("title", "suggested"),
    [
        ("Feat: add items", "feat: add items"),
        ("fix!:  keep it", "fix!: keep it"),
        ("feat:add items", "feat: add items"),
        ("feat (api) : add items", "feat(api): add items"),
    ],
)
def test_suggestion_where_it_is_certain(title: str, suggested: str) -> None:
    assert pr_title.suggest(title) == suggested


@pytest.mark.parametrize(
    "title",
    ["", "add items", "[A-1] feat: x", "✨ feat: x", "WIP: feat: x", "feature: x", "feat(API): x",
     "docs(): x", "feat: a\nb", "feat: a\u202eb", 'Revert "feat: x', "feat(a b): x"],
)  # fmt: skip
def test_one_example_where_nothing_is_certain(title: str) -> None:
    assert pr_title.suggest(title) == pr_title.EXAMPLE


def test_types_and_titles_of_dependabot_are_right() -> None:
    expected = "feat fix docs style refactor perf test build ci chore revert"
    assert expected.split() == list(pr_title.TYPES)
    file = ROOT / ".github/dependabot.yml"  # a copy may have another bot
    for update in yaml.safe_load(file.read_text())["updates"] if file.exists() else []:
        message = update["commit-message"]
        assert message["include"] == "scope"
        for scope in ("deps", "deps-dev"):
            for subject in ("bump x from 1.0 to 2.0 in /a", "bump the all group with 3 updates"):
                assert not pr_title.find_fault(f"{message['prefix']}({scope}): {subject}")


@given(
    st.from_regex(
        r"(feat|fix)(\([a-z0-9][a-z0-9._/-]{0,9}\))?!?: [a-zA-Z0-9$`\"'<|].{0,99}", fullmatch=True
    )
)
def test_titles_of_the_right_shape_are_right_unless_something_hides(title: str) -> None:
    kinds = {"Cc", "Cf", "Cs", "Zl", "Zp"}
    fillers = "[\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0\U000e0100-\U000e01ef]"
    shown = "".join(char for char in title if char not in JOINERS)
    hidden = {*map(unicodedata.category, shown)} & kinds or re.search(fillers, shown)
    assert bool(pr_title.find_fault(title)) == bool(hidden or "\ufffd" in title)


@pytest.mark.parametrize(
    ("title", "body", "setting", "said"),
    [
        ("feat: x", "Bumps a.\n- b [skip ci] (#3)", "PR_BODY", "The description has [skip ci]"),
        ("feat: x", "a\n\n\nskip-checks: true\n", "PR_BODY", "The description has skip-checks"),
        ("feat: x", "see [CI Skip]", "", "The description has [CI Skip]"),
        ("feat: x [no ci]", None, "BLANK", "The title has [no ci]"),
        ("feat: x", "[skip ci]", "COMMIT_MESSAGES", ""),
        ("feat: x", "skip ci, [skip](ci), `skip-checks: true` there", "PR_BODY", ""),
    ],
)
def test_what_would_let_a_merge_start_nothing_is_refused(
    title: str, body: str | None, setting: str, said: str
) -> None:
    fault = pr_title.find_skip({"title": title, "body": body}, setting)
    assert fault.startswith(said)
    assert bool(fault) == bool(said)


def test_commit_that_would_let_a_merge_start_nothing_is_refused(
    github: FakeGitHub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    github.resources["/repos/octo-org/widget/pulls/7"] = {"title": "feat: x"}
    commits = [{"sha": "1" * 40, "commit": {"message": "wip [skip ci]"}}]
    github.resources["/repos/octo-org/widget/pulls/7/commits"] = commits
    monkeypatch.setenv("SQUASH", "COMMIT_MESSAGES")
    assert pr_title.main(["--pull-request", "7"]) == 1
    assert "The commit 1111111 has [skip ci] in it" in capsys.readouterr().out


def test_queue_does_not_judge_a_description_that_it_may_not_take(github: FakeGitHub) -> None:
    # the event of a queue does not tell what a squash takes over
    github.resources["/repos/octo-org/widget/pulls/7"] = {"title": "feat: x", "body": "[skip ci]"}
    queue = f"refs/heads/gh-readonly-queue/main/pr-7-{'0' * 40}"
    assert pr_title.main(["--pull-request", "", "--queue", queue]) == 0


def check_message(tmp_path: Path, text: str | bytes) -> subprocess.CompletedProcess[str]:
    message = tmp_path / "COMMIT_EDITMSG"
    message.write_bytes(text if isinstance(text, bytes) else text.encode())
    script = ROOT / ".github/scripts/checks/pr_title.py"
    command = [sys.executable, str(script), "--commit-message", str(message)]
    return subprocess.run(command, check=False, text=True, capture_output=True)


@pytest.mark.parametrize(
    "text",
    ["fix: x\n\nlong text", "Merge branch 'main'\n", "fixup! fix: x\n", "squash! fix: x",
     "\n\n# comment\nfix: x\n", 'Revert "fix: x"\n\nThis reverts commit 1234567.\n'],
)  # fmt: skip
def test_commit_message_is_accepted(tmp_path: Path, text: str) -> None:
    assert check_message(tmp_path, text).returncode == 0


@pytest.mark.parametrize("text", ["Fixed it\n", "fix: café\n".encode("latin-1")])
def test_commit_message_is_refused_with_an_example(tmp_path: Path, text: str | bytes) -> None:
    done = check_message(tmp_path, text)
    assert done.returncode == 1
    assert ("It is not UTF-8" in done.stdout) == isinstance(text, bytes)
    assert pr_title.EXAMPLE in done.stdout, "a broken title is no example"
    assert not done.stderr


def test_message_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        pr_title.main(["--commit-message", "nowhere"])
    assert "no message can be read" in capsys.readouterr().err
