import json
from pathlib import Path

import pytest
from audit import outdated_report
from audit.outdated_report import find_jump, find_outdated
from lib import lockfile

LISTED = json.dumps(
    [
        {"name": name, "version": version, "latest_version": latest}
        for name, version, latest in [
            ("Held_Back", "1.0", "1.1"),
            ("deep", "1.0.0", "1.0.1"),
            ("big", "1.0", "2.0"),
            ("small", "1.0.0", "1.0.1"),
            ("medium", "1.0", "1.1"),
        ]
    ]
)


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


def test_what_is_worth_doing_comes_first() -> None:
    found = find_outdated(LISTED, {"big", "small", "medium"}, {"big", "small", "medium", "deep"})
    assert [it.name for it in found] == ["small", "medium", "big", "deep", "held-back"]
    text = outdated_report.describe(found, 9)
    assert "5 of 9 packages" in text
    assert "| small | 1.0.0 | 1.0.1 | patch | direct | `uv lock --upgrade-package small` |" in text
    assert "| held-back | 1.0 | 1.1 | minor | transitive | held back by a bound |" in text
    assert "--upgrade-package small --upgrade-package medium --upgrade-package deep`" in text
    assert "one by one, after their changelogs: big" in text


def test_nothing_to_do_is_said() -> None:
    assert "0 of 9 packages have a newer version." in outdated_report.describe([], 9)


def test_direct_packages_are_those_of_the_project_file() -> None:
    project = """
[project]
dependencies = ["Some.Thing[extra]>=1; python_version > '3'"]
optional-dependencies = {more = ["a_b"]}
[dependency-groups]
dev = [{include-group = "test"}, "c"]
"""
    assert lockfile.find_direct(project) == {"some-thing", "a-b", "c"}


def test_index_that_does_not_answer_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:1/simple")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary"))
    assert outdated_report.main([f"--output={tmp_path / 'report'}"]) == 2
    assert "::error title=Outdated check::Could not look" in capsys.readouterr().out
    assert "❌ Outdated check" in (tmp_path / "summary").read_text()
