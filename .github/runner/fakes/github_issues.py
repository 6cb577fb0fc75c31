"""The part of the fake GitHub that knows issues, pull requests, their comments, and labels."""

import re
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from fakes.parts import Answer, Part, Request, not_found, refuse

LONGEST_BODY = 65_536
COMMENTS = 1000
"""What the ids of an issue's comments start with is its number."""
FIELDS = {"body", "labels", "title"}
COLOR = re.compile(r"[0-9a-f]{6}")


@dataclass
class Issue:
    """An issue, or a pull request, with its comments.

    Attributes:
        comments: Those of workflows.
        remarks: Those of people, which came first.
    """

    number: int
    title: str
    body: str
    labels: list[str]
    state: str = "open"
    comments: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    author: str = "github-actions[bot]"

    def describe(self) -> dict[str, Any]:
        """Return it as GitHub does."""
        return {
            "body": self.body,
            "number": self.number,
            "state": self.state,
            "title": self.title,
        }


class Issues(Part):
    """The issues and labels of a repository, as strict as GitHub's own.

    Attributes:
        allowed: Whether the token may write.
        all: The issues, oldest first.
        pull_requests: The pull requests by their numbers.
        heads: The branches of those that were opened here, each behind its owner, and their fields.
        labels: Names of the labels that exist.
    """

    def __init__(self) -> None:
        self.allowed = True
        self.all: list[Issue] = []
        self.pull_requests: dict[int, Issue] = {}
        self.heads: dict[str, dict[str, Any]] = {}
        self.labels: set[str] = {"bug", "documentation", "enhancement"}
        self._lock = Lock()
        self.routes = {
            "GET /labels/([^/]+)": self._get_label,
            "POST /labels": self._create_label,
            "GET /issues": self._list,
            "POST /issues": self._create,
            r"PATCH /issues/(\d+)": self._change,
            r"GET /issues/(\d+)/comments": self._list_comments,
            r"POST /issues/(\d+)/comments": self._comment,
            r"PATCH /issues/comments/(\d+)": self._change_comment,
            "GET /pulls": self._list_pull_requests,
            "POST /pulls": self._open,
        }

    def refuse_change(self) -> Answer | None:
        """Refuse it to a token that may read only."""
        message = "Resource not accessible by integration"
        return None if self.allowed else (403, {"message": message})

    def answer(self, request: Request) -> Answer | None:
        """Answer a request; None if it is about something else."""
        with self._lock:
            return super().answer(request)

    @property
    def open(self) -> list[Issue]:
        """The open issues."""
        return [issue for issue in self.all if issue.state == "open"]

    def _get_label(self, _: Request, name: str) -> Answer:
        return (200, {"name": name}) if name in self.labels else not_found()

    def _create_label(self, request: Request) -> Answer:
        label = request.fields
        if label["name"] in self.labels:
            return refuse("Validation Failed", "already_exists")
        if not COLOR.fullmatch(label["color"]) or len(label["description"]) > 100:  # noqa: PLR2004
            return refuse("Validation Failed", "custom")
        self.labels.add(label["name"])
        return 201, label

    def _list(self, request: Request) -> Answer:
        state, author = request.query.get("state", "open"), request.query.get("creator", "")
        found = [
            issue.describe()
            for issue in reversed(self.all)
            if state in {"all", issue.state} and author in {"", issue.author}
        ]
        return 200, request.choose_page(found)

    def _create(self, request: Request) -> Answer:
        sent = request.fields
        if refusal := self._check(sent):
            return refusal
        issue = Issue(len(self.all) + 1, sent["title"], sent["body"], sent["labels"])
        self.all.append(issue)
        return 201, issue.describe()

    def _change(self, request: Request, number: str) -> Answer:
        issue = self._find(number)
        if not issue:
            return not_found()
        if refusal := self._check(request.fields):
            return refusal
        vars(issue).update(request.fields)
        return 200, issue.describe()

    def _comment(self, request: Request, number: str) -> Answer:
        issue = self._find(number)
        if not issue:
            return not_found()
        if refusal := self._check(request.fields):
            return refusal
        issue.comments.append(request.fields["body"])
        return 201, {"id": len(issue.comments), "body": request.fields["body"]}

    def _list_comments(self, request: Request, number: str) -> Answer:
        issue = self._find(number)
        if not issue:
            return not_found()
        found = [{"id": 0, "body": remark, "user": {"type": "User"}} for remark in issue.remarks]
        for index, text in enumerate(issue.comments):
            id_ = issue.number * COMMENTS + index
            found.append({"id": id_, "body": text, "user": {"type": "Bot"}})
        return 200, request.choose_page(found)

    def _change_comment(self, request: Request, id_: str) -> Answer:
        number, index = divmod(int(id_), COMMENTS)
        issue = self._find(str(number))
        if not issue or index >= len(issue.comments):
            return not_found()
        if refusal := self._check(request.fields):
            return refusal
        issue.comments[index] = request.fields["body"]
        return 200, {"id": int(id_), "body": request.fields["body"]}

    def _list_pull_requests(self, request: Request) -> Answer:
        head = request.query["head"]
        return 200, [self.heads[head]] if head in self.heads else []

    def _open(self, request: Request) -> Answer:
        sent = request.fields
        if sent.keys() != {"base", "body", "draft", "head", "title"}:
            return refuse("Validation Failed", "custom")
        number = len(self.all) + len(self.pull_requests) + 1
        self.pull_requests[number] = Issue(number, sent["title"], sent["body"], [])
        self.heads[f"octo-org:{sent['head']}"] = sent
        return 201, {"number": number}

    def _check(self, sent: dict[str, Any]) -> Answer | None:
        if sent.keys() - FIELDS or len(sent.get("body", "")) > LONGEST_BODY:
            return refuse("Validation Failed", "custom")
        if set(sent.get("labels", [])) - self.labels:
            return refuse("Validation Failed", "label does not exist")  # GitHub makes a grey one
        return None

    def _find(self, number: str) -> Issue | None:
        known = (*self.pull_requests.values(), *self.all)
        return next((issue for issue in known if issue.number == int(number)), None)
