#!/usr/bin/env python3
"""Drive a Deployment in a Kubernetes cluster: what deploy/targets/kubernetes.sh does.

usage: target.py current | deploy IMAGE | rollback PREVIOUS | logs | check

KUBE_CONFIG, KUBE_NAMESPACE, KUBE_DEPLOYMENT and KUBE_CONTAINER say which one, PATIENCE how many
seconds the cluster may be away. What a deploy has done is noted in the folder STATE, so that a
rollback knows its own revision and its own Job. `check` judges the versions that standard input has
from `kubectl version --output=json`. Needs kubectl, and nothing beyond Python.

Ends with 75 if somebody else has deployed since: their version stays.
"""

import base64
import binascii
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

type Json = dict[str, Any]

MINIMUM = (1, 32)
PATIENCE = float(os.environ.get("PATIENCE", "60"))
NOT_OURS = 75
REVISION = "deployment.kubernetes.io/revision"
CAUSE, DEPLOY, BEFORE = "kubernetes.io/change-cause", "deploy/id", "deploy/previous"
JOB_SECONDS = 600
SETTLE_SECONDS = 5
POLL_SECONDS = min(1, PATIENCE / 10)
UNUSABLE = {
    "CreateContainerConfigError", "CreateContainerError", "ErrImageNeverPull", "ImagePullBackOff",
    "InvalidImageName", "RunContainerError",
}  # fmt: skip
AGAIN = "Run deploy/kubernetes/setup.sh again and store the KUBE_CONFIG that it prints."
NO_CONFIG = ("KUBE_CONFIG is no kubeconfig", AGAIN)
AWAY = ("The cluster cannot be reached", "Does it run, and may GitHub reach its API server?")
# What kubectl says, in the order in which it is looked for. The server is away: it is asked again.
ERRORS: Sequence[tuple[str, tuple[str, str]]] = (
    (r"invalid configuration|error loading config|localhost:8080", NO_CONFIG),
    (r"Unauthorized|provide credentials|\Aerror: EOF\s*\Z",
     ("The cluster does not accept KUBE_CONFIG", f"It has expired or was revoked. {AGAIN}")),
    (r"certificate|x509|tls: ", ("The cluster is not the one that KUBE_CONFIG trusts", AGAIN)),
    (r"[Ff]orbidden.*exceeded quota", ("A quota of the namespace is used up", "Raise it.")),
    (r"[Ff]orbidden", ("KUBE_CONFIG does not allow this in the namespace {namespace}",
                       f"Is KUBE_NAMESPACE right? If it is: {AGAIN}")),
    ((r"(?i)was refused|connection re(fused|set)|broken pipe|i/o timeout|handshake timeout|\bEOF\b"
     r"|no such host|name resolution|server misbehaving|service ?unavailable|too ?many ?requests"
     r"|currently unable to handle|connection lost|no route|unreachable|timed? ?out|timeout"
     r"|deadline exceeded|unable to connect|etcdserver|bad gateway|goaway|an error on the server"
     r"|closed the connection|starting up|shutting down|not known"), AWAY),
    (r"\(NotFound\)", ("The namespace {namespace} does not have it",
     ("deploy/kubernetes/setup.sh makes what is missing. KUBE_NAMESPACE and KUBE_DEPLOYMENT name"
     " what you have made yourself."))),
    ("", ("kubectl failed", "The log above says why.")),
)  # fmt: skip


def is_outage(text: str) -> bool:
    """Tell whether what a program has written is about something that does not answer."""
    return (
        bool(text) and next(title for pattern, title in ERRORS if re.search(pattern, text)) == AWAY
    )


class Failure(Exception):  # noqa: N818
    """It cannot go on; what happened, what to do, and the exit code."""

    def __init__(self, title: str, remedy: str, code: int = 1, said: str = "") -> None:
        super().__init__(title)
        self.title, self.remedy, self.code, self.said = title, remedy, code, said


