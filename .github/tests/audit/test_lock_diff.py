import copy
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from audit import lock_diff
from audit.lock_diff import Change, compare
from audit.policy import CONFIG
from hypothesis import given, settings
from hypothesis import strategies as st
from lib import lockfile
from origin import Git, create

ROOT = Path(__file__).parents[3]
INDEX = "https://index.example/simple"
FILES = "https://files.example"


def lock(**packages: str) -> str:
    """A lock file; each value is a version, behind a space a hash, behind another a Git source."""
    text = "version = 1\n"
    for name, value in packages.items():
        version, hash_, place = (*value.split(), "1", "")[:3]
        source = f'git = "{place}"' if place != "1" and place else f'registry = "{INDEX}"'
        text += f'[[package]]\nname = "{name}"\nversion = "{version}"\nsource = {{ {source} }}\n'
        text += f'wheels = [{{ url = "{FILES}/{name}-{version}.whl", hash = "sha256:{hash_}" }}]\n'
    return text


def changes(base: str, head: str, *allowed: str) -> list[Change]:
    return compare(lockfile.read(base), lockfile.read(head), allowed)


@pytest.mark.parametrize(
    ("base", "head", "warning"),
    [
        ("", "1.0", ""),
        ("1.0", "", ""),
        ("1.9", "1.10", ""),
        ("2.0", "2.0rc1", "an older version than before"),
        ("1.0 7", "1.0 8", "same version, other contents: a-1.0.whl"),
        ("1.0 7", "1.0 7 https://git.example/a", "comes from git https://git"),
        ("1.0 7", "2.0 7 https://git.example/a", "comes from git https://git"),
    ],
)
def test_change(base: str, head: str, warning: str) -> None:
    old, new = (lock(b="1", **({"a": version} if version else {})) for version in (base, head))
    (change,) = changes(old, new)
    assert change.name == "a"
    assert (change.old, change.new) == (base.partition(" ")[0], head.partition(" ")[0])
    assert bool(change.warnings) == bool(warning)
    assert "; ".join(change.warnings).startswith(warning)
    assert not change.errors


WHEEL = f'{{ url = "{FILES}/a-1.0.whl", hash = "sha256:1" }}'
FOREIGN = {
    "another registry": (INDEX, "https://mirror.example/simple", "https://mirror.example/simple"),
    "another file host": (FILES, "https://evil.example", "https://evil.example"),
    "one more wheel from elsewhere": (
        WHEEL,
        f'{WHEEL}, {{ url = "https://evil.example/a-1.0-cp313.whl", hash = "sha256:9" }}',
        "https://evil.example",
    ),
    "a file of this machine": (f"{FILES}/a", "file:///tmp/a", "file:"),
    "a file of the repository": (f'url = "{FILES}/', 'path = "', "file:"),
    "a port": (FILES, f"{FILES}:8443", f"{FILES}:8443"),
    "a user": (FILES, f"{FILES}@evil.example", f"{FILES}@evil.example"),
    "a folder as registry": (INDEX, "../simple", "../simple"),
    "a scheme": (FILES, "http://files.example", "http://files.example"),
}


@pytest.mark.parametrize("edit", FOREIGN)
def test_place_that_nobody_named_is_an_error(edit: str) -> None:
    old, new, place = FOREIGN[edit]
    text = lock(a="1.0").replace(old, new)
    (change,) = changes(lock(a="1.0"), text)
    assert f"comes from {place}" in change.errors
    assert changes(lock(a="1.0"), text, "https://a.b", f"x{place}")[0].errors
    (change,) = changes(lock(a="1.0"), text, f"{place}/")
    assert not [error for error in change.errors if error.endswith(place)]


@pytest.mark.parametrize(
    ("allowed", "place", "expected"),
    [
        ("https://evil.example/simple", FILES, True),
        ("http://evil.example", FILES, False),
        ("evil.example", FILES, True),
        ("evil.example", INDEX, False),
    ],
)
def test_host_of_an_allowed_place_is_allowed(allowed: str, place: str, *, expected: bool) -> None:
    text = lock(a="1.0")
    moved = text.replace(place, place.replace(place.split("/")[2], "evil.example"))
    (change,) = changes(text, moved, allowed)
    assert (not change.errors) is expected


def test_package_that_moves_between_known_places_is_an_error() -> None:
    other = lock(b="1").replace(INDEX, "https://own.example/simple").partition("[[")[2]
    (change,) = changes(
        f"{lock(a='1')}[[{other}", f"{lock(a='1')}{lock(b='2').partition('1' + chr(10))[2]}"
    )
    assert change.name == "b"
    assert change.errors == (f"comes from {INDEX}",)


