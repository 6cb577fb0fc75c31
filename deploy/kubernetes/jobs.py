"""The Jobs of a deploy: one migrates, one runs the new version where it gets no traffic."""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from namespace import (
    PATIENCE,
    Failure,
    Json,
    Namespace,
    find_app,
    find_condition,
    find_deadline,
    flatten,
    is_database_away,
    is_outage,
    tell,
)

JOB_NAME, JOB_SECONDS = "batch.kubernetes.io/job-name", 600
POLL_SECONDS = min(1, PATIENCE / 10)
UNUSABLE = {
    "CreateContainerConfigError", "CreateContainerError", "ErrImageNeverPull", "ImagePullBackOff",
    "InvalidImageName", "RunContainerError",
}  # fmt: skip
IDENTITY = "azure.workload.identity/use"  # without this label AKS gives a pod no credentials


def make_job(
    namespace: Namespace, deployment: Json, image: str, environment: Json, name: str
) -> Json:
    """Return a Job that runs the pod of the Deployment with the new image; no Service finds it."""
    template = json.loads(json.dumps(deployment["spec"]["template"]))
    labels = template["metadata"].pop("labels")  # annotations may be what brings it secrets
    if IDENTITY in labels:
        template["metadata"]["labels"] = {IDENTITY: labels[IDENTITY]}
    pod = template["spec"]
    pod.pop("topologySpreadConstraints", None)
    (pod.get("affinity") or {}).pop("podAntiAffinity", None)  # each node may have a pod of the app
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": {
        "activeDeadlineSeconds": JOB_SECONDS + find_deadline(deployment), "backoffLimit": 0,
        "ttlSecondsAfterFinished": 3600, "template": template,
    }}  # fmt: skip
    app = find_app(namespace, job)
    app.pop("lifecycle", None)
    kept = [variable for variable in app.get("env", []) if variable["name"] not in environment]
    values = [{"name": key, "value": value} for key, value in environment.items()]
    app |= {"image": image, "env": kept + values}
    pod["restartPolicy"] = "Never"
    return job


def make_migration(namespace: Namespace, job: Json) -> Json:
    """Return such a Job whose app does not serve, but migrates and ends."""
    app = find_app(namespace, job)
    for key in ("command", "livenessProbe", "ports", "readinessProbe", "startupProbe"):
        app.pop(key, None)
    app["args"] = ["migrate"]
    job["spec"]["template"]["spec"]["containers"] = [app]
    job["spec"]["activeDeadlineSeconds"] = JOB_SECONDS
    return job


