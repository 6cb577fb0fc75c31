"""Settings of a repository on GitHub: how they are, how they are to be, what a plan offers."""

import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lib.github import GitHubError, ask

NOT_OFFERED = re.compile(
    r"upgrade to|billing plan|make this repository public|not (available|supported)|"
    r"(advanced|code) security|secret (protection|scanning)",
    re.IGNORECASE,
)
"""How GitHub says that an account's plan does not have something."""


class NotOfferedError(Exception):
    """The account's plan does not have it."""


@dataclass(frozen=True)
class Item:
    """One thing to set up.

    Attributes:
        name: What it is.
        compare: Returns how it is and how it is to be, empty if there is no difference.
        apply: Makes it so.
    """

    name: str
    compare: Callable[[], str]
    apply: Callable[[], object]


class Account:
    """The repository, and what its owner's plan offers.

    Args:
        name: `OWNER/NAME`; the repository of the current folder if it is empty.

    Raises:
        GitHubError: GitHub does not show it.
    """

    def __init__(self, name: str) -> None:
        if name:
            os.environ["GITHUB_REPOSITORY"] = name
        self.repository = ask("GET", "")
        os.environ["GITHUB_REPOSITORY"] = self.repository["full_name"]
        self.private = self.repository["visibility"] != "public"
        owner = self.repository["owner"]
        address = f"/orgs/{owner['login']}" if owner["type"] == "Organization" else "/user"
        try:
            found = ask("GET", address)
        except GitHubError:
            found = {}
        mine = address.startswith("/orgs") or found.get("login") == owner["login"]
        self.plan = str(found.get("plan", {}).get("name", "")) if mine else ""

    def require(self, what: str, *plans: str) -> None:
        """Make sure that a private repository has something that public ones have.

        Raises:
            NotOfferedError: The plan is known, and is none of those that have it.
        """
        if self.private and self.plan and not self.plan.startswith(plans):
            raise NotOfferedError(
                f"{what} in a private repository: not in the plan {self.plan}; make the "
                f"repository public, or change the plan"
            )

    def require_public(self, what: str) -> None:
        """Make sure that the repository is public.

        Raises:
            NotOfferedError: It is not.
        """
        if self.private:
            raise NotOfferedError(f"{what}: public repositories only")


def explain(wanted: dict[str, Any], actual: dict[str, Any]) -> str:
    """Return what is to change, such as `wait 0 → 5`."""
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
