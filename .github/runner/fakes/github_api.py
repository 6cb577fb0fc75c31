"""A local fake of the few parts of GitHub's REST API that the pipelines use.

It answers only what it knows, and is strict about what it is sent: anything else is a 404, as
GitHub itself answers, and is kept in `unexpected`. It listens on the loopback interface and on a
Unix socket: the latter is how `gh` can be led to it.
"""

import json
import re
import socketserver
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from threading import Thread
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from events import Event, is_foreign
from fakes.github_artifacts import Artifacts, Redirect
from fakes.github_issues import Issue, Issues
from fakes.github_releases import Releases
from fakes.github_runs import Runs
from fakes.github_security import Security
from fakes.github_settings import Settings
from fakes.parts import Answer, Request
from fakes.servers import Asked, Reply, make_handler, serve


class FakeGitHub:
    """A server that can be entered again and again; use it as a context manager.

    Attributes:
        status: Answer every request with this status instead, such as 403 or 500.
        pull_request: Values that replace those of the event's pull request.
        releases: The repository's releases and tags.
        issues: Its issues and labels.
        runs: Runs of workflows.
        artifacts: What earlier runs have kept.
        security: Its security features.
        settings: Its other settings: environments, rules, secrets.
        faults: Requests to fail once each, as `METHOD PATTERN`, such as `POST .*/assets`.
        fail_at: Number of the request, from 0, to fail.
        lose_answer: Do what a failing request asks for, and fail then.
        requests: Requests that came, in order.
        unexpected: Requests that had no answer.
        socket: Path of the Unix socket.
    """

    def __init__(self, *, status: int = 200, pull_request: dict[str, Any] | None = None) -> None:
        self.status = status
        self.pull_request = pull_request or {}
        self.releases = Releases()
        self.issues = Issues()
        self.runs = Runs()
        self.artifacts = Artifacts()
        self.security = Security()
        self.settings = Settings()
        self.faults: list[str] = []
        self.fail_at = -1
        self.lose_answer = False
        self.requests: list[str] = []
        self.unexpected: list[str] = []
        self.resources: dict[str, Any] = {}
        self._reads_only = False

    def see(self, payload: dict[str, Any]) -> None:
        """Learn from the payload of an event what exists, and whether the token may only read."""
        self._reads_only = is_foreign(payload)
        self.releases.branch = payload["repository"]["default_branch"]
        queued = Event("pull_request").payload()
        path = f"/repos/{payload['repository']['full_name']}/pulls/{queued['number']}"
        if "merge_group" in payload and path not in self.resources:
            payload = queued | payload  # it names the pull request, and says no more of it
        if "pull_request" in payload:
            path = f"/repos/{payload['repository']['full_name']}/pulls/{payload['number']}"
            content = payload["pull_request"] | self.pull_request
            self.resources |= {path: content, f"{path}/commits": []}
            new = Issue(content["number"], content["title"], "", [])
            self.issues.pull_requests.setdefault(new.number, new)

    def lead_gh(self, config_directory: Path) -> None:
        """Make `gh` talk to this server, for whoever has the folder as its configuration."""
        config_directory.mkdir(parents=True)
        (config_directory / "config.yml").write_text(f"http_unix_socket: {self.socket}\n")

    def answer(self, method: str, address: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Return the status and the content that answer a request."""
        url = urlsplit(address)
        asked = f"{method} {url.path}"
        self.requests.append(asked)
        path = re.sub(r"^/repos/[^/]+/[^/]+", "", url.path)
        request = Request(method, path, dict(parse_qsl(url.query)), body)
        request.accept = headers.get("Accept", request.accept)
        if self.status != 200:  # noqa: PLR2004
            return self.status, {"message": "This is a test"}
        if self._fails(asked):
            if self.lose_answer:
                self.releases.answer(request)
            return 502, {"message": "This is a test"}
        is_known = re.match("(Bearer|token) .", headers.get("Authorization", ""))
        if not is_known or (self._reads_only and method != "GET"):
            said = (
                "Resource not accessible by integration" if is_known else "Requires authentication"
            )
            return 403 if is_known else 401, {"message": said}
        if method == "GET" and url.path in self.resources:
            return 200, self.resources[url.path]
        parts = (
            self.releases, self.issues, self.runs, self.artifacts, self.security, self.settings,
        )  # fmt: skip
        for part in parts:
            if answer := part.answer(request):
                return answer
        self.unexpected.append(asked)
        return 404, {"message": "Not Found"}

    def _fails(self, asked: str) -> bool:
        for fault in self.faults:
            if re.fullmatch(fault, asked):
                self.faults.remove(fault)
                return True
        return len(self.requests) - 1 == self.fail_at

    def __enter__(self) -> Self:
        """Start to answer at `url` and at `socket`."""
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="github-")))
            self.socket = folder / "socket"
            self.url = stack.enter_context(serve(self._reply))
            self.artifacts.storage = stack.enter_context(serve(self.artifacts.give))
            handler = make_handler(self._reply)
            unix = socketserver.ThreadingUnixStreamServer(str(self.socket), handler)
            stack.enter_context(unix)
            Thread(target=unix.serve_forever, args=(0.01,), daemon=True).start()
            stack.callback(unix.shutdown)
            self._running = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self._running.close()

    def _reply(self, asked: Asked) -> Reply:
        status, content = self.answer(asked.method, asked.path, asked.body, asked.headers)
        if isinstance(content, Redirect):
            return Reply(status, headers={"Location": content.url})
        if isinstance(content, bytes):
            return Reply(status, content, {"Content-Type": "application/octet-stream"})
        text = b"" if content is None else json.dumps(content).encode()
        # what uploads is on a server of its own
        text = text.replace(b"https://uploads.github.com", self.url.encode())
        return Reply(status, text, {"Content-Type": "application/json; charset=utf-8"})
