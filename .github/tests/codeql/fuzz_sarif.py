"""SARIF files, which a pull request's own code can write: read, or refused with a reason."""

import json
from pathlib import Path
from tempfile import NamedTemporaryFile

from codeql import sarif_report


def check(data: bytes) -> None:
    """Read a file, and filter what it holds."""
    with NamedTemporaryFile() as file:
        Path(file.name).write_bytes(data)
        try:
            content = sarif_report.load(Path(file.name))
        except sarif_report.MALFORMED:
            return
    try:
        log, found = sarif_report.sort(content, {"src/a.py"}, Path("/work"))
        json.dumps(log)
        sarif_report.describe_places(found)
    except sarif_report.MALFORMED:
        return
