"""Logs as JSON lines on standard output, each with the id of the request it belongs to."""

import json
import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""Id of the request being answered; empty outside a request."""


def _add_time(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    event["timestamp"] = datetime.now(UTC).isoformat()
    return event


def _add_request_id(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    if value := request_id.get():
        event["request_id"] = value
    return event


_encode = json.JSONEncoder(default=repr).encode


def _render(_logger: WrappedLogger, _method: str, event: EventDict) -> bytes:
    return _encode(event).encode()


_COMMON: list[Processor] = [
    structlog.processors.add_log_level,
    _add_time,
    _add_request_id,
    structlog.processors.format_exc_info,
]


def get_logger() -> FilteringBoundLogger:
    """Return a logger that takes an event name and keyword arguments."""
    logger: FilteringBoundLogger = structlog.get_logger().bind()
    return logger


def configure(level: str) -> None:
    """Set up the app's own log lines.

    Args:
        level: Name of the lowest level that is written, such as `INFO`.
    """
    structlog.configure(
        processors=[*_COMMON, _render],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.BytesLoggerFactory(sys.stdout.buffer),
        cache_logger_on_first_use=False,
    )


def json_formatter() -> logging.Formatter:
    """Make the formatter that gives other libraries' log records the same shape."""
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            *_COMMON,
            structlog.stdlib.add_logger_name,
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.JSONRenderer(default=repr),
        ],
    )


def standard_library(level: str) -> dict[str, Any]:
    """Return a `logging.config` dictionary for everything that logs the ordinary way."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": json_formatter}},
        "handlers": {
            "stdout": {
                "class": "logging.StreamHandler",
                "formatter": "json",
                "stream": "ext://sys.stdout",
            }
        },
        # It reports every look at the schema, which each readiness check takes.
        "loggers": {"alembic.runtime.migration": {"level": "WARNING"}},
        "root": {"handlers": ["stdout"], "level": level},
    }
