"""Lock files of a pull request: read, or refused with a reason."""

from contextlib import suppress

from lib import lockfile


def check(data: bytes) -> None:
    """Read one."""
    text = data.decode("utf-8", "replace")
    for read in (lockfile.read, lockfile.read_settings):
        with suppress(ValueError):
            read(text)
