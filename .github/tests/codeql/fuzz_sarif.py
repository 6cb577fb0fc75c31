"""SARIF files, which a pull request's own code can write: read, or refused with a reason."""

import json
from pathlib import Path
from tempfile import NamedTemporaryFile

from codeql import filter_sarif, sarif_report
from lib import sarif


def check(data: bytes) -> None:
    """Read a file, and filter what it holds."""
    with NamedTemporaryFile() as file:
        Path(file.name).write_bytes(data)
        try:
            content = sarif.load(Path(file.name))
        except sarif.MALFORMED:
            return
    try:
        json.dumps(filter_sarif.keep(content, {"src/a.py"}, Path("/work")).content)
        sarif_report.find_all(content, Path("/work"))
    except sarif.MALFORMED:
        return
