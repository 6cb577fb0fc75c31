"""The answers to "would GitHub start this?"."""

from typing import Any

import pytest
from events import Event
from lib.triggers import starts_on, triggers


def push(ref: str) -> dict[str, Any]:
    return {"ref": ref}


@pytest.mark.parametrize(
    ("filters", "ref", "starts"),
    [
        ({}, "refs/heads/any", True),
        ({}, "refs/tags/v1", True),
        ({"branches": ["main"]}, "refs/heads/main", True),
        ({"branches": ["main"]}, "refs/heads/develop", False),
        ({"branches": ["main"]}, "refs/tags/v1.2.3", False),
        ({"tags": ["v*.*.*"]}, "refs/heads/main", False),
        ({"tags": ["v*.*.*"]}, "refs/tags/v1.2.3", True),
        ({"tags": ["v*.*.*"]}, "refs/tags/v1.2.3-beta.1", True),
        ({"tags": ["v*.*.*"]}, "refs/tags/v1.2", False),
        ({"tags": ["v*.*.*"]}, "refs/tags/1.2.3", False),
        ({"branches": ["main"], "tags": ["v*"]}, "refs/tags/v1", True),
        ({"branches-ignore": ["gh-*"]}, "refs/heads/gh-pages", False),
        ({"branches-ignore": ["gh-*"]}, "refs/heads/main", True),
        ({"branches": ["release/**"]}, "refs/heads/release/1/2", True),
        ({"branches": ["release/*"]}, "refs/heads/release/1/2", False),
        ({"branches": ["**", "!docs/**"]}, "refs/heads/docs/a", False),
        ({"branches": ["!docs/**", "**"]}, "refs/heads/docs/a", True),
        ({"branches": ["**/fix"]}, "refs/heads/fix", True),
        ({"branches": ["**/fix"]}, "refs/heads/a/b/fix", True),
        ({"branches": ["**/fix"]}, "refs/heads/hotfix", False),
        ({"branches": ["v[12].x+"]}, "refs/heads/v2.xx", True),
        ({"branches": "main"}, "refs/heads/main", True),
        ({"branches-ignore": "main"}, "refs/heads/main", False),
        ({"branches": ["main"], "paths": ["docs/**"]}, "refs/heads/main", True),
        ({"branches": ["main"], "paths-ignore": ["docs/**"]}, "refs/heads/develop", False),
    ],
)
def test_push(filters: dict[str, Any], ref: str, starts: bool) -> None:
    assert starts_on({"on": {"push": filters}}, "push", push(ref)) == starts


@pytest.mark.parametrize(
    ("filters", "activity", "starts"),
    [
        ({}, "opened", True),
        ({}, "edited", False),
        ({"types": ["edited"]}, "edited", True),
        ({"types": ["edited"]}, "opened", False),
        ({"types": "reopened"}, "opened", False),
        ({"branches": ["develop"]}, "opened", False),
        ({"branches": ["main", "develop"]}, "opened", True),
    ],
)
def test_pull_request(filters: dict[str, Any], activity: str, starts: bool) -> None:
    event = Event.parse(f"pull_request:{activity}")
    assert starts_on({"on": {"pull_request": filters}}, event.name, event.payload()) == starts


@pytest.mark.parametrize("on", ["push", ["push"], {"push": ""}])
def test_forms_of_on(on: object) -> None:
    assert triggers({"on": on}) == {"push": {}}
