import json
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from threading import Event
from typing import Any
from unittest.mock import patch

import jsonschema
import pytest
from deploy import notify as script
from fakes.servers import Asked, Reply, serve
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

SCRIPT = Path(__file__).parents[3] / ".github/scripts/deploy/notify.py"
PATH = "T000/B000/secret"
DEPLOY = {
    "DEPLOY_ENVIRONMENT": "staging",
    "OUTCOME": "deployed",
    "APP_VERSION": "v1.2.3",
    "APP_REVISION": "0123456789abcdef0123456789abcdef01234567",
    "REASON": "",
    "DEPLOY_URL": "https://staging.example.com",
    "GITHUB_SERVER_URL": "https://github.com",
    "GITHUB_REPOSITORY": "acme/shop",
    "GITHUB_RUN_ID": "42",
}
RUN = "https://github.com/acme/shop/actions/runs/42"


def text(longest: int) -> dict[str, Any]:
    return {"type": "string", "minLength": 1, "maxLength": longest}


def exactly(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def typed(kind: str, **properties: Any) -> dict[str, Any]:
    return exactly(type={"const": kind}, **properties)


SLACK = exactly(
    # https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks
    text=text(4000),
    blocks={
        "type": "array",
        "maxItems": 50,
        "items": {
            "oneOf": [
                typed("header", text=typed("plain_text", text=text(150))),
                typed("section", text=typed("plain_text", text=text(3000), emoji={"const": False})),
                typed(
                    "section",
                    fields={
                        "type": "array",
                        "minItems": 1,
                        "maxItems": 10,
                        "items": typed("plain_text", text=text(2000), emoji={"const": False}),
                    },
                ),
                typed(
                    "context",
                    elements={
                        "type": "array",
                        "maxItems": 10,
                        "items": typed("mrkdwn", text=text(3000)),
                    },
                ),
            ]
        },
    },
)
DISCORD = exactly(
    # https://docs.discord.com/developers/resources/message#embed-object-embed-limits
    allowed_mentions={"const": {"parse": []}},
    embeds={
        "type": "array",
        "maxItems": 10,
        "items": exactly(
            title=text(256),
            color={"type": "integer", "minimum": 0, "maximum": 0xFFFFFF},
            description=text(4096),
            fields={
                "type": "array",
                "maxItems": 25,
                "items": exactly(name=text(256), value=text(1024), inline={"type": "boolean"}),
            },
        ),
    },
)


@dataclass
class Service:
    """A web service that takes messages.

    Attributes:
        address: Address of its webhook.
        status: What it answers.
        hangs: Whether it never answers.
        wait: How many seconds it asks for before another try.
        messages: What it got.
    """

    address: str = ""
    status: int = 200
    hangs: bool = False
    wait: str = ""
    messages: list[Any] = field(default_factory=list)


@pytest.fixture(scope="module")
def server() -> Iterator[Service]:
    service = Service()

    def answer(asked: Asked) -> Reply:
        assert (asked.method, asked.path) == ("POST", f"/services/{PATH}")
        assert asked.headers["Content-Type"] == "application/json"
        service.messages.append(json.loads(asked.body))
        if service.hangs:
            Event().wait(20)
        return Reply(service.status, headers={"Retry-After": service.wait} if service.wait else {})

    with serve(answer) as address:
        service.address = f"{address}/services/{PATH}"
        yield service


@pytest.fixture
def service(server: Service) -> Service:
    server.status, server.hangs, server.wait = 200, False, ""
    server.messages.clear()
    return server


def start(**environment: str) -> str:
    """Run the script; return what it said. It succeeds always, and shows no address."""
    done = subprocess.run(
        [SCRIPT],
        check=False,
        text=True,
        capture_output=True,
        timeout=30,
        env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"} | DEPLOY | environment,
    )
    assert done.returncode == 0
    assert not done.stderr
    assert PATH not in done.stdout
    return done.stdout


def notify(**environment: str) -> str:
    """Do the same without a process of its own."""
    with (
        patch.dict(os.environ, DEPLOY | environment, clear=True),
        redirect_stdout(StringIO()) as printed,
        redirect_stderr(StringIO()) as errors,
    ):
        assert script.main([]) == 0
    assert not errors.getvalue()
    assert PATH not in printed.getvalue()
    return printed.getvalue()


def send_to_slack(service: Service, **environment: str) -> Any:
    assert notify(SLACK_WEBHOOK_URL=service.address, **environment) == "Slack got the message.\n"
    message = service.messages.pop()
    jsonschema.validate(message, SLACK)
    return message


def send_to_discord(service: Service, **environment: str) -> Any:
    said = notify(DISCORD_WEBHOOK_URL=service.address, **environment)
    assert said == "Discord got the message.\n"
    message = service.messages.pop()
    check_discord(message)
    return message


def check_discord(message: Any) -> None:
    jsonschema.validate(message, DISCORD)
    embed = message["embeds"][0]
    parts = [embed["title"], embed["description"]]
    parts += [part[key] for part in embed["fields"] for key in ("name", "value")]
    assert sum(map(len, parts)) <= 6000


def test_slack(service: Service) -> None:
    message = send_to_slack(service)
    header, facts, links = message["blocks"]
    assert header["text"]["text"] == message["text"] == "✅ Deployed to staging"
    assert [part["text"] for part in facts["fields"]] == [
        "Version: v1.2.3",
        f"Commit: {DEPLOY['APP_REVISION']}",
    ]
    address = DEPLOY["DEPLOY_URL"]
    assert links["elements"][0]["text"] == f"<{RUN}|Run>  <{address}|Open>"


def test_discord(service: Service) -> None:
    message = send_to_discord(service)
    embed = message["embeds"][0]
    assert embed["title"] == "✅ Deployed to staging"
    assert embed["description"] == f"[Run]({RUN}) · [Open]({DEPLOY['DEPLOY_URL']})"
    assert [part["value"] for part in embed["fields"]] == [
        "`v1.2.3`",
        f"`{DEPLOY['APP_REVISION']}`",
    ]


def test_every_outcome_has_a_message_of_its_own(service: Service) -> None:
    outcomes = ("deployed", "rolled-back", "failed", "rollback-failed", "something else")
    titles = [send_to_slack(service, OUTCOME=outcome)["text"] for outcome in outcomes]
    assert len(set(titles)) == len(outcomes)
    assert "needs somebody now" in titles[3]
    assert all("staging" in title for title in titles)


def test_reason_is_told(service: Service) -> None:
    reason = "the smoke tests failed"
    section = send_to_slack(service, OUTCOME="rolled-back", REASON=reason)["blocks"][2]
    assert section["text"]["text"] == reason
    embed = send_to_discord(service, OUTCOME="rolled-back", REASON=reason)["embeds"][0]
    assert embed["description"].splitlines()[0] == f"`{reason}`"


HOSTILE = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=3000)


