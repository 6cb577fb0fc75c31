#!/usr/bin/env python3
"""Make the GitHub release of a tag: a draft first, its files next, published last.

Run again after a failure it goes on where it stopped. What is published is compared and never
changed: a stable release may be immutable, and people may have its files already. Reads GH_TOKEN
and GITHUB_REPOSITORY.
"""

import argparse
import hashlib
import os
import re
import sys
from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote

sys.path.insert(0, str(Path(__file__).parents[1]))
from lib.github import GitHubError, ask, download, find, list_all
from lib.workflow_commands import annotate, refuse, summarize
from release.release_notes import shorten
from release.release_version import Refusal, Version, parse

MARK = re.compile(r"<!-- release of [0-9a-f]{40}, ([0-9a-f]{64}) -->\s*$")
"""What stands at the end of notes that nobody edited: the commit, and the digest of the text."""
SUMS = "SHA256SUMS"
SIGNATURE = ".sigstore.json"
"""How the name of a file ends that attests the others."""

Release = dict[str, Any]


def sign(notes: str, commit: str) -> str:
    """Return notes with a mark: the commit, and what tells whether somebody edited them since."""
    text = shorten(notes).rstrip()
    digest = hashlib.sha256(text.encode()).hexdigest()
    return f"{text}\n\n<!-- release of {commit}, {digest} -->\n"


def is_ours(body: str | None) -> bool:
    """Say whether this pipeline wrote notes as they stand: then they may be replaced."""
    text = (body or "").replace("\r\n", "\n")
    mark = MARK.search(text)
    if mark is None:
        return not text.strip()
    return hashlib.sha256(text[: mark.start()].rstrip().encode()).hexdigest() == mark[1]


def prepare_draft(
    version: Version, commit: str, notes: str, draft: Release | None, *, is_tagged: bool
) -> Release:
    """Return the draft of a version, made or brought to what it must be.

    A title and notes that people wrote stay. The commit is named only where GitHub has to make the
    tag: it refuses a commit with other workflows than the default branch's, needed or not.
    """
    wanted: dict[str, Any] = {"draft": True, "prerelease": not version.stable}
    if not is_tagged:
        wanted["target_commitish"] = commit
    if draft is None or not draft.get("name"):
        wanted["name"] = str(version)
    if draft is None or is_ours(draft["body"]):
        wanted["body"] = sign(notes, commit)
    if draft is None:
        created: Release = ask("POST", "releases", {"tag_name": str(version), **wanted})
        return created
    changed: Release = ask("PATCH", f"releases/{draft['id']}", wanted)
    return changed


def attach(release: Release, files: Sequence[Path], commit: str) -> None:
    """Attach the files that a release lacks; in a draft also replace those with other bytes.

    The label of the checksums names the commit, whatever people write into the notes.

    Raises:
        Refusal: A published release has other bytes.
        GitHubError: It lacks a file, and is immutable.
    """
    assets = {asset["name"]: asset for asset in release["assets"]}
    for file in files:
        asset = assets.get(file.name)
        if asset and asset["state"] == "uploaded" and digest_of(asset) == digest(file):
            continue
        if asset and not release["draft"] and file.name.endswith(SIGNATURE):
            continue  # another signature of the same files is as good
        if asset and not release["draft"]:
            raise Refusal(
                f"{file.name} is published with other bytes ({digest_of(asset)}) than this run "
                f"built ({digest(file)}). A published version never changes: release the next one."
            )
        if asset:
            ask("DELETE", f"releases/assets/{asset['id']}")
        address = re.sub(r"\{.*", "", release["upload_url"])
        label = f"&label={quote(f'{file.name} of {commit}')}" if file.name == SUMS else ""
        ask("POST", f"{address}?name={quote(file.name)}{label}", file=file)


def finish(version: Version, commit: str, release: Release, others: Sequence[Release]) -> None:
    """Publish a stable release; leave a pre-release a draft and make sure that its tag exists."""
    if version.stable:
        published = (
            Version.parse(other["tag_name"])
            for other in others
            if not other["draft"] and not other["prerelease"]
        )
        # GitHub decides, for another release may be published at this moment; but never back
        latest = all(other < version for other in published if other and other.stable)
        content = {"draft": False, "make_latest": "legacy" if latest else "false"}
        ask("PATCH", f"releases/{release['id']}", content)
    elif not has_tag(version):
        ask("POST", "git/refs", {"ref": f"refs/tags/{version}", "sha": commit})


