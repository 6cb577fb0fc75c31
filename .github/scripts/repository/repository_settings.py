"""What a repository on GitHub has, what its plan offers, and the requests that change it."""

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from lib.github import GitHubError, ask, find

NOT_OFFERED = re.compile(
    r"upgrade to|billing plan|make this repository public|not (available|supported)|"
    r"(advanced|code) security|secret (protection|scanning)",
    re.IGNORECASE,
)
"""How GitHub says that an account's plan does not have something."""

EVERY: tuple[str, ...] = ("",)
PAID = ("pro", "team", "business", "enterprise")
LARGE = ("business", "enterprise")
PUBLIC: tuple[str, ...] = ()
"""Beginnings of the names of the plans that have something in a private repository."""


class NotOfferedError(Exception):
    """The repository or its plan does not have it."""


class Change(NamedTuple):
    """A request that makes something as it is to be, and the difference that it makes."""

    method: str
    path: str
    body: object
    text: str

    def send(self) -> None:
        """Send it.

        Raises:
            GitHubError: GitHub refused, or did not answer.
        """
        ask(self.method, self.path, self.body)


@dataclass(frozen=True)
class Setting:
    """One thing to set up.

    Attributes:
        name: What it is.
        find_changes: Looks how it is, and returns what is to be sent; nothing if all is well.
        plans: The plans that have it in a private repository.
        needs: Name of another setting without which this one cannot be.
    """

    name: str
    find_changes: Callable[[], Iterable[Change]]
    plans: tuple[str, ...] = EVERY
    needs: str = ""


class Account:
    """The repository, and what its owner's plan offers.

    Raises:
        GitHubError: GitHub does not show it.
    """

    def __init__(self) -> None:
        self.repository = ask("GET", "")
        self.private = self.repository["visibility"] != "public"
        owner = self.repository["owner"]
        self.is_organisation = owner["type"] == "Organization"
        try:
            found = ask("GET", f"/orgs/{owner['login']}" if self.is_organisation else "/user")
        except GitHubError:
            found = {}
        mine = self.is_organisation or found.get("login") == owner["login"]
        self.plan = str(found.get("plan", {}).get("name", "")) if mine else ""

    def require(self, setting: Setting) -> None:
        """Make sure that the repository can have a setting, as far as its plan is known.

        Raises:
            NotOfferedError: It cannot.
        """
        if self.private and not setting.plans:
            raise NotOfferedError("public repositories only")
        if self.private and self.plan and not self.plan.startswith(setting.plans):
            raise NotOfferedError(
                f"not in the plan {self.plan} for a private repository; make the repository "
                "public, or change the plan"
            )


def set_fields(
    name: str, method: str, path: str, wanted: dict[str, Any], plans: tuple[str, ...] = EVERY
) -> Setting:
    """Return a setting whose address takes the fields that it gives; `PUT` needs all of them."""

    def find_changes() -> Iterable[Change]:
        now = find(path)
        if now is None:
            raise NotOfferedError("GitHub does not have it here")
        kept = {key: it for key, it in now.items() if "url" not in key} if method == "PUT" else {}
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