class Namespace:
    """The namespace as kubectl shows it.

    Attributes:
        name: Its name.
        deployment: Name of the Deployment.
        container: Name of the container in it that is the app.
    """

    def __init__(self, config: Path) -> None:
        self.deployment = os.environ.get("KUBE_DEPLOYMENT") or "app"
        self.container = os.environ.get("KUBE_CONTAINER") or "app"
        self.environment = os.environ | {"KUBECONFIG": str(config)}
        self.environment.pop("KUBE_CONFIG", None)
        self.waited = False
        self.name = os.environ.get("KUBE_NAMESPACE", "")
        if not self.name:
            view = ("config", "view", "--minify", "--output=jsonpath={..namespace}")
            self.name = self._run(view).stdout or "default"

    def ask(self, *arguments: str, content: object = None) -> str:
        """Run kubectl; while the cluster is away, run it again.

        Raises:
            Failure: It did not work; `said` is what kubectl wrote.
        """
        since = time.monotonic()
        words = (f"--namespace={self.name}", "--request-timeout=20s", *arguments)
        while True:
            done = self._run(words, "" if content is None else json.dumps(content))
            if not done.returncode:
                sys.stderr.write(done.stderr)
                return done.stdout
            title, remedy = next(
                title for pattern, title in ERRORS if re.search(pattern, done.stderr)
            )
            if not is_outage(done.stderr) or time.monotonic() - since > PATIENCE:
                title = title.format(namespace=self.name)
                raise Failure(title, remedy, said=done.stderr)
            if not self.waited:
                reason = done.stderr.strip().splitlines()[-1]
                tell(f"The cluster is away, for {PATIENCE:.0f} s it is asked again: {reason}")
            self.waited = True
            time.sleep(min(2, PATIENCE / 10))

    def read(self, *arguments: str) -> Json:
        """Return an object, or a list of objects."""
        found: Json = json.loads(self.ask("get", *arguments, "--output=json"))
        return found

    def read_deployment(self) -> Json:
        """Return the Deployment, once its controller has seen the last change."""
        deadline = time.monotonic() + 30
        while True:
            live = self.read("deployment", self.deployment)
            seen = live.get("status", {}).get("observedGeneration", 0)
            if seen >= live["metadata"].get("generation", 0) or time.monotonic() > deadline:
                return live
            time.sleep(0.5)

    def read_sets(self, deployment: Json) -> list[Json]:
        """Return the ReplicaSets of the Deployment, the newest revision first."""
        uid = deployment["metadata"]["uid"]
        found = [
            item for item in self.read("replicasets")["items"]
            if any(owner["uid"] == uid for owner in item["metadata"].get("ownerReferences", []))
        ]  # fmt: skip
        return sorted(found, key=find_revision, reverse=True)

    def _run(self, words: Sequence[str], text: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: S603 - words of this file and names of objects
            ["kubectl", *words],  # noqa: S607 - the one that is on PATH
            check=False, capture_output=True, text=True, input=text, env=self.environment,
        )  # fmt: skip


def tell(text: str) -> None:
    """Say how it stands."""
    print(text, file=sys.stderr, flush=True)


def find_revision(it: Json) -> int:
    """Return the number of the revision of a ReplicaSet or Deployment; 0 if it has none yet."""
    return int(it["metadata"].get("annotations", {}).get(REVISION, 0))


def find_app(namespace: Namespace, deployment: Json) -> Json:
    """Return the container that is the app."""
    for container in deployment["spec"]["template"]["spec"]["containers"]:
        if container["name"] == namespace.container:
            found: Json = container
            return found
    title = f"The Deployment {namespace.deployment} has no container {namespace.container}"
    raise Failure(title, "Set KUBE_CONTAINER to the name of the one to update.")


def find_condition(it: Json, kind: str) -> Json:
    """Return a condition of an object, or nothing."""
    conditions = it.get("status", {}).get("conditions") or []
    return next((each for each in conditions if each["type"] == kind), {})


