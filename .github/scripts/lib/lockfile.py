"""What uv.lock says about packages."""

import tomllib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from packaging.utils import canonicalize_name

REGISTRY = "registry"
FILE = {"filename", "hash", "path", "size", "upload-time", "url"}
READ = {"name", "version", "source", "sdist", "wheels", "dependencies", "optional-dependencies"}


@dataclass(frozen=True, order=True)
class File:
    """A file of a package: name (its address, if it has no hash), host and hash."""

    name: str
    host: str = ""
    hash: str = ""


@dataclass(frozen=True, order=True)
class Locked:
    """A locked version of a package.

    Attributes:
        name: Its normalised name.
        version: Its version; empty where it is not known, as for a folder.
        kind: Where it comes from: `registry`, `git`, `url`, `path`, `directory` or `editable`.
        place: Address of the registry or repository, or the path.
        files: Its files; a folder or repository has none.
        needs: What it depends on, and other keys of it, each as the lock writes it.
        is_production: Whether the project or an extra of it needs it; else only a group does.
    """

    name: str
    version: str = ""
    kind: str = REGISTRY
    place: str = ""
    files: frozenset[File] = frozenset()
    needs: frozenset[str] = frozenset()
    is_production: bool = field(default=True, compare=False)

    @property
    def source(self) -> str:
        """What says in a report where it comes from."""
        return self.place if self.kind == REGISTRY else f"{self.kind} {self.place}"

    @property
    def dependencies(self) -> str:
        """What it is one of: `production` or `development`."""
        return "production" if self.is_production else "development"


def read(text: str) -> list[Locked]:
    """Return the packages of a lock file, without those of the project itself.

    A package that is locked in two versions, for two platforms, is there twice.

    Raises:
        ValueError: It is not a lock file.
    """
    content = tomllib.loads(text)
    try:
        packages = content.get("package", [])
        own = _find_own(content, packages)
        production = _find_production(own, packages)
        return [
            _read_package(package, is_production=_key(package) in production)
            for package in packages
            if package not in own
        ]
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise ValueError(f"not a lock file: {error!r}") from error


def read_settings(text: str) -> dict[str, Any]:
    """Return what a lock file says beside foreign packages: Python versions, markers, options.

    The key `project` has what it says of the project itself.

    Raises:
        ValueError: It is not a lock file.
    """
    content = tomllib.loads(text)
    packages = content.pop("package", [])
    try:
        own = _find_own(content, packages)
    except (AttributeError, LookupError, TypeError) as error:
        raise ValueError(f"not a lock file: {error!r}") from error
    return content | {"project": own}


def _find_own(content: Mapping[str, Any], packages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the project's own package, and those of its workspace."""
    members = content.get("manifest", {}).get("members", [])
    return [
        package
        for package in packages
        if package["name"] in members
        or "." in {package["source"].get("editable"), package["source"].get("virtual")}
    ]


def _key(package: Mapping[str, Any]) -> tuple[str, str, str]:
    return package["name"], str(package.get("version", "")), str(package["source"])


def _find_production(
    own: list[dict[str, Any]], packages: list[dict[str, Any]]
) -> set[tuple[str, str, str]]:
    """Return what the project and its extras need, and what that needs, on any platform."""
    named: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for package in packages:
        named[package["name"]].append(package)
    found: set[tuple[str, str, str]] = set()
    seen: set[tuple[tuple[str, str, str], str]] = set()
    waiting = [
        (package, extra)
        for package in own
        for extra in ["", *package.get("optional-dependencies", {})]
    ]
    while waiting:
        package, extra = waiting.pop()
        if (_key(package), extra) in seen:
            continue
        seen.add((_key(package), extra))
        found.add(_key(package))
        extras = package.get("optional-dependencies", {})
        for needed in extras.get(extra, []) if extra else package.get("dependencies", []):
            fitting = [
                one
                for one in named[needed["name"]]
                if needed.get("version", one.get("version")) == one.get("version")
                and needed.get("source", one["source"]) == one["source"]
            ]
            waiting += [(one, e) for one in fitting for e in ["", *needed.get("extra", [])]]
    return found


def _read_package(package: Mapping[str, Any], *, is_production: bool) -> Locked:
    (kind, place), *more = package["source"].items()
    end = "".join(f"#subdirectory={value}" for key, value in more if key == "subdirectory")
    files = [*package.get("wheels", []), *([package["sdist"]] if "sdist" in package else [])]
    return Locked(
        canonicalize_name(package["name"]),
        str(package.get("version", "")),
        kind,
        f"{place}{end}",
        frozenset(_read_file(file) for file in files),
        frozenset(_list_needs(package)),
        is_production,
    )


def _read_file(file: Mapping[str, str]) -> File:
    parts = urlsplit(file.get("url", ""))
    path = file.get("path") or file.get("filename") or unquote(parts.path)
    host = f"{parts.scheme}://{parts.netloc}" if parts.netloc else ""
    name = PurePosixPath(path).name if file.get("hash") else file.get("url") or path
    more = [f"{key} {file[key]}" for key in sorted(file.keys() - FILE)]
    return File(name, host, " ".join([file.get("hash", ""), *more]).strip())


def _list_needs(package: Mapping[str, Any]) -> Iterator[str]:
    """Yield each dependency as one text, and whatever else decides what is installed."""
    for needed in package.get("dependencies", []):
        yield _write(needed)
    for extra, listed in package.get("optional-dependencies", {}).items():
        yield from (f"[{extra}] {_write(needed)}" for needed in listed)
    yield from (f"{key} {package[key]}" for key in sorted(package.keys() - READ))
    yield from (f"{key} {value}" for key, value in [*package["source"].items()][1:])


def _write(needed: Mapping[str, Any]) -> str:
    return ", ".join(
        str(needed[key]) if key == "name" else f"{key} {needed[key]}"
        for key in sorted(needed, key=lambda key: (key != "name", key))
    )
