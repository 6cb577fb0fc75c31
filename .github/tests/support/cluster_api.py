"""The API server of a cluster, as the real kubectl uses it, and the address where the app answers.

It grants the deployer only what the Role grants, and takes only what fits the published schemas.
"""

import copy
import json
import re
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import kubernetes_validate
import port_forward
import yaml
from cluster import GROUPS, Cluster, Version, find_violations, shuffle
from cluster_fields import Json, apply, find_conflicts, find_fields, merge, note_update
from kubernetes_validate import utils as validation

KUBERNETES = "1.37"
validation.schema_contents = cache(validation.schema_contents)  # which it reads for each object
PATH = re.compile(
    r"/(?:api/(?P<core>v1)|apis/(?P<group>[^/]+/v\d))(?:/namespaces/(?P<namespace>[^/]+))?"
    r"/(?P<resource>[a-z]+)(?:/(?P<name>[^/]+))?(?:/(?P<part>[a-z]+))?"
)


class RefusedError(Exception):
    """The API server does not do it."""

    def __init__(self, status: HTTPStatus, reason: str, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.reason = reason


def _replace(subject: Json, operations: list[Json]) -> Json:
    """Apply a JSON patch that tests, adds and replaces."""
    for operation in operations:
        keys = [key.replace("~1", "/") for key in operation["path"].split("/")[1:]]
        place = subject
        for key in keys[:-1]:
            place = place[key]
        if operation["op"] == "test":
            if place[keys[-1]] != operation["value"]:
                text = f"testing value {operation['path']} failed: test failed"
                raise RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, "Invalid", text)
        else:
            assert operation["op"] == "add" or keys[-1] in place, operation
            place[keys[-1]] = operation["value"]
    return subject


def _allow(rules: list[Json], group: str, resource: str, verb: str) -> bool:
    return any(
        group in rule["apiGroups"] and resource in rule["resources"] and verb in rule["verbs"]
        for rule in rules
    )


def _describe(version: str) -> Json:
    """Return as much OpenAPI as says that the server itself validates what it is sent."""
    group, _, number = version.rpartition("/")
    paths = {
        f"/{name}/{{name}}": {
            "patch": {
                "x-kubernetes-group-version-kind": {
                    "group": group, "version": number, "kind": kind
                },
                "parameters": [{"name": "fieldValidation", "in": "query"}],
                "responses": {},
            }
        }
        for name, kind in GROUPS[version].items()
    }  # fmt: skip
    return {"openapi": "3.0.0", "info": {"title": "it", "version": "1"}, "paths": paths}


def _validate(subject: Json) -> None:
    """Make sure that an object fits the published schema of its kind, field by field."""
    try:
        kubernetes_validate.validate(subject, KUBERNETES, strict=True)
    except kubernetes_validate.ValidationError as error:
        raise RefusedError(HTTPStatus.BAD_REQUEST, "BadRequest", error.message) from None


def _refuse_two_values(subject: Json) -> None:
    """Make sure that no variable of the app has a value and comes from elsewhere too."""
    pod = subject.get("spec", {}).get("template", {}).get("spec", {"containers": [{}]})
    for variable in pod["containers"][0].get("env", []):
        if "value" in variable and variable.get("valueFrom"):
            path = "spec.template.spec.containers[0].env[0].valueFrom"
            text = f'{path}: Invalid value: "": may not be specified when `value` is not empty'
            raise RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, "Invalid", text)


