import json
from typing import Any

from fakes.servers import Asked, Reply, serve
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


def test_action_passes_everything_on(run_pipeline: RunPipeline) -> None:
    got: list[Any] = []

    def answer(asked: Asked) -> Reply:
        got.append(json.loads(asked.body))
        return Reply(204)

    with serve(answer) as address:
        run = run_pipeline(
            "ci",
            "push:main",
            edit=write(".github/workflows/ci.yml", WORKFLOW.replace("ADDRESS", f"{address}/x")),
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
