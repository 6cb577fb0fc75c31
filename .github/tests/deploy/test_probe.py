"""What the probe says of an app that is ready, and does not tell all that it could."""

import runpy
from http import HTTPStatus
from http.server import ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from engine import ROOT
from small_app import Handler

NOT_FOUND = HTTPStatus.NOT_FOUND


def test_proxy_of_the_container_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Docker's own example of one leaves 127.0.0.0/8 out, which Python does not read."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "127.0.0.0/8")
    for name in ("APP_VERSION", "APP_REVISION"):
        monkeypatch.delenv(name, raising=False)
    probe = runpy.run_path(str(ROOT / "deploy/compose/probe.py"))
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.handle_request, daemon=True).start()
        monkeypatch.setitem(probe["ask"].__globals__, "APP", server.server_address)
        assert probe["ask"]("/health") == (HTTPStatus.OK, {"version": None, "revision": None})


def test_answer_that_nobody_can_read_tells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    probe = runpy.run_path(str(ROOT / "deploy/compose/probe.py"))
    monkeypatch.setattr("small_app.Handler.do_GET", answer_deep)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.handle_request, daemon=True).start()
        monkeypatch.setitem(probe["ask"].__globals__, "APP", server.server_address)
        assert probe["ask"]("/health") == (HTTPStatus.OK, {})


def answer_deep(handler: Handler) -> None:
    """Answer with JSON that is too deep."""
    handler.send_response(HTTPStatus.OK)
    handler.end_headers()
    handler.wfile.write(b"[" * 90_000)


@pytest.mark.parametrize(
    ("health", "ready", "said"),
    [
        ({"revision": "a"}, HTTPStatus.OK, ""),
        ({"revision": "a"}, NOT_FOUND, "has no /ready"),
        ({}, HTTPStatus.OK, "has no revision in /health"),
        ({}, NOT_FOUND, "has no /ready and no revision in /health"),
    ],
)
def test_ready_app(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    health: dict[str, Any],
    ready: int,
    said: str,
) -> None:
    answers = {"/health": (HTTPStatus.OK, health), "/ready": (ready, {})}
    main = runpy.run_path(str(ROOT / "deploy/compose/probe.py"))["main"]
    monkeypatch.setitem(main.__globals__, "ask", answers.__getitem__)
    monkeypatch.setattr("sys.argv", ["probe", "a", "0"])
    assert (main(), capsys.readouterr().out) == (0, said)
