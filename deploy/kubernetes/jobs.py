"""The Jobs of a deploy: one migrates, one runs the new version where it gets no traffic."""

import json
import re
import subprocess
import time
from collections.abc import Callable, Sequence
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
    is_outage,
    tell,
)

JOB_NAME, JOB_SECONDS = "batch.kubernetes.io/job-name", 600
POLL_SECONDS = min(1, PATIENCE / 10)
UNUSABLE = {
    "CreateContainerConfigError", "CreateContainerError", "ErrImageNeverPull", "ImagePullBackOff",
    "InvalidImageName", "RunContainerError",
}  # fmt: skip


def make_job(
    namespace: Namespace, deployment: Json, image: str, environment: Json, name: str
) -> Json:
    """Return a Job that runs the pod of the Deployment with the new image; no Service finds it."""
    template = {"spec": json.loads(json.dumps(deployment["spec"]["template"]["spec"]))}
    pod = template["spec"]
    pod.pop("topologySpreadConstraints", None)
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
    for key in ("livenessProbe", "ports", "readinessProbe", "startupProbe"):
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
        self.seen: dict[str, float] = {}

    def look(self, selector: str, maker: str, image: str) -> list[Json]:
        """Return pods, and give up if they cannot start; `maker` is their Job or ReplicaSet.

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
        return list(pods)

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


def run_job(
    namespace: Namespace,
    job: Json,
    is_done: Callable[[Json, list[Json]], bool],
    failed: tuple[str, str],
    seconds: float,
) -> None:
    """Make a Job, and wait until it and its pods are done; `failed` says what it means if it fails.

    Raises:
        Failure: It has failed or takes too long. The Job stays, for its log.
    """
    name, image = job["metadata"]["name"], find_app(namespace, job)["image"]
    watch = Watch(namespace)
    print(f"Job {name}", flush=True)
    try:
        create(namespace, job)
        while True:
            found = namespace.read("job", name)
            pods = watch.look(f"{JOB_NAME}={name}", name, image)
            if is_done(found, pods):
                return
            condition = find_condition(found, "Failed")
            late = condition.get("reason") == "DeadlineExceeded"
            if late or time.monotonic() - watch.began > seconds:
                watch.fail(failed[0], f"It took longer than {seconds:.0f} s. {failed[1]}")
            if condition.get("status") == "True":
                last = read_log(namespace, name).strip().rpartition("\n")[2]
                if not is_outage(last):
                    watch.fail(*failed)
                watch.wait("The database does not answer", last, 1)
                delete_job(namespace, name, seconds=45)
                create(namespace, job)
            time.sleep(POLL_SECONDS)
    except SystemExit:  # a signal: nobody may be there to read the log, nor to end the Job
        delete_job(namespace, name)
        raise


def migrate(namespace: Namespace, job: Json) -> None:
    """Run the migrations to their end.

    Raises:
        Failure: They have not succeeded; nothing else has changed.
    """
    failed = ("The migrations failed", "The version before still serves. The log says why.")

    def is_complete(found: Json, _: list[Json]) -> bool:
        return find_condition(found, "Complete").get("status") == "True"

    run_job(namespace, job, is_complete, failed, JOB_SECONDS)


def preview(namespace: Namespace, job: Json, command: Sequence[str], seconds: float) -> None:
    """Run the new version where it gets no traffic, and let a command judge it.

    Raises:
        Failure: It does not get ready in time, or is judged to be bad.
    """
    name, port = job["metadata"]["name"], find_port(namespace, job)
    if not port:
        skip_preview("the container names no port. Name it in the Deployment.")
        return
    failed = ("The new version does not get ready", "The version before still serves.")
    ready: list[str] = []

    def is_ready(_: Json, pods: list[Json]) -> bool:
        ready.extend(
            pod["metadata"]["name"] for pod in pods
            if find_condition(pod, "Ready").get("status") == "True"
        )  # fmt: skip
        return bool(ready)

    run_job(namespace, job, is_ready, failed, seconds)
    try:
        judge(namespace, ready[0], port, command)
    except SystemExit:
        delete_job(namespace, name)
        raise
    delete_job(namespace, name, seconds=45)  # a quota may leave room for one pod more, not for two


def find_port(namespace: Namespace, workload: Json) -> int:
    """Return the port that the app says it listens at; 0 if it says none."""
    return next(
        (port["containerPort"] for port in find_app(namespace, workload).get("ports", [])), 0
    )


def skip_preview(why: str) -> None:
    """Say that the new version is judged later."""
    tell("::warning title=No preview::The smoke tests run when the new version has traffic:"
         f" {why}")  # fmt: skip


def judge(namespace: Namespace, pod: str, port: int, command: Sequence[str]) -> None:
    """Run a command with the address of a pod, where kubectl leads as long as the command runs.

    Raises:
        Failure: The command fails, or the pod cannot be reached.
    """
    local, running, deadline = "", None, time.monotonic() + PATIENCE
    try:
        while running is None or running.poll() is None:
            with namespace.forward(pod, f"{local}:{port}") as (kubectl, said):
                if found := re.search(r":(\d+) -> ", said):
                    local, deadline = found[1], time.monotonic() + PATIENCE
                    running = running or subprocess.Popen([*command, f"http://127.0.0.1:{local}"])  # noqa: S603 - its caller's
                    while kubectl.poll() is None and running.poll() is None:
                        time.sleep(0.1)
                    continue
            if running is None and re.search("[Ff]orbidden", said):
                skip_preview("the Role does not allow it. Run deploy/kubernetes/setup.sh again.")
                return
            if not is_outage(said) or time.monotonic() > deadline:
                raise Failure("The preview cannot be reached", flatten(said))
            time.sleep(min(2, PATIENCE / 10))
    finally:
        if running is not None:
            running.terminate()
    if running.wait():
        raise Failure("", "")  # the command has said why


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
            selector = f"--selector={JOB_NAME}={name}"
            if not namespace.read("pods", selector)["items"]:
                return
            time.sleep(POLL_SECONDS)
        if seconds:
            tell(f"::warning title=The Job {name} still runs::Its pod has not ended.")
    except Failure as failure:
        tell(f"::warning title=The Job {name} may still run::{failure}. {failure.remedy}")