class Watch:
    """Looks why pods do not start; says so when it is first known."""

    def __init__(self, namespace: Namespace) -> None:
        self.namespace = namespace
        self.began = time.monotonic()
        self.seen: dict[tuple[str, str], float] = {}
        self.now: set[tuple[str, str]] = set()
        self.told: set[str] = set()
        self.cause: tuple[str, str] | None = None

    def look(self, chosen: str, image: str, job: str = "") -> list[Json]:
        """Return chosen pods, such as a Job's, and give up if they cannot start.

        What has healed is forgotten.

        Raises:
            Failure: They cannot; the text names the cause.
        """
        self.cause = None
        self.seen = {key: since for key, since in self.seen.items() if key in self.now}
        self.now = {key for key in self.seen if not key[1]}
        pods = [
            pod for pod in self.namespace.read("pods", chosen)["items"]
            if "deletionTimestamp" not in pod["metadata"]
        ]  # fmt: skip
        for pod in pods:
            state, name = pod.get("status", {}), pod["metadata"]["name"]
            for status in [*state.get("initContainerStatuses", []),
                           *state.get("containerStatuses", [])]:  # fmt: skip
                waiting = status.get("state", {}).get("waiting") or {}
                reason, message = waiting.get("reason", ""), waiting.get("message", "")
                if "Pull" in reason and is_outage(message):
                    self.wait("The registry does not answer", message, 1, name)
                elif reason in UNUSABLE and (is_outage(message) or "to reserve" in message):
                    # A node with much to do tries it again.
                    self.wait("The node does not start the container", message, 2, name)
                elif reason in UNUSABLE:
                    self.fail(
                        f"The new image does not start ({reason})",
                        f"Can the cluster pull {image}, and is the Secret there that the"
                        f" Deployment names? {message}",
                    )
            if (place := find_condition(pod, "PodScheduled")).get("status") == "False":
                said = place.get("message", "")
                self.wait("No node has room for the new pod", said, 2, name)
        if job and not pods:
            about = f"--field-selector=involvedObject.name={job},reason=FailedCreate"
            for event in self.namespace.read("events", about)["items"]:
                self.wait("The new pod cannot be made", event.get("message", ""), 25 / 60, job)
        return pods

    def wait(self, title: str, message: str, patience: float, pod: str = "") -> None:
        """Name a cause at once, and give up when it has lasted, for the same pod."""
        now = time.monotonic()
        self.cause = (title, message)
        self.now.add((title, pod))
        if title not in self.told:
            self.told.add(title)
            tell(f"::warning title={title}::{flatten(message)}")
        if now - self.seen.setdefault((title, pod), now) > patience * PATIENCE:
            self.fail(title, message)

    def fail(self, title: str, message: str) -> NoReturn:
        """Give up, and say how long it took to know.

        Raises:
            Failure: Always.
        """
        now = time.monotonic()
        seen = min([now, *(self.seen[key] for key in self.seen if key[0] == title)]) - self.began
        tell(f"{title}: seen after {seen:.0f} s, decided after {now - self.began:.0f} s.")
        raise Failure(title, flatten(message))


def run_job(
    namespace: Namespace, job: Json, failed: tuple[str, str], seconds: float, *, serves: bool
) -> tuple[Json, bool]:
    """Make a Job, and wait until it is complete or, if it serves, ready.

    Args:
        namespace: Where.
        job: What.
        failed: What it means if it fails: a title and a text.
        seconds: How long it may take.
        serves: Whether it serves, instead of coming to an end.

    Returns:
        The pod that has ended well or serves; whether it does, or only runs and is late.

    Raises:
        Failure: It has failed or takes too long. The Job stays, for its log.
    """
    name, image = job["metadata"]["name"], find_app(namespace, job)["image"]
    watch = Watch(namespace)
    print(f"Job {name}", flush=True)
    try:
        create(namespace, job)
        while True:
            found = {} if serves else namespace.read("job", name)
            if find_condition(found, "Complete").get("status") == "True":
                return {}, True
            pods = watch.look(select_jobs([name]), image, name)
            if good := [pod for pod in pods if is_good(namespace, pod, serves=serves)]:
                return good[0], True
            gone = serves and not pods
            condition = find_condition(namespace.read("job", name) if gone else found, "Failed")
            late = condition.get("reason") == "DeadlineExceeded"
            if late or time.monotonic() - watch.began > seconds:
                running = [pod for pod in pods if pod.get("status", {}).get("phase") == "Running"]
                if serves and running and not watch.cause:
                    return running[0], False
                watch.fail(
                    *watch.cause or (failed[0], f"It took longer than {seconds:.0f} s. {failed[1]}")
                )
            ends = [end for pod in pods if (end := describe_end(namespace, pod))]
            if condition.get("status") == "True" or ends:
                last = " ".join(read_log(namespace, pods)[-3:])
                if not is_database_away(last):
                    how = [*ends, "The log says why."] if ends else ["Its pod was removed."]
                    watch.fail(failed[0], " ".join([failed[1], *how]))
                watch.wait("The database does not answer", last, 1)
                delete_jobs(namespace, name, seconds=45)
                create(namespace, job)
            time.sleep(POLL_SECONDS)
    except SystemExit:  # a signal: nobody may be there to read the log, nor to end the Job
        delete_jobs(namespace, name)
        raise


