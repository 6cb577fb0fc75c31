"""The client of GitHub's API, on the fake one and on servers that misbehave."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from threading import Timer

import pytest
from fakes import servers
from fakes.github_api import FakeGitHub
from fakes.github_issues import Issue
from fakes.servers import Asked, Reply
from lib import github as client
from lib.github import GitHubError

Serve = Callable[[Callable[[Asked], Reply]], str]


@pytest.fixture(autouse=True)
def _identity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GH_TOKEN", "secret")
    monkeypatch.setenv("GITHUB_REPOSITORY", "octo-org/widget")


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Return a function that starts a server, which is GitHub's; the newest one is."""
    with ExitStack() as stack:

        def start(answer: Callable[[Asked], Reply]) -> str:
            url = stack.enter_context(servers.serve(answer))
            monkeypatch.setenv("GITHUB_API_URL", url)
            return url

        yield start


def refuse(status: int, content: object, **headers: str) -> Callable[[Asked], Reply]:
    """Return an answer with a status and headers whose names have underscores."""
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _: Reply(status, text, named)


def test_nothing_there_is_none(github: FakeGitHub) -> None:
    assert client.find("labels/nothing") is None
    assert client.find("labels/bug") == {"name": "bug"}
    github.settings.switches["/vulnerability-alerts"] = True
    assert client.find("vulnerability-alerts") is True
    github.status = 500
    with pytest.raises(GitHubError, match="HTTP 500: This is a test"):
        client.find("labels/bug")


@pytest.mark.parametrize("count", [0, 99, 100, 101, 250])
def test_all_pages_come(github: FakeGitHub, count: int) -> None:
    github.issues.all = [Issue(number + 1, "x", "", []) for number in range(count)]
    assert len(client.list_all("issues?state=open")) == count
    assert len(github.requests) == count // 100 + 1


@pytest.mark.parametrize(
    ("status", "content", "headers", "message"),
    [
        (401, {"message": "Bad credentials"}, {}, "HTTP 401: Bad credentials. .*gh auth login"),
        (403, {"message": "no"}, {"X_Accepted_GitHub_Permissions": "a=write"}, "needs a=write"),
        (403, {"message": "limit"}, {"X_RateLimit_Remaining": "0"}, "run it again in 0 s"),
        (429, {"message": "slow down"}, {"Retry_After": "60"}, "run it again in 60 s"),
        (422, {"message": "No", "errors": [{"code": "exists"}, {}]}, {}, "422: No; exists; None"),
        (422, {"message": "x", "errors": ["no object"]}, {}, "HTTP 422: x; no object"),
        (422, {"message": "x", "errors": "no list"}, {}, "HTTP 422: x; no list"),
        (502, b"<html>", {}, "HTTP 502: Bad Gateway"),
        (200, b"<html>", {}, "the answer is no JSON"),
    ],
)
def test_refusal_says_what_to_do(
    serve: Serve, status: int, content: object, headers: dict[str, str], message: str
) -> None:
    serve(refuse(status, content, **headers))
    with pytest.raises(GitHubError, match=message) as error:
        client.ask("GET", "releases")
    assert error.value.status == (0 if status == 200 else status)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_short_outage_is_waited_out(
    github: FakeGitHub,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    status: int,
) -> None:
    monkeypatch.setenv("GITHUB_PATIENCE", "20")
    github.status = status
    back = Timer(1.5, setattr, (github, "status", 200))
    back.start()
    assert client.find("labels/bug") == {"name": "bug"}
    assert capsys.readouterr().err.count("Waiting for GitHub: GET labels/bug: HTTP") == 1
    back.join()


@pytest.mark.parametrize(("method", "status"), [("GET", 403), ("GET", 429), ("POST", 503)])
def test_what_does_not_go_by_itself_is_said_at_once(
    github: FakeGitHub, monkeypatch: pytest.MonkeyPatch, method: str, status: int
) -> None:
    monkeypatch.setenv("GITHUB_PATIENCE", "20")
    github.status = status
    began = time.monotonic()
    with pytest.raises(GitHubError) as refusal:
        client.ask(method, "issues/1/comments", {"body": "x"} if method == "POST" else None)
    assert refusal.value.status == status
    assert time.monotonic() - began < 5


def test_what_cannot_have_arrived_is_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_PATIENCE", "1")
    monkeypatch.setenv("GITHUB_API_URL", "http://127.0.0.1:1")
    began = time.monotonic()
    with pytest.raises(GitHubError, match="refused"):
        client.ask("POST", "issues/1/comments", {"body": "x"})
    assert time.monotonic() - began > 1


def test_token_goes_to_no_other_server(serve: Serve) -> None:
    seen = []

    def keep(asked: Asked) -> Reply:
        seen.append(asked.headers.get("Authorization"))
        return Reply(200, b"content")

    serve(refuse(302, b"", Location=f"{serve(keep)}/signed"))
    assert client.download("releases/assets/1") == b"content"
    assert seen == [None]


def test_repository_that_was_renamed_is_followed_but_not_changed(serve: Serve) -> None:
    def answer(asked: Asked) -> Reply:
        if asked.path == "/new":
            return refuse(200, {"token": asked.headers["Authorization"]})(asked)
        return Reply(301 if asked.method == "GET" else 307, headers={"Location": "/new"})

    serve(answer)
    assert client.ask("GET", "") == {"token": "Bearer secret"}
    with pytest.raises(GitHubError, match="use its new name"):
        client.ask("POST", "issues", {})


@pytest.mark.parametrize(
    ("api", "path"),
    [
        ("file:///etc", "x"),
        ("http://api.github.com", "x"),
        ("", "https://evil.example/x"),
        ("", "http://api.github.com/x"),
        ("", "https://api.github.com.evil.example/x"),
    ],
)
def test_address_that_is_not_githubs(monkeypatch: pytest.MonkeyPatch, api: str, path: str) -> None:
    monkeypatch.setenv("GITHUB_API_URL", api)
    with pytest.raises(GitHubError, match="not an address of GitHub's API"):
        client.ask("GET", path)


@pytest.mark.parametrize(
    "address",
    [
        "git@github.com:octo-org/widget.git",
        "https://github.com/octo-org/widget",
        "ssh://git@github.com/octo-org/widget.git/",
    ],
)
def test_person_is_in_the_repository_of_the_remote_and_logged_in_with_gh(
    github: FakeGitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    for name in ("GH_TOKEN", "GITHUB_TOKEN", "GITHUB_REPOSITORY"):
        monkeypatch.delenv(name, raising=False)
    for name, text in (("gh", "mine"), ("git", address)):
        (tmp_path / name).write_text(f"#!/bin/sh\necho {text}\n")
        (tmp_path / name).chmod(0o755)
    # the gh of a virtual environment came with packages: it is not asked for a token
    packaged = tmp_path / "venv/bin/gh"
    packaged.parent.mkdir(parents=True)
    packaged.write_text("#!/bin/sh\nexit 1\n")
    packaged.chmod(0o755)
    (tmp_path / "venv/pyvenv.cfg").touch()
    monkeypatch.setenv("PATH", f"{packaged.parent}:{tmp_path}:/bin:/usr/bin")
    assert client.ask("GET", "")["full_name"] == "octo-org/widget"
    assert client.find_gh() == str(tmp_path / "gh")
    assert github.requests == ["GET /repos/octo-org/widget"]
    (tmp_path / "git").write_text("#!/bin/sh\nexit 2\n")
    with pytest.raises(GitHubError, match="set GITHUB_REPOSITORY"):
        client.ask("GET", "")
