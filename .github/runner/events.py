"""The events that start pipelines, with the parts of their payloads that pipelines read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

EVENTS = {
    "push": "main",
    "pull_request": "opened",
    "merge_group": "checks_requested",
    "schedule": "",
    "workflow_dispatch": "main",
}
"""Each known event with its default detail: a branch or tag, or an activity type."""

USUAL = (
    "push", "push:v9999.0.0", "pull_request", "schedule", "workflow_dispatch", "merge_group",
)  # fmt: skip
"""What to start a pipeline with if nothing is asked for: the first that fits. No tag is higher."""

PULL_REQUEST = 1


@dataclass
class Repository:
    """The repository in which an event happens, as GitHub would describe it."""

    owner: str = "octo-org"
    name: str = "widget"
    private: bool = False
    fork: bool = False
    branch: str = "main"

    @property
    def full_name(self) -> str:
        """Owner and name, joined by a slash."""
        return f"{self.owner}/{self.name}"

    def describe(self) -> dict[str, Any]:
        """Return the `repository` object of a payload."""
        return {
            "default_branch": self.branch,
            "fork": self.fork,
            "full_name": self.full_name,
            "html_url": f"https://github.com/{self.full_name}",
            "is_template": False,
            "name": self.name,
            "owner": {"login": self.owner},
            "private": self.private,
            "visibility": "private" if self.private else "public",
        }


@dataclass
class Event:
    """Something that happens in a repository.

    Attributes:
        name: The event's name, as in `on:`.
        detail: The branch or tag (`v…`) pushed, or the activity type of a pull request.
        overrides: Payload values by dotted path, such as `pull_request.title`.
        repository: Where it happens.
    """

    name: str
    detail: str = ""
    overrides: dict[str, Any] = field(default_factory=dict)
    repository: Repository = field(default_factory=Repository)

    @classmethod
    def parse(
        cls, text: str, overrides: dict[str, Any] | None = None, branch: str = "main"
    ) -> "Event":
        """Make an event of `NAME` or `NAME:DETAIL` in a repository with this default branch.

        Raises:
            ValueError: The name is not one of `EVENTS`.
        """
        name, _, detail = text.partition(":")
        if name not in EVENTS:
            raise ValueError(f"unknown event {name!r}; known are: {', '.join(EVENTS)}")
        default = branch if EVENTS[name] == "main" else EVENTS[name]
        return cls(name, detail or default, overrides or {}, Repository(branch=branch))

    def __str__(self) -> str:
        """Return the form that `parse` reads."""
        return f"{self.name}:{self.detail}" if self.detail else self.name

    @property
    def ref(self) -> str:
        """The Git ref that the event's runs are about."""
        if self.name == "pull_request":
            return f"refs/pull/{PULL_REQUEST}/merge"
        if self.name == "merge_group":
            queue = f"gh-readonly-queue/{self.repository.branch}"
            return f"refs/heads/{queue}/pr-{PULL_REQUEST}-{'0' * 40}"
        if self.name == "schedule":
            return f"refs/heads/{self.repository.branch}"
        return f"refs/{'tags' if self.detail.startswith('v') else 'heads'}/{self.detail}"

    def payload(self, base: str = "", head: str = "") -> dict[str, Any]:
        """Return the event's payload.

        Args:
            base: The commit before the change.
            head: The commit with the change.
        """
        payload: dict[str, Any] = {
            "repository": self.repository.describe(),
            "sender": {"login": "octocat"},
        }
        match self.name:
            case "push":
                payload |= {"ref": self.ref, "before": base, "after": head}
            case "pull_request":
                payload |= {
                    "action": self.detail,
                    "number": PULL_REQUEST,
                    "pull_request": self._pull_request(base, head),
                }
                if self.detail == "edited":  # GitHub always says what was edited
                    payload["changes"] = {"title": {"from": "feat: another title"}}
            case "merge_group":
                payload |= {
                    "action": self.detail,
                    "merge_group": {
                        "base_ref": f"refs/heads/{self.repository.branch}",
                        "base_sha": base,
                        "head_ref": self.ref,
                        "head_sha": head,
                    },
                }
            case "schedule":
                payload |= {"schedule": "0 0 * * *"}
            case "workflow_dispatch":
                payload |= {"ref": self.ref, "inputs": {}}
        for path, value in self.overrides.items():
            *parents, last = path.split(".")
            target: dict[str, Any] = payload
            for parent in parents:
                target = target.setdefault(parent, {})
            target[last] = value
        return payload

    def _pull_request(self, base: str, head: str) -> dict[str, Any]:
        merging = {"squash_merge_commit_message": "COMMIT_MESSAGES"}
        target = {"ref": self.repository.branch, "repo": self.repository.describe() | merging}
        return {
            "base": target | {"sha": base},
            "draft": False,
            "head": {"ref": "feature", "sha": head, "repo": self.repository.describe()},
            "number": PULL_REQUEST,
            "body": "",
            "title": "feat: try the pipelines",
            "user": {"login": "octocat"},
        }


def is_foreign(payload: Mapping[str, Any]) -> bool:
    """Say whether an event is about the pull request of a fork."""
    if "pull_request" not in payload:
        return False
    origin = payload["pull_request"]["head"]["repo"]  # none if it was deleted
    return not origin or origin["full_name"] != payload["repository"]["full_name"]


def withhold(
    payload: Mapping[str, Any], secrets: Mapping[str, str], variables: Mapping[str, str]
) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """Return the secrets and variables that a run sees.

    That of a fork sees none, that of Dependabot only secrets of its own, which are others:
    https://docs.github.com/code-security/reference/supply-chain-security/dependabot-on-actions.
    """
    if is_foreign(payload):
        return {}, {}
    return {} if payload["sender"]["login"] == "dependabot[bot]" else secrets, variables
