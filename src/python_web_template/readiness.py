"""Is everything there that the app needs to answer requests?"""

import asyncio
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

from sqlalchemy.exc import SQLAlchemyError

from .database import Database
from .logs import get_logger
from .migrate import MigrationError, is_newer, newest_revision, read_revision

TIMEOUT_SECONDS = 2.0
"""How long one check may take."""

OK = "ok"


async def check_all(database: Database, services: tuple[str, ...]) -> dict[str, str]:
    """Check the database, its schema and all services at the same time.

    Returns:
        For each part `ok` or what is wrong with it. Services are named by host alone: the rest
        of a URL may hold secrets.
    """
    stored, answers = await asyncio.gather(_check_database(database), _check_services(services))
    return stored | answers


async def _check_database(database: Database) -> dict[str, str]:
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS), database.engine.connect() as connection:
            revision = await connection.run_sync(read_revision)
        schema = _compare(revision, newest_revision())
    except MigrationError as error:
        schema = str(error)
    except (SQLAlchemyError, OSError, TimeoutError):
        get_logger().warning("database unreachable", exc_info=True)
        return {"database": "unreachable", "schema": "unknown"}
    return {"database": OK, "schema": schema}


def _compare(revision: str | None, expected: str | None) -> str:
    if revision == expected or is_newer(revision):
        return OK
    return f"at {revision or 'base'}, expected {expected}"


async def _check_services(urls: tuple[str, ...]) -> dict[str, str]:
    answers = await asyncio.gather(*(_check_service(url) for url in urls))
    checks: dict[str, str] = {}
    for url, answer in zip(urls, answers, strict=True):
        name = f"service {urlsplit(url).hostname}"
        if checks.get(name, OK) == OK:  # two URLs can have the same host
            checks[name] = answer
    return checks


async def _check_service(url: str) -> str:
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            status = await asyncio.to_thread(_get_status, url)
    except (OSError, HTTPException, TimeoutError):
        return "unreachable"
    return OK if status < HTTPStatus.INTERNAL_SERVER_ERROR else f"answers {status}"


def _get_status(url: str) -> int:
    """Ask for the URL without following redirects; any answer shows that the service lives."""
    parts = urlsplit(url)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}")
        return connection.getresponse().status
    finally:
        connection.close()
