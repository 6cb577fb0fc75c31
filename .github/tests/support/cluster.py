"""A Kubernetes cluster with one namespace: what it keeps, and what its controllers do with it.

Time: what takes minutes has happened at once, but a Job, which takes two looks to end. A
full node and a quota are flags; Pod Security is what `restricted` refuses of the pods here. Not
here: pods that change one by one and are drained, probes in time, traffic to single pods, logs of
several pods at once, other admission plugins, clocks of several API servers.
"""

import base64
import copy
import json
import random
import time
from collections.abc import Callable  # noqa: TC003
from dataclasses import dataclass
from socket import socket  # noqa: TC003
from threading import Event, RLock

from cluster_fields import Json, Owners, add_defaults

REVISION = "deployment.kubernetes.io/revision"
REASONS = {
    True: "NewReplicaSetAvailable",
    False: "ProgressDeadlineExceeded",
    None: "ReplicaSetUpdated",
}
NEVER = 2**31 - 1
"""The deadline of a Deployment that has none."""
GROUPS = {
    "v1": {"pods": "Pod", "events": "Event", "secrets": "Secret", "services": "Service",
           "namespaces": "Namespace", "serviceaccounts": "ServiceAccount"},
    "apps/v1": {"deployments": "Deployment", "replicasets": "ReplicaSet"},
    "autoscaling/v2": {"horizontalpodautoscalers": "HorizontalPodAutoscaler"},
    "batch/v1": {"jobs": "Job"},
    "policy/v1": {"poddisruptionbudgets": "PodDisruptionBudget"},
    "rbac.authorization.k8s.io/v1": {"roles": "Role", "rolebindings": "RoleBinding"},
}  # fmt: skip


@dataclass(frozen=True)
class Version:
    """An image, and how it behaves.

    Attributes:
        revision: Its name.
        starts: Whether its pods get ready; `None`: they run, and never do.
        rolls_out: The same once its preview was ready.
        migrates: Whether its migrations succeed; `None` keeps the Job running.
        schema: What its migrations make of the database; an older one makes it unready.
        slow: Seconds that its pods take to get ready.
        works: Whether it passes the smoke tests; `None`: as long as it has no traffic.
    """

    revision: str
    starts: bool | None = True
    rolls_out: bool | None = True
    migrates: bool | None = True
    works: bool | None = True
    schema: int = 1
    slow: float = 0

    @property
    def commit(self) -> str:
        """What /health says."""
        return self.revision.encode().hex().ljust(40, "0")


