"""The part of the fake GitHub that knows releases, their assets, and tags."""

import hashlib
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fakes.parts import Answer, Part, Request, not_found, refuse

if TYPE_CHECKING:
    from origin import Git

LONGEST_BODY = 125_000
"""Characters that GitHub allows in the notes of a release."""

FIELDS = {
    "body", "draft", "make_latest", "name", "prerelease", "tag_name", "target_commitish",
}  # fmt: skip


@dataclass
class Asset:
    """A file of a release."""

    id: int
    name: str
    content: bytes
    has_digest: bool = True
    label: str = ""

    def describe(self) -> dict[str, Any]:
        """Return it as GitHub does; older servers leave the digest out."""
        digest = hashlib.sha256(self.content).hexdigest()
        return {
            "id": self.id,
            "label": self.label,
            "name": self.name,
            "state": "uploaded",
            "digest": f"sha256:{digest}" if self.has_digest else None,
        }


@dataclass
class Release:
    """A release: a draft, or published."""

    id: int
    fields: dict[str, Any]
    assets: list[Asset] = field(default_factory=list)
    immutable: bool = False

    @property
    def draft(self) -> bool:
        """Whether it is not published."""
        return bool(self.fields.get("draft"))

    @property
    def tag(self) -> str:
        """Its tag, which may not exist yet."""
        return str(self.fields["tag_name"])

    def find(self, name: str) -> bytes:
        """Return the content of an asset.

        Raises:
            StopIteration: There is none with this name.
        """
        return next(asset.content for asset in self.assets if asset.name == name)

    def describe(self) -> dict[str, Any]:
        """Return it as GitHub does."""
        uploads = f"https://uploads.github.com/repos/any/any/releases/{self.id}/assets"
        return self.fields | {
            "assets": [asset.describe() for asset in self.assets],
            "id": self.id,
            "immutable": self.immutable,
            "upload_url": uploads + "{?name,label}",
        }