def test_new_package_may_come_from_a_known_place() -> None:
    (change,) = changes(lock(a="1"), lock(a="1", b="1"))
    assert not change.errors
    foreign = lock(b="1").replace(INDEX, "https://x.example").partition("\n")[2]
    (change,) = changes(lock(a="1"), lock(a="1") + foreign)
    assert change.errors == ("comes from https://x.example",)
    (first,) = changes("", lock(a="1"))
    assert not first.errors, "the first lock file has nothing to be compared with"


@pytest.mark.parametrize(
    ("old", "new", "warning"),
    [
        (WHEEL, f'{WHEEL}, {{ url = "{FILES}/b.whl", hash = "sha256:2" }}', "files added"),
        (', hash = "sha256:1"', "", f"no hash: {FILES}/a-1.0.whl"),
        ('hash = "', 'zstd = { hash = "sha256:9" }, hash = "', "other contents: a-1.0.whl"),
        ("sha256:1", "md5:1", "other contents: a-1.0.whl"),
        ('simple" }', 'simple", subdirectory = "x" }', "other dependencies: + subdirectory x"),
        ("wheels = ", 'dependencies = [{ name = "b" }]\nwheels = ', "other dependencies: + b"),
        ("wheels = ", 'resolution-markers = ["x"]\nwheels = ', "other dependencies: + resol"),
    ],
)
def test_odd_edit_of_a_version_that_stays_is_a_warning(old: str, new: str, warning: str) -> None:
    text = lock(a="1.0")
    (change,) = changes(text, text.replace(old, new))
    assert warning in "; ".join(change.warnings)


def test_version_from_two_places_is_compared_with_that_of_its_own() -> None:
    other = lock(a="1.0 2").replace(INDEX, "https://own.example/simple").partition("\n")[2]
    text = lock(a="1.0") + other
    (change,) = changes(text, text.replace("wheels = ", 'resolution-markers = ["x"]\nwheels = ', 1))
    assert change.warnings == ("same version, other dependencies: + resolution-markers ['x']",)


@pytest.mark.parametrize(
    ("base", "head", "expected"),
    [
        ("1 3", "0.9 3", True),
        ("1 3", "1 2", True),
        ("1 3", "1", True),
        ("2 3", "2.5", True),
        ("2", "1 2", True),
        ("1 2", "2", False),
        ("1 2", "2 3", False),
        ("1", "1 2", False),
        ("1 x-y", "1 2", False),
    ],
)
def test_fork_that_goes_down_is_a_downgrade(base: str, head: str, *, expected: bool) -> None:
    old, new = ("".join(lock(a=version) for version in lock_.split()) for lock_ in (base, head))
    (change,) = changes(*(text.replace("version = 1\n", "") for text in (old, new)))
    assert ("an older version than before" in change.warnings) is expected


def test_same_lock_has_no_changes() -> None:
    text = (ROOT / "uv.lock").read_text()
    assert lockfile.read(text)
    assert changes(text, text) == []
    assert lock_diff.find_settings(text, text) == []
    assert "same packages, from the same places" in lock_diff.describe([], [])