class _Handler(BaseHTTPRequestHandler):
    """One request; `previewed` is what serves at the address of one pod."""

    cluster: Cluster
    previewed: tuple[Version, dict[str, str]] | None = None
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        self.query = {key: values[-1] for key, values in parse_qs(address.query).items()}
        if not address.path.startswith(("/api", "/openapi", "/version")):
            self._serve(address.path)
        elif found := self._discover(address.path):
            self._send(HTTPStatus.OK, found)
        elif address.path == "/version":
            major, minor = KUBERNETES.split(".")
            minor = self.cluster.minor or minor
            known = {"major": major, "minor": f"{minor}+", "gitVersion": f"v{major}.{minor}.1"}
            self._send(HTTPStatus.OK, known)
        else:
            self._do("get")

    def do_POST(self) -> None:
        path = urlsplit(self.path).path
        if not path.startswith("/api"):
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            return self._serve(path)
        return self._do("create")

    def do_PATCH(self) -> None:
        self._do("patch")

    def do_DELETE(self) -> None:
        self._do("delete")

    def log_message(self, *_: object) -> None:
        pass

    def _serve(self, path: str) -> None:
        """Answer as the app that serves."""
        serving = self.previewed or self.cluster.serving
        if not serving:
            return self._send(HTTPStatus.SERVICE_UNAVAILABLE, {"detail": "nothing serves"})
        version, environment = serving
        if path == "/health":
            health = {"status": "ok", "revision": version.commit,
                      "version": environment.get("APP_VERSION", "unknown")}  # fmt: skip
            return self._send(HTTPStatus.OK, health)
        if path == "/ready" and not (version.starts and self.cluster.database):
            detail = "Not ready: the database does not answer"
            return self._send(HTTPStatus.SERVICE_UNAVAILABLE, {"detail": detail})
        if path == "/ready" and version.schema > self.cluster.schema:
            return self._send(HTTPStatus.SERVICE_UNAVAILABLE, {"detail": "the schema is behind"})
        if version.schema > self.cluster.schema:  # it asks for a column that is not there
            return self._send(HTTPStatus.INTERNAL_SERVER_ERROR, {})
        works = version.works or (version.works is None and self.previewed)
        fails = path != "/ready" and not works
        return self._send(HTTPStatus.INTERNAL_SERVER_ERROR if fails else HTTPStatus.OK, {})

    def _discover(self, path: str) -> Json | None:
        groups = [group for group in GROUPS if "/" in group]
        if path == "/api":
            return {"kind": "APIVersions", "versions": ["v1"]}
        if path == "/apis":
            entries = [{"groupVersion": group, "version": group.split("/")[1]} for group in groups]
            return {
                "kind": "APIGroupList",
                "apiVersion": "v1",
                "groups": [
                    {
                        "name": entry["groupVersion"].split("/")[0],
                        "versions": [entry],
                        "preferredVersion": entry,
                    }
                    for entry in entries
                ],
            }
        if path == "/openapi/v3":
            paths = {f"apis/{group}" if "/" in group else f"api/{group}" for group in GROUPS}
            return {"paths": {group: {"serverRelativeURL": f"{path}/{group}"} for group in paths}}
        version = re.sub(r"^(/openapi/v3)?/apis?/", "", path)
        if version not in GROUPS:
            return None
        if path.startswith("/openapi"):
            return _describe(version)
        verbs = ["create", "delete", "get", "list", "patch", "watch"]
        return {
            "kind": "APIResourceList",
            "groupVersion": version,
            "resources": [
                {"name": name, "singularName": kind.lower(), "kind": kind, "verbs": verbs,
                 "namespaced": kind != "Namespace"}
                for name, kind in GROUPS[version].items()
            ],
        }  # fmt: skip

    def _do(self, verb: str) -> None:
        length = int(self.headers.get("Content-Length", 0))
        body = yaml.load(self.rfile.read(length), yaml.CSafeLoader) if length else None
        try:
            with self.cluster.lock:
                answer = self._answer(verb, body)
                if self._goes_away(verb):
                    self.close_connection = True
                    return None
        except RefusedError as error:
            content = {
                "kind": "Status", "apiVersion": "v1", "status": "Failure", "message": str(error),
                "reason": error.reason, "code": error.status,
            }  # fmt: skip
            return self._send(error.status, content)
        if self.path.endswith("/portforward") or "/portforward?" in self.path:
            return self._forward(answer)
        if isinstance(answer, str):
            return self._send_text(HTTPStatus.OK, answer, "text/plain")
        if self.query.get("watch"):
            return self._watch(answer)
        template = answer.get("spec", {}).get("template") if verb in {"create", "patch"} else None
        wrong = find_violations(template["spec"]) if template else ""
        said = rf'299 - "would violate PodSecurity \"restricted:latest\": {wrong}"' if wrong else ""
        return self._send_text(HTTPStatus.OK, json.dumps(answer), "application/json", said)

    def _forward(self, pod: Any) -> None:
        """Lead to the version in a pod, at an address of its own."""
        container = pod["spec"]["containers"][0]
        values = {variable["name"]: variable["value"] for variable in container.get("env", [])}
        previewed = (self.cluster.versions[container["image"]], values)
        server = _serve(type("Handler", (_Handler,), vars(type(self)) | {"previewed": previewed}))
        self.cluster.forwarded.append(self.connection)
        try:
            port_forward.lead(self, server.server_port)
        finally:
            _close(server)

    def _goes_away(self, verb: str) -> bool:
        """Close the server for a while, after it has done what it was asked, without a word.

        Outages come one after the other; one of no seconds is only a place in their order.
        """
        if not self.cluster.outages:
            return False
        wanted, resource, seconds = self.cluster.outages[0]
        if wanted != verb or f"/{resource}" not in self.path:
            return False
        del self.cluster.outages[0]
        if not seconds:
            return False
        Thread(target=self.cluster.pause, args=(seconds,), daemon=True).start()
        time.sleep(0.2)  # until it is closed
        return True

    def _answer(self, verb: str, body: Any) -> Json | str:
        address = urlsplit(self.path)
        self.query = {key: values[-1] for key, values in parse_qs(address.query).items()}
        match = PATH.fullmatch(address.path)
        version = (match["core"] or match["group"]) if match else ""
        if not match or match["resource"] not in GROUPS.get(version, {}):
            raise RefusedError(HTTPStatus.NOT_FOUND, "NotFound", "no such resource")
        if verb == "get" and not match["name"]:
            verb = "watch" if self.query.get("watch") else "list"
        self._authorize(match, version, verb)
        resource, name = match["resource"], match["name"]
        kind = {"apiVersion": version, "kind": GROUPS[version][resource]}
        if resource == "namespaces" and verb == "patch":
            self.cluster.namespace = name
        if match["part"] == "log":
            return self.cluster.find_log(name)
        if match["part"] == "portforward":
            if self.headers.get("Upgrade") != "SPDY/3.1":
                raise RefusedError(HTTPStatus.BAD_REQUEST, "BadRequest", "unable to upgrade")
            return self.cluster.objects["pods"][name]
        objects = self.cluster.objects[resource]
        if name and name not in objects and not self._applies():
            raise RefusedError(HTTPStatus.NOT_FOUND, "NotFound", f'{resource} "{name}" not found')
        if verb in {"list", "watch"}:
            self.cluster.look_at_previews()
            found = shuffle([thing for thing in objects.values() if self._selects(thing)])
            kind["kind"] += "List"
            metadata = {"resourceVersion": str(self.cluster.count)}
            return kind | {"metadata": metadata, "items": found}
        return kind | self._change(verb, resource, name, body)

    def _change(self, verb: str, resource: str, name: str, body: Any) -> Json:
        objects = self.cluster.objects[resource]
        if verb == "create":
            _validate(body)
            if body["metadata"].get("name") in objects:
                text = f'{resource} "{body["metadata"]["name"]}" already exists'
                raise RefusedError(HTTPStatus.CONFLICT, "AlreadyExists", text)
            return self.cluster.store(resource, body)
        if verb == "delete":
            return self.cluster.remove(resource, name)
        if verb == "patch":
            old = objects.get(name)
            new = self._patch(resource, name, old, body)
            _refuse_two_values(new)
            if old and find_fields(old) == find_fields(new):
                return old  # nothing is written, and nothing rolled out
            return self.cluster.store(resource, new)
        if resource == "jobs":
            self.cluster.look_at_job(objects[name])
        elif resource == "deployments":
            self.cluster.look_at_rollout(objects[name])
        return objects[name]

    def _authorize(self, match: re.Match[str], version: str, verb: str) -> None:
        user, cluster = self._find_user(), self.cluster
        if user == "admin":
            return
        group = "" if match["core"] else version.rpartition("/")[0]
        what = f"{match['resource']}/{match['part']}" if match["part"] else match["resource"]
        cluster.used.add((group, what, verb))
        rules = [rule for role in cluster.objects["roles"].values() for rule in role["rules"]]
        namespace = match["namespace"]
        forgotten = time.monotonic() < cluster.forgets_until
        if forgotten or namespace != cluster.namespace or not _allow(rules, group, what, verb):
            text = f'{what} is forbidden: "{user}" cannot {verb} {what} in "{namespace}"'
            raise RefusedError(HTTPStatus.FORBIDDEN, "Forbidden", text)

    def _applies(self) -> bool:
        return self.headers.get("Content-Type") == "application/apply-patch+yaml"

    def _find_user(self) -> str:
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        starts = time.monotonic() < self.cluster.forgets_until - 0.2
        for user, known in self.cluster.tokens.items():
            if token == known and not starts:
                return user
        raise RefusedError(HTTPStatus.UNAUTHORIZED, "Unauthorized", "Unauthorized")

    def _patch(self, resource: str, name: str, old: Json | None, patch: Any) -> Json:
        kind, manager = self.headers["Content-Type"], self.query.get("fieldManager", "")
        owners = self.cluster.owners.setdefault((resource, name), {})
        if self._applies():
            _validate(patch)
            if self.query.get("force") != "true":
                self._refuse_conflicts(find_conflicts(old or patch, patch, owners, manager))
            return apply(old or patch, patch, owners, manager)
        assert old
        if kind == "application/json-patch+json":
            new = _replace(copy.deepcopy(old), patch)
        else:
            new = merge(copy.deepcopy(old), patch)
        note_update(old, new, owners, manager)
        return new

    def _refuse_conflicts(self, conflicts: list[tuple[str, str]]) -> None:
        if conflicts:
            many = f"{len(conflicts)} conflict{'s' if len(conflicts) > 1 else ''}"
            said = "\n".join(
                f'conflict with "{who}" using apps/v1: {path}' for who, path in conflicts
            )
            text = f"Apply failed with {many}: {said}"
            raise RefusedError(HTTPStatus.CONFLICT, "Conflict", text)

    def _selects(self, subject: Json) -> bool:
        metadata = subject["metadata"]
        label, _, values = self.query.get("labelSelector", "").partition(" in ")
        if values:
            return metadata["labels"].get(label) in values.strip("()").split(",")
        labels, fields = (
            dict(pair.split("=") for pair in self.query.get(key, "").split(",") if pair)
            for key in ("labelSelector", "fieldSelector")
        )
        known = {
            "metadata.name": metadata["name"],
            "type": subject.get("type"),
            "reason": subject.get("reason"),
            "involvedObject.name": subject.get("involvedObject", {}).get("name"),
        }
        return fields.items() <= known.items() and labels.items() <= metadata["labels"].items()

    def _watch(self, found: Json) -> None:
        """Send what is there, say that this was all, and wait until nobody asks any more."""
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "application/json")
        self.send_header("Connection", "close")
        self.end_headers()
        kind = {"apiVersion": found["apiVersion"], "kind": found["kind"].removesuffix("List")}
        done = {"annotations": {"k8s.io/initial-events-end": "true"},
                "resourceVersion": found["metadata"]["resourceVersion"]}  # fmt: skip
        events = [{"type": "ADDED", "object": kind | item} for item in found["items"]]
        events.append({"type": "BOOKMARK", "object": kind | {"metadata": done}})
        for event in events:
            self.wfile.write(json.dumps(event).encode() + b"\n")
        self.wfile.flush()
        self.cluster.closed.wait(60)

    def _send(self, status: HTTPStatus, content: Json) -> None:
        self._send_text(status, json.dumps(content), "application/json")

    def _send_text(self, status: HTTPStatus, text: str, kind: str, warning: str = "") -> None:
        self.send_response(status)
        if warning:
            self.send_header("Warning", warning)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())