class Releases(Part):
    """The releases and tags of a repository, as strict as GitHub's own.

    Attributes:
        digests: Whether the answers tell the digests of assets.
        immutable: Whether releases can no longer be changed once they are published.
        origin: The repository whose tags and branches are meant.
        latest: Tag of the release that is marked as the latest.
        protected: Whether a ruleset keeps the token from making tags.
    """

    def __init__(self) -> None:
        self.all: list[Release] = []
        self.immutable = True
        self.digests = True
        self.latest = ""
        self.protected = False
        self.origin: Git | None = None
        self.branch = "main"
        self._next_id = 1
        self.routes = {
            "GET /releases": self._list,
            "POST /releases": self._create,
            r"GET /releases/tags/([^/]+)": self._get_published,
            r"PATCH /releases/(\d+)": self._change,
            r"POST /releases/(\d+)/assets": self._upload,
            r"GET /releases/assets/(\d+)": self._download,
            r"DELETE /releases/assets/(\d+)": self._delete_asset,
            r"GET /git/ref/((?:heads|tags)/.+)": self._get_ref,
            "GET /tags": self._list_tags,
            "POST /git/refs": self._create_tag,
        }

    def find(self, tag: str) -> Release:
        """Return the release of a tag.

        Raises:
            StopIteration: There is none.
        """
        return next(release for release in self.all if release.tag == tag)

    def save(self, directory: Path) -> None:
        """Write each release to a folder: its notes, its assets, and the rest as JSON."""
        for release in self.all:
            folder = directory / release.tag
            (folder / "assets").mkdir(parents=True, exist_ok=True)
            (folder / "notes.md").write_text(release.fields.get("body", ""), encoding="utf-8")
            facts = release.describe() | {"latest": release.tag == self.latest}
            (folder / "release.json").write_text(json.dumps(facts, indent=2), encoding="utf-8")
            for asset in release.assets:
                (folder / "assets" / asset.name).write_bytes(asset.content)

    def _list(self, request: Request) -> Answer:
        newest_first = [release.describe() for release in reversed(self.all)]
        return 200, request.choose_page(newest_first)

    def _create(self, request: Request) -> Answer:
        release = Release(
            self._take_id(), {"draft": False, "target_commitish": self.branch, **request.fields}
        )
        refusal = self._check(release, request.fields)
        if refusal := refusal or self._check_target(request.fields):
            return refusal
        self.all.append(release)
        return self._publish(release) or (201, release.describe())

    def _change(self, request: Request, number: str) -> Answer:
        release = self._find(number)
        if not release:
            return not_found()
        if release.immutable and request.fields.keys() - {"body", "name", "make_latest"}:
            return refuse("Cannot change an immutable release")
        changed = Release(release.id, release.fields | request.fields)
        refusal = self._check(changed, request.fields) or self._check_target(request.fields)
        if refusal:
            return refusal
        was_draft, release.fields = release.draft, changed.fields
        if was_draft and not release.draft and (refusal := self._publish(release)):
            return refusal
        return 200, release.describe()

    def _check(self, release: Release, sent: dict[str, Any]) -> Answer | None:
        if unknown := sent.keys() - FIELDS:
            return refuse(f"unknown fields {sorted(unknown)}")
        if len(release.fields.get("body", "")) > LONGEST_BODY:
            return refuse("body is too long (maximum is 125000 characters)")
        others = (
            other for other in self.all if other.id != release.id and other.tag == release.tag
        )
        if any(not other.draft for other in others):
            return refuse("Validation Failed", "already_exists")
        return None

    def _check_target(self, sent: dict[str, Any]) -> Answer | None:
        """Refuse a commit whose workflows the token may not write, even if its tag exists."""
        target = sent.get("target_commitish", "")
        commit = self.origin.find(target) if self.origin and target else ""
        if not self.origin or not commit or not (tip := self.origin.find(self.branch)):
            return None
        changed = self.origin("diff", "--name-only", commit, tip, "--", ".github/workflows")
        if changed:
            return 403, {"message": "Resource not accessible by integration"}
        return None

    def _rank(self, release: Release) -> tuple[str, list[int]]:
        """Return what GitHub finds the latest release by: the commit's day, then the version."""
        found = self.origin and self._find_tag(release.tag)
        day = self.origin("show", "-s", "--format=%cs", found) if self.origin and found else ""
        return day, [int(number) for number in re.findall(r"\d+", release.tag)]

    def _publish(self, release: Release) -> Answer | None:
        if release.draft:
            return None
        if not self._find_tag(release.tag):
            created = self._tag(release.tag, release.fields["target_commitish"])
            if created[0] != 201:  # noqa: PLR2004
                release.fields["draft"] = True
                return created
        release.immutable = self.immutable
        kind = release.fields.pop("make_latest", "true")
        if kind == "true" and not release.fields.get("prerelease"):
            self.latest = release.tag
        elif kind == "legacy":
            full = [
                other for other in self.all if not (other.draft or other.fields.get("prerelease"))
            ]
            self.latest = max([*full, release], key=self._rank).tag
        return None

    def _get_published(self, _: Request, tag: str) -> Answer:
        found = [release for release in self.all if release.tag == tag and not release.draft]
        return (200, found[0].describe()) if found else not_found()

    def _upload(self, request: Request, number: str) -> Answer:
        release = self._find(number)
        if not release:
            return not_found()
        if release.immutable:
            return refuse("Cannot upload assets to an immutable release")
        name = request.query.get("name", "")
        if not name or not request.body:
            return 400, {"message": "Bad Content-Length or no name"}
        if name in {asset.name for asset in release.assets}:
            return refuse("Validation Failed", "already_exists")
        label = request.query.get("label", "")
        release.assets.append(Asset(self._take_id(), name, request.body, self.digests, label))
        return 201, release.assets[-1].describe()

    def _download(self, _: Request, number: str) -> Answer:
        found = [
            asset for release in self.all for asset in release.assets if asset.id == int(number)
        ]
        return (200, found[0].content) if found else not_found()

    def _delete_asset(self, _: Request, number: str) -> Answer:
        for release in self.all:
            for asset in release.assets:
                if asset.id == int(number):
                    if not release.draft:
                        return refuse("Cannot delete an asset of a published release")
                    release.assets.remove(asset)
                    return 204, None
        return not_found()

    def _get_ref(self, _: Request, ref: str) -> Answer:
        commit = self._find_ref(ref)
        return (200, {"object": {"sha": commit}}) if commit else not_found()

    def _list_tags(self, request: Request) -> Answer:
        names = self.origin("tag").splitlines() if self.origin else []
        found = [{"name": name, "commit": {"sha": self._find_tag(name)}} for name in names]
        return 200, request.choose_page(found)

    def _create_tag(self, request: Request) -> Answer:
        ref = request.fields["ref"]
        if not ref.startswith("refs/tags/"):
            return not_found()
        return self._tag(ref.removeprefix("refs/tags/"), request.fields["sha"])

    def _find_tag(self, tag: str) -> str:
        return self._find_ref(f"tags/{tag}")

    def _find_ref(self, ref: str) -> str:
        return self.origin.find(f"refs/{ref}") if self.origin else ""

    def _tag(self, tag: str, target: str) -> Answer:
        commit = self.origin.find(target) if self.origin else ""
        if not self.origin or not commit:
            return refuse("target_commitish is not valid")
        if self._find_tag(tag):
            return refuse("Reference already exists")
        if refusal := self._check_target({"target_commitish": target}):
            return refusal
        if self.protected:
            return refuse("Cannot create ref due to creations being restricted.")
        self.origin("update-ref", f"refs/tags/{tag}", commit)
        return 201, {"ref": f"refs/tags/{tag}", "object": {"sha": commit}}

    def _find(self, number: str) -> Release | None:
        return next((release for release in self.all if release.id == int(number)), None)

    def _take_id(self) -> int:
        self._next_id += 1
        return self._next_id