def is_good(namespace: Namespace, pod: Json, *, serves: bool) -> bool:
    """Tell whether the app in a pod serves or, if it is to come to an end, has ended well."""
    if serves:
        return bool(find_condition(pod, "ContainersReady").get("status") == "True")
    return find_end(namespace, pod).get("exitCode") == 0


def find_end(namespace: Namespace, pod: Json) -> Json:
    """Return how the app in a pod has ended, whatever else in it goes on; nothing if it has not."""
    for each in pod.get("status", {}).get("containerStatuses", []):
        if each["name"] == namespace.container:
            return each.get("state", {}).get("terminated") or {}
    return {}


def describe_end(namespace: Namespace, pod: Json) -> str:
    """Say how the app in a pod has ended; nothing if it has not."""
    if "deletionTimestamp" in pod["metadata"]:
        return "Its pod was removed."
    if end := find_end(namespace, pod):
        said = f"It ended: {end.get('reason', '')}, exit code {end.get('exitCode', 0)}."
        return " ".join([said, *end.get("message", "").split()])
    status = pod.get("status", {})
    if status.get("phase") in {"Failed", "Succeeded"}:
        culprit = find_culprit(namespace, pod)
        said = "" if culprit == namespace.container else f"Its init container {culprit} failed."
        return f"Its pod ended: {status.get('reason', '')} {status.get('message', '')} {said}"
    return ""


def find_culprit(namespace: Namespace, pod: Json) -> str:
    """Return the container whose log says why: an init container that has failed, else the app."""
    status = pod.get("status", {})
    if status.get("phase") == "Failed" and not find_end(namespace, pod):
        for each in status.get("initContainerStatuses", []):
            if each.get("state", {}).get("terminated", {}).get("exitCode"):
                return str(each["name"])
    return namespace.container


def migrate(namespace: Namespace, job: Json) -> None:
    """Run the migrations to their end.

    Raises:
        Failure: They have not succeeded; nothing else has changed.
    """
    failed = ("The migrations failed", "The version before still serves.")
    pod, _ = run_job(namespace, job, failed, JOB_SECONDS, serves=False)
    statuses = pod.get("status", {}).get("containerStatuses", [])
    if any("running" in each.get("state", {}) for each in statuses):  # what a webhook put there
        delete_jobs(namespace, job["metadata"]["name"], seconds=45)


def preview(namespace: Namespace, job: Json, command: Sequence[str], seconds: float) -> None:
    """Run the new version where it gets no traffic, and let a command judge it.

    Raises:
        Failure: It does not get ready in time, or is judged to be bad.
    """
    name, port = job["metadata"]["name"], find_port(namespace, job)
    if not port:
        skip_preview("the container names no port. Name it in the Deployment.")
        return
    failed = ("The new version does not get ready", "It has had no traffic.")
    pod, ready = run_job(namespace, job, failed, seconds, serves=True)
    try:
        judge(namespace, pod["metadata"]["name"], port, command, ready=ready)
    except SystemExit:
        delete_jobs(namespace, name)
        raise
    delete_jobs(namespace, name, seconds=45)  # a quota may leave room for one pod more, not for two


def find_port(namespace: Namespace, workload: Json) -> int:
    """Return the port that the app's probe asks, else the first that it names; 0 if none."""
    app = find_app(namespace, workload)
    ports = {port.get("name", ""): port["containerPort"] for port in app.get("ports", [])}
    asked = app.get("readinessProbe", {}).get("httpGet", {}).get("port", "")
    return int(ports.get(asked, asked if isinstance(asked, int) else next(iter(ports.values()), 0)))


def skip_preview(why: str) -> None:
    """Say that the new version is judged later."""
    tell("::warning title=No preview::The smoke tests run when the new version has traffic:"
         f" {why}")  # fmt: skip


