#!/usr/bin/env python3
"""Drive a Deployment in a Kubernetes cluster: what deploy/targets/kubernetes.sh does.

usage: target.py current | deploy IMAGE COMMAND... | rollback PREVIOUS | logs | check

COMMAND judges the new version, with its address as the last argument, before it has any traffic.

namespace.py says which namespace it is. What a deploy has done is noted in the folder STATE, so
that a rollback knows its own revision and Jobs. `check` judges the versions that standard input has
from `kubectl version --output=json`. Needs kubectl, and nothing beyond Python.

Ends with 75 if somebody else has deployed since: their version stays.
"""

import json
import os
import re
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from jobs import (
    POLL_SECONDS,
    Watch,
    delete_jobs,
    make_job,
    make_migration,
    migrate,
    preview,
    read_log,
    select_jobs,
    skip_preview,
)
from namespace import (
    PATIENCE,
    Failure,
    Json,
    Namespace,
    connect,
    find_app,
    find_condition,
    find_deadline,
    find_revision,
    flatten,
    is_seen,
    tell,
)

MINIMUM = (1, 32)
NOT_OURS = 75
CAUSE, DEPLOY, BEFORE = "kubernetes.io/change-cause", "deploy/id", "deploy/previous"
SETTLE_SECONDS = min(5, PATIENCE / 12)


def find_serving(namespace: Namespace, deployment: Json) -> str:
    """Return the name of the ReplicaSet that was last rolled out in full; empty if none ever was.

    It does not matter whether its pods are ready now: they may wait for what is away.

    Raises:
        Failure: No version would be rolled out, or nobody could go back.
    """
    name = deployment["metadata"]["name"]
    check_pause(deployment)
    if deployment["spec"].get("revisionHistoryLimit") == 0:
        remedy = "What serves could not be put back: set its revisionHistoryLimit to 1 or more."
        raise Failure(f"The Deployment {name} keeps no earlier version", remedy)
    if deployment["spec"].get("replicas", 1) == 0:
        return ""
    sets = namespace.read_sets(deployment)
    newest = [replicas for replicas in sets if find_revision(replicas) == find_revision(deployment)]
    older = [
        replicas
        for replicas in sets
        if replicas not in newest and replicas["spec"].get("replicas", 0)
    ]
    reason = find_condition(deployment, "Progressing").get("reason")
    if reason == "NewReplicaSetAvailable" or not (reason or older):  # none without a deadline
        return str(newest[0]["metadata"]["name"]) if newest else ""
    if older:
        best = max(older, key=lambda replicas: (
            replicas.get("status", {}).get("availableReplicas", 0), replicas["spec"]["replicas"],
            find_revision(replicas),
        ))  # fmt: skip
        return str(best["metadata"]["name"])
    noted = deployment["metadata"]["annotations"].get(BEFORE, "")
    return noted if any(replicas["metadata"]["name"] == noted for replicas in sets) else ""


def check_pause(deployment: Json) -> None:
    """Make sure that a Deployment is not paused.

    Raises:
        Failure: It is: nothing is rolled out.
    """
    if deployment["spec"].get("paused"):
        name = deployment["metadata"]["name"]
        remedy = f"Somebody holds it back. To go on: kubectl rollout resume deployment/{name}"
        raise Failure(f"The Deployment {name} is paused", remedy)


def check_versions(text: str) -> None:
    """Refuse a kubectl or a server that does not know every field of the files here.

    Raises:
        Failure: One of them is too old.
    """
    found = json.loads(text)
    for key, name in (("clientVersion", "kubectl"), ("serverVersion", "The server")):
        version = found.get(key) or {}
        if not version.get("minor"):  # a kubectl that somebody has built does not know it
            continue
        number = tuple(int(re.sub(r"\D", "", version[name])) for name in ("major", "minor"))
        if number < MINIMUM:
            raise Failure(
                f"{name} is too old, {version['gitVersion']}",
                f"It must be {'.'.join(map(str, MINIMUM))} or newer: it would lose preStop.sleep.",
            )


def has_migrations() -> bool:
    """Tell whether the app says in pyproject.toml that it has any; not saying anything counts."""
    import tomllib  # noqa: PLC0415 - takes long, and nothing else here needs it

    try:
        text = Path(__file__).resolve().parents[2].joinpath("pyproject.toml").read_text()
        pipelines = tomllib.loads(text)["tool"]["pipelines"]
    except (OSError, KeyError, tomllib.TOMLDecodeError):
        return True
    return bool(pipelines.get("migrate"))


