"""The runs of workflows and their jobs, as far as the pipelines ask for them."""

import re
from dataclasses import dataclass, field
from typing import Any

from fakes.github_releases import Answer, Request, not_found


@dataclass
class WorkflowRun:
    """A run that GitHub remembers, with the conclusion of each job by its name."""

    number: int
    workflow: str
    sha: str
    jobs: dict[str, str] = field(default_factory=dict)
    status: str = "completed"
    conclusion: str | None = "success"
    title: str = "feat: try the pipelines"
    pull_requests: list[int] = field(default_factory=lambda: [1])

    def describe(self) -> dict[str, Any]:
        """Return the run as GitHub does."""
        return {
            "id": self.number * 1000,
            "run_number": self.number,
            "display_title": self.title,
            "event": "pull_request",
            "head_sha": self.sha,
            "status": self.status,
            "conclusion": self.conclusion if self.status == "completed" else None,
            "pull_requests": [{"number": it} for it in self.pull_requests],
        }


@dataclass
class Runs:
    """All runs; whoever asks for a commit's gets those of that commit alone."""

    runs: list[WorkflowRun] = field(default_factory=list)
    now: dict[str, str | None] = field(default_factory=dict)
    """The jobs of the run that asks, act's run 1; one that goes on, such as its own, has None."""

    def answer(self, request: Request) -> Answer | None:
        """Return what GitHub answers; nothing if it is asked for something else."""
        if request.method != "GET":
            return None
        if match := re.fullmatch(r"/actions/workflows/([\w.-]+)/runs", request.path):
            found = [it for it in self.runs if it.workflow == match[1]]
            if sha := request.query.get("head_sha"):
                found = [it for it in found if it.sha == sha]
            return 200, {
                "total_count": len(found),
                "workflow_runs": [it.describe() for it in self._page(found, request)],
            }
        if match := re.fullmatch(r"/actions/runs/(\d+)/jobs", request.path):
            run = next((it for it in self.runs if it.number * 1000 == int(match[1])), None)
            if not run and match[1] != "1":
                return not_found()
            known: dict[str, str | None] = {**run.jobs} if run else self.now
            jobs = [
                {
                    "name": name,
                    "status": "completed" if conclusion else "in_progress",
                    "conclusion": conclusion,
                }
                for name, conclusion in known.items()
            ]
            return 200, {"total_count": len(jobs), "jobs": self._page(jobs, request)}
        return None

    @staticmethod
    def _page(items: list[Any], request: Request) -> list[Any]:
        size, page = (
            int(request.query.get(it, one)) for it, one in (("per_page", 30), ("page", 1))
        )
        return items[(page - 1) * size : page * size]
