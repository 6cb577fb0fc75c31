#!/usr/bin/env python3
"""Decide whether a tag may become a release, and what kind of release it is.

The tag is hostile text until it has passed the grammar. It is taken from the environment, so that
it never meets a shell.
"""

import argparse
import os
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

sys.path.insert(0, str(Path(__file__).parents[1]))
from lib.git import Git, GitError
from lib.github import GitHubError, find, list_all
from lib.markdown import quote
from lib.workflow_commands import refuse, set_outputs, summarize

GRAMMAR = re.compile(Path(__file__).with_name("tag.regex").read_text(encoding="ascii").strip())
"""What a version is, everywhere: git, the build backend and these scripts read the same file."""
STAGES = {"alpha": "a", "beta": "b", "rc": "rc"}
"""The stages of pre-releases, with what PEP 440 calls them."""
EXAMPLE = "v1.2.3, or v1.2.3-beta.1 for a pre-release"
COMMIT = re.compile(r"(?:SUMS of |^)([0-9a-f]{40})$")
"""How a release names its commit: as its target, or in the label of its checksums."""


class Refusal(Exception):  # noqa: N818
    """The tag must not be released; the text says why and what to do."""


@dataclass(frozen=True, order=True)
class Version:
    """A version as its tag writes it, `v1.2.3` or `v1.2.3-beta.1`.

    Attributes:
        stage: `alpha`, `beta`, `rc` or `stable`: in the order of versions as in the alphabet.
        number: That of the pre-release.
    """

    major: int
    minor: int
    patch: int
    stage: str = "stable"
    number: int = 0

    @classmethod
    def parse(cls, tag: str) -> Self | None:
        """Return the version that a tag writes; None if the tag breaks the grammar."""
        match = GRAMMAR.fullmatch(tag)
        if not match:
            return None
        major, minor, patch, _, stage, number = match.groups()
        return cls(int(major), int(minor), int(patch), stage or "stable", int(number or 0))

    def __str__(self) -> str:
        """Return the tag."""
        stage = "" if self.stable else f"-{self.stage}.{self.number}"
        return f"v{self.major}.{self.minor}.{self.patch}{stage}"

    @property
    def pep440(self) -> str:
        """The version as Python packages write it."""
        stage = "" if self.stable else f"{STAGES[self.stage]}{self.number}"
        return f"{self.major}.{self.minor}.{self.patch}{stage}"

    @property
    def stable(self) -> bool:
        """Whether this is no pre-release."""
        return self.stage == "stable"

    @property
    def target(self) -> tuple[int, int, int]:
        """The stable version that this is, or leads to."""
        return self.major, self.minor, self.patch

    @property
    def line(self) -> tuple[int, int]:
        """The maintenance line."""
        return self.major, self.minor

    @property
    def branch(self) -> str:
        """The maintenance branch of the line."""
        return f"release/{self.major}.{self.minor}"

    @property
    def next(self) -> Self:
        """The version to take if this one is not to be had."""
        if self.stable:
            return replace(self, patch=self.patch + 1)
        return replace(self, number=self.number + 1)


@dataclass(frozen=True)
class Release:
    """What was decided."""

    version: Version
    commit: str
    since: str
    tagged: bool


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
            f"without leading zeros. For example: {EXAMPLE}"
        )
    return version


def read_tags(*options: str) -> dict[Version, str]:
    """Return the versions that have a tag, with their commits; other tags are left out."""
    git = Git()
    found = [
        version for tag in git("tag", *options).splitlines() if (version := Version.parse(tag))
    ]
    # a tag may be one of another tag, as `git tag --annotate v1.2.3 v1.2.3-rc.1` makes it
    commits = git("rev-parse", *(f"refs/tags/{version}^{{commit}}" for version in found))
    return dict(zip(found, commits.split(), strict=True))


def find_branches(commit: str) -> list[str]:
    """Return the names of the branches on GitHub that a commit is on."""
    names = Git()("branch", "--remotes", "--contains", commit, "--format=%(refname:strip=3)")
    return [name for name in names.splitlines() if name != "HEAD"]


def find_since(version: Version, commit: str, default_branch: str) -> Version | None:
    """Return what the notes of a version start from.

    That is the newest lower stable version, an ancestor or not; for a pre-release the newest lower
    one. Passed over is a tag that only a foreign branch has, and a stable one without a release:
    its run failed, and nobody was told what it has. Without any release the tags alone count.

    Raises:
        GitHubError: GitHub could not be asked for the releases.
    """
    released = {other["tag_name"] for other in list_all("releases") if not other["draft"]}
    merged = read_tags("--merged", commit)
    newest = None
    for other, place in sorted(read_tags().items(), reverse=True):
        if other >= version or (version.stable and not other.stable):
            continue
        if newest and str(other) not in released:
            continue  # to find the branches of hundreds of tags takes minutes
        branches = find_branches(place)
        if other in merged or not branches or {default_branch, other.branch} & {*branches}:
            newest = newest or other
            if not newest.stable or str(other) in released:
                return other
    return newest


def find_newest_stable() -> Version | None:
    """Return what is not released yet starts from: the newest stable version of this line."""
    branch = re.fullmatch(r"release/(\d+)\.(\d+)", Git()("branch", "--show-current"))
    line = (int(branch[1]), int(branch[2])) if branch else (sys.maxsize, 0)
    return max((tag for tag in read_tags() if tag.stable and tag.line <= line), default=None)


