from pathlib import Path

import pytest
from audit import outdated_report
from audit.outdated_report import find_jump, find_outdated
from lib import lockfile

LISTED = [
    {"name": name, "version": version, "latest_version": latest}
    for name, version, latest in [
        ("Held_Back", "1.0", "1.1"),
        ("deep", "1.0.0", "1.0.1"),
        ("big", "1.0", "2.0"),
        ("small", "1.0.0", "1.0.1"),
        ("medium", "1.0", "1.1"),
        ("capped", "1.0", "3.0"),
        ("forked", "1.0", "1.2"),
    ]
]


@pytest.mark.parametrize(
    ("current", "latest", "jump"),
    [
        ("1.2.3", "1.2.4", "patch"),
        ("1.2.3", "1.2.3.post1", "patch"),
        ("1.2", "1.3", "minor"),
        ("0.165.0", "0.166.0", "minor"),
        ("1.9", "2.0rc1", "major"),
        ("2026.1", "1!1.0", "major"),
    ],
)
def test_jump(current: str, latest: str, jump: str) -> None:
    assert find_jump(current, latest) == jump


PLAN = """Resolved 9 packages in 1ms
Update big v1.0 -> v2.0
Update capped v1.0 -> v1.5
Update deep v1.0.0 -> v1.0.1
Update medium v1.0, v1.0.5 -> v1.1
Update forked v1.0, v0.9 -> v0.9, v1.2
Update small v1.0.0 -> v1.0.1
Remove gone v1
"""


def test_what_is_worth_doing_comes_first() -> None:
    direct = {"big", "small", "medium", "capped"}
    found = find_outdated(LISTED, direct, PLAN)
    names = ["small", "deep", "capped", "medium", "forked", "big", "held-back"]
    assert [it.name for it in found] == names
    text = outdated_report.describe(found, 9)
    assert "7 of 9 packages" in text
    assert "| small | 1.0.0 | 1.0.1 | 1.0.1 | patch | direct |" in text
    assert "| held-back | 1.0 | held back | 1.1 |  | transitive |" in text
    assert "| capped | 1.0 | 1.5 | 3.0 | minor | direct |" in text, "a bound keeps the latest out"
    easy = "".join(f" --upgrade-package {name}" for name in names[:5])
    assert f"`uv lock{easy}`" in text
    assert "after their changelogs: `uv lock --upgrade-package big`" in text
    assert "keep the latest out for capped, held-back" in text


def test_nothing_to_do_is_said() -> None:
    assert "0 of 9 packages have a newer version." in outdated_report.describe([], 9)


def test_direct_packages_are_those_of_the_project_file() -> None:
    project = """
[project]
dependencies = ["Some.Thing[extra]>=1; python_version > '3'"]
optional-dependencies = {more = ["a_b"]}
[dependency-groups]
dev = [{include-group = "test"}, "c"]
[tool.uv]
dev-dependencies = [" d >= 1"]
"""
    assert lockfile.find_direct(project) == {"some-thing", "a-b", "c", "d"}


@pytest.mark.parametrize("text", ["project = 1", "[project]\ndependencies = 3", "tool = []"])
def test_project_file_of_another_shape_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"pyproject\.toml"):
        lockfile.find_direct(text)


def test_index_that_does_not_answer_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:1/simple")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary"))
    assert outdated_report.main([f"--output={tmp_path / 'report'}"]) == 2
    assert "::error title=Outdated check::Could not look" in capsys.readouterr().out
    assert "❌ Outdated check" in (tmp_path / "summary").read_text()
