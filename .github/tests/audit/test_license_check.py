import json
from hashlib import sha256
from pathlib import Path

import pytest
from audit import environments, license_check
from audit.license_check import Policy, check, describe
from audit.licenses import Verdict, judge
from audit.tools import NotKnownError
from lib import lockfile
from lib.lockfile import File, Locked
from wheels import make_wheel

POLICY = "deny-licenses: [GPL-3.0]\n"


def read(tmp_path: Path, text: str) -> Policy:
    file = tmp_path / "policy.yml"
    file.write_text(text)
    return Policy.read(file)


@pytest.mark.parametrize(
    "text",
    [
        "deny-licenses: AGPL-3.0, AGPL-3.0-only\n",
        "deny-licenses:\n  - AGPL-3.0-only\n",
        "deny-licenses: ['AGPL-3.0+ ']\n",
        '{"deny-licenses": ["AGPL-3.0"]}',
        "deny_licenses: [AGPL-3.0]\n",
        "allow-licenses: [MIT]\nlicense-check: true\n",
    ],
)
def test_any_valid_form_denies(text: str, tmp_path: Path) -> None:
    rules = read(tmp_path, text).rules
    assert rules
    for name in ("AGPLv3", "GNU AFFERO GPL 3.0 or Commercial", "AGPL-3.0-only"):
        assert judge(name, rules).verdict is Verdict.FORBIDDEN
    assert judge("MIT License", rules).verdict is Verdict.ALLOWED


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("deny-licenses: [GPLv3]\n", "no SPDX id"),
        ("deny-licenses: [gpl-3.0-only]\n", "has to be GPL-3.0-only"),
        ("deny-licenses: [MIT]\nallow-licenses: [ISC]\n", "either"),
        ("fail-on-severity: low\n", "either"),
        ("deny-licenses: [3]\n", "list of texts"),
        ("deny-licenses: [MIT]\ndeny-licenses: [ISC]\n", "is there twice"),
        ("deny-licenses: [MIT]\nallow-dependencies-licenses: [k6]\n", "pkg:pypi/NAME"),
        ("deny-licenses: [Aladdin]\n", "SPDX expressions only"),
        ("- MIT\n", "cannot be read"),
        ("a: [", "cannot be read"),
    ],
)
def test_policy_that_cannot_work_is_refused(text: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=reason):
        read(tmp_path, text)


def test_packages_are_let_through_by_any_spelling(tmp_path: Path) -> None:
    addresses = "pkg:pypi/PyMuPDF-layout@1.0, pkg:pypi/a%2Eb, pkg:npm/left-pad"
    policy = read(tmp_path, f"{POLICY}allow-dependencies-licenses: {addresses}\n")
    assert {*policy.looked_into} == {"pymupdf-layout", "a-b", ""}


def lock_wheel(folder: Path, name: str, version: str, tag: str, line: str) -> str:
    """Make a wheel; return its entry in a lock file."""
    folder.mkdir(exist_ok=True)
    file = make_wheel(folder, name, version, tag, line)
    digest = sha256(file.read_bytes()).hexdigest()
    return (
        f'[[package]]\nname = "{name}"\nversion = "{version}"\nsource = {{ registry = "wheels" }}\n'
        f'wheels = [{{ path = "{file.name}", hash = "sha256:{digest}" }}]\n'
    )


LOCK = """
version = 1
requires-python = ">=3.13"
[[package]]
name = "root"
version = "1"
source = { virtual = "." }
dependencies = [{ name = "plain", version = "1.0" }]
[package.optional-dependencies]
more = [{ name = "extra" }]
[package.dev-dependencies]
dev = [{ name = "plain" }, { name = "windows" }, { name = "gone" }, { name = "requests" }]
[[package]]
name = "requests"
version = "1.0"
source = { directory = "own" }
"""
OWN = """
[project]
name = "requests"
version = "1.0"
license = "AGPL-3.0-only"
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[tool.hatch.build.targets.wheel]
bypass-selection = true
"""
ISC = "Classifier: License :: OSI Approved :: ISC License (ISCL)"
WHEELS = [
    ("plain", "1.0", "py3-none-any", "License: MIT"),
    ("plain", "2.0", "py3-none-any", "License: AGPL-3.0-only"),
    ("extra", "1.0", "py3-none-any", "License: GNU GPL v3"),
    ("windows", "1.0", "cp313-cp313-win_amd64", ISC),
    ("gone", "1.0", "py3-none-any", "License: MIT"),
    ("latin", "1.0", "py3-none-any", "Author: J\udcfcrgen\nLicense: MIT"),  # not UTF-8
]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project: packages of an extra, for Windows, gone, twice, in Latin 1, a namesake."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").write_text('[tool.pip-licenses]\nignore-packages = ["extra"]\n')
    wheels = "".join(lock_wheel(tmp_path / "wheels", *wheel) for wheel in WHEELS)
    (tmp_path / "uv.lock").write_text(LOCK + wheels)
    (tmp_path / "wheels/gone-1.0-py3-none-any.whl").unlink()
    (tmp_path / "own").mkdir()
    (tmp_path / "own/pyproject.toml").write_text(OWN)
    return tmp_path


