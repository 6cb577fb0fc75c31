"""The environments of a repository on GitHub, and what protects them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from lib.github import GitHubError, ask, find
from repository.repository_settings import LARGE, PAID, Change, Setting, explain


@dataclass(frozen=True)
class Environment:
    """What an environment is for, and what protects it.

    Attributes:
        workflow: File of the workflow that deploys or publishes there.
        reviewed: Whether somebody has to approve it.
        wait: Minutes that it waits.
        tags: Patterns of the tags that may; any branch and tag if there is none.
    """

    workflow: str
    reviewed: bool = False
    wait: int = 0
    tags: tuple[str, ...] = ()


def list_settings(name: str, wanted: Environment, reviewers: Sequence[str]) -> Iterator[Setting]:
    """Yield what is to be set up for an environment, in order.

    Args:
        name: Its name.
        wanted: What is to protect it.
        reviewers: Who approves: logins, or `ORGANISATION/TEAM`; those of now if it is empty.
    """
    path = f"environments/{name}"
    made = f"environment {name}"
    yield Setting(made, lambda: _make(path, wanted), PAID)
    if wanted.tags:
        yield Setting(f"tags that deploy to {name}", lambda: _limit(path, wanted), PAID, made)
    if wanted.reviewed:
        protect = partial(_protect, path, wanted, reviewers)
        yield Setting(f"protection of {name}", protect, LARGE, made)


def _make(path: str, wanted: Environment) -> Iterable[Change]:
    now = find(path)
    limited = {"limited to tags": bool(wanted.tags)}
    is_limited = bool(now and now["deployment_branch_policy"])
    text = explain(limited, {"limited to tags": is_limited}) if now else "create"
    if text:
        yield Change("PUT", path, _describe(now, wanted), text)


def _limit(path: str, wanted: Environment) -> Iterable[Change]:
    path = f"{path}/deployment-branch-policies"
    now = {it["name"]: it["id"] for it in (find(path) or {}).get("branch_policies", [])}
    for tag in (it for it in wanted.tags if it not in now):
        yield Change("POST", path, {"name": tag, "type": "tag"}, f"{tag} may")
    for tag in (it for it in now if it not in wanted.tags):
        yield Change("DELETE", f"{path}/{now[tag]}", None, f"{tag} may not")


def _protect(path: str, wanted: Environment, reviewers: Sequence[str]) -> Iterable[Change]:
    now = _describe(find(path), wanted)
    protection: dict[str, Any] = {"wait_timer": wanted.wait}
    if reviewers:
        protection["reviewers"] = [_find_reviewer(it) for it in reviewers]
    if text := explain(protection, now):
        yield Change("PUT", path, now | protection, text)
    if not reviewers and not now["reviewers"]:
        yield _Nobody("", path, None, "nobody approves it: --reviewer LOGIN")


class _Nobody(Change):
    """What cannot be changed before somebody says who approves."""

    def send(self) -> None:
        """Refuse.

        Raises:
            GitHubError: Always.
        """
        raise GitHubError("nobody approves it", "--reviewer LOGIN")


def _describe(now: dict[str, Any] | None, wanted: Environment) -> dict[str, Any]:
    """Return what protects an environment now, in the form that is sent."""
    rules = {it["type"]: it for it in (now or {}).get("protection_rules", [])}
    reviewed = rules.get("required_reviewers", {}).get("reviewers", [])
    policy = {"protected_branches": False, "custom_branch_policies": True}
    return {
        "wait_timer": rules.get("wait_timer", {}).get("wait_timer", 0),
        "reviewers": [{"type": it["type"], "id": it["reviewer"]["id"]} for it in reviewed],
        "deployment_branch_policy": policy if wanted.tags else None,
    }


def _find_reviewer(login: str) -> dict[str, Any]:
    organisation, _, team = login.rpartition("/")
    if organisation:
        return {"type": "Team", "id": ask("GET", f"/orgs/{organisation}/teams/{team}")["id"]}
    return {"type": "User", "id": ask("GET", f"/users/{login}")["id"]}
