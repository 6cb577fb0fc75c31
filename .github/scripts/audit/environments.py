"""Throw-away environments with locked packages, and the licences that these name."""

import json
import os
import re
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from urllib.parse import parse_qs

from audit.tools import UV, NotKnownError, run
from lib.lockfile import REGISTRY, Locked
from packaging.tags import Tag, sys_tags
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

PLATFORMS = {
    "win32": "i686-pc-windows-msvc",
    "win_amd64": "x86_64-pc-windows-msvc",
    "win_arm64": "aarch64-pc-windows-msvc",
    "macosx.*(?:arm64|universal2)": "aarch64-apple-darwin",
    "macosx.*(?:x86_64|intel)": "x86_64-apple-darwin",
    "(?:many)?linux.*x86_64": "x86_64-manylinux_2_40",
    "(?:many)?linux.*aarch64": "aarch64-manylinux_2_40",
    "musllinux.*x86_64": "x86_64-unknown-linux-musl",
    "musllinux.*aarch64": "aarch64-unknown-linux-musl",
}
"""What uv calls the platforms of wheels."""
PATIENCE = 120
"""Seconds after which packages that are still not installed are given up."""
INDEXES = ("UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS")
"""Settings that would have a package asked of another place than the one that the lock names."""


def install(packages: Iterable[Locked], folder: Path) -> dict[Locked, str]:
    """Install packages alone, each from where the lock has it, also those of other platforms.

    Args:
        packages: The packages; no name twice.
        folder: The new environment.

    Returns:
        The packages that could not be installed, each with the reason.

    Raises:
        NotKnownError: The environment could not be made.
    """
    _run([UV, "venv", "--quiet", f"--python={sys.executable}", str(folder)])
    indexes = _read_indexes()
    batches: dict[tuple[str, ...], list[Locked]] = {}
    for package in packages:
        batches.setdefault(tuple(_find_options(package, indexes)), []).append(package)
    refused: dict[Locked, str] = {}
    deadline = time.monotonic() + PATIENCE
    for options, batch in batches.items():
        refused |= _install(batch, [*options, f"--python={folder}"], deadline)
    return refused


def list_packages(folder: Path) -> list[dict[str, str]]:
    """Return what pip-licenses says of an environment's packages: a row for each.

    Raises:
        NotKnownError: pip-licenses failed.
    """
    # Else pip-licenses looks each file up three times, for texts that are not asked for.
    for files in folder.glob("*/*/site-packages/*.dist-info/RECORD"):
        files.unlink()
    for file in folder.rglob("*.dist-info/METADATA"):
        text = file.read_text(encoding="utf-8", errors="replace")
        if "\ufffd" in text:  # pip-licenses would fail for all; the file may be one of uv's cache
            file.unlink()
            file.write_text(text, encoding="utf-8")
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    options = ["--format=json", "--from=all", "--with-urls", "--with-system", f"--python={python}"]
    # beside the environment: a pyproject.toml may say what to leave out
    return list(json.loads(_run(["pip-licenses", *options], folder.parent)))


def find_licenses(row: Mapping[str, str]) -> list[str]:
    """Return all that a package says of its licence: expression, classifiers, name or text."""
    names = (row["License-Expression"], *row["License-Classifier"].split("; "))
    return [name for name in (*names, row["License-Metadata"]) if name != "UNKNOWN"]


def _run(command: Sequence[str], folder: Path | None = None) -> str:
    left_out = {"UV_NO_SYNC", "VIRTUAL_ENV", *INDEXES}
    environment = {key: value for key, value in os.environ.items() if key not in left_out}
    environment["MACOSX_DEPLOYMENT_TARGET"] = "99.0"  # wheels for any macOS
    return run(command, folder=folder, environment=environment).stdout


def _install(batch: Sequence[Locked], options: Sequence[str], deadline: float) -> dict[Locked, str]:
    """Install packages, in halves if that fails, until each that cannot be installed is known."""
    if time.monotonic() > deadline:
        return dict.fromkeys(batch, "there was no time left to ask")
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "requirements.txt"
        file.write_text("".join(map(_write_requirement, batch)), encoding="utf-8")
        command = [UV, "pip", "install", "--quiet", "--no-deps", "--no-config", *options]
        try:
            _run([*command, f"--requirements={file}"])
        except NotKnownError as error:
            if len(batch) == 1:
                return {batch[0]: str(error)}
        else:
            return {}
    half = len(batch) // 2
    return _install(batch[:half], options, deadline) | _install(batch[half:], options, deadline)


def _find_options(package: Locked, indexes: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Return the options of uv for where a package comes from and for which platform."""
    if package.kind != REGISTRY:
        return []
    known = indexes.get(package.place.rstrip("/"), {})
    options = ["--no-index", f"--find-links={package.place}"]
    if "://" in package.place and known.get("format") != "flat":
        # uv finds credentials by the name
        name = f"{known['name']}=" if "name" in known else ""
        options = [f"--default-index={name}{package.place}"]
    wheels = [file.name for file in package.files if file.name.endswith(".whl")]
    if wheels:
        options.append("--only-binary=:all:")  # no code of theirs runs
        if not any(map(_fits_here, wheels)):
            options += _find_platform(sorted(wheels, reverse=True))
    return options


def _find_platform(wheels: Sequence[str]) -> list[str]:
    """Return the options that let uv install one of some wheels that are for other machines."""
    for wheel in wheels:
        python, _, platform = wheel.removesuffix(".whl").split("-")[-3:]
        version = re.match(r"cp(\d)(\d+)", python)
        for pattern, name in PLATFORMS.items():
            if re.match(pattern, platform) and (version or python.startswith("py")):
                options = [f"--python-version={version[1]}.{version[2]}"] if version else []
                return [f"--python-platform={name}", *options]
    return []


@cache
def _list_tags() -> frozenset[Tag]:
    return frozenset(sys_tags())


def _fits_here(wheel: str) -> bool:
    try:
        return not parse_wheel_filename(wheel)[3].isdisjoint(_list_tags())
    except InvalidWheelFilename:
        return False


def _write_requirement(package: Locked) -> str:
    hashes = "".join(f" --hash={file.hash}" for file in sorted(package.files) if file.hash)
    if package.kind == REGISTRY:
        return f"{package.name}=={package.version}{hashes}\n"
    place = package.place
    if package.kind == "git":
        address, _, commit = place.partition("#")
        address, _, query = address.partition("?")
        folders = parse_qs(query).get("subdirectory", [])
        place = f"git+{address}@{commit}" + "".join(f"#subdirectory={one}" for one in folders)
    elif package.kind != "url":
        place = Path(place).resolve().as_uri()
    return f"{package.name} @ {place}{hashes}\n"


def _read_indexes() -> Mapping[str, Mapping[str, str]]:
    """Return what pyproject.toml says of registries, and of pages and folders that list files."""
    try:
        content = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))
        uv = content.get("tool", {}).get("uv", {})
        flat = [{"url": address, "format": "flat"} for address in uv.get("find-links", [])]
        return {index["url"].rstrip("/"): index for index in [*flat, *uv.get("index", [])]}
    except (AttributeError, LookupError, OSError, TypeError, ValueError):
        return {}
