"""What `on:` of a workflow says: which events start it."""

import re
from typing import Any

DEFAULT_TYPES = ["opened", "synchronize", "reopened"]
"""What happens to a pull request and starts a workflow that does not say what does."""


def triggers(workflow: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return what `on:` says, as a mapping of event names to their filters."""
    on = workflow["on"]
    if isinstance(on, str):
        on = [on]
    if isinstance(on, list):
        on = dict.fromkeys(on)
    return {name: filters if isinstance(filters, dict) else {} for name, filters in on.items()}


def starts_on(workflow: dict[str, Any], event: str, payload: dict[str, Any]) -> bool:
    """Say whether GitHub would start the workflow on an event.

    Branch, tag and activity type filters count, paths do not: it may be any of them; see
    https://docs.github.com/actions/reference/workflows-and-actions/workflow-syntax#on.
    """
    on = triggers(workflow)
    if event not in on:
        return False
    filters = on[event]
    if event == "push":
        kind, name = payload["ref"].removeprefix("refs/").split("/", 1)
        wanted, other = ("branches", "tags") if kind == "heads" else ("tags", "branches")
        if any(key.startswith(other) for key in filters) and not any(
            key.startswith(wanted) for key in filters
        ):
            return False
        return _passes(name, filters, wanted)
    if event == "pull_request":
        types = _list(filters.get("types", DEFAULT_TYPES))
        return payload["action"] in types and _passes(
            payload["pull_request"]["base"]["ref"], filters, "branches"
        )
    return True


def _passes(name: str, filters: dict[str, Any], key: str) -> bool:
    if f"{key}-ignore" in filters:
        return not any(_matches(name, pattern) for pattern in _list(filters[f"{key}-ignore"]))
    passes = key not in filters
    for pattern in _list(filters.get(key, [])):
        if _matches(name, pattern.removeprefix("!")):
            passes = not pattern.startswith("!")
    return passes


def _list(filters: str | list[str]) -> list[str]:
    return [filters] if isinstance(filters, str) else filters


def _matches(name: str, pattern: str) -> bool:
    return re.fullmatch(translate(pattern), name) is not None


def translate(pattern: str) -> str:
    """Return the regular expression of a filter pattern, which a whole name or path matches."""
    tokens = re.findall(r"\*\*/|\*\*|\*|\[[^]]*\]|\\.|[?+]|.", pattern)
    special = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "?", "+": "+"}
    return "".join(
        special.get(token) or (token if token[0] in "[\\" else re.escape(token)) for token in tokens
    )