def uses_node_port(deployment: Json) -> bool:
    """Tell whether its pods have ports of their node: two of them fit on none."""
    pod = deployment["spec"]["template"]["spec"]
    ports = [port for container in pod["containers"] for port in container.get("ports", [])]
    return bool(pod.get("hostNetwork")) or any(port.get("hostPort") for port in ports)


def wait_for_rollout(namespace: Namespace, own: str = "", image: str = "") -> None:
    """Wait until the newest revision is rolled out; `own` is the deploy that made it of an image.

    Without `own`, what serves is put back: pods that are there but wait for something are enough.

    Raises:
        Failure: The cluster has given up, or somebody else has deployed.
    """
    watch, shown = Watch(namespace), ""
    newest: list[Json] = []
    while True:
        live = namespace.read_deployment()
        spec, status = live["spec"], live.get("status", {})
        wanted = spec.get("replicas", 1)
        updated, total, available = (
            status.get(key, 0) for key in ("updatedReplicas", "replicas", "availableReplicas")
        )
        if own and identify(namespace, live) != [own, image.rpartition("@")[2]]:
            watch.fail("Somebody else has deployed meanwhile", describe(namespace, live))
        if not is_seen(live):
            said = "It was changed, and its controllers do not look at it. Do they run?"
            watch.wait("The Deployment does not change", said, 1, "any")
            continue
        there = updated >= wanted and total <= updated
        if there and available >= wanted:
            return
        check_pause(live)
        now = f"{updated} of {wanted} pods are new, {available} available, {total} in all"
        if now != shown:
            print(shown := now, flush=True)
        seconds = time.monotonic() - watch.began
        if there and not own and seconds > PATIENCE / 3:
            tell(f"::warning title=Put back, but not available::{now}. They wait for something.")
            return
        newest = read_newest(namespace, live, newest) if own else []
        for each in newest:
            watch.look(select_pods(each), image)
        limit = find_deadline(live) * (wanted + 2)
        # A quota is used up until pods of the other version have ended: what goes back waits on.
        if (failure := find_condition(live, "ReplicaFailure")).get("status") == "True":
            said = failure.get("message", "")
            watch.wait("The new pod cannot be made", said, 2 if own else limit, "any")
        given_up = find_condition(live, "Progressing").get("status") == "False"
        if (given_up and seconds > SETTLE_SECONDS) or seconds > limit:
            watch.fail(*watch.cause or ("The new version does not get ready", "The log says why."))
        time.sleep(POLL_SECONDS)


def read_newest(namespace: Namespace, deployment: Json, known: list[Json]) -> list[Json]:
    """Return the newest ReplicaSet, if there is one; it is read once a revision."""
    if known and find_revision(known[0]) == find_revision(deployment):
        return known
    return namespace.read_sets(deployment)[:1]


def select_pods(replicas: Json) -> str:
    """Return the option that selects the pods of a ReplicaSet."""
    return f"--selector=pod-template-hash={replicas['metadata']['labels']['pod-template-hash']}"


def identify(namespace: Namespace, deployment: Json) -> list[str]:
    """Return what tells a deploy from others: its id and its image.

    Of the image the digest counts: a cluster may put another registry in the place of ours.
    """
    own = deployment["metadata"].get("annotations", {}).get(DEPLOY, "")
    return [own, find_app(namespace, deployment)["image"].rpartition("@")[2]]


def describe(namespace: Namespace, deployment: Json) -> str:
    """Say what was deployed last."""
    cause = deployment["metadata"]["annotations"].get(CAUSE, "a version without a note")
    image = find_app(namespace, deployment)["image"]
    cause = cause if image.rpartition("@")[2] in cause else image
    return f"Revision {find_revision(deployment)} is theirs: {flatten(cause)}. It stays."


def find_notes() -> Path | None:
    """Return the file where a deploy notes what it does, if the driver has a folder for it."""
    folder = os.environ.get("STATE")
    return Path(folder, "kubernetes") if folder else None


def read_notes() -> Json:
    """Return what the deploy has noted."""
    path = find_notes()
    notes: Json = json.loads(path.read_text()) if path and path.exists() else {}
    return notes


