import shutil
from pathlib import Path

from engine import ROOT
from lib import processes

SCRIPT = Path(".github/scripts/checks/smoke_tests.sh")
UV = """#!/bin/sh
echo "$@, but no_proxy: $no_proxy"
"""


def call(folder: Path, *arguments: str, code: int = 0) -> str:
    """Run the script in a tree, with a uv and a curl that only say what they were asked."""
    (folder / SCRIPT).parent.mkdir(parents=True)
    shutil.copy(ROOT / SCRIPT, folder / SCRIPT)
    (folder / "uv").write_text(UV)
    (folder / "uv").chmod(0o755)
    (folder / "curl").write_text(UV + f"exit {code}\n")
    (folder / "curl").chmod(0o755)
    environment = {"PATH": f"{folder}:/usr/bin:/bin"}
    return processes.run([folder / SCRIPT, *arguments], 60, environment=environment).stdout


def test_options_reach_the_smoke_tests(tmp_path: Path) -> None:
    (tmp_path / "tests/smoke").mkdir(parents=True)
    said = call(tmp_path, "--base-url=http://127.0.0.1:8000", "--header", "Host: a b")
    assert "pytest tests/smoke" in said
    assert "--base-url=http://127.0.0.1:8000 --header Host: a b, but no_proxy: 127.0.0.1," in said


def test_app_without_smoke_tests_is_said(tmp_path: Path) -> None:
    said = call(tmp_path, "--base-url=http://127.0.0.1:8000", "--header=Host: a")
    assert "--header Host: a http://127.0.0.1:8000/health" in said
    assert "::notice title=No smoke tests::" in said


def test_app_that_nobody_reaches_is_red(tmp_path: Path) -> None:
    said = call(tmp_path, "--base-url=http://127.0.0.1:8000", code=7)
    assert "http://127.0.0.1:8000/health did not answer from here: does `serve`" in said
    assert "::notice" not in said
