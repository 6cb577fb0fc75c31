"""What an API server does with the fields of an object: defaults, merges, and who owns which.

As recorded on a real server, for the kinds that are in deploy/kubernetes. Left out: defaults that
nothing here reads back, the keys of lists whose items have no names (they are taken whole), and
ownership by version.
"""

import copy
import json
from collections.abc import Iterator
from typing import Any

type Json = dict[str, Any]
type Owners = dict[str, set[str]]
"""The fields that each manager has set, as paths such as `.spec.replicas`."""

PROBE = {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}
CONTAINER = {
    "terminationMessagePath": "/dev/termination-log",
    "terminationMessagePolicy": "File",
    "resources": {},
}
POD = {
    "restartPolicy": "Always",
    "terminationGracePeriodSeconds": 30,
    "dnsPolicy": "ClusterFirst",
    "securityContext": {},
    "schedulerName": "default-scheduler",
}
DEPLOYMENT = {"replicas": 1, "revisionHistoryLimit": 10, "progressDeadlineSeconds": 600}
JOB = {
    "parallelism": 1, "completions": 1, "backoffLimit": 6, "completionMode": "NonIndexed",
    "suspend": False, "podReplacementPolicy": "TerminatingOrFailed", "manualSelector": False,
}  # fmt: skip


def add_defaults(node: Json) -> None:
    """Add to an object what a server adds to it."""
    spec = node.get("spec", {})
    match node.get("kind"):
        case "Deployment":
            _fill(spec, DEPLOYMENT)
            strategy = spec.setdefault("strategy", {})
            _fill(strategy, {"type": "RollingUpdate"})
            _fill(
                strategy.setdefault("rollingUpdate", {}),
                {"maxSurge": "25%", "maxUnavailable": "25%"},
            )
            _add_to_template(spec["template"])
        case "Job":
            _fill(spec, JOB)
            _add_to_template(spec["template"])
        case "Service":
            _fill(
                spec,
                {
                    "type": "ClusterIP",
                    "sessionAffinity": "None",
                    "internalTrafficPolicy": "Cluster",
                },
            )
            for port in spec["ports"]:
                _fill(port, {"protocol": "TCP"})


def _fill(place: Json, defaults: Json) -> None:
    for key, value in defaults.items():
        place.setdefault(key, copy.deepcopy(value))


def _add_to_template(template: Json) -> None:
    pod = template["spec"]
    _fill(pod, POD)
    if "serviceAccountName" in pod:
        _fill(pod, {"serviceAccount": pod["serviceAccountName"]})
    for container in pod["containers"]:
        image = container["image"]
        newest = "@" not in image and (":" not in image or image.endswith(":latest"))
        _fill(container, CONTAINER | {"imagePullPolicy": "Always" if newest else "IfNotPresent"})
        for port in container.get("ports", []):
            _fill(port, {"protocol": "TCP"})
        for name in ("startupProbe", "livenessProbe", "readinessProbe"):
            if probe := container.get(name):
                _fill(probe, PROBE)
                _fill(probe.get("httpGet", {}), {"scheme": "HTTP"})


def find_fields(node: Json) -> dict[str, str]:
    """Return what people decide of an object: the value of each field, by its path."""
    metadata = node["metadata"]
    kept = {
        key: node[key]
        for key in node
        if key in {"spec", "data", "rules", "roleRef", "subjects", "type"}
    }
    kept["metadata"] = {key: metadata.get(key) or {} for key in ("labels", "annotations")}
    return dict(_find_leaves(kept, ""))


def _find_leaves(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for key, each in value.items():
            yield from _find_leaves(each, f"{path}.{key}")
    elif _is_named(value):
        for each in value:
            yield from _find_leaves(each, f'{path}[name="{each["name"]}"]')
    elif value != {}:
        yield path, json.dumps(value, sort_keys=True)


def _is_named(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(
        isinstance(entry, dict) and "name" in entry for entry in value
    )  # fmt: skip


def merge(old: Any, new: Any) -> Any:
    """Apply a strategic merge patch; of the lists, those of named things are merged."""
    if isinstance(old, dict) and isinstance(new, dict):
        merged = {key: merge(old.get(key), value) for key, value in new.items()}
        return {key: value for key, value in (old | merged).items() if value is not None}
    if _is_named(old) and _is_named(new):
        names = {entry["name"]: entry for entry in old}
        for entry in new:
            names[entry["name"]] = merge(names.get(entry["name"]), entry)
        return list(names.values())
    return new


def find_conflicts(old: Json, new: Json, owners: Owners, manager: str) -> list[tuple[str, str]]:
    """Return the fields that an apply would change, though another manager has set them."""
    before, after = find_fields(old), find_fields(new)
    return [
        (other, path)
        for other, paths in owners.items()
        if other != manager
        for path in sorted(paths & after.keys())
        if before.get(path) != after[path]
    ]


def apply(old: Json, new: Json, owners: Owners, manager: str) -> Json:
    """Apply: merge, take what differs, and remove what this manager has set and sets no more."""
    after = find_fields(new)
    before = find_fields(old)
    merged: Json = merge(copy.deepcopy(old), new)
    others = {path for name, paths in owners.items() if name != manager for path in paths}
    for path in owners.get(manager, set()) - after.keys() - others:
        _remove(merged, path)
    for name, paths in owners.items():
        if name != manager:
            paths -= {path for path in after if before.get(path) != after[path]}
    owners[manager] = {*after}
    return merged


def _remove(node: Any, path: str) -> None:
    """Remove the field at a path, if it is there."""
    for name, value in list(_children(node)):
        if path == name:
            if isinstance(node, dict):
                del node[name.removeprefix(".")]
            else:
                node.remove(value)
        elif path.startswith((f"{name}.", f"{name}[")):
            _remove(value, path.removeprefix(name))


def _children(node: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(node, dict):
        yield from ((f".{key}", value) for key, value in node.items())
    elif _is_named(node):
        yield from ((f'[name="{each["name"]}"]', each) for each in node)


def note_update(old: Json, new: Json, owners: Owners, manager: str) -> None:
    """Note that a manager has changed fields by other means than apply: they are its own now."""
    before, after = find_fields(old), find_fields(new)
    changed = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    for paths in owners.values():
        paths.difference_update(changed)
    owners.setdefault(manager, set()).update(changed & after.keys())
