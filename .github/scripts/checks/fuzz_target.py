#!/usr/bin/env python3
"""Feed one target with inputs that Atheris makes up, guided by the code that they reach.

A target is a Python file with a function `check(data)` that raises something for what is wrong.
"""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import atheris  # type: ignore[import-untyped]

ROOT = Path(__file__).resolve().parents[3]


def main(arguments: Sequence[str] | None = None) -> None:
    """Fuzz; libFuzzer ends the process, with 0 if nothing was found."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("target", type=Path)
    parser.add_argument("options", nargs="*", help="options of libFuzzer and folders of inputs")
    options = parser.parse_args(arguments)
    sys.path[:0] = [str(options.target.parent), str(ROOT / ".github/scripts")]
    with atheris.instrument_imports():
        target = import_module(options.target.stem)
    atheris.Setup([str(options.target), *options.options], target.check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
