"""The runs of workflows and their jobs, as far as the pipelines ask for them."""

from dataclasses import dataclass, field
from typing import Any

from fakes.parts import Answer, Part, Request, not_found


@dataclass
class WorkflowRun:
    """A run that GitHub remembers, with the conclusion of each job by its name.

    Its branch is the tag where that was pushed.
    """

    number: int
    workflow: str
    sha: str
    jobs: dict[str, str] = field(default_factory=dict)
    status: str = "completed"
    conclusion: str | None = "success"
    title: str = "feat: try the pipelines"
    pull_requests: list[int] = field(default_factory=lambda: [1])
    branch: str = "main"

    def describe(self) -> dict[str, Any]:
        """Return the run as GitHub does."""
        return {
            "id": self.number * 1000,
            "run_number": self.number,
            "display_title": self.title,
            "event": "pull_request",
            "head_branch": self.branch,
            "head_sha": self.sha,
            "status": self.status,
            "conclusion": self.conclusion if self.status == "completed" else None,
            "pull_requests": [{"number": number} for number in self.pull_requests] or None,
        }


class Runs(Part):
    """All runs; whoever asks for a commit's gets those of that commit alone.

    Attributes:
        now: The jobs of the run that asks, act's run 1; None is one that goes on, as its own.
    """

    def __init__(self) -> None:
        self.runs: list[WorkflowRun] = []
        self.now: dict[str, str | None] = {}
        self.routes = {
            r"GET /actions/workflows/([\w.-]+)/runs": self._list,
            r"GET /actions/runs/(\d+)": self._show,
            r"GET /actions/runs/(\d+)/jobs": self._list_jobs,
        }

    def _list(self, request: Request, workflow: str) -> Answer:
        found = [run for run in self.runs if run.workflow == workflow]
        if sha := request.query.get("head_sha"):
            found = [other for other in found if other.sha == sha]
        shown = [run.describe() for run in request.choose_page(found)]
        return 200, {"total_count": len(found), "workflow_runs": shown}

    def _show(self, _: Request, number: str) -> Answer:
        """Tell of the run that asks, which is the only one that anybody asks for."""
        return (200, {"id": 1, "path": ".github/workflows/x.yml"}) if number == "1" else not_found()

    def _list_jobs(self, request: Request, number: str) -> Answer:
        run = next((run for run in self.runs if run.number * 1000 == int(number)), None)
        if not run and number != "1":
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
        return 200, {"total_count": len(jobs), "jobs": request.choose_page(jobs)}
