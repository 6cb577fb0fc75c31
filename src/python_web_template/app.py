"""The app: its parts put together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from . import items, logs, operations, problems
from .about import DISTRIBUTION
from .database import Database
from .metrics import Metrics
from .middleware import RequestMiddleware
from .settings import Settings


def create_app(settings: Settings | None = None) -> FastAPI:
    """Make an app that is ready to be served.

    Args:
        settings: How it behaves; read from the environment if not given.

    Raises:
        SettingsError: The environment holds a setting that cannot be used.
    """
    settings = settings or Settings.from_environment()
    logs.configure(settings.log_level)
    metrics = Metrics()
    app = FastAPI(
        title=DISTRIBUTION,
        version=settings.app_version,
        lifespan=_lifespan,
        redirect_slashes=False,  # it would redirect to whatever host the client names
        # FastAPI's own OpenTelemetry would measure everything a second time.
        telemetry={"tracing": False, "metrics": False, "logs": False},
        # Not by `include_router`, which makes each request look for its route twice.
        routes=[*operations.router.routes, *items.router.routes],
    )
    app.state.settings = settings
    app.state.metrics = metrics
    app.state.database = Database(settings.database, metrics)
    app.add_middleware(RequestMiddleware, metrics=metrics, max_body_bytes=settings.max_body_bytes)
    problems.install(app)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    settings: Settings = app.state.settings
    log = logs.get_logger()
    log.info(
        "started",
        version=settings.app_version,
        revision=settings.app_revision,
        environment=settings.environment_name,
        embedded_database=settings.embedded_database,
    )
    yield
    await app.state.database.close()
    log.info("stopped")
