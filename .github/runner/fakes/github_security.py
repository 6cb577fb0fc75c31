"""The part of the fake GitHub that knows what security features a repository has."""

import base64
import gzip
import json
from typing import Any

from fakes.parts import Answer, Part, Request, not_found, refuse

NO_GRAPH = "Dependency review is not supported on this repository."
NO_SCANNING = "Code scanning is not enabled for this repository."
REFUSED = (
    "CodeQL analyses from advanced configurations cannot be processed when the default setup is "
    "enabled"
)


class Security(Part):
    """Security features, all of them off as in a new repository.

    Attributes:
        dependency_graph: Whether the dependency graph is on.
        code_scanning: Whether code scanning takes results.
        default_setup: Whether GitHub's own CodeQL setup is on.
        reads_setup: Whether the token may see that; that of a workflow may not.
        changes: What the dependency graph says that changed.
        uploads: The SARIF logs that came, decoded.
        refs: Those that logs came for.
        dismissed: Rule, file and line of the alerts that somebody dismissed, on each ref.
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
        self.dismissed: list[tuple[str, str, int]] = []
        self.refs: set[str] = set()
        self._refused: list[list[str]] = []
        commit = "[0-9a-f]{40}"
        self.routes = {
            f"GET /dependency-graph/compare/{commit}\\.\\.\\.{commit}": self._compare,
            "GET /code-scanning/default-setup": self._tell_setup,
            "PATCH /code-scanning/default-setup": self._set_up,
            "GET /code-scanning/alerts": self._list_alerts,
            "GET /code-scanning/analyses": self._list_analyses,
            "PUT /code-scanning/analysis/status": self._note_status,
            "POST /code-scanning/sarifs": self._take,
            "GET /code-scanning/sarifs/(\\d+)": self._tell,
        }

    def _compare(self, _: Request) -> Answer:
        return (200, self.changes) if self.dependency_graph else (403, {"message": NO_GRAPH})

    def _tell_setup(self, _: Request) -> Answer:
        if not self.reads_setup:
            return 403, {"message": "Resource not accessible by integration"}
        return 200, {"state": "configured" if self.default_setup else "not-configured"}

    def _set_up(self, request: Request) -> Answer:
        state = request.fields["state"]
        if state not in {"configured", "not-configured"}:
            return refuse("Invalid state")
        self.default_setup = state == "configured"
        return 200, {}

    def _take(self, request: Request) -> Answer:
        sent = request.fields
        if not self.code_scanning:
            return 403, {"message": NO_SCANNING}
        log = json.loads(gzip.decompress(base64.b64decode(sent["sarif"], validate=True)))
        if sent.keys() != {"commit_sha", "ref", "sarif"} or log["version"] != "2.1.0":
            return 400, {"message": "Invalid request"}
        if "/gh-readonly-queue/" in sent["ref"]:  # it may be gone already
            return 404, {"message": f"ref '{sent['ref']}' not found in this repository"}
        tools = {run["tool"]["driver"]["name"] for run in log["runs"]}
        self._refused.append([REFUSED] if self.default_setup and "CodeQL" in tools else [])
        if not self._refused[-1]:
            self.uploads.append(log)
            self.refs.add(sent["ref"])
        return 202, {"id": str(len(self._refused)), "url": ""}

    def _tell(self, _: Request, number: str) -> Answer:
        if not 0 < int(number) <= len(self._refused):
            return not_found()
        errors = self._refused[int(number) - 1]
        status = "failed" if errors else "complete"
        return 200, {"processing_status": status, "errors": errors or None}

    def _note_status(self, _: Request) -> Answer:
        return (200, {}) if self.code_scanning else (403, {"message": NO_SCANNING})

    def _list_alerts(self, request: Request) -> Answer:
        if not self.code_scanning:
            return 403, {"message": NO_SCANNING}
        if request.query.get("ref") not in self.refs:
            return 404, {"message": "no analysis found"}
        if request.query.get("state") != "dismissed":
            return refuse("The fake knows dismissed alerts only")
        alerts = [
            {
                "rule": {"id": rule},
                "state": "dismissed",
                "most_recent_instance": {"location": {"path": path, "start_line": line}},
            }
            for rule, path, line in self.dismissed
        ]
        return 200, request.choose_page(alerts)

    def _list_analyses(self, _: Request) -> Answer:
        if not self.code_scanning:
            return 403, {"message": NO_SCANNING}
        return 404, {"message": "no analysis found"}
