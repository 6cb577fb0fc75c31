#!/usr/bin/env python3
"""Decide what a change touches, so that a pull request pays only for what it can break.

Sets one output for each area: `true` or `false`. Whatever cannot be decided is `true`: no pull
request, no base, a shallow clone, an error, a file that no list names.
"""

import argparse
import os
import re
import sys
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path, PurePosixPath

sys.path.insert(0, str(Path(__file__).parents[1]))
from lib.git import Git, GitError
from lib.markdown import plain, table
from lib.project import ProjectError, read_project
from lib.triggers import translate
from lib.workflow_commands import annotate, set_outputs, summarize

DOCUMENTS = (
    *("*.md", "docs/**", "LICENSE", ".github/*.md"),
    *(".github/ISSUE_TEMPLATE/**", ".github/CODEOWNERS"),
)
"""What no job but the linters reads. A text beside code may be read by it, and is code."""
PROJECT = ("pyproject.toml", "uv.lock", ".python-version")
IMAGE = ("Dockerfile", ".dockerignore", "docker-compose.yml", ".github/scripts/image/**")
SCRIPTS = ".github/scripts"
WORKFLOWS = ".github/workflows"
SHARED = (
    *PROJECT,
    *(".github/actions/**", f"{SCRIPTS}/checks/**", f"{SCRIPTS}/lib/**"),
    f"{SCRIPTS}/repository/capabilities.py",
)
"""What the jobs of every area are made of."""
AREAS = {
    "app": ("src/**", "tests/**", f"{WORKFLOWS}/pr.yml", *SHARED),
    "codeql": (f"{WORKFLOWS}/**", ".github/codeql/**", f"{SCRIPTS}/codeql/**", *SHARED),
    "dependencies": (
        *(".github/dependency-review-config.yml", ".github/accepted-advisories.toml"),
        *(f"{SCRIPTS}/audit/**", f"{WORKFLOWS}/dependency-review.yml", *SHARED),
    ),
    "image": (
        *("src/**", "tests/*", "tests/smoke/**", *IMAGE, f"{WORKFLOWS}/docker.yml"),
        *(f"{SCRIPTS}/codeql/**", *SHARED),
    ),
    "machinery": (".github/**", "deploy/**", *IMAGE, *PROJECT),
    "performance": (
        *("src/**", "tests/*", "tests/benchmarks/**", "tests/memory/**", "locustfile.py"),
        *("k6-script.js", f"{SCRIPTS}/performance/**", f"{WORKFLOWS}/performance.yml", *SHARED),
    ),
}
"""Which files an area depends on. A file of none of them, and no document, touches everything.

Besides, whatever is Python is looked at by CodeQL.
"""


def touches(files: Iterable[str], code: str = "src") -> set[str]:
    """Return the areas that changed files touch.

    Args:
        files: Paths relative to the root, with slashes.
        code: Folder of the app's code.
    """
    areas: set[str] = set()
    for name in files:
        path = PurePosixPath(name)
        if path.parts[:1] == PurePosixPath(code).parts[:1]:
            path = PurePosixPath("src", *path.parts[1:])
        if path.suffix == ".py":
            areas.add("codeql")
        text = str(path)
        if not compile_patterns(DOCUMENTS).fullmatch(text):
            found = {
                area
                for area, patterns in AREAS.items()
                if compile_patterns(patterns).fullmatch(text)
            }
            areas |= found or AREAS.keys()
    return areas


@cache
def compile_patterns(patterns: tuple[str, ...]) -> re.Pattern[str]:
    """Return what a whole path matches that one of the patterns means."""
    return re.compile("|".join(map(translate, patterns)), re.DOTALL)


def decide(base: str) -> tuple[set[str], str]:
    """Return the areas to look at, and why."""
    if not base:
        return {*AREAS}, "this is no pull request"
    try:
        files = Git().list_changed(base)
        code = read_project(Path.cwd()).code
    except (GitError, OSError, ProjectError) as error:
        annotate("warning", "What changed is not known", f"Everything is run. {error}")
        return {*AREAS}, "what changed is not known"
    return touches(files, code), f"{len(files)} files differ from {base}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Set the outputs of the step; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    text = "commit to compare with (BASE); empty means everything"
    parser.add_argument("--base", default=os.environ.get("BASE", ""), help=text)
    areas, reason = decide(parser.parse_args(arguments).base)
    set_outputs({area: str(area in areas).lower() for area in AREAS})
    rows = [[area, "looked at" if area in areas else "not touched"] for area in AREAS]
    summarize(f"### What this change touches\n\n{table(['area', plain(reason)], rows)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
