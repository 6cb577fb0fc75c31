"""A local stand-in for the advisory databases that the vulnerability scan asks.

It speaks as much of Safety's and of OSV's protocols as `safety` and `uv audit` need, has a database
for Trivy, and knows the advisories that it is given. Whoever uses it has to say so: the scan does,
in its report.
"""

import json
import tempfile
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, Self

from fakes.fake_trivy import write_database
from packaging.version import Version


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
        answers |= {f"/data/{name}": it for name, it in self._databases().items()}
        answers |= {f"/v1/vulns/{it.id}": it.as_osv() for it in self.advisories}
        return answers.get(path)

    def __enter__(self) -> Self:
        """Start to answer at `url`."""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._make_handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._temporary = tempfile.TemporaryDirectory(prefix="advisories-")
        self._directory = Path(self._temporary.name)
        if "trivy" not in self.down:
            planted = [(it.package, it.id, it.fixed) for it in self.advisories]
            write_database(self._directory / "trivy", planted)
        for name, database in self._databases().items():
            (self._directory / name).write_text(json.dumps(database))
        Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()
        self._temporary.cleanup()

    def _find(self, query: dict[str, Any]) -> dict[str, Any]:
        """Return what OSV knows of one version, as it answers: nothing at all if that is none."""
        package, version = query["package"], Version(query["version"])
        found = [
            {"id": it.id, "modified": "2026-01-01T00:00:00Z"}
            for it in self.advisories
            if package == {"name": it.package, "ecosystem": "PyPI"}
            and (not it.fixed or version < Version(it.fixed))
        ]
        return {"vulns": found} if found else {}

    def _databases(self) -> dict[str, Any]:
        meta = {"base_domain": "https://data.safetycli.com", "schema_version": "2.0.0"}
        names = sorted({it.package for it in self.advisories})
        of = {name: [it for it in self.advisories if it.package == name] for name in names}
        return {
            "insecure.json": {
                "meta": meta,
                "vulnerable_packages": {
                    name: [it.specifier for it in found] for name, found in of.items()
                },
            },
            "insecure_full.json": {
                "meta": meta,
                "packages": {
                    name: {"insecure_versions": [], "latest_version": "", "secure_versions": []}
                    for name in names
                },
                "vulnerable_packages": {
                    name: [it.as_safety() for it in found] for name, found in of.items()
                },
            },
        }

    def _make_handler(self) -> type[BaseHTTPRequestHandler]:
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                path = self.path.partition("?")[0]
                key = self.headers.get("X-API-Key", "")
                fake.requests.append((path, key))
                time.sleep(fake.delay)
                content = json.loads(body) if path == "/v1/querybatch" else {}
                found = fake.answer(path, content)
                status = 404 if found is None else 403 if key in fake.refused else 200
                text = "<html>Be right back</html>" if fake.nonsense else json.dumps(found)
                self.send_response(200 if fake.nonsense else status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(text.encode())

            do_GET = do_HEAD = do_POST = _answer  # noqa: N815

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        return Handler
