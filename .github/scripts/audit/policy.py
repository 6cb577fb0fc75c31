"""Read the configuration of the dependency review, as GitHub's action reads it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

CONFIG = Path(".github/dependency-review-config.yml")


class _UniqueKeys(yaml.SafeLoader):
    """YAML where a key that is there twice is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        if twice := {key for key in keys if keys.count(key) > 1}:
            raise yaml.YAMLError(f"{', '.join(map(str, twice))} is there twice")
        return super().construct_mapping(node, deep)


def read_options(file: Path) -> dict[str, object]:
    """Return the options by their names, written with dashes.

    Raises:
        ValueError: It cannot be read.
    """
    try:
        content = yaml.load(file.read_text(encoding="utf-8"), _UniqueKeys)  # noqa: S506
        return {str(key).replace("_", "-"): value for key, value in content.items()}
    except (AttributeError, OSError, UnicodeError, yaml.YAMLError) as error:
        raise ValueError(f"{file} cannot be read: {error}") from error


def read_list(options: Mapping[str, object], key: str) -> list[str]:
    """Return a list, which may be written as one text with commas; empty if it is not there.

    Raises:
        ValueError: It is something else.
    """
    value = options.get(key, [])
    if isinstance(value, str):
        value = value.split(",")
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise ValueError(f"{CONFIG}: {key} has to be a list of texts, not {value!r}")
    return [one.strip() for one in value]