class Cluster:
    """A cluster with one namespace.

    Attributes:
        versions: Its images, by reference.
        namespace: Name of the namespace; empty until somebody makes it.
        undoable: Whether an older revision gets ready again.
        schema: What the migrations have made of the database.
        database: Whether the database answers; without it nothing is ready, and nothing migrates.
        controllers: Whether Deployments are acted on when they have changed.
        registry: Whether the registry answers; without it no image is pulled for a Job.
        quota: Whether the quota of pods is used up.
        full: No node has room for pods with this in their names, if it is anything.
        injects: Whether a webhook puts another container into each pod, which does not end.
        mirror: Registry that a webhook puts in place of that of each image, if it is anything.
        served: Revision of every version that has ever served, in order.
        used: Group, resource and verb of everything that the deployer asked for.
        forwarded: Connections that lead to ports of pods.
        server: Address of the API server.
        certificate: What it is trusted by.
        url: Where the version that serves answers.
    """

    def __init__(self, certificate: bytes) -> None:
        self.certificate, self.server, self.url = certificate, "", ""
        self.lock = RLock()
        self.pause: Callable[[float], None] = lambda _: None
        self.closed, self.back = Event(), Event()
        self.reset()

    def reset(self) -> None:
        """Remove everything."""
        self.tokens = {"admin": "token of an administrator"}
        self.namespace, self.undoable, self.count = "", True, 0
        self.schema, self.database, self.quota, self.full = 1, True, False, ""
        self.injects, self.mirror, self.controllers = False, "", True
        self.outages: list[tuple[str, str, float]] = []
        self.back.set()
        self.registry, self.forgets_until = True, 0.0
        self.minor = ""
        self.owners: dict[tuple[str, str], Owners] = {}
        self.versions: dict[str, Version] = {}
        self.served: list[str] = []
        self.used: set[tuple[str, str, str]] = set()
        self.forwarded: list[socket] = []
        self.objects: dict[str, dict[str, Json]] = {
            kind: {} for kinds in GROUPS.values() for kind in kinds
        }

    # What a test asks.

    def kubeconfig(self, user: str = "deployer") -> str:
        """Return a kubeconfig of a user, in base64."""
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {
                    "name": "it",
                    "cluster": {
                        "server": self.server,
                        "certificate-authority-data": base64.b64encode(self.certificate).decode(),
                    },
                }
            ],
            "users": [{"name": user, "user": {"token": self.tokens[user]}}],
            "contexts": [
                {
                    "name": "it",
                    "context": {"cluster": "it", "user": user, "namespace": self.namespace},
                }
            ],
            "current-context": "it",
        }
        return base64.b64encode(json.dumps(content).encode()).decode()

    def install(self, namespace: str, files: list[Json]) -> None:
        """Make a namespace and what is in it, as if it had been applied."""
        self.namespace = namespace
        for file in files:
            resource = next(
                plural for kinds in GROUPS.values() for plural, kind in kinds.items()
                if kind == file["kind"]
            )  # fmt: skip
            self.store(resource, copy.deepcopy(file))

    @property
    def deployment(self) -> Json:
        """The only Deployment."""
        (deployment,) = self.objects["deployments"].values()
        return deployment

    @property
    def revision(self) -> str:
        """Number of the newest revision."""
        return str(self.deployment["metadata"]["annotations"][REVISION])

    @property
    def serving(self) -> tuple[Version, dict[str, str]] | None:
        """The version that serves, with its environment; while it is rolled out, the old one."""
        sets = [
            replicaset for replicaset in self.objects["replicasets"].values() if replicaset["ready"]
        ]
        if not sets or not self.database:
            return None
        oldest = min(sets, key=lambda replicas: int(replicas["metadata"]["annotations"][REVISION]))
        container = oldest["spec"]["template"]["spec"]["containers"][0]
        environment = {each["name"]: each.get("value", "") for each in container.get("env", [])}
        return self.versions[container["image"]], environment

    def find_log(self, pod: str) -> str:
        """Return what a pod has written."""
        return f"log of {pod}\n{self.objects['pods'][pod].get('log', '')}"

    def lose_database(self) -> None:
        """Take the database away: pods stay, and are not available; the rollout stays complete."""
        self.database = False
        for replicaset in (self.deployment, *self.objects["replicasets"].values()):
            replicaset["status"].pop("availableReplicas", None)

    def finish_migrations(self) -> None:
        """Let the Jobs that are still there do what they were to do."""
        for job in filter(_migrates, self.objects["jobs"].values()):
            image = job["spec"]["template"]["spec"]["containers"][0]["image"]
            self.schema = max(self.schema, self.versions[image].schema)

    # What the API server and the controllers do.

    def remove(self, resource: str, name: str) -> Json:
        """Delete an object, and what belongs to it."""
        taken = self.objects[resource].pop(name)
        if resource == "jobs":
            self.objects["pods"].pop(f"{name}-pod", None)
        elif resource == "serviceaccounts":
            self.tokens.pop(name, None)
            self.objects["secrets"].pop(name, None)
        return taken

    def look_at_rollout(self, deployment: Json) -> None:
        """Let the pods of a version that starts slowly get ready, when it is time."""
        sets = self.objects["replicasets"].values()
        if any("begun" in replicas and not replicas["ready"] for replicas in sets):
            self._roll_out(deployment)

    def look_at_previews(self) -> None:
        """Let the Jobs that serve get on."""
        for job in self.objects["jobs"].values():
            if not _migrates(job):
                self.look_at_job(job)

    def look_at_job(self, job: Json) -> None:
        """Let a Job get on: it succeeds some looks later, and says so in two steps."""
        job["looks"] += 1
        image = job["spec"]["template"]["spec"]["containers"][0]["image"]
        version = self.versions.get(image)
        pod = self.objects["pods"].get(f"{job['metadata']['name']}-pod")
        if not pod and job["made"]:  # somebody has removed it: it counts as failed
            steps = ("FailureTarget", "Failed")
            job["status"] = {"conditions": [{"type": step, "status": "True"} for step in steps]}
            self.warn(job["metadata"]["name"], "BackoffLimitExceeded", "Job has reached the limit")
        if not (version and pod and self.registry) or self._is_full(job):
            return
        for status in pod["status"]["containerStatuses"]:
            if "waiting" in status["state"]:
                status["state"] = {"running": {}}
        if not _migrates(job):
            self._preview(job, pod, version)
            return
        if version.migrates is None:
            return
        good = version.migrates and self.database and "log" not in pod
        if not self.database:
            pod["log"] = "connection to server: Connection refused\n\tIs the server running?\n"
        end_app(pod, *(("Completed", 0) if good else ("Error", 1)))
        if good:
            self.schema = max(self.schema, version.schema)
        if pod["status"]["phase"] == "Running":  # others in it do not end, nor does the Job
            return
        steps = ("SuccessCriteriaMet", "Complete") if good else ("FailureTarget", "Failed")
        job["status"] = {
            "conditions": [{"type": step, "status": "True"} for step in steps[: job["looks"]]]
        }

    def _preview(self, job: Json, pod: Json, version: Version) -> None:
        """Let the pod of a Job that serves get ready, or end."""
        if version.starts is False:
            end_app(pod, "Error")
            if pod["status"]["phase"] == "Failed":  # others may run on, and the Job with them
                steps = ("FailureTarget", "Failed")
                conditions = [{"type": step, "status": "True"} for step in steps]
                job["status"] = {"failed": 1, "conditions": conditions}
            return
        lasts = time.monotonic() - job["begun"]
        ready = version.starts and self.database and version.schema <= self.schema
        ready = ready and lasts >= version.slow
        gates = pod["spec"].get("readinessGates")  # nobody opens them for what gets no traffic
        states = {"ContainersReady": bool(ready), "Ready": bool(ready and not gates)}
        pod["status"]["conditions"] = [
            {"type": kind, "status": str(state)} for kind, state in states.items()
        ]

    def store(self, resource: str, stored: Json) -> Json:
        """Keep an object, and let the controllers act on it."""
        self.count += 1
        add_defaults(stored)
        if self.mirror and "template" in stored.get("spec", {}):
            for container in stored["spec"]["template"]["spec"]["containers"]:
                container["image"] = f"{self.mirror}/{container['image'].rpartition('/')[2]}"
        metadata = stored["metadata"]
        if "name" not in metadata:
            metadata["name"] = f"{metadata['generateName']}{self.count:05}"
        before = self.objects[resource].get(metadata["name"])
        metadata |= {
            "namespace": self.namespace,
            "resourceVersion": str(self.count),
            "uid": before["metadata"]["uid"] if before else f"uid-{self.count}",
            "generation": (before["metadata"]["generation"] if before else 0) + 1,
            "creationTimestamp": "2026-01-01T00:00:00Z",
        }
        metadata.setdefault("labels", {})
        metadata.setdefault("annotations", {})
        self.objects[resource][metadata["name"]] = stored
        if resource == "deployments" and self.controllers:
            self._roll_out(stored)
        elif resource == "jobs":
            self._run(stored)
        elif stored.get("type") == "kubernetes.io/service-account-token":
            account = metadata["annotations"]["kubernetes.io/service-account.name"]
            uid = self.objects["serviceaccounts"][account]["metadata"]["uid"]
            self.tokens[account] = f"token of {account} {uid}"
            stored["data"] = {"token": base64.b64encode(self.tokens[account].encode()).decode()}
        return stored

    def _roll_out(self, deployment: Json) -> None:
        """Do what the Deployment controller does, at once."""
        if deployment["spec"].get("paused"):
            progress = {"type": "Progressing", "status": "Unknown", "reason": "DeploymentPaused"}
            seen = deployment["metadata"]["generation"]
            deployment["status"] |= {"observedGeneration": seen, "conditions": [progress]}
            return
        sets = self.objects["replicasets"]
        own, again = self._find_set(deployment)
        deployment["metadata"]["annotations"][REVISION] = own["metadata"]["annotations"][REVISION]
        wanted = deployment["spec"].setdefault("replicas", 1)
        image = deployment["spec"]["template"]["spec"]["containers"][0]["image"]
        version = self.versions.get(image, Version("", starts=False))
        starts = version.starts if version.rolls_out else version.rolls_out
        ready = starts if self.undoable or not again else False
        refused = self._refuse(deployment["metadata"]["name"], deployment["spec"]["template"])
        if ready and (
            refused
            or self._is_full(deployment)
            or version.schema > self.schema
            or not self.database
        ):
            ready = None
        if ready and version.slow:
            now = time.monotonic()
            ready = True if now - own.setdefault("begun", now) >= version.slow else None
        own["ready"] = bool(ready) and wanted > 0
        for replicas in sets.values():
            if ready or not wanted:
                replicas["ready"] = replicas["ready"] and replicas is own
            replicas["status"] = (
                {"availableReplicas": wanted} if replicas["ready"] and self.database else {}
            )
            replicas["spec"]["replicas"] = wanted if replicas["ready"] else int(replicas is own)
        updated = wanted if ready else min(wanted, 1)
        available = sum(
            replicas["status"].get("availableReplicas", 0) for replicas in sets.values()
        )
        deployment["status"] = {
            "observedGeneration": deployment["metadata"]["generation"],
            "replicas": updated if ready else updated + available,
            "updatedReplicas": updated,
            "terminatingReplicas": 0,
            "conditions": [
                {"type": "Available", "status": str(available >= wanted)},
                {
                    "type": "Progressing",
                    "status": str(ready is not False),
                    "reason": REASONS[ready],
                },
            ],
        }
        if deployment["spec"]["progressDeadlineSeconds"] == NEVER:
            del deployment["status"]["conditions"][1]
        if available:
            deployment["status"]["availableReplicas"] = available
        if refused:
            deployment["status"]["conditions"].append(
                {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate",
                 "message": refused}
            )  # fmt: skip
        self._start_pods(own)
        if self.serving and self.serving[0].revision not in self.served[-1:]:
            self.served.append(self.serving[0].revision)

    def _is_full(self, maker: Json) -> bool:
        """Tell whether no node has room for what a Job or Deployment makes."""
        return bool(self.full) and self.full in maker["metadata"]["name"]

    def _refuse(self, name: str, template: Json) -> str:
        """Return why a pod is not made: a quota, or Pod Security."""
        wrong = find_violations(template["spec"])
        said = f'violates PodSecurity "restricted:latest": {wrong}' if wrong else ""
        if self.quota:
            said = "exceeded quota: pods, used: pods=4, limited: 4"
        return f'Error creating: pods "{name}-" is forbidden: {said}' if said else ""

    def _find_set(self, deployment: Json) -> tuple[Json, bool]:
        """Return the ReplicaSet of a Deployment with its new revision; and whether it was there."""
        sets = self.objects["replicasets"]
        revisions = [
            int(replicas["metadata"]["annotations"][REVISION]) for replicas in sets.values()
        ]
        newest = max(revisions, default=0)
        wanted = _identify(deployment["spec"]["template"])
        causes = {
            key: value
            for key, value in deployment["metadata"]["annotations"].items()
            if not key.startswith(REVISION)
        }
        for replicas in sets.values():
            if _identify(replicas["spec"]["template"]) == wanted:
                annotations = replicas["metadata"]["annotations"]
                annotations.update(causes)
                again = int(annotations[REVISION]) < newest
                if again:
                    history = annotations.get(f"{REVISION}-history")
                    annotations[f"{REVISION}-history"] = ",".join(
                        filter(None, (history, annotations[REVISION]))
                    )
                annotations[REVISION] = str(newest + again)
                return replicas, again
        own = self._make_set(deployment, newest + 1)
        own["metadata"]["annotations"] |= causes
        return own, False

    def _make_set(self, deployment: Json, revision: int) -> Json:
        self.count += 1
        name = f"{deployment['metadata']['name']}-{self.count:05}"
        made = {
            "metadata": {
                "name": name,
                "namespace": self.namespace,
                "uid": f"uid-{self.count}",
                "labels": deployment["spec"]["template"]["metadata"]["labels"]
                | {"pod-template-hash": f"{self.count:05}"},
                "annotations": {REVISION: str(revision)},
                "ownerReferences": [
                    {
                        "apiVersion": "apps/v1",
                        "kind": "Deployment",
                        "controller": True,
                        "name": deployment["metadata"]["name"],
                        "uid": deployment["metadata"]["uid"],
                    }
                ],
            },
            "spec": {
                "selector": deployment["spec"]["selector"],
                "template": copy.deepcopy(deployment["spec"]["template"]),
            },
            "ready": False,
        }
        self.objects["replicasets"][name] = made
        return made

    def _start_pods(self, newest: Json) -> None:
        pods = self.objects["pods"]
        of_jobs = {f"{job}-pod" for job in self.objects["jobs"]}
        for name in pods.keys() - of_jobs:
            del pods[name]
        for name, replicas in self.objects["replicasets"].items():
            if replicas["ready"] or replicas is newest:
                self._make_pod(
                    f"{name}-pod", replicas["metadata"]["labels"], replicas["spec"]["template"]
                )

    def warn(self, name: str, reason: str, message: str) -> None:
        """Keep a warning about an object."""
        self.count += 1
        self.objects["events"][f"{name}.{self.count}"] = {
            "metadata": {"name": f"{name}.{self.count}", "labels": {}},
            "type": "Warning", "reason": reason, "message": message,
            "involvedObject": {"name": name}, "lastTimestamp": f"2026-01-01T00:00:{self.count:09}Z",
        }  # fmt: skip

    def _make_pod(self, name: str, labels: Json, template: Json, cause: str = "") -> None:
        container = template["spec"]["containers"][0]
        state: Json = {"running": {}}
        if cause:
            said = f'Back-off pulling image "{container["image"]}": ErrImagePull: {cause}'
            state = {"waiting": {"reason": "ImagePullBackOff", "message": said}}
        self.objects["pods"][name] = {
            "metadata": {"name": name, "namespace": self.namespace, "labels": labels},
            "spec": template["spec"],
            "status": {
                "phase": "Pending" if cause else "Running",
                "containerStatuses": [
                    {"name": name, "state": state}
                    for name in [
                        *(each["name"] for each in template["spec"]["containers"]),
                        *["injected"] * self.injects,
                    ]
                ],
            },
        }

    def _run(self, job: Json) -> None:
        """Do what the Job controller does, at once."""
        name, uid = job["metadata"]["name"], job["metadata"]["uid"]
        labels = {"batch.kubernetes.io/controller-uid": uid, "batch.kubernetes.io/job-name": name}
        job["spec"]["selector"] = {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}
        image = job["spec"]["template"]["spec"]["containers"][0]["image"]
        version = self.versions.get(image)
        cause = "" if version else "not found"
        if not self.registry:
            cause = "dial tcp 10.0.0.9:443: connect: connection refused"
        labels |= {"controller-uid": uid, "job-name": name}
        job |= {"status": {}, "looks": 0, "begun": time.monotonic(), "made": False}
        if refused := self._refuse(name, job["spec"]["template"]):
            self.warn(name, "FailedCreate", refused)
            return
        self._make_pod(f"{name}-pod", labels, job["spec"]["template"], cause)
        job["made"] = True
        if self._is_full(job):
            self.objects["pods"][f"{name}-pod"]["status"] = {
                "phase": "Pending",
                "conditions": [
                    {"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
                     "message": "0/1 nodes are available: 1 Insufficient memory."}
                ],
            }  # fmt: skip