def list_edits(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every text and number in a document."""
    items = node.items() if isinstance(node, dict) else enumerate(node)
    for key, value in items:
        if isinstance(value, dict | list):
            yield from list_edits(value, (*path, key))
        else:
            yield (*path, key)


REAL = tomllib.loads((ROOT / "uv.lock").read_text())
PATHS = list(list_edits(REAL))
HARMLESS = {"size", "upload-time"}
"""What decides nothing: a file is taken by its hash."""


def write(node: Any) -> str:
    """Return a document as TOML, on one line for each package."""
    if isinstance(node, dict):
        return "{" + ", ".join(f'"{key}" = {write(value)}' for key, value in node.items()) + "}"
    if isinstance(node, list):
        return "[" + ", ".join(map(write, node)) + "]"
    return (
        '"' + node.replace("\\", "\\\\").replace('"', '\\"') + '"'
        if isinstance(node, str)
        else str(node)
    )


def dump(document: dict[str, Any]) -> str:
    return "".join(f'"{key}" = {write(value)}\n' for key, value in document.items())


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(PATHS), st.sampled_from(["x", "https://evil.example/a-9.whl", "0.0.1"]))
def test_any_single_edited_field_is_noticed_or_harmless(path: tuple[Any, ...], value: str) -> None:
    document = REAL | {"package": []}
    if path[0] == "package":  # the rest of the lock is the same before and after
        document["package"], path = [REAL["package"][path[1]]], ("package", 0, *path[2:])
    base = dump(document)
    document = copy.deepcopy(document)
    node: Any = document
    for key in path[:-1]:
        node = node[key]
    if isinstance(node[path[-1]], int) and path[-1] not in HARMLESS:
        node[path[-1]] += 1
    else:
        node[path[-1]] = value
    head = dump(document)
    try:
        found = changes(base, head)
    except ValueError:
        return  # refused as no lock file
    noticed = bool(found) or bool(lock_diff.find_settings(base, head))
    assert noticed or path[-1] in HARMLESS
    if path[-1] == "url" and "evil" in value:
        assert found[0].errors


def test_url_of_the_same_host_and_hash_is_harmless() -> None:
    text = lock(a="1.0")
    assert changes(text, text.replace(f"{FILES}/a", f"{FILES}/other/a")) == []


def test_what_to_look_at_closely_comes_first() -> None:
    found = changes(
        lock(a="1", b="1", c="1 5", e="1", f="1"),
        lock(b="2", c="1 6", d="1", e="1 1 https://git.example/e", f="1").replace(
            f"{FILES}/f", "https://evil.example/f"
        ),
    )
    assert [change.name for change in found] == ["f", "c", "e", "a", "b", "d"]
    text = lock_diff.describe(found, [])
    assert "Packages that changed: 6, to look at: 3." in text
    assert "| d |" not in text, "what is nothing to look at is in the diff"


def test_hostile_names_stay_text() -> None:
    text = lock_diff.describe([Change("<b>|@x", "", "`1`", ("</td>|",))], [])
    assert not re.search("<b>|</td>", text.replace("\\<", ""))
    assert "\\|@\u2060x" in text


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Git:
    git: Git = create(tmp_path / "nothing", tmp_path / "repository")
    monkeypatch.chdir(git.directory)
    (git.directory / ".github").mkdir()
    (git.directory / CONFIG).write_text("deny-licenses: [MIT]\n")
    git("commit", "--quiet", "--allow-empty", "-m", "chore: start")
    return git


def test_lock_of_a_pull_request(repository: Git, capsys: pytest.CaptureFixture[str]) -> None:
    file = repository.directory / "uv.lock"
    assert lock_diff.read_base("HEAD") == ""
    file.write_text(lock(a="1"))
    assert lock_diff.main(["HEAD"]) == 0
    repository.save("chore: lock")
    assert lock_diff.read_base("HEAD").strip() == lock(a="1").strip()
    moved = lock(a="1").replace(INDEX, "https://evil.example/simple").replace("= 1", "= 2", 1)
    file.write_text(moved)
    assert lock_diff.main(["HEAD"]) == 1
    shown = capsys.readouterr().out
    assert "::error title=Changes of the lock file::a: comes from https://evil.example" in shown
    assert (
        "if that is meant, add it to allow-registries in .github/dependency-review-config.yml"
        in shown
    )
    assert "::warning title=Changes of the lock file::uv.lock has another version" in shown
    with (repository.directory / CONFIG).open("a") as config:
        config.write('allow-registries: "https://evil.example/simple, d.e"\n')
    assert lock_diff.main(["HEAD"]) == 0
    with pytest.raises(ValueError, match="check out with a depth of 2"):
        lock_diff.read_base("HEAD~7")


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("uv.lock", "not toml ["),
        ("uv.lock", '[[package]]\nname = "a"\n'),
        ("uv.lock", "package = [1]\n"),
        ("uv.lock", "manifest = 3\n"),
        (CONFIG, "allow-registries: 3"),
        (CONFIG, "allow-registries: [3]"),
        (CONFIG, "["),
        (CONFIG, "- a"),
        (CONFIG, ""),
    ],
)
def test_broken_file_is_an_error(
    file: str, text: str, repository: Git, capsys: pytest.CaptureFixture[str]
) -> None:
    (repository.directory / "uv.lock").write_text(lock(a="1"))
    (repository.directory / file).write_text(text)
    assert lock_diff.main(["HEAD"]) == 2
    assert "::error" in capsys.readouterr().out


def test_production_is_what_the_project_and_its_extras_need() -> None:
    text = """
[[package]]
name = "root"
version = "1"
source = { editable = "." }
dependencies = [{ name = "web", extra = ["fast"] }]
[package.optional-dependencies]
more = [{ name = "more" }]
[package.dev-dependencies]
dev = [{ name = "tool" }, { name = "web" }]
"""
    needs = {
        "web": '[package.optional-dependencies]\nfast = [{ name = "loop" }]\n'
        'slow = [{ name = "no" }]',
        "loop": 'dependencies = [{ name = "two", version = "2" }]',
        "tool": 'dependencies = [{ name = "two", version = "1" }]',
    }
    for name, version in {"web": 1, "loop": 1, "no": 1, "more": 1, "tool": 1, "two": 2}.items():
        for number in range(1, version + 1):
            text += f'[[package]]\nname = "{name}"\nversion = "{number}"\n'
            text += f'source = {{ registry = "x" }}\n{needs.get(name, "")}\n'
    text += '[[package]]\nname = "own"\nversion = "1"\nsource = { editable = "lib" }\n'
    packages = lockfile.read(text)
    needed = {f"{package.name} {package.version}" for package in packages if package.is_production}
    assert needed == {"web 1", "loop 1", "more 1", "two 2"}
    rest = {package.name for package in packages if not package.is_production}
    assert rest == {"tool", "no", "two", "own"}, "a package in a folder is as any other"
