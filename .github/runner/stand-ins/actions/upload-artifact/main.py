"""Keep what matches the patterns in the folder of an artifact, by the rules of the action."""

import glob
import os
import shutil
import sys
from pathlib import Path

FORBIDDEN = '":<>|*?\r\n'


def fail(text: str) -> None:
    """Say what is wrong, and end."""
    print(f"::error::{text}")
    sys.exit(1)


def find_root(pattern: str) -> Path:
    """Return the part of a pattern in front of its first wildcard."""
    parts = Path(pattern).absolute().parts
    first = next((number for number, part in enumerate(parts) if glob.has_magic(part)), len(parts))
    return Path(*parts[:first])


def find_files(pattern: str, *, hidden: bool) -> set[Path]:
    """Return the files that a pattern matches, those of matching folders too."""
    found: set[Path] = set()
    for place in glob.iglob(str(Path(pattern).absolute()), recursive=True, include_hidden=True):  # noqa: PTH207
        inner = Path(place).rglob("*") if Path(place).is_dir() else [Path(place)]
        found |= {file for file in inner if file.is_file()}
    root = find_root(pattern)
    if not hidden:  # the pattern itself may name a hidden folder above
        found = {
            other
            for other in found
            if not any(part.startswith(".") for part in other.parts[len(root.parts) - 1 :])
        }
    return found


def main() -> None:
    """Do what the environment says."""
    name, absent = os.environ["INPUT_NAME"], os.environ["INPUT_IF_NO_FILES_FOUND"]
    patterns = [line.strip() for line in os.environ["INPUT_PATH"].splitlines() if line.strip()]
    if absent not in {"warn", "error", "ignore"}:
        fail(f"Unrecognized if-no-files-found input. Provided: {absent}.")
    if not name or set(name) & {*FORBIDDEN, "/", "\\"}:
        fail(f"The artifact name is not valid: {name}")
    wanted = [pattern for pattern in patterns if not pattern.startswith("!")]
    hidden = os.environ["INPUT_INCLUDE_HIDDEN_FILES"] == "true"
    files = {file for pattern in wanted for file in find_files(pattern, hidden=hidden)}
    files -= {
        file
        for pattern in patterns
        if pattern.startswith("!")
        for file in find_files(pattern[1:], hidden=True)
    }
    if not files:
        text = f"No files were found with the provided path: {', '.join(patterns)}."
        if absent == "error":
            fail(text)
        print(f"::warning::{text}" if absent == "warn" else text)
        return
    roots = [find_root(pattern) for pattern in wanted]
    root = Path(os.path.commonpath(roots))
    root = root.parent if {root} == files else root
    target = Path(os.environ["PIPELINES_ARTIFACTS"], name)
    if os.environ["INPUT_OVERWRITE"] == "true":
        shutil.rmtree(target, ignore_errors=True)
    if target.exists():
        fail(f"Failed to CreateArtifact: (409) Conflict: an artifact with the name {name} exists")
    for file in files:
        inner = file.relative_to(root)
        if set(str(inner)) & {*FORBIDDEN}:
            fail(f"The path for one of the files in artifact is not valid: {inner}")
        (target / inner).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(file, target / inner)
    run = "{GITHUB_SERVER_URL}/{GITHUB_REPOSITORY}/actions/runs/{GITHUB_RUN_ID}".format(
        **os.environ
    )
    with Path(os.environ["GITHUB_OUTPUT"]).open("a") as output:
        output.write(f"artifact-url={run}/artifacts/{name}\n")


main()
