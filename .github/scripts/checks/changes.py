#!/usr/bin/env python3
"""Decide what a change touches, so that a pull request pays only for what it can break.

Sets one output for each area: `true` or `false`. Whatever cannot be decided is `true`: no pull
request, no base, a shallow clone, an error, a file that no list names. Says what the change sets of
its own gates, which take their settings from it.
"""

import argparse
import json
import os
import re
import sys
import tomllib
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path, PurePosixPath

sys.path.insert(0, str(Path(__file__).parents[1]))
from lib.git import Git, GitError
from lib.markdown import plain, table
from lib.project import FILE, ProjectError, read_project
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


GATES = (
    *("**/.coveragerc*", "**/.gitattributes", "**/.hadolint.y*ml", "**/.shellcheckrc"),
    *("**/*mypy.ini", "**/*pytest.ini", "**/*pytest.toml", "**/*ruff.toml", "**/setup.cfg"),
    *("**/actionlint.y*ml", "**/shellcheckrc", "**/tox.ini", "**/uv.toml", "**/zizmor.y*ml"),
    *(".github/accepted-advisories.toml", ".github/actions/**", ".github/codeql/**"),
    *(".github/dependency-review-config.yml", f"{SCRIPTS}/**", f"{WORKFLOWS}/**"),
    *(".pre-commit-config.yaml", ".trivyignore", "**/*/pyproject.toml"),
)
"""What decides how gates judge, and what a diff shows, besides tables of pyproject.toml."""


def list_gates(files: Sequence[str], base: str) -> list[str]:
    """Return what a change sets of the gates that judge it: files, and tables of pyproject.toml."""
    named = [name for name in files if compile_patterns(GATES).fullmatch(name)]
    if FILE in files:
        texts = (Git()("show", f"{commit}:{FILE}", codes=(0, 128)) for commit in (base, "HEAD"))
        old, new = (tomllib.loads(text).get("tool", {}) for text in texts)
        changed = (key for key in sorted({*old, *new}) if old.get(key) != new.get(key))
        named += [f"[tool.{key}]" for key in changed]
    return named


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


def decide(base: str) -> tuple[set[str], str, Sequence[str]]:
    """Return the areas to look at, why, and what the change sets of the gates."""
    if not base:
        return {*AREAS}, "this is no pull request", ()
    try:
        files = Git().list_changed(base)
        code = read_project(Path.cwd()).code
        gates = list_gates(files, base)
    except (GitError, OSError, ProjectError, ValueError) as error:
        annotate("warning", "What changed is not known", f"Everything is run. {error}")
        return {*AREAS}, "what changed is not known", ()
    if has_new_base():
        return {*AREAS}, "GitHub may have merged into the base that it had before", gates
    return touches(files, code), f"{len(files)} files differ from {base}", gates


def has_new_base() -> bool:
    """Say whether the event is that a pull request got another base."""
    file = os.environ.get("GITHUB_EVENT_PATH")
    event = json.loads(Path(file).read_text(encoding="utf-8")) if file else {}
    return "base" in event.get("changes", {})


def main(arguments: Sequence[str] | None = None) -> int:
    """Set the outputs of the step; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    text = "commit to compare with (BASE); empty means everything"
    parser.add_argument("--base", default=os.environ.get("BASE", ""), help=text)
    areas, reason, gates = decide(parser.parse_args(arguments).base)
    set_outputs({area: str(area in areas).lower() for area in AREAS})
    rows = [[area, "looked at" if area in areas else "not touched"] for area in AREAS]
    summarize(f"### What this change touches\n\n{table(['area', plain(reason)], rows)}")
    if gates:
        names = "".join(f"- {plain(name)}\n" for name in gates)
        summarize(f"⚠️ It sets itself how it is judged, so look at these closely:\n\n{names}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
