"""The command line."""

import logging.config
import subprocess
import sys
from pathlib import Path

import pytest

from python_web_template import cli
from python_web_template.about import DISTRIBUTION, VERSION
from python_web_template.settings import Settings

NOWHERE = "postgresql://someone:s3cret@127.0.0.1:1/nothing"


@pytest.fixture(autouse=True)
def served(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> list[dict[str, object]]:
    """Nothing is configured; logging stays as it is; `serve` is only noted."""
    request.getfixturevalue("default_settings")
    calls: list[dict[str, object]] = []
    monkeypatch.setattr(logging.config, "dictConfig", lambda _config: None)
    monkeypatch.setattr(cli, "serve", lambda _settings, **options: calls.append(options))
    return calls


def test_installed_command(child_environment: dict[str, str]) -> None:
    command = Path(sys.executable).with_name(DISTRIBUTION)

    shown = subprocess.run(
        [command, "--version"], capture_output=True, text=True, check=True, env=child_environment
    )

    assert shown.stdout.strip() == VERSION


@pytest.mark.parametrize("command", ["serve", "migrate"])
def test_bad_settings(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    monkeypatch.setenv("DATABASE_URL", "mysql://u:s3cret@h/d")

    assert cli.main([command]) == 2

    assert capsys.readouterr().err == (
        f"{DISTRIBUTION}: DATABASE_URL: must be a postgresql:// or sqlite:/// URL\n"
    )


@pytest.mark.parametrize(
    "arguments", [[], ["nonsense"], ["serve", "--port", "x"], ["serve", "--port", "65536"]]
)
def test_bad_options(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)

    assert caught.value.code == 2
    assert capsys.readouterr().err.startswith(f"usage: {DISTRIBUTION} ")


def test_migrate(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], empty_database: str
) -> None:
    monkeypatch.setenv("DATABASE_URL", empty_database)

    assert cli.main(["migrate"]) == 0
    assert '"revision":"0001"' in capsys.readouterr().out
    assert cli.main(["migrate", "--revision", "base"]) == 0
    assert '"revision":"base"' in capsys.readouterr().out


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        (NOWHERE, "connection failed"),
        ("sqlite:///missing/app.sqlite3", "unable to open database file"),
    ],
)
def test_migrate_without_a_database_to_talk_to(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], url: str, reason: str
) -> None:
    monkeypatch.setenv("DATABASE_URL", url)

    assert cli.main(["migrate"]) == 1

    output = capfd.readouterr()
    assert output.err.startswith(f"{DISTRIBUTION}: migration failed: {reason}")
    assert output.err.count("\n") == 1
    assert "s3cret" not in output.err + output.out


def test_serve_has_a_database_of_its_own(served: list[dict[str, object]]) -> None:
    assert cli.main(["serve"]) == 0

    assert served == [{"host": "127.0.0.1", "port": 8000, "workers": 1}]
    assert Path(Settings().database.database or "").exists()


def test_serve_leaves_a_named_database_alone(
    monkeypatch: pytest.MonkeyPatch, served: list[dict[str, object]]
) -> None:
    monkeypatch.setenv("DATABASE_URL", "sqlite:///named.sqlite3")

    assert cli.main(["serve", "--host", "::1", "--port", "1", "--workers", "2"]) == 0

    assert served == [{"host": "::1", "port": 1, "workers": 2}]
    assert not Path("named.sqlite3").exists()