def end_app(pod: Json, reason: str, code: int = 137) -> None:
    """End the first container of a pod, which ends too if there is no other."""
    status = pod["status"]
    status["containerStatuses"][0]["state"] = {"terminated": {"exitCode": code, "reason": reason}}
    if len(status["containerStatuses"]) == 1:
        status |= {"phase": "Failed" if code else "Succeeded", "conditions": []}


def shuffle(found: list[Json]) -> list[Json]:
    """Return objects in an order that nobody may rely on."""
    return random.sample(found, len(found))


def _migrates(job: Json) -> bool:
    """Tell a Job that migrates from one that serves."""
    arguments = job["spec"]["template"]["spec"]["containers"][0].get("args", [])
    return bool(arguments == ["migrate"])


def _identify(template: Json) -> str:
    """Return what tells a pod template from others: all of it."""
    return json.dumps(template, sort_keys=True)


def find_violations(pod: Json) -> str:
    """Return what Pod Security says of a pod at the level `restricted`; nothing if it may run."""
    container = pod["containers"][0]
    outer, inner = pod.get("securityContext", {}), container.get("securityContext", {})
    wrong = {
        "allowPrivilegeEscalation != false": inner.get("allowPrivilegeEscalation") is not False,
        "unrestricted capabilities": inner.get("capabilities", {}).get("drop") != ["ALL"],
        "runAsNonRoot != true": True
        not in {context.get("runAsNonRoot") for context in (outer, inner)},
        "seccompProfile": not (outer | inner).get("seccompProfile"),
    }
    return ", ".join(title for title, is_wrong in wrong.items() if is_wrong)
