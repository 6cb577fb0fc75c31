#!/usr/bin/env python3
"""Decide what a run deploys: which commit, as which version, to which environment.

A push to the default branch goes to staging, a pre-release tag too, a stable tag to production. By
hand somebody names the environment, and may name an earlier version. Names and versions are hostile
text until they have passed the grammar; they come from the environment and never meet a shell.
"""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from lib.git import GitError
from lib.github import GitHubError
from lib.markdown import plain, quote, table
from lib.workflow_commands import annotate, set_outputs, summarize
from release import release_version
from release.release_version import Refusal, parse

ENVIRONMENTS = {
    "staging": "the default branch or a pre-release tag such as v1.2.3-beta.1 goes there",
    "production": "a stable tag such as v1.2.3, or a run by hand, goes there",
}
"""The environments, and what gets something there."""


@dataclass(frozen=True)
class Plan:
    """What is deployed.

    Attributes:
        environment: Where.
        version: What it is called: its tag, or its commit.
        commit: The commit that the image is made of.
        build: Whether the image may be made now; that of an earlier version must be there.
    """

    environment: str
    version: str
    commit: str
    build: bool

    @property
    def elsewhere(self) -> str:
        """Which environments stay as they are, and what would change them."""
        others = (environment for environment in ENVIRONMENTS if environment != self.environment)
        return "; ".join(f"{other}: {ENVIRONMENTS[other]}" for other in others)


def decide(event: Mapping[str, str]) -> Plan:
    """Decide what is deployed.

    Args:
        event: The run's environment: GITHUB_EVENT_NAME, GITHUB_REF, GITHUB_SHA, DEFAULT_BRANCH,
            and of a run by hand ENVIRONMENT and VERSION.

    Raises:
        GitHubError: GitHub could not be asked whether the version was released.
        Refusal: Nothing may be deployed; the text says why and what to do.
    """
    ref, commit, default = event["GITHUB_REF"], event["GITHUB_SHA"], event["DEFAULT_BRANCH"]
    manual = event["GITHUB_EVENT_NAME"] == "workflow_dispatch"
    named = event.get("VERSION", "").strip() if manual else ""
    tag = named or (ref.removeprefix("refs/tags/") if ref.startswith("refs/tags/") else "")
    if not tag:
        environment = event.get("ENVIRONMENT", "") if manual else "staging"
        _check_environment(environment)
        if environment == "production" and ref != f"refs/heads/{default}":
            raise Refusal(
                f"{quote(ref.removeprefix('refs/heads/'))} does not go to production. Merge it "
                f"into {default}, or name a version that is released."
            )
        return Plan(environment, commit[:12], commit, build=True)
    version = parse(tag)
    environment = "production" if version.stable else "staging"
    environment = event.get("ENVIRONMENT", "") if manual else environment
    _check_environment(environment)
    if environment == "production" and not version.stable:
        raise Refusal(f"{version} is a pre-release. Production gets stable versions only.")
    # what Release refuses is not deployed; by hand an earlier version may be meant
    release = release_version.decide(tag, "" if manual else commit, default, manual_ref=ref)
    return Plan(environment, str(version), release.commit, build=release.commit == commit)


def main(arguments: Sequence[str] | None = None) -> int:
    """Decide about what the environment names; return the exit code."""
    argparse.ArgumentParser(
        description=__doc__.partition("\n")[0],
        epilog="Reads DEFAULT_BRANCH, GH_TOKEN, GITHUB_EVENT_NAME, GITHUB_REF, GITHUB_REPOSITORY "
        "and GITHUB_SHA, of a run by hand ENVIRONMENT and VERSION; sets the outputs environment, "
        "version, commit, build and elsewhere.",
    ).parse_args(arguments)
    try:
        plan = decide(os.environ)
    except (GitError, GitHubError, Refusal) as refusal:
        annotate("error", "Refused", str(refusal))
        summarize(f"### ❌ Nothing is deployed\n\n{plain(str(refusal), 1000)}")
        return 1
    set_outputs(
        {
            "environment": plan.environment,
            "version": plan.version,
            "commit": plan.commit,
            "build": str(plan.build).lower(),
            "elsewhere": plan.elsewhere,
        }
    )
    rows = [["Environment", plan.environment], ["Version", plan.version], ["Commit", plan.commit]]
    summarize(f"### 🚀 What is deployed\n\n{table(['', ''], rows)}")
    print(f"{plan.version} of {plan.commit} goes to {plan.environment}.")
    return 0


def _check_environment(name: str) -> None:
    if name not in ENVIRONMENTS:
        raise Refusal(
            f"There is no environment {quote(name)}. There are: {', '.join(ENVIRONMENTS)}."
        )


if __name__ == "__main__":
    sys.exit(main())