def find_serving(namespace: Namespace, deployment: Json) -> str:
    """Return the name of the ReplicaSet that was last rolled out in full; empty if none ever was.

    It does not matter whether its pods are ready now: they may wait for what is away.
    """
    if deployment["spec"].get("replicas", 1) == 0:
        return ""
    sets = namespace.read_sets(deployment)
    newest = [replicas for replicas in sets if find_revision(replicas) == find_revision(deployment)]
    if find_condition(deployment, "Progressing").get("reason") == "NewReplicaSetAvailable":
        return str(newest[0]["metadata"]["name"]) if newest else ""
    older = [
        replicas
        for replicas in sets
        if replicas not in newest and replicas["spec"].get("replicas", 0)
    ]
    if older:
        best = max(older, key=lambda replicas: (
            replicas.get("status", {}).get("availableReplicas", 0), replicas["spec"]["replicas"],
            find_revision(replicas),
        ))  # fmt: skip
        return str(best["metadata"]["name"])
    noted = deployment["metadata"]["annotations"].get(BEFORE, "")
    return noted if any(replicas["metadata"]["name"] == noted for replicas in sets) else ""


def check_versions(text: str) -> None:
    """Refuse a kubectl or a server that does not know every field of the files here.

    Raises:
        Failure: One of them is too old.
    """
    found = json.loads(text)
    for key, name in (("clientVersion", "kubectl"), ("serverVersion", "The server")):
        version = found.get(key) or {}
        if "minor" not in version:
            continue
        number = tuple(int(re.sub(r"\D", "", version[name])) for name in ("major", "minor"))
        if number < MINIMUM:
            raise Failure(
                f"{name} is too old, {version['gitVersion']}",
                f"It must be {'.'.join(map(str, MINIMUM))} or newer: it would lose preStop.sleep.",
            )


def make_job(deployment: Json, container: str, image: str, environment: Json, name: str) -> Json:
    """Return the Job that migrates: the pod of the Deployment, the new image, another command."""
    pod = json.loads(json.dumps(deployment["spec"]["template"]["spec"]))
    app = next(one for one in pod["containers"] if one["name"] == container)
    for key in ("lifecycle", "livenessProbe", "ports", "readinessProbe", "startupProbe"):
        app.pop(key, None)
    kept = [variable for variable in app.get("env", []) if variable["name"] not in environment]
    values = [{"name": key, "value": value} for key, value in environment.items()]
    pod.pop("topologySpreadConstraints", None)
    app |= {"image": image, "args": ["migrate"], "env": kept + values}
    pod |= {"restartPolicy": "Never", "containers": [app]}
    spec = {"activeDeadlineSeconds": JOB_SECONDS, "backoffLimit": 0,
            "ttlSecondsAfterFinished": 3600, "template": {"spec": pod}}  # fmt: skip
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": spec}


def has_migrations() -> bool:
    """Tell whether the app says in pyproject.toml that it has any; not saying anything counts."""
    try:
        text = Path(__file__).resolve().parents[2].joinpath("pyproject.toml").read_text()
        pipelines = tomllib.loads(text)["tool"]["pipelines"]
    except (OSError, KeyError, tomllib.TOMLDecodeError):
        return True
    return bool(pipelines.get("migrate"))