@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(reason=HOSTILE, version=HOSTILE)
@example(
    reason="<!channel> <@U1> *b* <https://evil.example|ok>", version="`@everyone` [x](http://e)"
)
@example(reason="&" * 3000, version="&" * 3000)
@example(reason="😀" * 3000, version="```\n\u202e``` ||x||\r\n::error::x")
@example(reason='"; $(id) `id` \\n', version="${{ github.token }}")
def test_text_of_others_has_no_effect(service: Service, reason: str, version: str) -> None:
    address = service.address
    notify(
        SLACK_WEBHOOK_URL=address, DISCORD_WEBHOOK_URL=address, REASON=reason, APP_VERSION=version
    )
    slack, discord = service.messages
    service.messages.clear()
    jsonschema.validate(slack, SLACK)
    plain = [
        part["text"]
        for block in slack["blocks"]
        if block["type"] == "section"
        for part in block.get("fields", [block.get("text")])
    ]
    assert not any(re.search(r"[<>\x00-\x1f\u202e]", text) for text in plain)

    check_discord(discord)
    embed = discord["embeds"][0]
    *lines, _ = embed["description"].splitlines()
    for line in [*lines, *(part["value"] for part in embed["fields"])]:
        assert re.fullmatch(r"`[^`\x00-\x1f\u202e]+`", line), "all of it is code"


