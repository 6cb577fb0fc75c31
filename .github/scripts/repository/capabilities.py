#!/usr/bin/env python3
"""Find out what the repository and the token of this run can do, and say what is off.

It asks GitHub with a token that may only read. What it may not look at counts as off. Each answer
is an output of the step, `true` or `false`; what is off is told as a notice and in the summary.
"""

import argparse
import json
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

sys.path.insert(0, str(Path(__file__).parents[1]))
from lib.github import GitHubError, ask, find, list_all
from lib.markdown import plain, table
from lib.workflow_commands import annotate, set_outputs, summarize


class Off(NamedTuple):
    """What is off, why that matters, and what switches it on."""

    what: str
    why: str
    how: str


READ_ONLY = Off(
    "This run's token may only read, as always for forks",
    "the job summary has the same content",
    "nothing has to be done",
)


def find_approval() -> Off | None:
    """Say whether somebody has to approve deployments to the environment of this job."""
    name = os.environ.get("DEPLOY_ENVIRONMENT", "")
    try:
        rules = ask("GET", f"environments/{name}").get("protection_rules", [])
        reason = "no required reviewers"
    except GitHubError as error:
        rules, reason = [], error.reason
    if any(rule["type"] == "required_reviewers" for rule in rules):
        return None
    return Off(
        f"Nobody has to approve deployments to {name} ({reason})",
        "whoever may push a tag may deploy; a deployment to a real target is refused, unless the "
        "variable DEPLOY_UNAPPROVED is true",
        "uv run poe setup-github --apply --reviewer LOGIN. In a private repository reviewers need "
        "GitHub Enterprise",
    )


def find_attestations() -> Off | None:
    """Say whether GitHub keeps attestations for this repository, by what the event tells of it."""
    if _is_read_only():
        return READ_ONLY
    event = json.loads(Path(os.environ["GITHUB_EVENT_PATH"]).read_text(encoding="utf-8"))
    host = urlsplit(os.environ.get("GITHUB_SERVER_URL", "")).hostname or ""
    own_server = host != "github.com" and not host.endswith(".ghe.com")
    if own_server or (event["repository"]["private"] and "enterprise" not in event):
        return Off(
            "Attestations are off: those of a private repository need GitHub Enterprise Cloud",
            "people cannot verify which commit the files or the image come from",
            "make the repository public, or move it to an organization with that plan",
        )
    return None


def find_dependency_review() -> Off | None:
    """Say whether GitHub can compare the dependencies of two commits."""
    base, head = os.environ.get("BASE_SHA", ""), os.environ.get("HEAD_SHA", "")
    try:
        ask("GET", f"dependency-graph/compare/{base}...{head}")
    except GitHubError as error:
        return Off(
            f"GitHub's dependency review is off ({error.reason})",
            "nothing but the lock file's own comparison and the scans looks at new dependencies",
            "Settings → Advanced Security → Dependency graph → Enable. A private repository also "
            "needs GitHub Code Security",
        )
    return None


def find_deployment() -> Off | None:
    """Say whether the environment of this job names a target to deploy to."""
    if os.environ.get("DEPLOY_TARGET", "rehearsal") not in {"", "rehearsal"}:
        return None
    name = os.environ.get("DEPLOY_ENVIRONMENT", "")
    return Off(
        f"The environment {name} has no target (variable DEPLOY_TARGET)",
        "the image is deployed to the runner, checked, and gone when the job ends",
        f"gh variable set DEPLOY_TARGET --env {name} --body compose, or kubernetes; what they need "
        "is in docs/deployment.md",
    )


