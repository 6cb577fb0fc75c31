"""Throw-away environments, and what pip-licenses says of the packages in them."""

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

UV = os.environ.get("UV") or "uv"


class CouldNotListError(Exception):
    """An environment could not be made or listed."""


@dataclass(frozen=True)
class Package:
    """An installed package and the licence that it names."""

    name: str
    version: str
    license: str
    address: str = ""


def sync(selection: Sequence[str], folder: Path) -> None:
    """Install a selection of the locked packages into a new environment.

    Raises:
        CouldNotListError: uv failed.
    """
    options = ["sync", "--quiet", "--locked", "--no-install-project", *selection]
    _run([UV, *options], {"UV_PROJECT_ENVIRONMENT": str(folder)})


def install(requirements: Sequence[str], folder: Path) -> None:
    """Install packages alone, without what they need, without running code of theirs.

    Raises:
        CouldNotListError: uv failed.
    """
    _run([UV, "venv", "--quiet", str(folder)])
    options = ["pip", "install", "--quiet", "--no-deps", "--only-binary=:all:"]
    _run([UV, *options, f"--python={folder}", *requirements])


def list_packages(folder: Path) -> list[Package]:
    """Return the packages of an environment.

    Raises:
        CouldNotListError: pip-licenses failed.
    """
    listed = json.loads(show(folder, "json"))
    return [Package(it["Name"], it["Version"], it["License"], it["URL"]) for it in listed]


def show(folder: Path, form: str) -> str:
    """Return pip-licenses' own report on an environment, such as `markdown` or `json`.

    Raises:
        CouldNotListError: pip-licenses failed.
    """
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    options = [f"--format={form}", "--with-urls", "--with-system", f"--python={python}"]
    return _run(["pip-licenses", *options])


def _run(command: Sequence[str], settings: dict[str, str] | None = None) -> str:
    left_out = {"UV_NO_SYNC", "VIRTUAL_ENV"}
    environment = {key: it for key, it in os.environ.items() if key not in left_out}
    try:
        done = subprocess.run(
            command,
            check=True,
            env=environment | (settings or {}),
            text=True,
            capture_output=True,
            timeout=300,
        )
    except subprocess.CalledProcessError as error:
        raise CouldNotListError(f"{Path(command[0]).name}: {error.stderr.strip()}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CouldNotListError(str(error)) from error
    return done.stdout
