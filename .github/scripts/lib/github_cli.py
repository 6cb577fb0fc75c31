"""GitHub's API by way of its own command line program, gh."""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any


class GitHubError(Exception):
    """GitHub refused a request.

    Attributes:
        status: The HTTP status; 0 if there was no answer.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


def ask(method: str, path: str, content: object = None, *, file: Path | None = None) -> Any:  # noqa: ANN401
    """Send a request; return the decoded answer.

    Args:
        method: The HTTP method.
        path: The rest of the address behind `repos/OWNER/NAME/`; with a slash in front, behind
            the API's own address; or a whole address.
        content: What to send as JSON.
        file: A file to send instead.

    Raises:
        GitHubError: GitHub refused, or did not answer.
    """
    if not path.startswith(("https://", "/")):
        path = f"repos/{os.environ['GITHUB_REPOSITORY']}/{path}".rstrip("/")
    options: list[str] = []
    sent = b""
    if file:
        options = ["--header", "Content-Type: application/octet-stream", "--input", str(file)]
    elif content is not None:
        options = ["--input", "-"]
        sent = json.dumps(content).encode()
    answer = _call(["--method", method, path, *options], sent)
    return json.loads(answer) if answer.strip() else None


def download(path: str) -> bytes:
    """Return the content of a file.

    Raises:
        GitHubError: GitHub refused, or did not answer.
    """
    path = f"repos/{os.environ['GITHUB_REPOSITORY']}/{path}"
    return _call(["--header", "Accept: application/octet-stream", path])


def _call(arguments: list[str], sent: bytes = b"") -> bytes:
    result = subprocess.run(["gh", "api", *arguments], input=sent, capture_output=True, check=False)
    if result.returncode:
        message = result.stderr.decode(errors="replace").strip()
        found = re.search(r"\(HTTP (\d+)\)", message)
        raise GitHubError(f"{' '.join(arguments[:3])}: {message}", int(found[1]) if found else 0)
    return result.stdout