def decide(tag: str, commit: str, default_branch: str, *, manual_ref: str = "") -> Release:
    """Decide what a tag is: the one decision that Release, CD and Docker follow.

    Args:
        tag: The tag, in any state.
        commit: The commit that the run is about; empty takes that of the tag, which must be there:
            an earlier version is meant, so that higher ones may exist by now.
        default_branch: Name of the repository's default branch.
        manual_ref: The ref on which the run was started by hand; empty if the tag was pushed.

    Raises:
        Refusal: It must not be released, deployed or published.
        GitHubError: GitHub could not be asked whether it was released.
    """
    version = parse(tag)
    tags = read_tags()
    tagged = tags.pop(version, "")
    place = commit or tagged
    if not place:
        newest = sorted(tags, reverse=True)[:5]
        raise Refusal(
            f"There is no tag {version}. The newest are: {', '.join(map(str, newest)) or 'none'}."
        )
    _check_commit(version, place, tagged, default_branch, manual_ref)
    is_published = _check_published(version, place)
    branches = _check_branch(version, place, default_branch)
    if not is_published:
        _check_order(version, default_branch, branches, tags, "" if commit else place)
    since = find_since(version, place, default_branch)
    return Release(version, place, str(since or ""), bool(tagged))


def _check_published(version: Version, commit: str) -> bool:
    """Say whether the version is published; refuse it if that was from another commit."""
    published = find(f"releases/tags/{version}")
    if published is None:
        return False
    told = [published["target_commitish"], *(asset["label"] for asset in published["assets"])]
    targets = [found[1] for text in told if (found := COMMIT.search(text or ""))]
    if targets and (target := targets[-1]) != commit:
        raise Refusal(
            f"{version} was already released from {target[:7]}, and the tag is now on "
            f"{commit[:7]}. A published version never changes. Put the tag back, and "
            f"release the next version, for example: {version.next}"
        )
    return True


def main(arguments: Sequence[str] | None = None) -> int:
    """Decide about what the environment names; return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__.partition("\n")[0],
        epilog="Reads TAG, DEFAULT_BRANCH, GH_TOKEN, GITHUB_EVENT_NAME, GITHUB_REF, "
        "GITHUB_REPOSITORY and GITHUB_SHA; sets the outputs tag, version, since and prerelease.",
    )
    text = "the tag is an earlier version's: higher ones may have come since"
    parser.add_argument("--earlier", action="store_true", help=text)
    options = parser.parse_args(arguments)
    tag = os.environ["TAG"]
    manual = os.environ["GITHUB_EVENT_NAME"] == "workflow_dispatch"
    try:
        release = decide(
            tag,
            "" if options.earlier else os.environ["GITHUB_SHA"],
            os.environ["DEFAULT_BRANCH"],
            manual_ref=os.environ["GITHUB_REF"] if manual else "",
        )
    except Refusal as refusal:
        refuse("Refused", str(refusal))
        return 1
    except (GitError, GitHubError) as error:
        advice = (
            "Run this job again. If that does not help: it needs the permission contents: read."
        )
        refuse("Nothing is known of the tag", f"{error}. {advice}")
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
    """Refuse a commit that is not the tag's, or whose tag this run cannot make."""
    if tagged and tagged != commit:
        raise Refusal(
            f"{version} is a tag of {tagged[:7]}, and this run is about {commit[:7]}. To release "
            f"{tagged[:7]}, start the run on the tag. To release {commit[:7]}, take a new version, "
            f"for example: {version.next}"
        )
    by_hand = f"git tag {version} {commit[:12]} && git push origin {version}"
    if not tagged and manual_ref != f"refs/heads/{default_branch}":
        raise Refusal(
            f"A new version is released by hand from {default_branch} only, not from "
            f"{quote(manual_ref)}. Start the run on {default_branch}, or push the tag: {by_hand}"
        )
    workflows = ("diff", "--name-only", commit, f"refs/remotes/origin/{default_branch}")
    if not tagged and (changed := Git()(*workflows, "--", ".github/workflows")):
        raise Refusal(
            f"{default_branch} has changed {quote(changed.splitlines()[0])} since {commit[:7]}, "
            "and GitHub lets no pipeline make a tag on a commit whose workflows differ from that "
            f"branch's. Start the run again on {default_branch}, or push the tag: {by_hand}"
        )


def _check_branch(version: Version, commit: str, default_branch: str) -> list[str]:
    """Return the branches of a commit; refuse one that is on none that makes such releases."""
    branches = find_branches(commit)
    if {default_branch, version.branch} & {*branches}:
        return branches
    others = ", ".join(name for name in branches if re.fullmatch(r"release/\d+\.\d+", name))
    raise Refusal(
        f"{commit[:7]} is neither on {default_branch} nor on {version.branch}"
        + (f", but on {others}, which is another line" if others else "")
        + ". If the branch is only not pushed yet, push it and run this job again. Else merge the "
        f"commit into {default_branch}, or for a fix of an older version into {version.branch}, "
        f"and tag the merged one, for example: {version.next}"
    )


def _check_order(
    version: Version,
    default_branch: str,
    branches: Sequence[str],
    tags: Iterable[Version],
    earlier: str,
) -> None:
    """Refuse a version that does not continue the line of a branch that its commit is on.

    Of an earlier version only what its own commit contains counts: that was there before it.
    """
    contained = {*read_tags("--merged", earlier)} if earlier else {*tags}
    merged = {*read_tags("--merged", f"refs/remotes/origin/{default_branch}")}
    # what it must be higher than: stable versions, and pre-releases of its own
    binding = {tag for tag in contained & {*tags} if tag.stable or tag.target == version.target}
    own = {tag for tag in binding if tag.line == version.line}
    rivals = [own] if version.branch in branches else []
    rivals += [own | (binding & merged)] if default_branch in branches else []
    newest = [max(line, default=version) for line in rivals]
    if all(other > version for other in newest):
        raise Refusal(
            f"{version} is lower than {newest[0]}, which has a tag already. "
            f"Take the next version, for example: {newest[0].next}"
        )


if __name__ == "__main__":
    sys.exit(main())
