#!/usr/bin/env python3
"""Tell Slack and Discord how a deploy ended. A message that does not arrive is a warning only.

Always ends with 0. Environment: APP_VERSION and APP_REVISION, what was deployed;
DEPLOY_ENVIRONMENT, where; OUTCOME, how it ended; REASON and DEPLOY_URL, why not and where it
answers, may be empty; SLACK_WEBHOOK_URL and DISCORD_WEBHOOK_URL; NOTIFY_SECONDS (10), how long each
of two tries waits.
"""

import argparse
import json
import os
import re
import sys
import time
import unicodedata
from collections.abc import Sequence
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, Request, build_opener

sys.path.insert(0, str(Path(__file__).parents[1]))
from lib.workflow_commands import annotate

Json = dict[str, Any]

GREEN, YELLOW, RED = 0x2DA44E, 0xBF8001, 0xCF222E
OUTCOMES = {
    "deployed": ("✅ Deployed to {}", GREEN),
    "rolled-back": ("↩️ Rolled back: {} has the version before", YELLOW),
    "failed": ("❌ Not deployed to {}", RED),
    "rollback-failed": ("🔥 Rollback failed: {} needs somebody now", RED),
}
UNKNOWN = ("❓ A deploy to {} ended in an unknown way", RED)
AGAIN = {0, 408, 429, 500, 502, 503, 504}
LONGEST_WAIT = 30
"""Seconds before the second try, however many a service asks for."""


def read(name: str, longest: int) -> str:
    """Return a variable as one line without anything invisible."""
    text = "".join(
        " " if char.isspace() or unicodedata.category(char)[0] in "CZ" else char
        for char in os.environ.get(name, "")
    )
    text = " ".join(text.split())
    return text if len(text) <= longest else f"{text[:longest]}…"


def find_facts() -> dict[str, str]:
    """Return what was deployed."""
    facts = {"Version": read("APP_VERSION", 100), "Commit": read("APP_REVISION", 40)}
    return {name: value for name, value in facts.items() if value}


def find_links() -> dict[str, str]:
    """Return where there is more to see: addresses of the web alone."""
    names = ("GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "GITHUB_RUN_ID")
    server, repository, run = (os.environ.get(name, "") for name in names)
    links = {
        "Run": f"{server}/{repository}/actions/runs/{run}",
        "Open": os.environ.get("DEPLOY_URL", ""),
    }
    web = r"https?://[^\s<>|()\[\]\"\\`]{1,500}"
    return {name: url for name, url in links.items() if re.fullmatch(web, url)}


def write_for_slack(title: str, _color: int) -> Json:
    """Return a message of blocks: plain_text has no formatting, links or mentions.

    https://docs.slack.dev/reference/block-kit
    """

    def escape(text: str) -> str:
        return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

    def plain(text: str) -> Json:
        return {"type": "plain_text", "text": escape(text), "emoji": False}

    blocks: list[Json] = [{"type": "header", "text": {"type": "plain_text", "text": title}}]
    if facts := find_facts():
        fields = [plain(f"{name}: {value}") for name, value in facts.items()]
        blocks.append({"type": "section", "fields": fields})
    if reason := read("REASON", 500):
        blocks.append({"type": "section", "text": plain(reason)})
    if links := find_links():
        text = "  ".join(f"<{escape(url)}|{name}>" for name, url in links.items())
        blocks.append({"type": "context", "elements": [{"type": "mrkdwn", "text": text}]})
    return {"text": title, "blocks": blocks}


def write_for_discord(title: str, color: int) -> Json:
    """Return a message of one embed: in code nothing is formatted, linked or mentioned.

    https://docs.discord.com/developers/resources/webhook
    """

    def code(text: str) -> str:
        shown = text.replace("`", "\N{MODIFIER LETTER GRAVE ACCENT}")
        return f"`{shown}`"

    reason = read("REASON", 500)
    links = " · ".join(f"[{name}]({url})" for name, url in find_links().items())
    embed = {
        "title": title,
        "color": color,
        "description": "\n".join([*([code(reason)] if reason else []), links]),
        "fields": [
            {"name": name, "value": code(value), "inline": True}
            for name, value in find_facts().items()
        ],
    }
    return {"allowed_mentions": {"parse": []}, "embeds": [embed]}


WRITERS = {"Slack": write_for_slack, "Discord": write_for_discord}


class Stay(HTTPRedirectHandler):
    """Follows no redirection: the message is for that address alone."""

    def redirect_request(self, *_: object) -> None:
        """Return nothing: the redirection is an answer like any other."""


def post(address: str, message: Json) -> tuple[int, int]:
    """Send a message; return the status, 0 if there is none, and how many seconds to wait then."""
    data, seconds = json.dumps(message).encode(), float(os.environ.get("NOTIFY_SECONDS") or 10)
    try:
        request = Request(address, data, {"Content-Type": "application/json"})  # noqa: S310
        with build_opener(Stay).open(request, timeout=seconds) as answer:
            return answer.status, 0
    except HTTPError as error:
        error.close()
        asked = error.headers.get("Retry-After", "")
        return error.code, min(int(asked), LONGEST_WAIT) if asked.isdecimal() else 1
    except (HTTPException, OSError, ValueError):
        return 0, 1


def send(service: str) -> None:
    """Send a message to a service, if its address is set. That is a secret, and never told."""
    setting = f"{service.upper()}_WEBHOOK_URL"
    address = "".join(os.environ.get(setting, "").split())
    if not address:
        return
    title, color = OUTCOMES.get(os.environ.get("OUTCOME", ""), UNKNOWN)
    where = re.sub(r"[^A-Za-z0-9._ -]", "-", read("DEPLOY_ENVIRONMENT", 50))
    message, why = WRITERS[service](title.format(where), color), ""
    if not re.fullmatch(r"https?://[^\"\\]+", address):
        why = f"The secret {setting} is no address."
    else:
        status, wait = post(address, message)
        if status in AGAIN:
            time.sleep(wait)
            status, _ = post(address, message)
        if status in {401, 403, 404, 410}:
            remedy = f"Make a new one and keep it as the secret {setting}."
            why = f"It knows no such webhook ({status}). {remedy}"
        elif not 200 <= status < 300:  # noqa: PLR2004
            said = f"It answered {status}." if status else "It did not answer."
            why = f"{said} The deploy is not affected."
    if why:
        annotate("warning", f"{service} got no message", why)
    else:
        print(f"{service} got the message.", flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Send what the environment tells to each webhook that is set; return 0."""
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args(arguments)
    if not any(os.environ.get(f"{service.upper()}_WEBHOOK_URL") for service in WRITERS):
        text = "set the secret SLACK_WEBHOOK_URL or DISCORD_WEBHOOK_URL."
        annotate("notice", "Nobody got a message", f"To tell a channel how deploys end, {text}")
    for service in WRITERS:
        send(service)
    return 0


if __name__ == "__main__":
    sys.exit(main())
