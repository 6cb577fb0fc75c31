#!/usr/bin/env python3
"""Check what keeps workflows right and zizmor does not look at; taste is left to you.

zizmor looks at pins, permissions, credentials that a checkout leaves, and text of others in `run:`.
A rule that is broken on purpose is accepted by its key, with the reason, in pyproject.toml:

    [tool.pipelines.accepted]
    "nightly.yml/scan: timeout" = "runs on a machine of ours, as long as it takes"
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

sys.path.insert(0, str(Path(__file__).parents[1]))
from lib.git import Git
from lib.markdown import plain, quote
from lib.project import ProjectError, read_project
from lib.workflow_commands import annotate, summarize

VERDICT = "./.github/actions/verdict"
UNCHECKED = "The workflows could not be checked"
MALFORMED = (AttributeError, LookupError, TypeError, yaml.YAMLError)
"""What reading a file raises that has something else somewhere than GitHub takes there."""


type Findings = Iterator[tuple[str, str]]
"""Rules that are broken: where and which, as accepted; why that matters, and what puts it right."""


def find_files(root: Path) -> list[Path]:
    """Return the workflow files and those of composite actions of a tree."""
    github = root / ".github"
    patterns = ("workflows/*.yml", "workflows/*.yaml", "actions/*/action.y*ml")
    return sorted(path for pattern in patterns for path in github.glob(pattern))


def check_ignored(root: Path) -> Findings:
    """Yield committed files that zizmor and Ruff pass over, because they are ignored."""
    for option in ("--exclude-standard", "--exclude-per-directory=.ignore"):
        listed = Git(root)("ls-files", "-z", "--cached", "--ignored", option, codes=(0, 128))
        for path in filter(None, listed.split("\0")):
            text = "it is committed, and .gitignore or .ignore hides it from zizmor and Ruff"
            yield f"{quote(path)}: ignored", f"{text}. Take it out of Git, or out of that list"


def check_file(path: Path) -> Findings:
    """Yield the rules that a workflow, or a composite action, breaks.

    Raises:
        YAMLError, or another of `MALFORMED`: It is no such file; actionlint says where.
    """
    content: Any = yaml.load(path.read_text(), Loader=yaml.BaseLoader)  # noqa: S506
    if path.parent.name != "workflows":
        yield from check_steps(path.parent.name, content["runs"].get("steps", []))
        return
    jobs = content["jobs"]
    for job_id, job in jobs.items():
        place, steps = f"{path.name}/{job_id}", job.get("steps", [])
        yield from check_job(place, job, job.get("permissions", content.get("permissions")))
        yield from check_steps(place, steps)
        if any(judges(step) for step in steps):
            yield from check_verdict(place, job, [other for other in jobs if other != job_id])
            yield from check_triggers(path.name, content["on"])


def judges(step: dict[str, Any]) -> bool:
    """Say whether a step judges the other jobs of its workflow."""
    return step.get("uses") == VERDICT and "toJSON(needs)" in str(step.get("with"))


def check_job(place: str, job: dict[str, Any], granted: object) -> Findings:
    """Yield what is wrong with a job's time limit, or that it may not read what it checks out."""
    if "uses" not in job and "timeout-minutes" not in job:
        text = "a job that hangs is paid for six hours. Add `timeout-minutes: 10`, say"
        yield f"{place}: timeout", text
    uses = [step.get("uses", "") for step in job.get("steps", [])]
    needs_code = any(action.startswith(("actions/checkout@", "./")) for action in uses)
    if needs_code and isinstance(granted, dict) and granted.get("contents", "none") == "none":
        text = (
            "it checks the code out but may not read it, which fails in a private repository "
            "with 'repository not found'. Add `contents: read` to its permissions"
        )
        yield f"{place}: contents", text


def check_steps(place: str, steps: Sequence[dict[str, Any]]) -> Findings:
    """Yield images whose tag can be moved, which zizmor lets pass."""
    for action in (str(step.get("uses", "")) for step in steps):
        if action.startswith("docker://") and "@sha256:" not in action:
            text = f"{action}: a tag can be moved. Name the image by its digest, `@sha256:…`"
            yield f"{place}: pin of an image", text


def check_verdict(place: str, job: dict[str, Any], others: Sequence[str]) -> Findings:
    """Yield what lets a job that judges the others miss one of them."""
    needs = job.get("needs") or []
    needed = [needs] if isinstance(needs, str) else needs
    missing = [name for name in others if name not in needed]
    if missing:
        names = ", ".join(missing)
        text = f"it does not wait for {names}, so that a failure there is not seen. Add to `needs:`"
        yield f"{place}: verdict", f"{text}: {names}"
    if "always()" not in str(job.get("if", "")):
        text = "a skipped job counts as success, and this one is skipped when another fails"
        yield f"{place}: verdict runs always", f"{text}. Add `if: always()`"


def check_triggers(name: str, on: object) -> Findings:
    """Yield path filters of a workflow whose verdict can be a required check."""
    for event, filters in on.items() if isinstance(on, dict) else []:
        if event.startswith("pull_request") and {"paths", "paths-ignore"} & {*filters}:
            text = (
                f"with a path filter on {event} a pull request that touches other paths waits "
                "for ever for the required check. Decide inside a job what to skip"
            )
            yield f"{name}: paths", text


def main(arguments: Sequence[str] | None = None) -> int:
    """Check a tree; return 1 if a rule is broken that is not accepted."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("root", nargs="?", type=Path, default=Path.cwd(), help="the tree (.)")
    root: Path = parser.parse_args(arguments).root
    try:
        accepted = read_project(root).accepted
        files = find_files(root)
        findings = {key: text for path in files for key, text in check_file(path)}
        findings |= check_ignored(root)
    except ProjectError as error:
        annotate("error", UNCHECKED, str(error))
        return 1
    except MALFORMED as error:
        text = f"A file is not what GitHub takes, actionlint says where: {error!r}"
        annotate("error", UNCHECKED, text)
        return 1
    broken = [key for key in findings if key not in accepted]
    for key in broken:
        keep = f'To keep it anyway, add to [tool.pipelines.accepted]: "{key}" = "why"'
        annotate("error", key, f"{findings[key]}. {keep}")
    for key in (key for key in accepted if key not in findings):
        annotate("warning", "Nothing to accept", f'"{key}" in [tool.pipelines.accepted] can go.')
    kept = [f"- {plain(key)}: {plain(accepted[key])}\n" for key in findings if key in accepted]
    if kept:
        summarize(f"Rules of the workflows that are broken on purpose:\n\n{''.join(kept)}")
    print(f"{len(files)} files, {len(broken)} rules broken, {len(kept)} accepted.")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
