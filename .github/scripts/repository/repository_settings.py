"""What a repository on GitHub has, what its plan offers, and the requests that change it."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from lib.github import GitHubError, ask, find

EVERY: tuple[str, ...] = ("",)
PAID = ("pro", "team", "business", "enterprise")
LARGE = ("business", "enterprise")
PUBLIC: tuple[str, ...] = ()
"""Beginnings of the names of the plans that have something in a private repository."""
ONLY_SOME = {"protected_branches": False, "custom_branch_policies": True}


class Change(NamedTuple):
    """A request that makes something as it is to be, and the difference that it makes.

    The method is empty where a person has to say something first.
    """

    method: str
    path: str
    body: object
    text: str


class Setting(NamedTuple):
    """One thing to set up.

    Attributes:
        name: What it is.
        find_changes: Looks how it is, and returns what is to be sent; nothing if all is well.
        plans: The plans that have it in a private repository.
    """

    name: str
    find_changes: Callable[[], Iterable[Change]]
    plans: tuple[str, ...] = EVERY


@dataclass(frozen=True)
class Environment:
    """What an environment is for, and what protects it.

    Attributes:
        workflow: File of the workflow that deploys or publishes there.
        reviewed: Whether somebody has to approve it.
        wait: Minutes that it waits.
        tags: Patterns of the tags that may; any branch and tag if nothing is said here or below.
        trusted: Whether of the branches the default one may: another may have other scripts.
    """

    workflow: str
    reviewed: bool = False
    wait: int = 0
    tags: tuple[str, ...] = ()
    trusted: bool = False


class Account:
    """The repository, and what its owner's plan offers.

    Raises:
        GitHubError: GitHub does not show it.
    """

    def __init__(self) -> None:
        self.repository = ask("GET", "")
        owner = self.repository["owner"]
        self.is_organisation = owner["type"] == "Organization"
        try:
            found = ask("GET", f"/orgs/{owner['login']}" if self.is_organisation else "/user")
        except GitHubError:
            found = {}
        mine = found.get("login") == owner["login"]
        self.plan = str(found.get("plan", {}).get("name", "")) if mine else ""

    def find_obstacle(self, plans: tuple[str, ...]) -> str:
        """Return why the repository cannot have what these plans offer, as far as that is known."""
        if self.repository["visibility"] == "public":
            return ""
        if not plans:
            return "public repositories only"
        if not self.plan or self.plan.startswith(plans):
            return ""
        return (
            f"not in the plan {self.plan} for a private repository; make the repository public, or "
            "change the plan"
        )


def set_fields(
    name: str, method: str, path: str, wanted: dict[str, Any], plans: tuple[str, ...] = EVERY
) -> Setting:
    """Return a setting whose address takes the fields that it gives; `PUT` needs all of them."""

    def find_changes() -> Iterable[Change]:
        if (now := find(path)) is None:
            raise GitHubError(path, "not available here")
        kept = (
            {key: value for key, value in now.items() if "url" not in key}
            if method == "PUT"
            else {}
        )
        if text := explain(wanted, now):
            yield Change(method, path, kept | wanted, text)

    return Setting(name, find_changes, plans)


def switch_on(name: str, path: str, plans: tuple[str, ...] = EVERY) -> Setting:
    """Return a setting that `PUT` switches on; GitHub has nothing there, or says `enabled`."""

    def find_changes() -> Iterable[Change]:
        now = find(path)
        if not now or (now is not True and not now["enabled"]):
            yield Change("PUT", path, None, "off → on")

    return Setting(name, find_changes, plans)


def create(name: str, path: str, wanted: dict[str, Any]) -> Setting:
    """Return a setting that is there or not, under its name; its other fields are anybody's."""

    def find_changes() -> Iterable[Change]:
        if not find(f"{path}/{wanted['name']}"):
            yield Change("POST", path, wanted, "create")

    return Setting(name, find_changes)


