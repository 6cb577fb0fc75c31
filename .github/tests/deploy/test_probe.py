"""What the probe says of an app that is ready, and does not tell all that it could."""

import runpy
from http import HTTPStatus
from typing import Any

import pytest
from engine import ROOT

NOT_FOUND = HTTPStatus.NOT_FOUND


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