class Watch:
    """Looks why pods do not start; says so when it is first known."""

    def __init__(self, namespace: Namespace) -> None:
        self.namespace = namespace
        self.began = time.monotonic()
        self.seen: dict[str, float] = {}

    def look(self, selector: str, maker: str, image: str) -> None:
        """Give up if pods cannot start; `maker` is the Job or ReplicaSet that makes them.

        Raises:
            Failure: They cannot; the text names the cause.
        """
        pods = self.namespace.read("pods", f"--selector={selector}")["items"]
        for pod in pods:
            for status in pod.get("status", {}).get("containerStatuses", []):
                waiting = status.get("state", {}).get("waiting") or {}
                message = waiting.get("message", "")
                if "Pull" in waiting.get("reason", "") and is_outage(message):
                    self.wait("The registry does not answer", message, 1)
                elif waiting.get("reason") in UNUSABLE:
                    self.fail(
                        f"The new image does not start ({waiting['reason']})",
                        f"Can the cluster pull {image}, and is the Secret there that the"
                        f" Deployment names? {message}",
                    )
            if (place := find_condition(pod, "PodScheduled")).get("status") == "False":
                self.wait("No node has room for the new pod", place.get("message", ""), 2)
        if not pods:
            chosen = f"--field-selector=involvedObject.name={maker},type=Warning"
            for event in self.namespace.read("events", chosen)["items"]:
                self.wait("The new pod cannot be made", event.get("message", ""), 25 / 60)

    def wait(self, title: str, message: str, patience: float) -> None:
        """Name a cause at once, and give up when it has lasted."""
        now = time.monotonic()
        if title not in self.seen:
            self.seen[title] = now
            tell(f"::warning title={title}::{flatten(message)}")
        if now - self.seen[title] > patience * PATIENCE:
            self.fail(title, message)

    def fail(self, title: str, message: str) -> NoReturn:
        """Give up, and say how long it took to know.

        Raises:
            Failure: Always.
        """
        now = time.monotonic()
        seen = self.seen.get(title, now) - self.began
        tell(f"{title}: seen after {seen:.0f} s, decided after {now - self.began:.0f} s.")
        raise Failure(title, flatten(message))


def flatten(text: str) -> str:
    """Return a text of somebody else on one line."""
    return " ".join(text.split()) or "The cluster does not say why."


def migrate(namespace: Namespace, job: Json, image: str) -> None:
    """Run a Job to its end. Whatever ends this before, ends the Job.

    Raises:
        Failure: It did not succeed; nothing else has changed.
    """
    name = job["metadata"]["name"]
    watch, log = Watch(namespace), ""
    print(f"Migrating: job {name}", flush=True)
    try:
        create(namespace, job)
        while True:
            found = namespace.read("job", name)
            if find_condition(found, "Complete").get("status") == "True":
                return
            failed = find_condition(found, "Failed")
            if failed.get("status") == "True":
                log = read_log(namespace, name)
                last = log.strip().rpartition("\n")[2]
                if is_outage(last):
                    watch.wait("The database does not answer", last, 1)
                    delete_job(namespace, name, seconds=45)
                    create(namespace, job)
                    continue
                late = failed.get("reason") == "DeadlineExceeded"
                watch.fail(
                    f"The migrations took longer than {JOB_SECONDS} s" if late
                    else "The migrations failed",
                    "The version before still serves. The log says why.",
                )  # fmt: skip
            watch.look(f"batch.kubernetes.io/job-name={name}", name, image)
            time.sleep(POLL_SECONDS)
    except BaseException:
        print(log, end="", flush=True)
        delete_job(namespace, name)
        raise


def create(namespace: Namespace, job: Json) -> None:
    """Make a Job; it may be there already, made by a call whose answer was lost."""
    try:
        namespace.ask("create", "--filename=-", content=job)
    except Failure as failure:
        if "AlreadyExists" not in failure.said:
            raise


def read_log(namespace: Namespace, name: str) -> str:
    """Return the last lines of a Job's log, or why there are none."""
    try:
        return namespace.ask("logs", f"job/{name}", "--tail=40")
    except Failure as failure:
        return f"There is no log of the Job: {failure}.\n"


def delete_job(namespace: Namespace, name: str, seconds: float = 0) -> None:
    """Delete a Job, and wait until its pod has ended."""
    try:
        namespace.ask("delete", "job", name, "--wait=false", "--ignore-not-found")
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            selector = f"--selector=batch.kubernetes.io/job-name={name}"
            if not namespace.read("pods", selector)["items"]:
                return
            time.sleep(POLL_SECONDS)
        if seconds:
            tell(f"::warning title=The migration still runs::Its pod of the Job {name} is there.")
    except Failure as failure:
        tell(f"::warning title=The Job {name} may still run::{failure}. {failure.remedy}")