def find_newest() -> Off | None:
    """Say whether no newer push to the ref of this run has a run of this workflow.

    Two runs may end in any order, and be repeated: what means the branch, or gets the
    highest version, must not go back. Of a push that started no run, such as one that skips them,
    and where GitHub does not answer, nothing newer is known.
    """
    kind, _, name = os.environ.get("GITHUB_REF", "").removeprefix("refs/").partition("/")
    try:
        newer = _find_higher(name) if kind == "tags" else _find_tip(name)
    except GitHubError as error:
        annotate("warning", "Whether there is a newer commit is not known", f"{error}")
        return None
    if not newer:
        return None
    command = f"gh workflow run cd.yml --ref {name} -f environment=production"
    by_hand = command if kind == "tags" else "start CD by hand"
    return Off(
        newer,
        "this run leaves the environment, and the tags of a branch, as they are",
        f"nothing has to be done; to deploy this commit all the same: {by_hand}",
    )


def _find_tip(branch: str) -> str:
    """Say that a branch has a newer commit, if that has a run of this workflow."""
    tip = (find(f"git/ref/heads/{quote(branch)}") or {}).get("object", {}).get("sha")
    if tip in {None, os.environ.get("GITHUB_SHA")} or not _list_pushes(tip):
        return ""
    return f"{branch} has a newer commit, {tip[:12]}, whose own run deploys it and moves the tags"


def _find_higher(tag: str) -> str:
    """Say that there is a higher stable version, if its run of this workflow did not fail."""
    own = _rank(tag)
    tags = {one["name"]: one["commit"]["sha"] for one in list_all("tags")} if own else {}
    for other in sorted((name for name in tags if _rank(name) > own), key=_rank, reverse=True):
        for run in _list_pushes(tags[other]):
            # what it is, a version or not, was decided there
            if run["head_branch"] == other and run["conclusion"] in {None, "success"}:
                return f"{other} is higher than {tag}, and its own run deploys it"
    return ""


def _rank(tag: str) -> list[int]:
    """Return what stable versions are sorted by; nothing for another tag."""
    match = re.fullmatch(r"v(\d+)\.(\d+)\.(\d+)", tag)
    return [int(number) for number in match.groups()] if match else []


def _list_pushes(commit: str) -> list[Any]:
    """Return the runs of this workflow that pushes of a commit have started."""
    workflow = os.environ["GITHUB_WORKFLOW_REF"].partition("@")[0].rpartition("/")[2]
    return list_all(
        f"actions/workflows/{workflow}/runs?event=push&head_sha={commit}", "workflow_runs"
    )


def find_code_scanning() -> Off | None:
    """Say whether GitHub takes the results of tools in this run.

    Where CodeQL's default setup is on, it takes none of CodeQL; its answer to the upload says so.
    """
    if _is_read_only():
        return READ_ONLY
    try:
        find("code-scanning/analyses?per_page=1")  # nothing: it is on, and nothing was analysed yet
    except GitHubError as error:
        return Off(
            f"Code scanning is off ({error.reason})",
            "findings are in the job summary and in an artifact, not under Security, and nobody "
            "can dismiss them there",
            "in a private repository it needs GitHub Code Security: Settings → Advanced Security "
            "→ Code Security → Enable",
        )
    return None


QUESTIONS: dict[str, Callable[[], Off | None]] = {
    "approval": find_approval,
    "attestations": find_attestations,
    "code-scanning": find_code_scanning,
    "comment": lambda: READ_ONLY if _is_read_only() else None,
    "dependency-review": find_dependency_review,
    "deployment": find_deployment,
    "newest": find_newest,
}
"""What answers each question; None says that it is on."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Ask; return 0 whatever the answers are."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("capability", nargs="+", choices=QUESTIONS)
    options = parser.parse_args(arguments)
    answers = {name: QUESTIONS[name]() for name in options.capability}
    set_outputs({name: str(not reason).lower() for name, reason in answers.items()})
    off = dict.fromkeys(filter(None, answers.values()))
    for answer in off:
        annotate("notice", "Not available here", f"{' — '.join(answer)}.")
    if off:
        rows = [[plain(text, 900) for text in answer] for answer in off]
        head = ("What is off", "What that means", "How to switch it on")
        summarize(f"### 💡 Not available here\n\n{table(head, rows)}")
    return 0


def _is_read_only() -> bool:
    return os.environ.get("READ_ONLY") == "true"


if __name__ == "__main__":
    sys.exit(main())