def list_settings(
    name: str, wanted: Environment, reviewers: Sequence[str], branch: str
) -> Iterator[Setting]:
    """Yield what is to be set up for an environment, in order.

    Args:
        name: Its name.
        wanted: What is to protect it.
        reviewers: Who approves: logins, or `ORGANISATION/TEAM`; those of now if it is empty.
        branch: The default branch.
    """
    path = f"environments/{name}"
    allowed = dict.fromkeys(wanted.tags, "tag") | ({branch: "branch"} if wanted.trusted else {})

    def make() -> Iterable[Change]:
        now = find(path)
        # without a list here, what a person chose stays
        limit = {"deployment_branch_policy": ONLY_SOME} if allowed else {}
        new = _describe(None)
        if text := explain(limit, _describe(now)) if now else "create":
            # a plan without a protection refuses even to switch it off
            kept = {key: value for key, value in _describe(now).items() if value != new[key]}
            yield Change("PUT", path, kept | limit, text)
        policies = f"{path}/deployment-branch-policies"
        listed = find(policies) or {} if allowed else {}
        refs = {policy["name"]: policy["id"] for policy in listed.get("branch_policies", [])}
        for ref in (ref for ref in allowed if ref not in refs):
            policy = {"name": ref, "type": allowed[ref]}
            yield Change("POST", policies, policy, f"{ref} may deploy")
        for ref in (ref for ref in refs if ref not in allowed):
            yield Change("DELETE", f"{policies}/{refs[ref]}", None, f"{ref} may not deploy")

    def protect() -> Iterable[Change]:
        now = _describe(find(path))
        protection: dict[str, Any] = {"wait_timer": wanted.wait}
        if reviewers:
            protection["reviewers"] = [_find_reviewer(reviewer) for reviewer in reviewers]
        if text := explain(protection, now):
            yield Change("PUT", path, now | protection, text)
        if not reviewers and not now["reviewers"]:
            yield Change("", path, None, "nobody approves it: --reviewer LOGIN")

    yield Setting(f"environment {name}", make, PAID)
    if wanted.reviewed:
        yield Setting(f"protection of {name}", protect, LARGE)


def _describe(now: dict[str, Any] | None) -> dict[str, Any]:
    """Return what protects an environment now, in the form that is sent.

    GitHub resets what is not sent.
    """
    now = now or {}
    rules = {rule["type"]: rule for rule in now.get("protection_rules", [])}
    review = rules.get("required_reviewers", {})
    return {
        "wait_timer": rules.get("wait_timer", {}).get("wait_timer", 0),
        "reviewers": [
            {"type": reviewer["type"], "id": reviewer["reviewer"]["id"]}
            for reviewer in review.get("reviewers", [])
        ],
        "prevent_self_review": review.get("prevent_self_review", False),
        "can_admins_bypass": now.get("can_admins_bypass", True),
        "deployment_branch_policy": now.get("deployment_branch_policy"),
    }


def _find_reviewer(login: str) -> dict[str, Any]:
    organisation, _, team = login.rpartition("/")
    if organisation:
        return {"type": "Team", "id": ask("GET", f"/orgs/{organisation}/teams/{team}")["id"]}
    return {"type": "User", "id": ask("GET", f"/users/{login}")["id"]}


def explain(wanted: dict[str, Any], actual: dict[str, Any]) -> str:
    """Return what is to change, such as `wait 0 → 5`; empty if nothing is."""
    changes = {key: value for key, value in wanted.items() if differs(value, actual.get(key))}
    return ", ".join(
        f"{key} {json.dumps(actual.get(key))} → {json.dumps(value)}"
        for key, value in changes.items()
    )


def differs(wanted: object, actual: object) -> bool:
    """Say whether something that is wanted is not so; more than is wanted does not count."""
    if isinstance(wanted, dict):
        return not isinstance(actual, dict) or any(
            key not in actual or differs(value, actual[key]) for key, value in wanted.items()
        )
    if isinstance(wanted, list):
        return (
            not isinstance(actual, list)
            or len(wanted) != len(actual)
            or any(all(differs(one, other) for other in actual) for one in wanted)
        )
    return wanted != actual
