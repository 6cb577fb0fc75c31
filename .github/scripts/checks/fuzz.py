#!/usr/bin/env python3
"""Feed what takes text of strangers with inputs that Atheris makes up, guided by what they reach.

The targets are the files `fuzz_*.py` below the folders of tests. Each has a function `check(data)`
that raises something for what is wrong; a folder `corpus/NAME` beside it has inputs to start from.
An input that breaks something is written to the output folder: add it to that corpus, and the tests
try it each time. Atheris is there for Linux on x86_64 only.
"""

import argparse
import subprocess
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
FOLDERS = ("tests", ".github/tests")
INPUT_SECONDS, LONGEST_INPUT = 30, 4096
"""How long an input may take, and how many bytes it may have."""


def find_targets(root: Path) -> list[Path]:
    """Return the files of all targets."""
    return sorted(file for folder in FOLDERS for file in (root / folder).rglob("fuzz_*.py"))


def fuzz(target: Path, seconds: int, output: Path) -> bool:
    """Fuzz one target in a process, which prints what it does; say whether nothing broke.

    Args:
        target: Its file.
        seconds: How long.
        output: Folder for new inputs, and for those that break it.
    """
    name = target.stem.removeprefix("fuzz_")
    new, known = output / "corpus" / name, target.parent / "corpus" / name
    new.mkdir(parents=True, exist_ok=True)
    command: list[str | Path] = [
        *(sys.executable, __file__, "--inside", target, "--"),
        *(f"-max_total_time={seconds}", f"-max_len={LONGEST_INPUT}", f"-timeout={INPUT_SECONDS}"),
        *(f"-artifact_prefix={output}/{name}-", "-print_final_stats=1", new),
        *([known] if known.is_dir() else []),
    ]
    print(f"{name}:", flush=True)
    return subprocess.run(command, cwd=ROOT, check=False).returncode == 0


def fuzz_inside(target: Path, options: Sequence[str]) -> None:
    """Fuzz a target with options of libFuzzer, which ends this process: with 0 if nothing broke."""
    import atheris  # type: ignore[import-untyped]  # noqa: PLC0415 - not everywhere

    sys.path[:0] = [str(target.parent), str(ROOT / ".github/scripts")]
    with atheris.instrument_imports():
        module = import_module(target.stem)
    atheris.Setup([str(target), *options], module.check)
    atheris.Fuzz()


def main(arguments: Sequence[str] | None = None) -> int:
    """Fuzz all targets, or those that are named; return 1 if one was broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="*", help="their files; all if none is given")
    parser.add_argument("--seconds", type=int, default=60, help="for each target (default: 60)")
    parser.add_argument("--output", type=Path, default=Path("fuzz-results"), metavar="FOLDER")
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.inside:
        fuzz_inside(options.inside, options.targets)
    if not find_spec("atheris"):
        print("Atheris is not installed: it is there for Linux on x86_64 only, in the group fuzz.")
        return 1
    targets = [Path(name).resolve() for name in options.targets] or find_targets(ROOT)
    if missing := [str(target) for target in targets if not target.is_file()]:
        parser.error(f"there is no file {', '.join(missing)}")
    output = options.output.resolve()
    broken = [target.stem for target in targets if not fuzz(target, options.seconds, output)]
    if broken:
        names = ", ".join(broken)
        print(f"An input breaks {names}: the log above says how, {options.output} has the input.")
    else:
        print(f"{len(targets)} targets, {options.seconds} seconds each: nothing broke.")
    return int(bool(broken))


if __name__ == "__main__":
    sys.exit(main())
