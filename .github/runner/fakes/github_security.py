"""The part of the fake GitHub that knows what security features a repository has."""

import base64
import gzip
import json
import re
from typing import TYPE_CHECKING, Any

from fakes.github_releases import Answer, Request

if TYPE_CHECKING:
    from collections.abc import Callable

NO_GRAPH = "Dependency review is not supported on this repository."
NO_SCANNING = "Code scanning is not enabled for this repository."
REFUSED = (
    "CodeQL analyses from advanced configurations cannot be processed when the default setup is "
    "enabled"
)


class Security:
    """Security features, all of them off as in a new repository.

    Attributes:
        dependency_graph: Whether the dependency graph is on.
        code_scanning: Whether code scanning takes results.
        default_setup: Whether GitHub's own CodeQL setup is on.
        reads_setup: Whether the token may see that; that of a workflow may not.
        changes: What the dependency graph says that changed.
        uploads: The SARIF logs that came, decoded.
    """

    def __init__(
        self,
        *,
        dependency_graph: bool = False,
        code_scanning: bool = False,
        default_setup: bool = False,
        reads_setup: bool = False,
    ) -> None:
        self.dependency_graph = dependency_graph
        self.code_scanning = code_scanning
        self.default_setup = default_setup
        self.reads_setup = reads_setup
        self.changes: list[dict[str, Any]] = []
        self.uploads: list[dict[str, Any]] = []
        self._refused: list[list[str]] = []

    def answer(self, request: Request) -> Answer | None:
        """Answer a request; None if it is about something else."""
        commit = "[0-9a-f]{40}"
        routes: dict[str, Callable[[], Answer]] = {
            f"GET /dependency-graph/compare/{commit}\\.\\.\\.{commit}": self._compare,
            "GET /code-scanning/default-setup": self._tell_setup,
            "PATCH /code-scanning/default-setup": lambda: self._set_up(request.fields),
            "GET /code-scanning/analyses": self._list_analyses,
            "POST /code-scanning/sarifs": lambda: self._take(request.fields),
            "GET /code-scanning/sarifs/\\d+": lambda: self._tell(request.path),
        }
        asked = f"{request.method} {request.path}"
        return next((it() for pattern, it in routes.items() if re.fullmatch(pattern, asked)), None)

    def _compare(self) -> Answer:
        return (200, self.changes) if self.dependency_graph else (403, {"message": NO_GRAPH})

    def _tell_setup(self) -> Answer:
        if not self.reads_setup:
            return 403, {"message": "Resource not accessible by integration"}
        return 200, {"state": "configured" if self.default_setup else "not-configured"}

    def _set_up(self, sent: dict[str, Any]) -> Answer:
        if sent["state"] not in {"configured", "not-configured"}:
            return 422, {"message": "Invalid state"}
        self.default_setup = sent["state"] == "configured"
        return 200, {}

    def _take(self, sent: dict[str, Any]) -> Answer:
        if not self.code_scanning:
            return 403, {"message": NO_SCANNING}
        log = json.loads(gzip.decompress(base64.b64decode(sent["sarif"], validate=True)))
        if sent.keys() != {"commit_sha", "ref", "sarif"} or log["version"] != "2.1.0":
            return 400, {"message": "Invalid request"}
        tools = {run["tool"]["driver"]["name"] for run in log["runs"]}
        self._refused.append([REFUSED] if self.default_setup and "CodeQL" in tools else [])
        if not self._refused[-1]:
            self.uploads.append(log)
        return 202, {"id": str(len(self._refused)), "url": ""}

    def _tell(self, path: str) -> Answer:
        number = int(path.rpartition("/")[2])
        if not 0 < number <= len(self._refused):
            return 404, {"message": "Not Found"}
        errors = self._refused[number - 1]
        status = "failed" if errors else "complete"
        return 200, {"processing_status": status, "errors": errors or None}

    def _list_analyses(self) -> Answer:
        if not self.code_scanning:
            return 403, {"message": NO_SCANNING}
        return 404, {"message": "no analysis found"}
