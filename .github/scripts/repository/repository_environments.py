"""The environments of a repository on GitHub, and what protects them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from lib.github import GitHubError, ask, find
from repository.repository_settings import Account, Item, NotOfferedError, explain

PAID = ("pro", "team", "business", "enterprise")
LARGE = ("business", "enterprise")
NOBODY = "nobody approves it: --reviewer LOGIN"


@dataclass(frozen=True)
class Environment:
    """What protects an environment.

    Attributes:
        reviewed: Whether somebody has to approve a deployment.
        wait: Minutes that a deployment waits.
        tags: Patterns of the tags that may deploy; any branch and tag if there is none.
    """

    reviewed: bool = False
    wait: int = 0
    tags: tuple[str, ...] = ()


class Protected:
    """An environment to set up.

    Args:
        account: Whose repository it is in.
        name: Its name.
        wanted: What is to protect it.
        reviewers: Who approves: logins, or `ORGANISATION/TEAM`; those of now if it is empty.
    """

    def __init__(
        self, account: Account, name: str, wanted: Environment, reviewers: Sequence[str]
    ) -> None:
        self._account = account
        self._name = name
        self._wanted = wanted
        self._reviewers = reviewers
        self._path = f"environments/{name}"
        self._tags_path = f"{self._path}/deployment-branch-policies"

    def list_items(self) -> Iterator[Item]:
        """Yield what is to be set up, in order."""
        name = self._name
        yield Item(
            f"environment {name}", self._compare, lambda: ask("PUT", self._path, self._describe())
        )
        if self._wanted.tags:
            yield Item(f"tags that deploy to {name}", self._compare_tags, self._apply_tags)
        if self._wanted.reviewed:
            yield Item(f"protection of {name}", self._compare_protection, self._protect)

    def _compare(self) -> str:
        self._account.require("environments", *PAID)
        found = find(self._path)
        if not found:
            return "create"
        limited = {"limited to tags": bool(self._wanted.tags)}
        return explain(limited, {"limited to tags": bool(found["deployment_branch_policy"])})

    def _describe(self) -> dict[str, Any]:
        """Return what protects it now, in the form that is sent."""
        rules = {it["type"]: it for it in (find(self._path) or {}).get("protection_rules", [])}
        reviewed = rules.get("required_reviewers", {}).get("reviewers", [])
        policy = {"protected_branches": False, "custom_branch_policies": True}
        return {
            "wait_timer": rules.get("wait_timer", {}).get("wait_timer", 0),
            "reviewers": [{"type": it["type"], "id": it["reviewer"]["id"]} for it in reviewed],
            "deployment_branch_policy": policy if self._wanted.tags else None,
        }

    def _find_tags(self) -> dict[str, Any]:
        found = (find(self._tags_path) or {}).get("branch_policies", [])
        return {it["name"]: it for it in found}

    def _compare_tags(self) -> str:
        self._account.require("tags of an environment", *PAID)
        wanted, now = sorted(self._wanted.tags), sorted(self._find_tags())
        return explain({"tags": wanted}, {"tags": now})

    def _apply_tags(self) -> None:
        if not find(self._path):
            raise NotOfferedError("there is no such environment")
        now = self._find_tags()
        for tag in (it for it in self._wanted.tags if it not in now):
            ask("POST", self._tags_path, {"name": tag, "type": "tag"})
        for it in (it for key, it in now.items() if key not in self._wanted.tags):
            ask("DELETE", f"{self._tags_path}/{it['id']}")

    def _compare_protection(self) -> str:
        now = self._describe()
        missing = "" if now["reviewers"] or self._reviewers else NOBODY
        return "; ".join(filter(None, (explain(self._find_protection(), now), missing)))

    def _find_protection(self) -> dict[str, Any]:
        self._account.require("reviewers and waiting time of an environment", *LARGE)
        protection: dict[str, Any] = {"wait_timer": self._wanted.wait}
        if self._reviewers:
            protection["reviewers"] = [_find_reviewer(it) for it in self._reviewers]
        return protection

    def _protect(self) -> None:
        now = self._describe()
        if not self._reviewers and not now["reviewers"]:
            raise GitHubError("nobody approves it", "--reviewer LOGIN")
        ask("PUT", self._path, now | self._find_protection())


def _find_reviewer(login: str) -> dict[str, Any]:
    organisation, _, team = login.rpartition("/")
    if organisation:
        return {"type": "Team", "id": ask("GET", f"/orgs/{organisation}/teams/{team}")["id"]}
    return {"type": "User", "id": ask("GET", f"/users/{login}")["id"]}
