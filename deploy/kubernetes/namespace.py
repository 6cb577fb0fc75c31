"""A namespace of a Kubernetes cluster, as kubectl shows it.

KUBE_CONFIG, KUBE_NAMESPACE, KUBE_DEPLOYMENT and KUBE_CONTAINER say which one, PATIENCE how many
seconds the cluster may be away.
"""

import base64
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Json = dict[str, Any]

PATIENCE = float(os.environ.get("PATIENCE", "60"))
ANSWER_SECONDS = 20
REVISION = "deployment.kubernetes.io/revision"
AGAIN = "Run deploy/kubernetes/setup.sh again and store the KUBE_CONFIG that it prints."
NO_CONFIG = ("KUBE_CONFIG is no kubeconfig", AGAIN)
AWAY = ("The cluster cannot be reached", "Does it run, and may GitHub reach its API server?")
# What kubectl says, in the order in which it is looked for. The server is away: it is asked again.
ERRORS: Sequence[tuple[str, tuple[str, str]]] = (
    (r"denied (the )?request",
     ("A policy of the cluster refuses it", "The log above says which, and what it wants.")),
    (r"failed calling webhook.*(x509|tls: )",
     ("A webhook of the cluster is broken", "The log above names it: ask who runs the cluster.")),
    (r"getting credentials|no such file or directory|auth plugin",
     ("KUBE_CONFIG needs a program or a file that is not here", AGAIN)),
    (r"being terminated",
     ("The namespace {namespace} is being deleted", f"When it is gone: {AGAIN}")),
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
     r"|closed the connection|starting up|shutting down|not known|failed calling webhook"), AWAY),
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


def is_database_away(log: str) -> bool:
    """Tell whether the log of a migration, which anybody may write, is about that for certain."""
    words = (
        r"connection (was )?(refused|reset|timed out)|connect call failed|can.t connect to"
        r"|timeout expired|closed the connection"
        r"|could not translate host|name resolution|service not known|starting up|shutting down"
        r"|network is unreachable|no route to host"
    )
    return bool(re.search(words, log, re.IGNORECASE))


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
        self.waited, self.away_at = False, float("-inf")
        self.name = os.environ.get("KUBE_NAMESPACE", "")
        if not self.name:
            view = ("config", "view", "--minify", "--output=jsonpath={..namespace}")
            self.name = self._run(view).stdout or "default"

    def ask(self, *arguments: str, content: object = None, patience: float = PATIENCE) -> str:
        """Run kubectl; while the cluster is away, run it again, for as long as patience lasts.

        Raises:
            Failure: It did not work; `said` is what kubectl wrote.
        """
        since = time.monotonic()
        words = (
            f"--namespace={self.name}", f"--request-timeout={ANSWER_SECONDS}s", *arguments
        )  # fmt: skip
        while True:
            done = self._run(words, "" if content is None else json.dumps(content))
            if not done.returncode:
                sys.stderr.write(done.stderr)
                return done.stdout
            title, remedy = next(
                title for pattern, title in ERRORS if re.search(pattern, done.stderr)
            )
            if not self.is_away(done.stderr) or time.monotonic() - since > patience:
                title = title.format(namespace=self.name)
                raise Failure(title, remedy, said=done.stderr)
            if not self.waited:
                reason = done.stderr.strip().splitlines()[-1]
                tell(f"The cluster is away, for {PATIENCE:.0f} s it is asked again: {reason}")
            self.waited = True
            time.sleep(min(2, PATIENCE / 10))

    def is_away(self, said: str) -> bool:
        """Tell whether kubectl says that the server is away.

        One that has just come back refuses what it allows later: it has not read everything yet.
        """
        now = time.monotonic()
        if is_outage(said):
            self.away_at = now
            return True
        refused = re.search("orbidden|Unauthorized|provide credentials", said)
        return bool(refused) and now - self.away_at < PATIENCE / 3

    def read(self, *arguments: str) -> Json:
        """Return an object, or a list of objects."""
        found: Json = json.loads(self.ask("get", *arguments, "--output=json"))
        return found

    def read_deployment(self) -> Json:
        """Return the Deployment, once its controller has seen the last change, if it does."""
        deadline = time.monotonic() + PATIENCE / 2
        while True:
            live = self.read("deployment", self.deployment)
            if is_seen(live) or time.monotonic() > deadline:
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

    @contextmanager
    def forward(self, pod: str, ports: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
        """Lead a port of this machine to one of a pod.

        Yields:
            kubectl, and what it said until the port was open, kubectl had ended, or hung too long.
        """
        words = ["kubectl", f"--namespace={self.name}", "port-forward", f"pod/{pod}", ports]
        with tempfile.TemporaryFile() as output:
            process = subprocess.Popen(words, stdout=output, stderr=output, env=self.environment)  # noqa: S603
            try:
                said, ended, deadline = "", False, time.monotonic() + ANSWER_SECONDS
                while not ended and " -> " not in said:
                    time.sleep(0.05)
                    ended = process.poll() is not None
                    said = os.pread(output.fileno(), 10_000, 0).decode(errors="replace")
                    if not ended and time.monotonic() > deadline:
                        said, ended = f"{said} timeout: no answer for {ANSWER_SECONDS} s", True
                yield process, said
            finally:
                process.terminate()
                process.wait()

    def _run(self, words: Sequence[str], text: str = "") -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(  # noqa: S603 - words of this file and names of objects
                ["kubectl", *words],  # noqa: S607 - the one that is on PATH
                check=False, capture_output=True, text=True, errors="replace", input=text,
                env=self.environment,
            )  # fmt: skip
        except FileNotFoundError:
            raise Failure("kubectl is missing", "Install it where this job runs.") from None


def tell(text: str) -> None:
    """Say how it stands."""
    print(text, file=sys.stderr, flush=True)


def is_seen(deployment: Json) -> bool:
    """Tell whether the controller of a Deployment has seen its last change."""
    seen = deployment.get("status", {}).get("observedGeneration", 0)
    return bool(seen >= deployment["metadata"].get("generation", 0))


def find_revision(workload: Json) -> int:
    """Return the number of the revision of a ReplicaSet or Deployment; 0 if it has none yet."""
    return int(workload["metadata"].get("annotations", {}).get(REVISION, 0))


def find_app(namespace: Namespace, workload: Json) -> Json:
    """Return the container of a Deployment or Job that is the app."""
    for container in workload["spec"]["template"]["spec"]["containers"]:
        if container["name"] == namespace.container:
            found: Json = container
            return found
    title = f"The Deployment {namespace.deployment} has no container {namespace.container}"
    raise Failure(title, "Set KUBE_CONTAINER to the name of the one to update.")


def find_condition(resource: Json, kind: str) -> Json:
    """Return a condition of an object, or nothing."""
    conditions = resource.get("status", {}).get("conditions") or []
    return next((each for each in conditions if each["type"] == kind), {})


def flatten(text: str) -> str:
    """Return a text of somebody else on one line."""
    return " ".join(text.split()) or "The cluster does not say why."


def find_deadline(deployment: Json) -> int:
    """Return how many seconds a version has to get ready."""
    return int(deployment["spec"].get("progressDeadlineSeconds") or 600)


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
    except ValueError:  # letters that are none of base64, too
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
