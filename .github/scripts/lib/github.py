"""GitHub's REST API: the one client of all scripts.

It speaks HTTPS itself, so that it works where the program gh is missing. The token is that of
`GH_TOKEN` or `GITHUB_TOKEN`, as a job gives it; where a person calls it, the one that the machine's
own gh is logged in with. The repository is that of `GITHUB_REPOSITORY`, else that of the remote
`origin`.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from functools import cache
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

TIMEOUT = 20
"""Seconds to wait for an answer; a file may take ten times as long."""
PATIENCE = 60
"""Seconds for which GitHub is asked again while it is away; GITHUB_PATIENCE says another number."""
AWAY = {500, 502, 503, 504}
"""Statuses that go by themselves."""
UNREACHED = (ConnectionRefusedError, socket.gaierror)
"""Why nothing can have arrived."""
PAGE = 100


class GitHubError(Exception):
    """GitHub refused a request, or did not answer.

    Attributes:
        reason: What GitHub said, without what was asked.
        status: The HTTP status; 0 if there was no answer, or none that is one of GitHub's.
    """

    def __init__(self, asked: str, reason: str, status: int = 0) -> None:
        super().__init__(f"{asked}: {reason}")
        self.reason = reason
        self.status = status


def ask(method: str, path: str, content: object = None, *, file: Path | None = None) -> Any:  # noqa: ANN401
    """Send a request; return the decoded answer, None if it is empty.

    Args:
        method: The HTTP method.
        path: The rest of the address behind `repos/OWNER/NAME/`; with a slash in front, behind
            the API's own address; or a whole address.
        content: What to send as JSON.
        file: A file to send instead.

    Raises:
        GitHubError: GitHub refused, did not answer, or answered something else than JSON.
    """
    body = json.dumps(content).encode() if content is not None else None
    kind = "application/json"
    if file:
        body, kind = file.read_bytes(), "application/octet-stream"
    headers = {"Accept": "application/vnd.github+json", "Content-Type": kind}
    answer = _send(method, path, body, headers)
    try:
        return json.loads(answer) if answer.strip() else None
    except ValueError as error:
        raise GitHubError(f"{method} {path}", f"the answer is no JSON ({error})") from error


def find(path: str) -> Any:  # noqa: ANN401
    """Return what GitHub has at an address, `True` if that is empty, None if there is nothing.

    Raises:
        GitHubError: As `ask` does, except for a 404.
    """
    try:
        found = ask("GET", path)
    except GitHubError as error:
        if error.status == HTTPStatus.NOT_FOUND:
            return None
        raise
    return True if found is None else found


def list_all(path: str, key: str = "") -> list[Any]:
    """Return the items of all pages of a list, which may be a field of the answer.

    Raises:
        GitHubError: As `ask` does.
    """
    items: list[Any] = []
    sign = "&" if "?" in path else "?"
    number = 0
    while len(items) == number * PAGE:
        number += 1
        answer = ask("GET", f"{path}{sign}per_page={PAGE}&page={number}")
        items += answer[key] if key else answer
    return items


def download(path: str, *, archive: bool = False) -> bytes:
    """Return the content of a file.

    Args:
        path: As `ask` has it.
        archive: Whether it is that of an artifact, which GitHub gives as JSON alone or not at all.

    Raises:
        GitHubError: GitHub refused, or did not answer.
    """
    kind = "application/vnd.github+json" if archive else "application/octet-stream"
    return _send("GET", path, None, {"Accept": kind})


def find_repository() -> str:
    """Return `OWNER/NAME` of the repository that is meant.

    Raises:
        GitHubError: Nothing names it.
    """
    if name := os.environ.get("GITHUB_REPOSITORY"):
        return name
    command = ["git", "remote", "get-url", "origin"]
    done = subprocess.run(command, text=True, capture_output=True, check=False)
    if match := re.search(r"[:/]([^/:\s]+/[^/\s]+?)(?:\.git)?/?$", done.stdout.strip()):
        return match[1]
    raise GitHubError("repository", "not known: set GITHUB_REPOSITORY=OWNER/NAME")


def find_gh() -> str:
    """Return the path of the machine's own gh, which may be told secrets; empty if it has none.

    The one that a virtual environment has came with packages.
    """
    folders = (
        folder for folder in os.get_exec_path() if not Path(folder).with_name("pyvenv.cfg").exists()
    )
    return shutil.which("gh", path=os.pathsep.join(folders)) or ""


def _send(method: str, path: str, body: bytes | None, headers: dict[str, str]) -> bytes:
    api = os.environ.get("GITHUB_API_URL") or "https://api.github.com"
    url = f"{api}/repos/{find_repository()}/{path}".rstrip("/")
    if "://" in path or path.startswith("/"):
        url = path if "://" in path else api + path
    host = urlsplit(api).netloc
    parts = urlsplit(url)
    # an address may stand in an answer: the token goes to GitHub's servers only, and encrypted
    is_safe = parts.scheme == "https" or parts.hostname == "127.0.0.1"
    if not is_safe or parts.netloc not in {host, host.replace("api.", "uploads.", 1)}:
        raise GitHubError(url, "not an address of GitHub's API")
    request = urllib.request.Request(url, body, headers, method=method)  # noqa: S310
    request.add_unredirected_header("Authorization", f"Bearer {_find_token()}")
    timeout = TIMEOUT * (10 if "application/octet-stream" in headers.values() else 1)
    asked = f"{method} {path or url}"
    deadline = time.monotonic() + float(os.environ.get("GITHUB_PATIENCE") or PATIENCE)
    told = False
    while True:
        try:
            with _make_opener().open(request, timeout=timeout) as answer:
                return bytes(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                failure = GitHubError(asked, _explain(error), error.code)
            is_outage = method == "GET" and error.code in AWAY
        except (HTTPException, OSError, ValueError) as error:
            failure = GitHubError(asked, str(error) or type(error).__name__)
            # what may have arrived is not done twice
            was_sent = not isinstance(getattr(error, "reason", None), UNREACHED)
            is_outage = not isinstance(error, ValueError) and (method == "GET" or not was_sent)
        if not is_outage or time.monotonic() >= deadline:
            raise failure
        if not told:
            print(f"Waiting for GitHub: {failure}", file=sys.stderr)
        told = True
        time.sleep(1)


def _find_token() -> str:
    token = os.environ.get("GH_TOKEN") or os.environ.get("GITHUB_TOKEN")
    if token or not (gh := find_gh()):
        return token or ""
    command = [gh, "auth", "token"]
    return subprocess.run(command, text=True, capture_output=True, check=False).stdout.strip()


def _explain(error: urllib.error.HTTPError) -> str:
    """Return what GitHub said, and what to do about it."""
    try:
        answer = json.load(error)
        errors = answer.get("errors") or []
        details = [
            str(one.get("message") or one.get("code")) if isinstance(one, dict) else str(one)
            for one in (errors if isinstance(errors, list) else [errors])
        ]
        said = "; ".join([str(answer["message"]), *details])
    except (AttributeError, HTTPException, LookupError, OSError, TypeError, ValueError):
        said = str(error.reason)
    needed = error.headers.get("X-Accepted-GitHub-Permissions")
    if error.code == HTTPStatus.UNAUTHORIZED:
        said += ". The token is missing or no longer valid: set GH_TOKEN, or run gh auth login"
    elif error.headers.get("X-RateLimit-Remaining") == "0" or error.headers.get("Retry-After"):
        reset = int(error.headers.get("X-RateLimit-Reset") or 0)
        wait = error.headers.get("Retry-After") or max(0, round(reset - time.time()))
        said += f". GitHub's limit of requests is reached: run it again in {wait} s"
    elif error.code < HTTPStatus.BAD_REQUEST:
        said += ". The repository was renamed or moved: use its new name"
    elif error.code == HTTPStatus.FORBIDDEN and needed:
        said += f". The token needs {needed}"
    return f"HTTP {error.code}: {said}"


class _Redirect(urllib.request.HTTPRedirectHandler):
    """Follow a redirection, with the token only to the same server."""

    def redirect_request(self, req: urllib.request.Request, *rest: Any, **named: Any) -> Any:  # noqa: ANN401
        """Return the request to the new address; None if it must not be sent again."""
        new = super().redirect_request(req, *rest, **named)
        if new and urlsplit(new.full_url)[:2] == urlsplit(req.full_url)[:2]:
            new.add_unredirected_header("Authorization", str(req.get_header("Authorization")))
        return new


@cache
def _make_opener() -> urllib.request.OpenerDirector:
    """Return what opens addresses: made for the first of them, because it reads certificates."""
    return urllib.request.build_opener(_Redirect)