def wait_for_rollout(namespace: Namespace, own: str = "", image: str = "") -> None:
    """Wait until the newest revision is rolled out; `own` is the deploy that made it.

    Without `own`, what serves is put back: pods that are there but wait for something are enough.

    Raises:
        Failure: The cluster has given up, or somebody else has deployed.
    """
    watch, shown = Watch(namespace), ""
    while True:
        live = namespace.read_deployment()
        spec, status = live["spec"], live.get("status", {})
        wanted = spec.get("replicas", 1)
        updated, total, available = (
            status.get(key, 0) for key in ("updatedReplicas", "replicas", "availableReplicas")
        )
        if own and live["metadata"]["annotations"].get(DEPLOY) != own:
            watch.fail("Somebody else has deployed meanwhile", describe(live))
        there = updated >= wanted and total <= updated
        if there and available >= wanted:
            return
        now = f"{updated} of {wanted} pods are new, {available} available, {total} in all"
        if now != shown:
            print(shown := now, flush=True)
        seconds = time.monotonic() - watch.began
        if there and not own and seconds > PATIENCE / 3:
            tell(f"::warning title=Put back, but not available::{now}. They wait for something.")
            return
        limit = (spec.get("progressDeadlineSeconds") or 600) * (wanted + 2)
        settled = bool(own) or seconds > SETTLE_SECONDS
        given_up = find_condition(live, "Progressing").get("status") == "False" and settled
        if given_up or seconds > limit:
            watch.fail("The new version does not get ready", "The log says why.")
        if (failure := find_condition(live, "ReplicaFailure")).get("status") == "True":
            watch.wait("The new pod cannot be made", failure.get("message", ""), 25 / 60)
        if own:
            newest = namespace.read_sets(live)[:1]
            for each in newest:
                watch.look(select_pods(each), each["metadata"]["name"], image)
        time.sleep(POLL_SECONDS)


def select_pods(replicas: Json) -> str:
    """Return the selector of the pods of a ReplicaSet."""
    return f"pod-template-hash={replicas['metadata']['labels']['pod-template-hash']}"


def describe(deployment: Json) -> str:
    """Say what was deployed last."""
    cause = deployment["metadata"]["annotations"].get(CAUSE, "a version without a note")
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


def name_job(namespace: Namespace, own: str) -> str:
    """Return the name of the Job of a deploy."""
    return f"{namespace.deployment[:40]}-migrate-{own}"


def deploy(namespace: Namespace, image: str) -> None:
    """Migrate, change the image in one revision, and wait until it is rolled out."""
    deployment = namespace.read_deployment()
    find_app(namespace, deployment)
    check_versions(namespace.ask("version", "--output=json"))
    if os.environ.get("DATABASE_URL"):
        tell("::notice title=DATABASE_URL is not used::Pods read it from a Secret:"
             " deploy/kubernetes/setup.sh changes it there.")  # fmt: skip
    own = secrets.token_hex(4)
    if notes := find_notes():
        notes.write_text(json.dumps({"id": own, "image": image}))
    named = ("APP_VERSION", "ENVIRONMENT_NAME")
    environment = {key: os.environ[key] for key in named if os.environ.get(key)}
    if has_migrations():
        job = make_job(deployment, namespace.container, image, environment,
                       name_job(namespace, own))  # fmt: skip
        migrate(namespace, job, image)
    else:
        print("No migration: [tool.pipelines] in pyproject.toml names none.")
    annotations = {
        CAUSE: f"{environment.get('APP_VERSION', '')} {image}",
        DEPLOY: own,
        BEFORE: find_serving(namespace, deployment),
    }
    values = [{"name": key, "value": value} for key, value in environment.items()]
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
    if own:
        delete_job(namespace, name_job(namespace, own), seconds=45)
    for _ in range(20):
        live = namespace.read_deployment()
        mine = live["metadata"]["annotations"].get(DEPLOY) == own and (
            find_app(namespace, live)["image"] == notes.get("image")
        )
        sets = namespace.read_sets(live)
        newest = sets[0]["metadata"]["name"] if sets else ""
        if not previous and live["spec"].get("replicas", 1) == 0:
            print("Nothing served before, and nothing does.")
            return
        if previous and newest == previous:
            print(f"{previous} is still the newest: nothing to undo.", flush=True)
            break
        if own and not mine:
            raise Failure("Somebody else has deployed since", describe(live), NOT_OURS)
        operations = [{"op": "test", "path": "/metadata/generation",
                       "value": live["metadata"]["generation"]}]  # fmt: skip
        if previous:
            operations += undo(next((s for s in sets if s["metadata"]["name"] == previous), None))
        else:
            print("Nothing served before: the broken version is stopped.", flush=True)
            operations.append({"op": "replace", "path": "/spec/replicas", "value": 0})
        try:
            change = json.dumps(operations)
            namespace.ask(
                "patch", "deployment", namespace.deployment, "--type=json", "--patch", change
            )
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


