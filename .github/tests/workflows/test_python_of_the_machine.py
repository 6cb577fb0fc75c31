"""What is started with a bare `python3` meets the Python of the machine, not the project's."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from engine import ROOT
from repository.drop_pipeline import find_imports

OLDEST = "py311"
"""The first Python that reads TOML; docs/setup.md names it."""
CALL = re.compile(r"(?<!run )\bpython3? .*?([\w-]+\.py)\b")
CALLERS = (".github/actions", ".github/workflows", ".github/scripts", "deploy")
MODULES = (ROOT / ".github/scripts", ROOT / "deploy/kubernetes")


def find_called() -> Iterator[Path]:
    """Yield the scripts that actions, workflows and shell scripts start like this."""
    files = [path for folder in CALLERS for path in (ROOT / folder).rglob("*.*")]
    scripts = {path.name: path for path in files if path.suffix == ".py"}
    for caller in (path for path in files if path.suffix in {".sh", ".yaml", ".yml"}):
        yield from (scripts[name] for name in CALL.findall(caller.read_text()) if name in scripts)


def find_imported(file: Path) -> Iterator[Path]:
    """Yield the files of ours that a file imports."""
    names = [name.replace(".", "/") for name in find_imports(file.read_text())]
    paths = (root / f"{name}.py" for root in MODULES for name in names)
    yield from (path for path in paths if path.exists())


def test_it_may_be_older() -> None:
    todo, files = {*find_called()}, set[Path]()
    assert "verdict.py" in {path.name for path in todo}
    while todo:
        file = todo.pop()
        files.add(file)
        todo |= {*find_imported(file)} - files
    grammar = ("ruff", "check", "--isolated", "--no-cache", "--ignore=ALL")
    done = subprocess.run(
        [*grammar, f"--target-version={OLDEST}", "--output-format=concise", *files],
        check=False,
        text=True,
        capture_output=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
