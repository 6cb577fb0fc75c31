#!/usr/bin/env python3
"""Decide whether a tag may become a release, and what kind of release it is.

The tag is hostile text until it has passed the grammar. It is taken from the environment, so that
it never meets a shell.
"""

import argparse
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

sys.path.insert(0, str(Path(__file__).parents[1]))
from lib.github import GitHubError, find
from lib.markdown import quote
from lib.workflow_commands import annotate, set_outputs, summarize

NUMBER = r"(0|[1-9][0-9]{0,8})"
GRAMMAR = re.compile(rf"v{NUMBER}\.{NUMBER}\.{NUMBER}(?:-(alpha|beta|rc)\.{NUMBER})?")
LOOSE = re.compile(
    r"(?P<major>[0-9]{1,9})\.(?P<minor>[0-9]{1,9})(?:\.(?P<patch>[0-9]{1,9}))?"
    r"(?:[-._]?(?P<stage>alpha|beta|rc|a|b|c|pre)[-._]?(?P<number>[0-9]{1,9})?)?"
)
STAGES = {"alpha": "a", "beta": "b", "rc": "rc", "": ""}
"""The stages in their order, with what PEP 440 calls them."""
MAINTENANCE = re.compile(rf"release/{NUMBER}\.{NUMBER}")


class Refusal(Exception):  # noqa: N818
    """The tag must not be released; the text says why and what to do."""


@dataclass(frozen=True)
class Version:
    """A version as its tag writes it, `v1.2.3` or `v1.2.3-beta.1`."""

    major: int
    minor: int
    patch: int
    stage: str = ""
    number: int = 0

    @classmethod
    def parse(cls, tag: str) -> Self | None:
        """Return the version that a tag writes; None if the tag breaks the grammar."""
        match = GRAMMAR.fullmatch(tag)
        if not match:
            return None
        major, minor, patch, stage, number = match.groups()
        return cls(int(major), int(minor), int(patch), stage or "", int(number or 0))

    def __str__(self) -> str:
        """Return the tag."""
        stage = f"-{self.stage}.{self.number}" if self.stage else ""
        return f"v{self.major}.{self.minor}.{self.patch}{stage}"

    @property
    def pep440(self) -> str:
        """The version as Python packages write it."""
        stage = f"{STAGES[self.stage]}{self.number}" if self.stage else ""
        return f"{self.major}.{self.minor}.{self.patch}{stage}"

    @property
    def stable(self) -> bool:
        """Whether this is no pre-release."""
        return not self.stage

    @property
    def target(self) -> tuple[int, int, int]:
        """The stable version that this is, or leads to."""
        return self.major, self.minor, self.patch

    @property
    def line(self) -> tuple[int, int]:
        """The maintenance line."""
        return self.major, self.minor

    @property
    def rank(self) -> tuple[int, int, int, int, int]:
        """What versions are ordered by."""
        return *self.target, list(STAGES).index(self.stage), self.number


@dataclass(frozen=True)
class Release:
    """What was decided."""

    version: Version
    commit: str
    since: str
    tagged: bool


def correct(tag: str) -> str:
    """Return the nearest tag that is right; an example if there is nothing to start from."""
    match = LOOSE.search(tag[:100].lower())
    if not match:
        return "v1.2.3"
    stages = {"a": "alpha", "b": "beta", "c": "rc", "pre": "rc"}
    stage = match["stage"] or ""
    major, minor, patch, number = (
        int(match[key] or default)
        for key, default in {"major": 0, "minor": 0, "patch": 0, "number": 1}.items()
    )
    return str(Version(major, minor, patch, stages.get(stage, stage), number))


def parse(tag: str) -> Version:
    """Return the version that a tag writes.

    Raises:
        Refusal: The tag breaks the grammar.
    """
    version = Version.parse(tag)
    if version is None:
        raise Refusal(
            f"{quote(tag, 100) or 'An empty tag'} is not a version. The form is "
            "vMAJOR.MINOR.PATCH, for a pre-release with -alpha.N, -beta.N or -rc.N, in numbers "
            "without leading zeros. "
            f"For example: {correct(tag)}"
        )
    return version


def git(*arguments: str) -> list[str]:
    """Return the lines that `git ARGUMENTS` prints."""
    return subprocess.run(
        ["git", *arguments], check=True, text=True, capture_output=True
    ).stdout.splitlines()


def read_tags(*options: str) -> dict[Version, str]:
    """Return the versions that have a tag, with their commits; other tags are left out."""
    tags = git("tag", *options, "--format=%(refname:strip=2) %(objectname) %(*objectname)")
    found = (line.split() for line in tags)
    return {version: rest[-1] for tag, *rest in found if (version := Version.parse(tag))}


def find_branches(commit: str) -> list[str]:
    """Return the names of the branches on GitHub that a commit is on."""
    names = git("branch", "--remotes", "--contains", commit, "--format=%(refname:strip=3)")
    return [name for name in names if name != "HEAD"]


def decide(tag: str, commit: str, default_branch: str, *, manual_ref: str = "") -> Release:
    """Decide what the release of a tag is.

    Args:
        tag: The tag, in any state.
        commit: The commit that the run is about.
        default_branch: Name of the repository's default branch.
        manual_ref: The ref on which the run was started by hand; empty if the tag was pushed.

    Raises:
        Refusal: It must not be released.
    """
    version = parse(tag)
    tags = read_tags()
    tagged = tags.pop(version, "")
    _check_commit(version, commit, tagged, default_branch, manual_ref)
    _check_order(version, commit, default_branch, tags)
    earlier = [other for other in read_tags("--merged", commit) if other.rank < version.rank]
    since = _highest(other for other in earlier if other.stable or not version.stable)
    return Release(version, commit, str(since or ""), bool(tagged))


