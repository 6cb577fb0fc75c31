"""What pipelines need of this machine, and what of it is here: looked at before anything runs."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from containers import ContainersError, find_engine_version
from engine import find_program
from workflows import find_workflows, needs_containers

PROGRAMS = {
    "curl": "install the package 'curl'",
    "jq": "install the package 'jq'",
}
"""What scripts may call besides what uv.lock brings, and how to get it."""
MENTION = re.compile(r"[\w-]+\.(?:sh|py)\b|(?<=\./\.github/actions/)[\w-]+")
COMMENT = re.compile(r"(?m)(^|\s)#.*$")
DOCKER = "Docker"


@dataclass
class Need:
    """A program, where it is, and the pipelines that need it: all of them if it names none."""

    program: str
    found: str
    fix: str = ""
    pipelines: list[str] = field(default_factory=list)


def find_needs(root: Path, pipelines: Sequence[str]) -> list[Need]:
    """Return what pipelines need of this machine, each program once, in the order of names."""
    files = find_workflows(root)
    needs = {
        "gh": Need("gh", find_program("gh"), "uv sync brings it"),
        "git": Need("git", find_program("git"), "install the package 'git'"),
    }
    if containers := [name for name in pipelines if needs_containers(root, files[name])]:
        needs[DOCKER] = Need(DOCKER, *_find_engine(), containers)
    for name in pipelines:
        for program in _find_programs(root, files[name]):
            need = Need(program, find_program(program), PROGRAMS[program])
            needs.setdefault(program, need).pipelines.append(name)
    return [needs[need] for need in sorted(needs, key=str.lower)]


def _find_engine() -> tuple[str, str]:
    """Return the version of Docker's engine, or nothing and why there is none."""
    try:
        return ".".join(map(str, find_engine_version())), ""
    except ContainersError as error:
        return "", str(error)


def _find_programs(root: Path, workflow: Path) -> set[str]:
    """Return which of `PROGRAMS` the shell code that a workflow leads to calls."""
    text = "".join(COMMENT.sub("", file.read_text()) for file in _reach(root, workflow))
    return {name for name in PROGRAMS if re.search(rf"(?:^|[\s(|;&]){name}\s", text)}


def _reach(root: Path, workflow: Path) -> Iterator[Path]:
    """Yield a workflow and the actions and shell scripts that it leads to, by their names."""
    known = {path.name: path for folder in ("deploy", ".github/scripts")
             for path in (root / folder).rglob("*.sh")}  # fmt: skip
    known |= {path.parent.name: path for path in (root / ".github/actions").glob("*/action.y*ml")}
    seen: set[Path] = set()
    waiting = [workflow]
    while waiting:
        path = waiting.pop()
        if path not in seen:
            seen.add(path)
            yield path
            waiting += [known[name] for name in MENTION.findall(path.read_text()) if name in known]
