"""Lock files and project files of a pull request: read, or refused with a reason."""

from contextlib import suppress

from lib import lockfile


def check(data: bytes) -> None:
    """Read a file as both."""
    text = data.decode("utf-8", "replace")
    for read in (lockfile.read, lockfile.read_settings, lockfile.find_direct):
        with suppress(ValueError):
            read(text)