def name_jobs(namespace: Namespace, own: str) -> list[str]:
    """Return the names of the Jobs of a deploy, if there is one: the migration, the preview."""
    return [f"{namespace.deployment[:40]}-{kind}-{own}" for kind in ("migrate", "preview") if own]


def deploy(namespace: Namespace, image: str, command: Sequence[str]) -> None:
    """Migrate, let the new version be judged, change the image in one revision, and wait."""
    deployment = namespace.read_deployment()
    find_app(namespace, deployment)
    check_versions(namespace.ask("version", "--output=json"))
    if os.environ.get("DATABASE_URL"):
        tell("::notice title=DATABASE_URL is not used::Pods read it from a Secret:"
             " deploy/kubernetes/setup.sh changes it there.")  # fmt: skip
    own = os.urandom(4).hex()
    if notes := find_notes():
        found = identify(namespace, deployment)
        ours = [own, image.rpartition("@")[2]]
        revision = find_revision(deployment)
        notes.write_text(json.dumps({"id": own, "known": [found, ours], "revision": revision}))
    named = ("APP_VERSION", "ENVIRONMENT_NAME")
    environment = {key: os.environ[key] for key in named if os.environ.get(key)}
    migration, trial = (
        make_job(namespace, deployment, image, environment, name)
        for name in name_jobs(namespace, own)
    )
    if has_migrations():
        migrate(namespace, make_migration(namespace, migration))
    else:
        print("No migration: [tool.pipelines] in pyproject.toml names none.")
    if deployment["spec"].get("strategy", {}).get("type") == "Recreate":
        skip_preview("the Deployment stops its pods before it starts new ones.")
    elif uses_node_port(deployment):
        skip_preview("it would need a port of the node that the old pod has.")
    else:
        preview(namespace, trial, command, find_deadline(deployment))
    began_with, deployment = find_revision(deployment), namespace.read_deployment()
    if find_revision(deployment) != began_with:
        said = describe(namespace, deployment)
        raise Failure("Somebody else has deployed meanwhile", said, NOT_OURS)
    annotations = {
        CAUSE: f"{environment.get('APP_VERSION', '')} {image}",
        DEPLOY: own,
        BEFORE: find_serving(namespace, deployment),
    }
    values = [
        {"name": key, "value": value, "valueFrom": None} for key, value in environment.items()
    ]
    app = {"name": namespace.container, "image": image, "env": values}
    patch: Json = {"metadata": {"annotations": annotations},
                   "spec": {"template": {"spec": {"containers": [app]}}}}  # fmt: skip
    if deployment["spec"].get("replicas", 1) == 0:
        patch["spec"]["replicas"] = 2
    namespace.ask("patch", "deployment", namespace.deployment, "--patch", json.dumps(patch))
    wait_for_rollout(namespace, own, image)


def rollback(namespace: Namespace, previous: str) -> None:
    """Go back to a ReplicaSet by its name: numbers change with each rollback.

    Raises:
        Failure: It is gone; or somebody else has deployed since, and that stays.
    """
    notes = read_notes()
    own = notes.get("id", "")
    if jobs := name_jobs(namespace, own):
        delete_jobs(namespace, *jobs, seconds=45)
    for _ in range(20):
        live = namespace.read_deployment()
        mine = identify(namespace, live) in notes.get("known", [])
        sets = namespace.read_sets(live)
        newest = sets[0]["metadata"]["name"] if sets else ""
        noted = [each for each in sets if find_revision(each) == notes.get("revision", 0)]
        # An autoscaler may have stopped the broken version: it is not to start it again.
        if not previous and live["spec"].get("replicas", 1) == 0 and noted in ([], sets[:1]):
            print("Nothing served before, and nothing does.")
            return
        if previous and newest == previous and is_seen(live):
            print(f"{previous} is still the newest: nothing to undo.", flush=True)
            break
        if own and not mine:
            raise Failure("Somebody else has deployed since", describe(namespace, live), NOT_OURS)
        wanted = next((s for s in sets if s["metadata"]["name"] == previous), None)
        generation = live["metadata"]["generation"]
        change = json.dumps([
            {"op": "test", "path": "/metadata/generation", "value": generation},
            *(undo(wanted) if previous else stop(noted)),
        ])  # fmt: skip
        try:
            namespace.ask(
                "patch", "deployment", namespace.deployment, "--type=json", "--patch", change
            )
            print(
                f"{previous} is the newest again." if previous else "All pods are stopped.",
                flush=True,
            )
            break
        except Failure as failure:
            if not re.search(r"test failed|rejected our request|Conflict", failure.said):
                raise
            time.sleep(0.5)  # the autoscaler or somebody else was faster: look again
    if previous:
        wait_for_rollout(namespace)