def has_tag(version: Version) -> bool:
    """Say whether GitHub has the tag."""
    return find(f"git/ref/tags/{version}") is not None


def explain(error: GitHubError, version: str, commit: str) -> str:
    """Return what GitHub said, and what to do about it, as sentences."""
    push = f"git tag {version} {commit[:12]} && git push origin {version}"
    reason = error.reason.lower()
    if "cannot create ref" in reason or "rule violations" in reason:
        advice = f"A ruleset lets no pipeline make this tag. Push it as somebody who may: {push}"
    elif "immutable" in reason:
        advice = (
            "It was published without this pipeline, and never changes: release the next version, "
            "and leave it to this pipeline to publish it."
        )
    elif error.status == HTTPStatus.FORBIDDEN and "limit of requests" not in reason:
        advice = (
            "Either the job lacks the permission contents: write, or the default branch has other "
            "workflows by now than the commit: then GitHub lets no pipeline make the tag. Push it "
            f"by hand, which starts this pipeline again: {push}"
        )
    else:
        advice = (
            "If that does not pass by itself, correct what is named there. Then run this job "
            "again: it goes on where it stopped."
        )
    return f"{error}. {advice}"


def digest_of(asset: dict[str, Any]) -> str:
    """Return the digest of an asset; some servers have to be asked for its content."""
    known: str | None = asset.get("digest")
    content = b"" if known else download(f"releases/assets/{asset['id']}")
    return known or f"sha256:{hashlib.sha256(content).hexdigest()}"


def digest(file: Path) -> str:
    """Return the digest of a file as GitHub writes it."""
    return f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}"


def release_files(version: Version, commit: str, notes: str, files: Sequence[Path]) -> str:
    """Release files under a version; return what was done.

    Raises:
        Refusal: GitHub has something else under the same name.
        GitHubError: GitHub refused, or did not answer.
    """
    own: list[Release] = []
    others: list[Release] = []
    for release in list_all("releases"):
        (own if release["tag_name"] == str(version) else others).append(release)
    published = next((release for release in own if not release["draft"]), None)
    if published:
        attach(published, files, commit)
        return "was published before, with these files"
    is_tagged = has_tag(version)
    existing = min(own, key=lambda draft: is_ours(draft["body"]), default=None)
    names = {asset["name"] for asset in existing["assets"]} if existing else set()
    if foreign := names - {file.name for file in files}:
        raise Refusal(
            f"The draft of {version} has {', '.join(sorted(foreign))}, which this run did not "
            "build, and would publish it. Take it out of the draft, and run this job again."
        )
    draft = prepare_draft(version, commit, notes, existing, is_tagged=is_tagged)
    attach(draft, files, commit)
    finish(version, commit, draft, others)
    if not is_tagged:
        annotate(
            "notice",
            f"{version} is a new tag",
            "GitHub starts no pipeline for a tag that a pipeline made. What such a tag starts, "
            f"start by hand: gh workflow run FILE --ref {version}; cd.yml takes -f environment="
            f"{'production' if version.stable else 'staging'} too",
        )
    return "is published" if version.stable else "is a draft: publish it when people may see it"


def main(arguments: Sequence[str] | None = None) -> int:
    """Release what the command line names; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tag", required=True)
    parser.add_argument("--commit", required=True)
    parser.add_argument("--notes", required=True, type=Path, help="file with the release notes")
    parser.add_argument("files", nargs="+", type=Path)
    options = parser.parse_args(arguments)
    try:
        version = parse(options.tag)
        notes = options.notes.read_text(encoding="utf-8")
        done = release_files(version, options.commit, notes, options.files)
    except (GitHubError, Refusal) as error:
        text = str(error)
        if isinstance(error, GitHubError):
            text = explain(error, options.tag, options.commit)
        refuse("The release is not complete", text)
        return 1
    lines = [f"### ✅ {version} {done}\n", "| File | SHA-256 |", "| --- | --- |"]
    lines += [f"| {file.name} | `{digest(file)[7:]}` |" for file in options.files]
    summarize("\n".join(lines))
    address = f"{os.environ.get('GITHUB_SERVER_URL')}/{os.environ['GITHUB_REPOSITORY']}/releases"
    print(f"{version} {done}: {address}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
