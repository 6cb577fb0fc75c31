"""The command line, in processes of its own."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from python_web_template import cli
from python_web_template.about import DISTRIBUTION, VERSION

pytestmark = pytest.mark.usefixtures("default_settings")


def test_installed_command(child_environment: dict[str, str]) -> None:
    command = Path(sys.executable).with_name(DISTRIBUTION)

    shown = subprocess.run(
        [command, "--version"], capture_output=True, text=True, check=True, env=child_environment
    )

    assert shown.stdout.strip() == VERSION


def test_module(child_environment: dict[str, str]) -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "python_web_template", "--help"],
        capture_output=True,
        text=True,
        check=True,
        env=child_environment,
    )

    assert shown.stdout.startswith(f"usage: {DISTRIBUTION} ")


@pytest.mark.parametrize("command", ["serve", "migrate"])
def test_bad_settings(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    monkeypatch.setenv("DATABASE_URL", "mysql://u:s3cret@h/d")

    assert cli.main([command]) == 2

    assert capsys.readouterr().err == (
        f"{DISTRIBUTION}: DATABASE_URL: must be a postgresql:// or sqlite:/// URL\n"
    )


type Migrate = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def migrate(child_environment: dict[str, str], tmp_path: Path) -> Migrate:
    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "python_web_template", "migrate", *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            env=child_environment | environment,
        )

    return run


def test_migrate(migrate: Migrate, empty_database: str) -> None:
    up = migrate(DATABASE_URL=empty_database)
    down = migrate("--revision", "base", DATABASE_URL=empty_database)

    assert (up.returncode, up.stderr) == (0, "")
    assert json.loads(up.stdout)["revision"] == "0001"
    assert (down.returncode, json.loads(down.stdout)["revision"]) == (0, "base")


def test_migrate_without_a_database_to_talk_to(migrate: Migrate) -> None:
    failed = migrate(DATABASE_URL="postgresql://someone:s3cret@127.0.0.1:1/nothing")

    assert failed.returncode == 1
    assert failed.stderr.startswith(f"{DISTRIBUTION}: migration failed: connection failed")
    assert failed.stderr.count("\n") == 1
    assert "s3cret" not in failed.stderr + failed.stdout


def test_migrate_a_file_in_a_place_that_does_not_exist(migrate: Migrate, tmp_path: Path) -> None:
    failed = migrate(DATABASE_URL=f"sqlite:///{tmp_path}/missing/app.sqlite3")

    assert failed.returncode == 1
    assert "unable to open database file" in failed.stderr
    assert failed.stderr.count("\n") == 1