def test_whole_lock_is_judged(project: Path) -> None:
    packages = lockfile.read((project / "uv.lock").read_text())
    judged = check(packages, read(project, "deny-licenses: [GPL-3.0, AGPL-3.0]\n"), project)
    verdicts = {(one.locked.name, one.locked.version): one.judgement.verdict for one in judged}
    assert verdicts == {
        ("plain", "1.0"): Verdict.ALLOWED,
        ("plain", "2.0"): Verdict.FORBIDDEN,
        ("extra", "1.0"): Verdict.FORBIDDEN,
        ("windows", "1.0"): Verdict.ALLOWED,
        ("gone", "1.0"): Verdict.UNKNOWN,
        ("latin", "1.0"): Verdict.ALLOWED,
        ("requests", "1.0"): Verdict.FORBIDDEN,
    }
    assert [one.locked.name for one in judged if one.fails] == ["extra"], "an extra is production"
    text = describe(judged)
    assert "| ❌ forbidden | extra | 1.0 | GNU GPL v3 |" in text
    assert "| ⚠️ unknown | gone | 1.0 |  | Not asked: " in text
    assert "GitHub's dependency review reads" in text
    listed = json.loads((project / "development.json").read_text())
    assert {package["Name"] for package in listed} == {"windows", "requests", "plain", "latin"}
    assert "plain" in (project / "production.md").read_text()


@pytest.mark.parametrize(
    ("source", "requirement"),
    [
        ('git = "https://x.example/y?rev=v1&subdirectory=a%2Fb#c0ffee"',
         "git+https://x.example/y@c0ffee#subdirectory=a/b"),
        ('git = "https://x.example/y#c0ffee"', "git+https://x.example/y@c0ffee"),
        ('url = "https://x.example/y.zip", subdirectory = "a/b"',
         "https://x.example/y.zip#subdirectory=a/b --hash=sha256:1"),
    ],
)  # fmt: skip
def test_package_is_asked_of_where_it_comes_from(source: str, requirement: str) -> None:
    text = f'[[package]]\nname = "a"\nversion = "1"\nsource = {{ {source} }}\n'
    text += 'sdist = { hash = "sha256:1" }\n' if "url" in source else ""
    (package,) = lockfile.read(text)
    assert environments._write_requirement(package) == f"a @ {requirement}\n"  # noqa: SLF001


@pytest.mark.parametrize(
    ("settings", "place", "option"),
    [
        ('find-links = ["https://a.b/c"]', "https://a.b/c", "find-links="),
        ('index = [{url = "https://a.b/", format = "flat"}]', "https://a.b", "find-links="),
        ('index = [{url = "a", name = "b"}]', "a", "find-links="),
        ('index = [{url = "https://a.b", name = "b"}]', "https://a.b/", "default-index=b="),
    ],
)
def test_registry_is_asked_as_the_project_does(
    settings: str, place: str, option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("pyproject.toml").write_text(f"[tool.uv]\n{settings}\n")
    package = Locked("a", "1", place=place)
    options = environments._find_options(package, environments._read_indexes())  # noqa: SLF001
    assert options[-1] == f"--{option}{place}"


FOREIGN = {
    "apple": ["cp313-cp313-macosx_15_0_arm64"],
    "arm": ["cp313-cp313-win_arm64"],
    "intel": ["cp39-abi3-macosx_10_9_x86_64"],
    "musl": ["cp313-cp313-musllinux_1_1_x86_64"],
    "old": ["cp312-cp312-manylinux_2_17_x86_64", "pp39-pypy39_pp73-win_amd64"],
}
"""Packages whose wheels are for other machines or another Python."""


def test_package_for_other_machines_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("wheels").mkdir()
    packages = []
    for name, tags in FOREIGN.items():
        files = frozenset(File(make_wheel(Path("wheels"), name, tag=tag).name) for tag in tags)
        packages.append(Locked(name, "1.0", place="wheels", files=files))
    assert environments.install(packages, tmp_path / "environment") == {}


def test_nothing_that_can_be_asked_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    text = (
        '[[package]]\nname = "a"\nversion = "1"\nsource = { registry = "http://127.0.0.1:1/x" }\n'
    )
    with pytest.raises(NotKnownError, match=r"127\.0\.0\.1"):
        check(lockfile.read(text), read(tmp_path, POLICY), tmp_path)


def test_check_that_is_turned_off_says_so(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "policy.yml").write_text("license-check: false\n")
    monkeypatch.setattr(license_check, "CONFIG", Path("policy.yml"))
    assert license_check.main([]) == 0
    assert capsys.readouterr().out.count("no licence was judged") == 2, "annotation and summary"
    assert "✅" not in Path("license-report/report.md").read_text()
