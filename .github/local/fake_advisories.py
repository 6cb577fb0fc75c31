"""A local stand-in for the advisory databases that the vulnerability scan asks.

It speaks as much of Safety's and of OSV's protocols as `safety` and `uv audit` need, and knows the
advisories that it is given. Whoever uses it has to say so: the scan does, in its report.
"""

import json
import tempfile
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, Self

Answer = tuple[int, object]


@dataclass(frozen=True)
class Advisory:
    """A vulnerability of all versions of a package below `fixed`; of all if that is empty."""

    package: str
    id: str = "GHSA-aaaa-bbbb-cccc"
    fixed: str = "9999.0"
    text: str = "A planted fault"

    def as_osv(self) -> dict[str, Any]:
        """Return it as OSV does."""
        events = [{"introduced": "0"}, *([{"fixed": self.fixed}] if self.fixed else [])]
        package = {"name": self.package, "ecosystem": "PyPI"}
        ranges = [{"type": "ECOSYSTEM", "events": events}]
        return {
            "affected": [{"package": package, "ranges": ranges}],
            "aliases": ["CVE-2026-10001"],
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
            "ids": [{"type": "pyup", "id": self.id}, {"type": "cve", "id": "CVE-2026-10001"}],
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
        down: Programs, `safety` or `uv`, that find nobody.
        requests: Requests that came, as (path, key).
    """

    def __init__(self, *advisories: Advisory) -> None:
        self.advisories = advisories
        self.delay = 0.0
        self.nonsense = False
        self.down: set[str] = set()
        self.requests: list[tuple[str, str]] = []

    @property
    def environment(self) -> dict[str, str]:
        """What leads `vulnerability_scan.py` here."""
        safety = "http://127.0.0.1:1" if "safety" in self.down else self.url
        uv = "http://127.0.0.1:1" if "uv" in self.down else self.url
        return {
            "AUDIT_SERVICE_URL": uv,
            "SAFETY_AUTH_SERVER_URL": safety,
            "SAFETY_DATA_API_BASE_URL": f"{safety}/data/",
            "SAFETY_DB_DIR": str(self._directory),
            "SAFETY_PLATFORM_API_BASE_URL": f"{safety}/platform",
        }

    def answer(self, path: str, content: dict[str, Any]) -> Answer:
        """Return the status and the content that answer a request."""
        by_id = {it.id: it for it in self.advisories}
        match path.strip("/").split("/"):
            case [".well-known", "openid-configuration"]:
                return 200, {"issuer": self.url, "jwks_uri": f"{self.url}/jwks"}
            case ["jwks"]:
                return 200, {"keys": []}
            case ["platform", "initialize"] | ["data", "announcements"]:
                return 200, {}
            case ["data", ("insecure.json" | "insecure_full.json") as name]:
                return 200, self._databases()[name]
            case ["v1", "querybatch"]:
                names = [query["package"]["name"] for query in content["queries"]]
                return 200, {"results": [self._summarize(name) for name in names]}
            case ["v1", "vulns", id_] if id_ in by_id:
                return 200, by_id[id_].as_osv()
        return 404, {"message": "Not Found"}

    def __enter__(self) -> Self:
        """Start to answer at `url`."""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._make_handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._temporary = tempfile.TemporaryDirectory(prefix="advisories-")
        self._directory = Path(self._temporary.name)
        for name, database in self._databases().items():
            (self._directory / name).write_text(json.dumps(database))
        Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()
        self._temporary.cleanup()

    def _summarize(self, name: str) -> dict[str, Any]:
        found = [it for it in self.advisories if it.package == name]
        return {"vulns": [{"id": it.id, "modified": "2026-01-01T00:00:00Z"} for it in found]}

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
                fake.requests.append((path, self.headers.get("X-API-Key", "")))
                time.sleep(fake.delay)
                content = json.loads(body) if path == "/v1/querybatch" else {}
                status, found = fake.answer(path, content)
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
