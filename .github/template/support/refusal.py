"""A registry, or an index, that everybody may look at and nobody may write to."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

from fakes import servers
from fakes.servers import Asked, Reply


def refuse(asked: Asked) -> Reply:
    """Refuse whatever writes, in the words of GitHub's registry."""
    status, code, message = 404, "MANIFEST_UNKNOWN", "manifest unknown"
    if asked.path == "/v2/":
        status = 200
    elif asked.method == "POST":
        status, code, message = 403, "DENIED", "permission_denied: write_package"
    body = json.dumps({"errors": [{"code": code, "message": message}]}).encode()
    return Reply(status, body, {"Content-Type": "application/json"})


@contextmanager
def serve() -> Iterator[str]:
    """Serve it on a free port of this machine; yield its `HOST:PORT`."""
    with servers.serve(refuse) as address:
        yield address.removeprefix("http://")