def undo(replicas: Json | None) -> list[Json]:
    """Return the operations that put the pods of a ReplicaSet back.

    Raises:
        Failure: It is gone.
    """
    if replicas is None:
        raise Failure(
            "The version to go back to is gone",
            "Its ReplicaSet was removed: more than revisionHistoryLimit versions have come since."
            " Deploy a version by hand.",
        )
    template = json.loads(json.dumps(replicas["spec"]["template"]))
    template["metadata"].get("labels", {}).pop("pod-template-hash", None)
    annotations = replicas["metadata"].get("annotations", {})
    values = {CAUSE: annotations.get(CAUSE, ""), DEPLOY: annotations.get(DEPLOY, "rollback")}
    return [
        {"op": "replace", "path": "/spec/template", "value": template},
        *(
            {"op": "add", "path": f"/metadata/annotations/{key.replace('/', '~1')}", "value": value}
            for key, value in values.items()
        ),
    ]


def stop(noted: Sequence[Json]) -> list[Json]:
    """Return the operations that stop all pods; those that come later are of a noted ReplicaSet."""
    stopped: Json = {"op": "replace", "path": "/spec/replicas", "value": 0}
    return [stopped, *(undo(noted[0]) if noted else [])]


def show_logs(namespace: Namespace) -> None:
    """Print what the new version says, or its Jobs if it is no further: 60 lines, the log last."""
    own = read_notes().get("id", "")
    live = namespace.read_deployment()
    if own and live["metadata"]["annotations"].get(DEPLOY) != own:  # it has come to its Jobs alone
        makers = name_jobs(namespace, own)
        selectors = [select_jobs(makers)]
    else:
        newest = namespace.read_sets(live)[:1]
        makers = [each["metadata"]["name"] for each in newest]
        selectors = [*map(select_pods, newest)]
    pods = [pod for chosen in selectors for pod in namespace.read("pods", chosen)["items"]]
    pods.sort(key=rank)
    theirs = re.compile(rf"({'|'.join(map(re.escape, makers))})(-\w+)?")
    events = namespace.read("events", "--field-selector=type=Warning")["items"]
    # When it was last seen; those of the scheduler have another field for it.
    events.sort(key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime") or ""))
    about = [
        f"{event.get('reason', '')} {event['involvedObject']['name']}: "
        f"{flatten(event.get('message', ''))}"
        for event in events
        if theirs.fullmatch(event["involvedObject"].get("name", ""))
        and event.get("reason") != "FailedToRetrieveImagePullSecret"
    ]
    print(*about[-10:], sep="\n")
    for pod in pods[-8:]:
        status = pod.get("status", {})
        states = [
            " ".join([state, *(str(about[key]) for key in ("reason", "exitCode") if key in about)])
            for container in status.get("containerStatuses", [])
            for state, about in container.get("state", {}).items()
        ]
        print(pod["metadata"]["name"], status.get("phase"), *states)
    written = read_log(namespace, pods[-2:])
    print(*(written or [f"No pod of {' or '.join(makers)} has written anything."]), sep="\n")


def rank(pod: Json) -> int:
    """Return where a pod is in an order that puts the cause last: what has not got ready."""
    if pod.get("status", {}).get("phase") == "Succeeded":
        return 0
    return 1 if find_condition(pod, "Ready").get("status") == "True" else 2


def main(arguments: Sequence[str]) -> int:
    """Do one of the four things; return the exit code."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGINT, lambda *_: sys.exit(143))
    try:
        if list(arguments) == ["check"]:
            check_versions(sys.stdin.read())
            return 0
        with connect() as namespace:
            match arguments:
                case ["current"]:
                    live = namespace.read_deployment()
                    find_app(namespace, live)
                    print(find_serving(namespace, live))
                case ["deploy", image, *command] if command:
                    deploy(namespace, image, command)
                case ["rollback", previous]:
                    rollback(namespace, previous)
                case ["logs"]:
                    show_logs(namespace)
                case _:
                    print(__doc__)
                    return 0 if list(arguments) == ["--help"] else 2
    except Failure as failure:
        if failure.title:
            tell(f"{failure.said}::error title={failure.title}::{failure.remedy}")
        return failure.code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
