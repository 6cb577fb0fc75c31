import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest
from harness import RunPipeline, explain, write

WORKFLOW = """name: CI
on: push
jobs:
  tell:
    name: Tell
    runs-on: ubuntu-24.04
    env:
      APP_REVISION: ${{ github.sha }}
      APP_VERSION: ${{ github.event.head_commit.message }}
      DEPLOY_ENVIRONMENT: production
    steps:
      - uses: actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1
      - name: Notify
        uses: ./.github/actions/notify
        with:
          outcome: rolled-back
          reason: the smoke tests failed
          url: https://example.com
          discord-webhook-url: ADDRESS
"""
HOSTILE = 'feat: "$(touch /tmp/x)" `@everyone` ::error::x'


@pytest.fixture
def messages() -> Iterator[tuple[str, list[Any]]]:
    """Address of a webhook, and what it gets."""
    got: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/secret", got
        server.shutdown()


def test_action_passes_everything_on(
    run_pipeline: RunPipeline, messages: tuple[str, list[Any]]
) -> None:
    address, got = messages
    run = run_pipeline(
        "ci",
        "push:main",
        edit=write(".github/workflows/ci.yml", WORKFLOW.replace("ADDRESS", address)),
        overrides={"head_commit.message": HOSTILE},
    )
    assert run.jobs[0].conclusion == "success", explain(run)
    (message,) = got
    embed = message["embeds"][0]
    assert "production has the version before" in embed["title"]
    assert embed["description"].startswith("`the smoke tests failed`\n[Run](")
    assert "[Open](https://example.com)" in embed["description"]
    version, commit = (field["value"] for field in embed["fields"])
    assert version == f"`{HOSTILE.replace('`', '\u02cb')}`"
    assert len(commit) == 42