def check_published(release: Release) -> None:
    """Ask GitHub whether the version was released from another commit already.

    Raises:
        Refusal: It was.
        GitHubError: GitHub could not be asked.
    """
    published = find(f"releases/tags/{release.version}")
    if published is None:
        return
    target = published["target_commitish"]
    if re.fullmatch("[0-9a-f]{40}", target) and target != release.commit:
        raise Refusal(
            f"{release.version} was already released from {target[:7]}, and the tag is now on "
            f"{release.commit[:7]}. A published version never changes. Put the tag back, and "
            f"release the next version, for example: {_next(release.version)}"
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Decide about what the environment names; return the exit code."""
    argparse.ArgumentParser(
        description=__doc__.partition("\n")[0],
        epilog="Reads TAG, DEFAULT_BRANCH, GITHUB_EVENT_NAME, GITHUB_REF, GITHUB_REPOSITORY "
        "and GITHUB_SHA; sets the outputs tag, version, since and prerelease.",
    ).parse_args(arguments)
    tag = os.environ["TAG"]
    manual = os.environ["GITHUB_EVENT_NAME"] == "workflow_dispatch"
    try:
        release = decide(
            tag,
            os.environ["GITHUB_SHA"],
            os.environ["DEFAULT_BRANCH"],
            manual_ref=os.environ["GITHUB_REF"] if manual else "",
        )
        check_published(release)
    except Refusal as refusal:
        annotate("error", "Refused", str(refusal))
        quoted = quote(str(refusal), 1000).replace("`", "'")
        summarize(f"### ❌ Nothing is released\n\n```text\n{quoted}\n```")
        return 1
    except GitHubError as error:
        annotate("error", "GitHub could not be asked", str(error))
        return 1
    version = release.version
    kind = "stable" if version.stable else f"pre-release ({version.stage})"
    set_outputs(
        {
            "tag": str(version),
            "version": version.pep440,
            "since": release.since,
            "prerelease": str(not version.stable).lower(),
        }
    )
    summarize(
        f"### ✅ {version}\n\n| | |\n| --- | --- |\n| Kind | {kind} |\n"
        f"| Python version | {version.pep440} |\n| Commit | {release.commit} |\n"
        f"| Changes since | {release.since or 'the beginning'} |\n"
        f"| Tag | {'exists' if release.tagged else 'made when all is well'} |"
    )
    print(f"{version} is a {kind} release of {release.commit}.")
    return 0


def _check_commit(
    version: Version, commit: str, tagged: str, default_branch: str, manual_ref: str
) -> None:
    """Refuse a commit that is not the tag's, or lies on no branch that makes such releases."""
    if tagged and tagged != commit:
        raise Refusal(
            f"{version} is a tag of {tagged[:7]}, and this run is about {commit[:7]}. "
            + (
                "To release that commit, start the run on the tag. To release this one, take a "
                f"new version, for example: {_next(version)}"
                if manual_ref
                else "The tag has moved since it was pushed; the run for its new place decides."
            )
        )
    if not tagged and not manual_ref:
        raise Refusal(
            f"There is no tag {version} any more. Push it again: git push origin {version}"
        )
    if not tagged and manual_ref != f"refs/heads/{default_branch}":
        raise Refusal(
            f"A new version is released by hand from {default_branch} only, not from "
            f"{quote(manual_ref)}. Start the run on {default_branch}, or push the tag: "
            f"git tag {version} {commit[:7]} && git push origin {version}"
        )


def _check_order(
    version: Version, commit: str, default_branch: str, tags: dict[Version, str]
) -> None:
    """Refuse a version that does not continue the line of a branch that the commit is on."""
    maintenance = f"release/{version.major}.{version.minor}"
    branches = find_branches(commit)
    own = [other for other in tags if other.line == version.line]
    rivals: list[list[Version]] = []
    if maintenance in branches:
        rivals.append(own)
    if default_branch in branches:
        merged = read_tags("--merged", f"refs/remotes/origin/{default_branch}")
        rivals.append([*own, *(other for other in merged if other != version)])
    if not rivals:
        others = ", ".join(name for name in branches if MAINTENANCE.fullmatch(name))
        raise Refusal(
            f"{commit[:7]} is neither on {default_branch} nor on {maintenance}"
            + (f", but on {others}, which is another line" if others else "")
            + f". Merge it into {default_branch}, or for a fix of an older version into "
            f"{maintenance}, and tag the merged commit: git tag --force {version} <commit>"
        )
    newest = [_highest(_binding(version, line)) for line in rivals]
    if all(other and other.rank > version.rank for other in newest):
        other = next(other for other in newest if other)
        raise Refusal(
            f"{version} is lower than {other}, which has a tag already. "
            f"Take the next version, for example: {_next(other)}"
        )


def _binding(version: Version, line: Iterable[Version]) -> Iterable[Version]:
    """Keep what a version must be higher than: stable versions, and pre-releases of its own."""
    return (other for other in line if other.stable or other.target == version.target)


def _highest(versions: Iterable[Version]) -> Version | None:
    return max(versions, key=lambda version: version.rank, default=None)


def _next(version: Version) -> Version:
    if version.stable:
        return Version(version.major, version.minor, version.patch + 1)
    return Version(*version.target, version.stage, version.number + 1)


if __name__ == "__main__":
    sys.exit(main())