def show_logs(namespace: Namespace) -> None:
    """Print what the newest revision and its migration say, at most 60 lines, the log last."""
    own = read_notes().get("id", "")
    newest = namespace.read_sets(namespace.read_deployment())[0]
    job, name = name_job(namespace, own), newest["metadata"]["name"]
    pods = namespace.read("pods", f"--selector={select_pods(newest)}")["items"]
    makers = re.compile(rf"({re.escape(name)}|{re.escape(job)})(-\w+)?" if own
                        else rf"{re.escape(name)}(-\w+)?")  # fmt: skip
    events = namespace.read("events", "--field-selector=type=Warning")["items"]
    about = [
        f"{event.get('reason', '')} {event['involvedObject']['name']}: "
        f"{flatten(event.get('message', ''))}"
        for event in sorted(events, key=lambda event: event.get("lastTimestamp") or "")
        if makers.fullmatch(event["involvedObject"]["name"])
        and event.get("reason") != "FailedToRetrieveImagePullSecret"
    ]
    print(*about[-10:], sep="\n")
    for pod in pods[-8:]:
        status = pod.get("status", {})
        states = [
            next(iter(container.get("state", {})), "")
            for container in status.get("containerStatuses", [])
        ]
        print(pod["metadata"]["name"], status.get("phase"), *states)
    written = []
    for pod in pods[-2:]:
        words = (pod["metadata"]["name"], f"--container={namespace.container}", "--tail=20")
        for more in ((), ("--previous",)):
            try:
                text = namespace.ask("logs", *words, *more).strip()
            except Failure:  # the pod is gone, or has not started
                continue
            written += [f"{words[0]}: {line}" for line in text.splitlines()]
            if text:
                break
    print(*(written or [f"No pod of {name} has written anything."]), sep="\n")


@contextmanager
def connect() -> Iterator[Namespace]:
    """Unpack the credentials for as long as they are needed.

    Raises:
        Failure: They cannot be used.
    """
    text = os.environ.get("KUBE_CONFIG", "")
    if not text:
        raise Failure(
            "KUBE_CONFIG is not set",
            "deploy/kubernetes/setup.sh prints it. Keep it as a secret of the environment.",
        )
    try:
        content = base64.b64decode("".join(text.split()), validate=True)
    except binascii.Error:
        remedy = "Encode the kubeconfig: base64 --wrap=0 FILE."
        raise Failure("KUBE_CONFIG is not base64", remedy) from None
    place = os.environ.get("RUNNER_TEMP") or tempfile.gettempdir()
    if os.environ.get("RUNNER_TEMP"):
        for left in Path(place).glob("kubernetes.*"):  # of a deploy that was killed
            shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix="kubernetes.", dir=place))
    try:
        config = folder / "config"
        config.touch(mode=0o600)
        config.write_bytes(content)
        yield Namespace(config)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


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
                case ["deploy", image]:
                    deploy(namespace, image)
                case ["rollback", previous]:
                    rollback(namespace, previous)
                case ["logs"]:
                    show_logs(namespace)
                case _:
                    print(__doc__)
                    return 0 if list(arguments) == ["--help"] else 2
    except Failure as failure:
        tell(f"{failure.said}::error title={failure.title}::{failure.remedy}")
        return failure.code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
