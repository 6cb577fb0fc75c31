"""A database for Trivy that knows a few advisories: real Trivy, without its download.

The file is as its library reads it: https://github.com/etcd-io/bbolt, a tree of buckets on pages.
"""

import json
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path

type Tree = Mapping[str, "Tree | bytes"]

PAGE_SIZE = 4096
MAGIC, VERSION = 0xED0CDAED, 2
LEAF, META, FREE = 0x02, 0x04, 0x10
HASH_START, HASH_PRIME = 0xCBF29CE484222325, 0x100000001B3
FIRST_PAGE = 3
SOURCE = "pip::GitHub Security Advisory pip"
DAY = "2000-01-01T00:00:00Z"
"""When it says that it was made: a report that names the day tells that it is not the real one."""


def write_database(folder: Path, packages: Iterable[tuple[str, str, str]]) -> None:
    """Write a database to Trivy's cache folder.

    Args:
        folder: The cache folder.
        packages: Each vulnerable package of PyPI: its name, the advisory's id, and the version
            that has the fix; empty if none has.
    """
    tree: dict[str, dict[str, Tree | bytes]] = {"vulnerability": {}, SOURCE: {}, "data-source": {}}
    tree["data-source"][SOURCE] = _encode({"ID": "ghsa", "Name": "Stand-in", "URL": ""})
    for name, id_, fixed in packages:
        tree["vulnerability"][id_] = _encode({"Title": "A planted fault", "Severity": "HIGH"})
        versions = {"PatchedVersions": [fixed] if fixed else []}
        advisory = versions | {"VulnerableVersions": [f"<{fixed}" if fixed else ">=0"]}
        tree[SOURCE][name] = {id_: _encode(advisory)}
    (folder / "db").mkdir(parents=True)
    (folder / "db/trivy.db").write_bytes(_make_file(tree))
    metadata = {"Version": 2, "NextUpdate": DAY, "UpdatedAt": DAY, "DownloadedAt": DAY}
    (folder / "db/metadata.json").write_text(json.dumps(metadata))


def _encode(content: object) -> bytes:
    return json.dumps(content).encode()


def _make_file(tree: Tree) -> bytes:
    """Return two pages of metadata, one that says that no page is free, and one big leaf."""
    pages = -(-len(_make_leaf(tree)) // PAGE_SIZE)
    parts = [_make_meta(number, FIRST_PAGE + pages) for number in (0, 1)]
    parts += [struct.pack("<QHHI", 2, FREE, 0, 0), _make_leaf(tree, FIRST_PAGE, pages - 1)]
    return b"".join(part.ljust(-(-len(part) // PAGE_SIZE) * PAGE_SIZE, b"\0") for part in parts)


def _make_meta(number: int, pages: int) -> bytes:
    meta = struct.pack("<IIIIQQQQQ", MAGIC, VERSION, PAGE_SIZE, 0, FIRST_PAGE, 0, 2, pages, number)
    return struct.pack("<QHHI", number, META, 0, 0) + meta + struct.pack("<Q", _hash(meta))


def _hash(content: bytes) -> int:
    """Return the 64 bit FNV-1a hash."""
    value = HASH_START
    for byte in content:
        value = ((value ^ byte) * HASH_PRIME) % 2**64
    return value


def _make_leaf(tree: Tree, number: int = 0, overflow: int = 0) -> bytes:
    """Return a page with the sorted keys of a bucket; buckets in it are inline."""
    entries = []
    for key in sorted(tree):
        value = tree[key]
        if isinstance(value, bytes):
            entries.append((0, key.encode(), value))
        else:
            entries.append((1, key.encode(), struct.pack("<QQ", 0, 0) + _make_leaf(value)))
    elements = content = b""
    for flags, key_bytes, value in entries:
        position = 16 * len(entries) - len(elements) + len(content)
        elements += struct.pack("<IIII", flags, position, len(key_bytes), len(value))
        content += key_bytes + value
    return struct.pack("<QHHI", number, LEAF, len(entries), overflow) + elements + content
