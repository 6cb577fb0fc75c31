"""The names and the version of the program, taken from the package itself.

Renaming the package directory and the project in `pyproject.toml` renames everything.
"""

from importlib.metadata import version

PACKAGE = __package__
"""Import name of the package."""

DISTRIBUTION = PACKAGE.replace("_", "-")
"""Name of the distribution, of the command and of the service."""

VERSION = version(DISTRIBUTION)
"""Version of the installed distribution (PEP 440)."""
