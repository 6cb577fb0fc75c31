"""Errors as `application/problem+json` (RFC 9457)."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match

from .logs import get_logger, request_id

MEDIA_TYPE = "application/problem+json"

PROBLEM_RESPONSES: dict[int | str, dict[str, Any]] = {
    "default": {
        "description": "A problem (RFC 9457)",
        "content": {
            MEDIA_TYPE: {
                "schema": {
                    "type": "object",
                    "required": ["type", "title", "status", "request_id"],
                    "properties": {
                        "type": {"type": "string"},
                        "title": {"type": "string"},
                        "status": {"type": "integer"},
                        "detail": {"type": "string"},
                        "request_id": {"type": "string"},
                    },
                }
            }
        },
    }
}
"""How OpenAPI describes these errors."""


def problem(
    status: int,
    detail: str | None = None,
    *,
    headers: Mapping[str, str] | None = None,
    **extensions: object,
) -> Response:
    """Make an error response.

    Args:
        status: HTTP status code.
        detail: What went wrong this time, for people; it must hold no internals.
        headers: More response headers.
        extensions: More members of the problem (RFC 9457 §3.2).
    """
    content = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status}
    if detail and detail != content["title"]:
        content["detail"] = detail
    content |= {"request_id": request_id.get()} | extensions
    # ASCII only: whatever text the client sent can be encoded, lone surrogates included.
    return Response(json.dumps(content), status, headers, MEDIA_TYPE)


async def _http_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    headers = error.headers
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        # Starlette names those of the first route with this path, and another may have more.
        routes = [it for it in request.app.routes if it.matches(request.scope)[0] != Match.NONE]
        allowed = {method for route in routes for method in route.methods}
        headers = {"Allow": ", ".join(sorted(allowed | ({"HEAD"} if "GET" in allowed else set())))}
    return problem(error.status_code, error.detail, headers=headers)


async def _invalid_request(_request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    errors = [
        {"location": [str(part) for part in part["loc"]], "message": part["msg"]}
        for part in error.errors()
    ]
    return problem(422, "The request does not match what is expected", errors=errors)


async def _database_unavailable(_request: Request, _error: Exception) -> Response:
    get_logger().exception("database unavailable")
    return problem(503, "The database is not available", headers={"Retry-After": "5"})


def install(app: FastAPI) -> None:
    """Make the app answer every error that it knows with a problem."""
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _invalid_request)
    for error in (OperationalError, InterfaceError, PoolTimeoutError):
        app.add_exception_handler(error, _database_unavailable)
