"""What uv.lock and pyproject.toml say about packages."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, order=True)
class Locked:
    """A locked version of a package, where it comes from, and the hashes of its files."""

    name: str
    version: str
    source: str = ""
    hashes: frozenset[str] = frozenset()


def read(text: str) -> set[Locked]:
    """Return the packages of a lock file, without those of the project itself.

    Raises:
        ValueError: It is not a lock file.
    """
    packages = tomllib.loads(text).get("package", [])
    own = {"editable", "virtual"}
    try:
        return {_read_package(it) for it in packages if not it["source"].keys() & own}
    except (AttributeError, LookupError, TypeError) as error:
        raise ValueError(f"not a lock file: {error!r}") from error


def find_direct(text: str) -> set[str]:
    """Return the names of the packages that pyproject.toml asks for.

    Raises:
        ValueError: It is not TOML.
    """
    content = tomllib.loads(text)
    project = content.get("project", {})
    lists = [
        project.get("dependencies", []),
        *project.get("optional-dependencies", {}).values(),
        *content.get("dependency-groups", {}).values(),
    ]
    names = (re.match(r"[\w.-]+", it) for found in lists for it in found if isinstance(it, str))
    return {normalize(match[0]) for match in names if match}


def normalize(name: str) -> str:
    """Return the one spelling of a package's name."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _read_package(package: Mapping[str, Any]) -> Locked:
    files = [*package.get("wheels", []), *([package["sdist"]] if "sdist" in package else [])]
    kind, place = next(iter(package["source"].items()))
    source = "" if kind == "registry" else f"{kind} {place}"
    hashes = frozenset(it["hash"] for it in files if "hash" in it)
    return Locked(package["name"], str(package.get("version", "")), source, hashes)
