"""A local stand-in for the advisory databases that the vulnerability scan asks.

It speaks as much of Safety's and of OSV's protocols as `safety` and `uv audit` need, has a database
for Trivy, and knows the advisories that it is given. Whoever uses it has to say so: the scan does,
in its report.
"""

import json
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from fakes.fake_trivy import write_database
from fakes.servers import Asked, Reply, serve
from packaging.version import Version

JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Advisory:
    """A vulnerability of all versions of a package below `fixed`; of all if that is empty."""

    package: str
    id: str = "GHSA-aaaa-bbbb-cccc"
    fixed: str = "9999.0"
    text: str = "A planted fault"
    alias: str = "CVE-2026-10001"

    def as_osv(self) -> dict[str, Any]:
        """Return it as OSV does."""
        events = [{"introduced": "0"}, *([{"fixed": self.fixed}] if self.fixed else [])]
        package = {"name": self.package, "ecosystem": "PyPI"}
        ranges = [{"type": "ECOSYSTEM", "events": events}]
        return {
            "affected": [{"package": package, "ranges": ranges}],
            "aliases": [self.alias],
            "details": self.text,
            "id": self.id,
            "modified": "2026-01-01T00:00:00Z",
            "published": "2026-01-01T00:00:00Z",
            "references": [{"type": "ADVISORY", "url": f"https://osv.dev/vulnerability/{self.id}"}],
            "summary": self.text,
        }

    def as_safety(self) -> dict[str, Any]:
        """Return it as Safety's full database does."""
        return {
            "advisory": self.text,
            "fixed_versions": [self.fixed] if self.fixed else [],
            "ids": [{"type": "pyup", "id": self.id}, {"type": "cve", "id": self.alias}],
            "more_info_path": f"/v/{self.id}/",
            "specs": [self.specifier],
            "transitive": False,
        }

    @property
    def specifier(self) -> str:
        """The versions that have it."""
        return f"<{self.fixed}" if self.fixed else ">=0"


class FakeAdvisories:
    """A server on the loopback interface; use it as a context manager.

    Attributes:
        delay: Seconds that every answer takes.
        nonsense: Answer with a web page instead.
        down: Programs, `safety`, `trivy` or `uv`, that find nobody.
        refused: Keys of Safety that are not valid.
        requests: Requests that came, as (path, key).
    """

    def __init__(self, *advisories: Advisory) -> None:
        self.advisories = advisories
        self.delay = 0.0
        self.nonsense = False
        self.down: set[str] = set()
        self.refused: set[str] = set()
        self.requests: list[tuple[str, str]] = []

    @property
    def environment(self) -> dict[str, str]:
        """What leads the scan of the dependencies and Trivy here."""
        safety = "http://127.0.0.1:1" if "safety" in self.down else self.url
        uv = "http://127.0.0.1:1" if "uv" in self.down else self.url
        return {
            "AUDIT_SERVICE_URL": uv,
            "SAFETY_AUTH_SERVER_URL": safety,
            "SAFETY_DATA_API_BASE_URL": f"{safety}/data/",
            "SAFETY_DB_DIR": str(self._directory),
            "SAFETY_PLATFORM_API_BASE_URL": f"{safety}/platform",
            "TRIVY_CACHE_DIR": str(self._directory / "trivy"),
            "TRIVY_DB_REPOSITORY": "127.0.0.1:1/nobody",
            "TRIVY_SKIP_DB_UPDATE": str("trivy" not in self.down).lower(),
        }

    def answer(self, path: str, content: dict[str, Any]) -> object:
        """Return what answers a request; None if nothing does."""
        queries = content.get("queries", [])
        answers: dict[str, object] = {
            "/.well-known/openid-configuration": {
                "issuer": self.url,
                "jwks_uri": f"{self.url}/jwks",
            },
            "/jwks": {"keys": []},
            "/platform/initialize": {},
            "/data/announcements/": {},
            "/v1/querybatch": {"results": [self._find(query) for query in queries]},
        }
        answers |= {f"/data/{name}": database for name, database in self._databases().items()}
        answers |= {f"/v1/vulns/{advisory.id}": advisory.as_osv() for advisory in self.advisories}
        return answers.get(path)

    def __enter__(self) -> Self:
        """Start to answer at `url`."""
        self._running = ExitStack()
        folder = tempfile.TemporaryDirectory(prefix="advisories-")
        self._directory = Path(self._running.enter_context(folder))
        self.url = self._running.enter_context(serve(self._reply))
        if "trivy" not in self.down:
            planted = [
                (advisory.package, advisory.id, advisory.fixed) for advisory in self.advisories
            ]
            write_database(self._directory / "trivy", planted)
        for name, database in self._databases().items():
            (self._directory / name).write_text(json.dumps(database))
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self._running.close()

    def _find(self, query: dict[str, Any]) -> dict[str, Any]:
        """Return what OSV knows of one version, as it answers: nothing at all if that is none."""
        package, version = query["package"], Version(query["version"])
        found = [
            {"id": advisory.id, "modified": "2026-01-01T00:00:00Z"}
            for advisory in self.advisories
            if package == {"name": advisory.package, "ecosystem": "PyPI"}
            and (not advisory.fixed or version < Version(advisory.fixed))
        ]
        return {"vulns": found} if found else {}

    def _databases(self) -> dict[str, Any]:
        meta = {"base_domain": "https://data.safetycli.com", "schema_version": "2.0.0"}
        names = sorted({advisory.package for advisory in self.advisories})
        of = {
            name: [advisory for advisory in self.advisories if advisory.package == name]
            for name in names
        }
        return {
            "insecure.json": {
                "meta": meta,
                "vulnerable_packages": {
                    name: [advisory.specifier for advisory in found] for name, found in of.items()
                },
            },
            "insecure_full.json": {
                "meta": meta,
                "packages": {
                    name: {"insecure_versions": [], "latest_version": "", "secure_versions": []}
                    for name in names
                },
                "vulnerable_packages": {
                    name: [advisory.as_safety() for advisory in found] for name, found in of.items()
                },
            },
        }

    def _reply(self, asked: Asked) -> Reply:
        path = asked.path.partition("?")[0]
        key = asked.headers.get("X-Api-Key", "")
        self.requests.append((path, key))
        time.sleep(self.delay)
        if self.nonsense:
            return Reply(200, b"<html>Be right back</html>", JSON)
        found = self.answer(path, json.loads(asked.body) if path == "/v1/querybatch" else {})
        status = 404 if found is None else 403 if key in self.refused else 200
        return Reply(status, json.dumps(found).encode(), JSON)
