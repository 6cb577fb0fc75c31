"""What the parts of the fake GitHub share: requests, answers, routes, pages."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Answer = tuple[int, Any]
"""The status and the content."""


@dataclass
class Request:
    """What was asked: the path is the part behind `/repos/OWNER/NAME`."""

    method: str
    path: str
    query: dict[str, str]
    body: bytes
    accept: str = "*/*"

    @property
    def fields(self) -> dict[str, Any]:
        """The content, decoded from JSON."""
        content: dict[str, Any] = json.loads(self.body)
        return content

    def choose_page[T](self, found: Sequence[T]) -> list[T]:
        """Return the items of the page that is asked for; GitHub gives a hundred at most."""
        size = min(int(self.query.get("per_page", 30)), 100)
        start = (int(self.query.get("page", 1)) - 1) * size
        return list(found[start : start + size])


class Part:
    """A part of the API.

    Attributes:
        routes: What answers, by patterns of `METHOD PATH`; it gets the request and their groups.
    """

    routes: Mapping[str, Callable[..., Answer]]

    def answer(self, request: Request) -> Answer | None:
        """Answer a request; None if it is about something else."""
        for pattern, handle in self.routes.items():
            if match := re.fullmatch(pattern, f"{request.method} {request.path}"):
                refusal = None if request.method == "GET" else self.refuse_change()
                return refusal or handle(request, *match.groups())
        return None

    def refuse_change(self) -> Answer | None:
        """Return the answer to whoever may not change anything; None if the token may."""
        return None


def not_found() -> Answer:
    """Return the answer to a request for something that is not there."""
    return 404, {"message": "Not Found"}


def refuse(message: str, code: str = "custom") -> Answer:
    """Return the answer to a request that cannot be done as it is."""
    return 422, {"message": message, "errors": [{"code": code}]}
