"""Artifacts of earlier runs, as strict as GitHub's own.

GitHub sends whoever wants the content on to another server, whose address is good for a minute, and
which takes no token. An archive is not given as `application/octet-stream`: that is a 415.
"""

import io
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fakes.parts import Answer, Request, not_found
from fakes.servers import Asked, Reply

REPOSITORY = 1


@dataclass(frozen=True)
class Redirect:
    """An answer whose content is elsewhere."""

    url: str


@dataclass
class Artifact:
    """What a run has kept.

    Attributes:
        files: Contents by name.
        branch: Of the run.
        repository: Whose branch that is; a fork's is another.
    """

    id: int
    name: str
    files: Mapping[str, str]
    branch: str = "main"
    repository: int = REPOSITORY
    expired: bool = False
    commit: str = "0" * 40

    def describe(self) -> dict[str, Any]:
        """Return it as GitHub does."""
        return {
            "id": self.id,
            "name": self.name,
            "expired": self.expired,
            "workflow_run": {
                "id": self.id,
                "repository_id": REPOSITORY,
                "head_repository_id": self.repository,
                "head_branch": self.branch,
                "head_sha": self.commit,
            },
        }

    def pack(self) -> bytes:
        """Return the archive."""
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in self.files.items():
                archive.writestr(name, content)
        return buffer.getvalue()


@dataclass
class Artifacts:
    """All artifacts of a repository.

    Attributes:
        allowed: Whether the token may read them; a fork's may not.
        storage: Address of the server that has the contents.
    """

    artifacts: list[Artifact] = field(default_factory=list)
    allowed: bool = True
    storage: str = ""

    def answer(self, request: Request) -> Answer | None:
        """Return what GitHub answers; nothing if it is asked for something else."""
        if request.method != "GET" or not request.path.startswith("/actions/artifacts"):
            return None
        if not self.allowed:
            return 403, {"message": "Resource not accessible by integration"}
        if request.path == "/actions/artifacts":
            name = request.query.get("name")
            found = [one for one in self.artifacts if name in {None, one.name}]
            found.sort(key=lambda one: -one.id)
            shown = [one.describe() for one in request.choose_page(found)]
            return 200, {"total_count": len(found), "artifacts": shown}
        return self._download(request)

    def _download(self, request: Request) -> Answer:
        match = re.fullmatch(r"/actions/artifacts/(\d+)/zip", request.path)
        wanted = [one for one in self.artifacts if match and one.id == int(match[1])]
        if not wanted:
            return not_found()
        if request.accept not in {"*/*", "application/json", "application/vnd.github+json"}:
            text = (
                f"Unsupported 'Accept' header: '{request.accept}'. Must accept 'application/json'."
            )
            return 415, {"message": text}
        if wanted[0].expired:
            return 410, {"message": "Artifact has expired"}
        return 302, Redirect(f"{self.storage}/{wanted[0].id}.zip?signature=valid")

    def give(self, asked: Asked) -> Reply:
        """Return what the server of the contents answers."""
        name, _, query = asked.path.partition("?")
        found = [one for one in self.artifacts if name == f"/{one.id}.zip"]
        if "Authorization" in asked.headers or query != "signature=valid":
            return Reply(403, b"<Error/>")
        return Reply(200, found[0].pack()) if found else Reply(404, b"<Error/>")
