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
        path: The rest of the address behind `repos/OWNER/NAME/`, or a whole address.
        content: What to send as JSON.
        file: A file to send instead.

    Raises:
        GitHubError: GitHub refused, or did not answer.
    """
    if not path.startswith("https://"):
        path = f"repos/{os.environ['GITHUB_REPOSITORY']}/{path}"
    command = ["gh", "api", "--method", method, path]
    sent = b""
    if file:
        command += ["--header", "Content-Type: application/octet-stream", "--input", str(file)]
    elif content is not None:
        command += ["--input", "-"]
        sent = json.dumps(content).encode()
    result = subprocess.run(command, input=sent, capture_output=True, check=False)
    if result.returncode:
        message = result.stderr.decode(errors="replace").strip()
        found = re.search(r"\(HTTP (\d+)\)", message)
        raise GitHubError(f"{method} {path}: {message}", int(found[1]) if found else 0)
    return json.loads(result.stdout) if result.stdout.strip() else None
