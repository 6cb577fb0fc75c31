"""GitHub's REST API, for what has to work on a machine without the program gh."""

import json
import os
import urllib.error
import urllib.request
from http.client import HTTPException
from typing import Any

TIMEOUT = 20
PAGE = 100


class GitHubError(Exception):
    """GitHub refused a request, or did not answer.

    Attributes:
        reason: What GitHub said, without what was asked.
        status: The HTTP status; 0 if there was no answer.
    """

    def __init__(self, asked: str, reason: str, status: int = 0) -> None:
        super().__init__(f"{asked}: {reason}")
        self.reason = reason
        self.status = status


def ask(method: str, path: str, content: object = None) -> Any:  # noqa: ANN401
    """Send a request with the token of `GITHUB_TOKEN`; return the decoded answer.

    Args:
        method: The HTTP method.
        path: The rest of the address behind `repos/OWNER/NAME/`.
        content: What to send as JSON.

    Raises:
        GitHubError: GitHub refused, or did not answer, or not with JSON.
    """
    api = os.environ.get("GITHUB_API_URL", "https://api.github.com")
    url = f"{api}/repos/{os.environ.get('GITHUB_REPOSITORY', '')}/{path}"
    if not url.startswith(("https://", "http://127.0.0.1:")):
        raise GitHubError(url, "not an address of GitHub's API")
    headers = {
        "Accept": "application/vnd.github+json",
        "Authorization": f"Bearer {os.environ.get('GITHUB_TOKEN', '')}",
        "Content-Type": "application/json",
    }
    body = None if content is None else json.dumps(content).encode()
    request = urllib.request.Request(url, body, headers, method=method)  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:  # noqa: S310
            text = answer.read()
        return json.loads(text) if text else None
    except urllib.error.HTTPError as error:
        with error:
            raise GitHubError(f"{method} {path}", _explain(error), error.code) from error
    except (HTTPException, OSError, ValueError) as error:
        raise GitHubError(f"{method} {path}", str(error)) from error


def list_all(path: str) -> list[Any]:
    """Return the items of all pages of a list.

    Raises:
        GitHubError: As `ask` does.
    """
    items: list[Any] = []
    sign = "&" if "?" in path else "?"
    while len(items) % PAGE == 0:
        page = ask("GET", f"{path}{sign}per_page={PAGE}&page={len(items) // PAGE + 1}")
        items += page
        if not page:
            break
    return items


def _explain(error: urllib.error.HTTPError) -> str:
    try:
        message = str(json.load(error)["message"])
    except (HTTPException, LookupError, OSError, TypeError, ValueError):
        message = str(error.reason)
    return f"HTTP {error.code}: {message}"