def judge(
    namespace: Namespace, pod: str, port: int, command: Sequence[str], *, ready: bool = True
) -> None:
    """Run a command with the address of a pod, where kubectl leads as long as the command runs.

    If the pod was to be ready by now and is not, the command has no patience: it says why.

    Raises:
        Failure: The command fails, or the pod has ended or cannot be reached.
    """
    local, said, running, deadline = "", "", None, time.monotonic() + PATIENCE
    environment = os.environ | ({} if ready else {"PATIENCE": "0"})
    try:
        while running is None or running.poll() is None:
            if said:  # kubectl has ended
                check_pod(namespace, pod)  # and waits, while the cluster is away
            with namespace.forward(pod, f"{local}:{port}") as (kubectl, said):
                if found := re.search(r":(\d+) -> ", said):
                    local = found[1]
                    running = running or subprocess.Popen(  # noqa: S603 - its caller's
                        [*command, f"http://127.0.0.1:{local}"], env=environment
                    )
                    while kubectl.poll() is None and running.poll() is None:
                        time.sleep(0.1)
                    deadline = time.monotonic() + PATIENCE
                    continue
            away = namespace.is_away(said)
            if running is None and ready and not away and re.search("[Ff]orbidden", said):
                skip_preview("the Role does not allow it. Run deploy/kubernetes/setup.sh again.")
                return
            if not away or time.monotonic() > deadline:
                check_pod(namespace, pod)
                raise Failure("The preview cannot be reached", flatten(said))
            time.sleep(min(2, PATIENCE / 10))
    finally:
        if running is not None and running.poll() is None:
            end_tree(running.pid)
    if running.wait():
        raise Failure("", "")  # the command has said why


def check_pod(namespace: Namespace, name: str) -> None:
    """Make sure that the app in a pod still runs.

    Raises:
        Failure: It does not; the text says how it ended.
    """
    try:
        why = describe_end(namespace, namespace.read("pod", name))
    except Failure as failure:
        if "(NotFound)" not in failure.said:
            raise
        why = "Its pod was removed."
    if why:
        raise Failure("The new version ended while it was judged", flatten(why))


def end_tree(process: int) -> None:
    """End a process and all that it has started."""
    try:
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
        os.kill(process, signal.SIGTERM)
    except OSError:  # it has ended
        return
    for child in children:
        end_tree(int(child))


def create(namespace: Namespace, job: Json) -> None:
    """Make a Job; it may be there already, made by a call whose answer was lost."""
    try:
        namespace.ask("create", "--filename=-", content=job)
    except Failure as failure:
        if "AlreadyExists" not in failure.said:
            raise


def read_log(namespace: Namespace, pods: Sequence[Json]) -> list[str]:
    """Return the last lines that the app has written in pods; none if they are gone."""
    written = []
    for pod in pods:
        name = pod["metadata"]["name"]
        words = (name, f"--container={find_culprit(namespace, pod)}", "--tail=20")
        for more in ((), ("--previous",)):
            try:
                text = namespace.ask("logs", *words, *more, patience=PATIENCE / 6).strip()
            except Failure:  # the pod is gone, or has not started, or its node is away
                continue
            written += [f"{name}: {line}" for line in text.splitlines()]
            if text:
                break
    return written


def delete_jobs(namespace: Namespace, *names: str, seconds: float = 0) -> None:
    """Delete Jobs, and wait until their pods have ended."""
    which = " and ".join(names)
    try:
        namespace.ask("delete", "job", *names, "--wait=false", "--ignore-not-found")
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if not namespace.read("pods", select_jobs(names))["items"]:
                return
            time.sleep(POLL_SECONDS)
        if seconds:
            tell(f"::warning title=The Job {which} still runs::Its pod has not ended.")
    except Failure as failure:
        tell(f"::warning title=The Job {which} may still run::{failure}. {failure.remedy}")


def select_jobs(names: Sequence[str]) -> str:
    """Return the option that selects the pods of Jobs."""
    return f"--selector={JOB_NAME} in ({','.join(names)})"