@pytest.mark.parametrize(
    "address",
    [
        "javascript:alert(1)",
        "https://x|<!channel>",
        "https://x) @everyone (",
        "https://x\nhttp://y",
        "",
    ],
)
def test_address_of_others_is_left_out(service: Service, address: str) -> None:
    links = send_to_slack(service, DEPLOY_URL=address)["blocks"][-1]
    assert links["elements"][0]["text"] == f"<{RUN}|Run>"
    description = send_to_discord(service, DEPLOY_URL=address)["embeds"][0]["description"]
    assert description == f"[Run]({RUN})"


def test_environment_cannot_mention_anybody(service: Service) -> None:
    message = send_to_slack(service, DEPLOY_ENVIRONMENT="<!channel> *x*")
    assert message["text"] == "✅ Deployed to --channel- -x-"


@pytest.mark.parametrize(
    ("status", "said"),
    [(404, "It knows no such webhook (404). Make a new one"), (400, "It answered 400"),
     (302, "It answered 302"), (500, "It answered 500")],
)  # fmt: skip
def test_refusal_is_a_warning(service: Service, status: int, said: str) -> None:
    service.status = status
    output = notify(SLACK_WEBHOOK_URL=service.address)
    assert output.startswith(f"::warning title=Slack got no message::{said}")


def test_second_try(service: Service) -> None:
    service.status = 503
    output = notify(DISCORD_WEBHOOK_URL=service.address)
    assert output.startswith("::warning title=Discord got no message::It answered 503")
    assert len(service.messages) == 2


@pytest.mark.parametrize(
    ("asked", "waited"), [("7", 7), ("3600", 30), ("Wed, 21 Oct 2026 07:28:00 GMT", 1)]
)
def test_second_try_comes_when_the_service_asks_for_it(
    service: Service, monkeypatch: pytest.MonkeyPatch, asked: str, waited: int
) -> None:
    def sleep(seconds: float) -> None:
        assert seconds == waited
        service.status = 200

    monkeypatch.setattr("time.sleep", sleep)
    service.status, service.wait = 429, asked
    assert notify(SLACK_WEBHOOK_URL=service.address) == "Slack got the message.\n"


def test_silence_is_a_warning(service: Service) -> None:
    service.hangs = True
    output = notify(SLACK_WEBHOOK_URL=service.address, NOTIFY_SECONDS="0.5")
    assert output.startswith("::warning title=Slack got no message::It did not answer")


def test_one_that_fails_does_not_keep_the_other(service: Service) -> None:
    output = start(
        SLACK_WEBHOOK_URL=f"http://127.0.0.1:1/{PATH}", DISCORD_WEBHOOK_URL=service.address
    )
    warning, success = output.splitlines()
    assert warning.startswith("::warning title=Slack got no message::It did not answer")
    assert success == "Discord got the message."


@pytest.mark.parametrize("address", [PATH, f'https://x"\noutput = "{PATH}', f"file:///{PATH}"])
def test_no_address(address: str) -> None:
    output = notify(SLACK_WEBHOOK_URL=address)
    assert output == (
        "::warning title=Slack got no message::The secret SLACK_WEBHOOK_URL is no address.\n"
    )


def test_line_break_behind_the_address(service: Service) -> None:
    assert notify(SLACK_WEBHOOK_URL=f" {service.address}\n") == "Slack got the message.\n"


def test_nobody_to_tell() -> None:
    output = start()
    assert output.startswith("::notice title=Nobody got a message::To tell a channel")
    assert "SLACK_WEBHOOK_URL or DISCORD_WEBHOOK_URL" in output
