"""Packages reach an index once, whole, and never with other bytes."""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from lib import processes
from package_index import serve
from wheels import make_wheel

SCRIPT = Path(__file__).parents[3] / ".github/scripts/release/release_pypi.sh"
PYPI = "https://upload.pypi.org/legacy/"
TOKEN = {"PYPI_API_TOKEN": "pypi-secret"}
UV = os.environ.get("UV") or shutil.which("uv") or "uv"


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serve(tmp_path_factory.mktemp("index") / "packages") as address:
        yield address


def publish(tmp_path: Path, *files: Path, **settings: str) -> tuple[int, str]:
    """Run the script; return its exit code, and what it said and summarized."""
    (tmp_path / "bin").mkdir(exist_ok=True)
    if not (tmp_path / "bin/uv").exists():
        (tmp_path / "bin/uv").symlink_to(UV)
    environment = {
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary"),
        "HOME": str(tmp_path),
        "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
        "UV_PYTHON": sys.executable,
    }
    done = processes.run([SCRIPT, *files], 60, environment=environment | settings)
    summary = tmp_path / "summary"
    return done.returncode, done.stdout + (summary.read_text() if summary.exists() else "")


def to(index: str, **settings: str) -> dict[str, str]:
    return settings | {
        "UV_PUBLISH_URL": f"{index}/",
        "UV_PUBLISH_CHECK_URL": f"{index}/simple/",
    }


def test_publishes_once_and_never_other_bytes(index: str, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "once")
    for _ in range(2):
        code, text = publish(tmp_path, wheel, **to(index, **TOKEN))
        assert code == 0, text
        assert "### ✅ Published" in text
        assert TOKEN["PYPI_API_TOKEN"] not in text
    make_wheel(tmp_path, "once", line="Summary: Changed")
    code, text = publish(tmp_path, wheel, **to(index, **TOKEN))
    assert code != 0
    assert "### ❌ Not published" in text


def test_nothing_configured_is_said(index: str, tmp_path: Path) -> None:
    for setting in ("", "false"):
        code, text = publish(
            tmp_path, make_wheel(tmp_path, "no"), **to(index, PYPI_TRUSTED_PUBLISHING=setting)
        )
        assert code == 0
        assert "::notice title=Not published to PyPI::" in text
        assert "gh secret set PYPI_API_TOKEN --env pypi" in text


@pytest.mark.parametrize("missing", ["UV_PUBLISH_CHECK_URL", "UV_PUBLISH_URL"])
def test_other_index_needs_both_addresses(index: str, tmp_path: Path, missing: str) -> None:
    settings = to(index, **TOKEN)
    del settings[missing]
    code, text = publish(tmp_path, make_wheel(tmp_path, "private"), **settings)
    assert code == 1
    assert "Another index than PyPI needs both" in text


@pytest.mark.parametrize("setting", ["yes", "True", " true"])
def test_unclear_setting_is_an_error(tmp_path: Path, setting: str) -> None:
    code, text = publish(tmp_path, Path("a.whl"), PYPI_TRUSTED_PUBLISHING=setting)
    assert code == 1
    assert "::error title=Not published to PyPI::The repository variable PYPI_TRUSTED" in text


@pytest.mark.parametrize(
    ("settings", "calls"),
    [
        (
            {"PYPI_TRUSTED_PUBLISHING": "true"},
            [
                "run pypi-attestations sign a.whl [] ",
                f"publish --trusted-publishing always a.whl a.whl.publish.attestation [] {PYPI}",
            ],
        ),
        (
            {"PYPI_TRUSTED_PUBLISHING": "true", "PYPI_API_TOKEN": "t"},
            [
                f"publish --trusted-publishing never --no-attestations a.whl [t] {PYPI}",
            ],
        ),
    ],
)
def test_token_comes_first_and_trusted_publishing_sends_attestations(
    tmp_path: Path, settings: dict[str, str], calls: list[str]
) -> None:
    (tmp_path / "bin").mkdir()
    script = tmp_path / "bin/uv"
    script.write_text('#!/bin/sh\necho "$@ [$UV_PUBLISH_TOKEN] $UV_PUBLISH_URL"\n')
    script.chmod(0o755)
    code, text = publish(tmp_path, Path("a.whl"), **settings)
    assert code == 0
    assert text.splitlines()[: len(calls)] == calls
