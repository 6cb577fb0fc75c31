from pathlib import Path

import pytest
from audit import lock_diff
from audit.advisories import Finding
from audit.lock_diff import Change
from lib import lockfile
from origin import Git, create

ROOT = Path(__file__).parents[3]


def lock(**packages: str) -> str:
    """A lock file; each value is a version, behind a space a hash, behind another a Git source."""
    text = "version = 1\n"
    for name, value in packages.items():
        version, hash_, place = (*value.split(), "1", "")[:3]
        source = f'git = "{place}"' if place != "1" and place else 'registry = "x"'
        text += f'[[package]]\nname = "{name}"\nversion = "{version}"\nsource = {{ {source} }}\n'
        text += f'wheels = [{{ url = "x", hash = "sha256:{hash_}" }}]\n'
    return text


@pytest.mark.parametrize(
    ("base", "head", "expected"),
    [
        ("", "1.0", Change("added", "a", "", "1.0")),
        ("1.0", "", Change("removed", "a", "1.0", "")),
        ("1.9", "1.10", Change("upgraded", "a", "1.9", "1.10")),
        ("2.0", "2.0rc1", Change("downgraded", "a", "2.0", "2.0rc1")),
        ("1.0 7", "1.0 8", Change("hashes", "a", "1.0", "1.0", "same version, other contents")),
        (
            "1.0 7",
            "1.0 7 https://git.example/a",
            Change("source", "a", "1.0", "1.0", "now comes from git https://git.example/a"),
        ),
    ],
)
def test_change(base: str, head: str, expected: Change) -> None:
    old, new = (lockfile.read(lock(b="1", **({"a": it} if it else {}))) for it in (base, head))
    assert lock_diff.compare(old, new) == [expected]


def test_same_lock_has_no_changes() -> None:
    text = (ROOT / "uv.lock").read_text()
    packages = lockfile.read(text)
    assert len(packages) > 100
    assert lock_diff.compare(packages, lockfile.read(text)) == []
    assert "same packages as before" in lock_diff.describe([], {}, {})


def test_what_to_look_at_closely_comes_first() -> None:
    changes = lock_diff.compare(
        lockfile.read(lock(a="1", b="1", c="1 5", e="1")),
        lockfile.read(lock(b="2", c="1 6", d="1", e="1 1 https://git.example/e")),
    )
    assert [it.kind for it in changes] == ["hashes", "source", "added", "upgraded", "removed"]


def test_report_says_licence_and_vulnerabilities_of_what_is_new() -> None:
    changes = [Change("added", "a", "", "1"), Change("removed", "b", "1", "")]
    text = lock_diff.describe(changes, {"a": "MIT"}, {"a": [Finding("a", "1", ("CVE-1",))]})
    assert "| added | a |  | 1 | MIT | ❌ CVE-1 |  |" in text
    assert "| removed | b | 1 |  |  |  |  |" in text
    assert "| added | a |  | 1 | not known | not known |  |" in lock_diff.describe(
        changes, {}, None
    )


def test_hostile_names_stay_text() -> None:
    text = lock_diff.describe([Change("added", "<b>|@x", "", "`1`")], {}, None)
    assert "<b>" not in text
    assert "\\|@\u2060x" in text


def test_base_is_read_from_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git: Git = create(tmp_path / "nothing", tmp_path / "repository")
    monkeypatch.chdir(git.directory)
    git("commit", "--quiet", "--allow-empty", "-m", "chore: start")
    assert lock_diff.read_base("HEAD") == ""
    (git.directory / "uv.lock").write_text(lock(a="1"))
    git("add", "--all")
    git("commit", "--quiet", "-m", "chore: lock")
    assert lock_diff.read_base("HEAD") == lock(a="1")
    with pytest.raises(ValueError, match="check out with a depth of 2"):
        lock_diff.read_base("HEAD~7")


@pytest.mark.parametrize("text", ["not toml [", '[[package]]\nname = "a"\n', "package = 1\n"])
def test_broken_lock_is_an_error(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    git = create(tmp_path / "nothing", tmp_path / "repository")
    monkeypatch.chdir(git.directory)
    git("commit", "--quiet", "--allow-empty", "-m", "chore: start")
    (git.directory / "uv.lock").write_text(text)
    assert lock_diff.main(["HEAD"]) == 2
    assert "::error" in capsys.readouterr().out