class _Server(ThreadingHTTPServer):
    """A server whose clients may hang up."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


@contextmanager
def start(folder: Path) -> Iterator[Cluster]:
    """Start an empty cluster on free ports of this machine; its certificate is in the folder."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    options = "-x509 -nodes -newkey ec -pkeyopt ec_paramgen_curve:P-256 -subj /CN=cluster"
    names = ("-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate)
    subprocess.run(["openssl", "req", *options.split(), *names], check=True, capture_output=True)
    cluster = Cluster(certificate.read_bytes())
    handler = type("Handler", (_Handler,), {"cluster": cluster})
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    api, app = _serve(handler, 0, context), _serve(handler)
    port = api.server_port

    def pause(seconds: float) -> None:
        """Refuse connections for a while, or until it is to be back, as in a restart.

        What led to pods is cut. When a while is over, it has not read the accounts and Roles yet.
        """
        nonlocal api
        cluster.back.clear()
        _close(api)
        for connection in cluster.forwarded:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        if not cluster.back.wait(seconds):
            cluster.forgets_until = time.monotonic() + 0.4
        api = _serve(handler, port, context)

    cluster.pause = pause
    cluster.server = f"https://127.0.0.1:{port}"
    cluster.url = f"http://127.0.0.1:{app.server_port}"
    yield cluster
    cluster.closed.set()
    _close(api)
    _close(app)


def _serve(
    handler: type[_Handler], port: int = 0, context: ssl.SSLContext | None = None
) -> ThreadingHTTPServer:
    server = _Server(("127.0.0.1", port), handler)
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    return server


def _close(server: ThreadingHTTPServer) -> None:
    server.shutdown()
    server.server_close()
