"""What those who run the service ask it: is it alive, is it ready, what did it measure?"""

from typing import Literal

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel

from .problems import PROBLEM_RESPONSES, problem
from .readiness import OK, check_all

router = APIRouter(tags=["operations"], responses=PROBLEM_RESPONSES)


class Health(BaseModel):
    """A living process and what it runs."""

    status: Literal["ok"] = "ok"
    version: str
    revision: str
    environment: str


class Readiness(BaseModel):
    """Everything that was checked."""

    status: Literal["ready"] = "ready"
    checks: dict[str, str]


@router.get("/health")
async def health(request: Request) -> Health:
    """Say that the process lives; nothing outside of it is asked."""
    settings = request.app.state.settings
    return Health(
        version=settings.app_version,
        revision=settings.app_revision,
        environment=settings.environment_name,
    )


@router.get("/ready", response_model=Readiness)
async def ready(request: Request) -> Readiness | Response:
    """Say whether requests can be answered now; 503 names the parts that fail."""
    state = request.app.state
    checks = await check_all(state.database, state.settings.external_services)
    failing = [name for name, result in checks.items() if result != OK]
    if failing:
        return problem(503, f"Not ready: {', '.join(failing)}", checks=checks)
    return Readiness(checks=checks)


@router.get("/metrics", response_class=Response)
def metrics(request: Request) -> Response:
    """Return the measurements in the Prometheus text format."""
    return Response(request.app.state.metrics.render(), media_type=CONTENT_TYPE_LATEST)
