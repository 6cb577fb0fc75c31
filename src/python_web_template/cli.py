"""The command line."""

import argparse
import gc
import logging.config
import sys
from collections.abc import Sequence

from . import logs
from .about import DISTRIBUTION, VERSION
from .migrate import MigrationError, is_newer, migrate
from .server import serve
from .settings import Settings, SettingsError


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(DISTRIBUTION, description="Serve the app or move its schema.")
    parser.add_argument("--version", action="version", version=VERSION)
    commands = parser.add_subparsers(dest="command", required=True)

    serving = commands.add_parser("serve", help="answer HTTP requests")
    serving.add_argument("--host", default="127.0.0.1", help="address (default: %(default)s)")
    serving.add_argument("--port", type=_port, default=8000, help="port (default: %(default)s)")
    serving.add_argument("--workers", type=int, default=1, help="processes (default: %(default)s)")

    moving = commands.add_parser("migrate", help="upgrade or downgrade the database schema")
    moving.add_argument(
        "--revision", default="head", help="head, base, or a revision (default: %(default)s)"
    )
    return parser


def _port(text: str) -> int:
    if text.isdecimal() and (port := int(text)) < 1 << 16:
        return port
    raise argparse.ArgumentTypeError("must be a number from 0 to 65535")  # uvloop takes any


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: Command and options; those of the process if not given.

    Returns:
        The exit code: 0 for success, 1 if the command failed, 2 for wrong options or settings.
    """
    gc.freeze()  # what is imported stays: not to be looked through again, at the end least of all
    options = _parser().parse_args(arguments)
    try:
        settings = Settings.from_environment()
        logs.configure(settings.log_level)
        logging.config.dictConfig(logs.standard_library(settings.log_level))
        if options.command == "migrate":
            _move_schema(settings, options.revision)
            return 0
        if settings.embedded_database:
            _move_schema(settings, "head")
        serve(settings, host=options.host, port=options.port, workers=options.workers)
    except SettingsError as error:
        return _fail(str(error), 2)
    except MigrationError as error:
        return _fail(f"migration failed: {error}", 1)
    return 0


def _move_schema(settings: Settings, revision: str) -> None:
    reached = migrate(settings.database, revision)
    event = "schema is newer than this version" if is_newer(reached) else "schema migrated"
    logs.get_logger().info(event, revision=reached or "base")


def _fail(message: str, code: int) -> int:
    sys.stderr.write(f"{DISTRIBUTION}: {message}\n")
    return code
