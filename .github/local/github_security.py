"""The part of the fake GitHub that knows what security features a repository has."""

import re
from typing import Any

from github_releases import Answer, Request

NO_GRAPH = "Dependency review is not supported on this repository."
NO_SCANNING = "Code scanning is not enabled for this repository."


class Security:
    """Security features, all of them off as in a new repository.

    Attributes:
        dependency_graph: Whether the dependency graph is on.
        code_scanning: Whether code scanning takes results.
        default_setup: Whether GitHub's own CodeQL setup is on.
        reads_setup: Whether the token may see that; that of a workflow may not.
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

    def answer(self, request: Request) -> Answer | None:
        """Answer a request; None if it is about something else."""
        if request.method != "GET":
            return None
        commit = "[0-9a-f]{40}"
        if re.fullmatch(rf"/dependency-graph/compare/{commit}\.\.\.{commit}", request.path):
            return (200, []) if self.dependency_graph else (403, {"message": NO_GRAPH})
        if request.path == "/code-scanning/default-setup":
            if not self.reads_setup:
                return 403, {"message": "Resource not accessible by integration"}
            return 200, {"state": "configured" if self.default_setup else "not-configured"}
        if request.path == "/code-scanning/analyses":
            return self._list_analyses()
        return None

    def _list_analyses(self) -> Answer:
        if not self.code_scanning:
            return 403, {"message": NO_SCANNING}
        analyses: list[dict[str, Any]] = []
        if self.default_setup:
            key = "dynamic/github-code-scanning/codeql:analyze"
            analyses.append({"analysis_key": key, "category": "/language:python"})
        return (200, analyses) if analyses else (404, {"message": "no analysis found"})
