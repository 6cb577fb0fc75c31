"""The Kubernetes target with the real kubectl, on a cluster that is a local stand-in."""

import base64
import copy
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cluster_api
import pytest
import yaml
from cluster import NEVER, Cluster, Version, end_app
from deployments import Client, Driver
from jobs import judge
from namespace import AWAY, ERRORS, Failure, Namespace

ROOT = Path(__file__).parents[3]
TARGET = ROOT / "deploy/targets/kubernetes.sh"
SETUP = ROOT / "deploy/kubernetes/setup.sh"
GOOD, BETTER, CRASHES, CRASHES_LATE, STUCK, BAD_MIGRATION, MISSING, SMOKES, SMOKES_LATE, STALE = (
    f"registry.example/app@sha256:{digit * 64}" for digit in "12345678bc"
)
VERSIONS = {
    GOOD: Version("good"),
    BETTER: Version("better"),
    CRASHES: Version("crashes", starts=False),
    CRASHES_LATE: Version("crashes-late", rolls_out=False),
    STUCK: Version("stuck", rolls_out=None),
    BAD_MIGRATION: Version("bad-migration", migrates=False),
    SMOKES: Version("smokes", works=False),
    SMOKES_LATE: Version("smokes-late", works=None),
    STALE: Version("stale"),
}
OURS = {"FORWARDED_ALLOW_IPS": "*"}
"""What deploy/kubernetes/app.yaml tells the app."""
JUDGE = 'kube_judge() { curl --fail --silent --show-error --output /dev/null "$1/work"; }\n'
"""In place of the driver, which has the smoke tests."""
WATCHED_KUBECTL = """#!/bin/sh
[ "$(stat -c %a "$KUBECONFIG")" = 600 ] || { echo "others can read $KUBECONFIG" >&2; exit 99; }
[ -z "$KUBE_CONFIG" ] || { echo "kubectl needs no KUBE_CONFIG" >&2; exit 99; }
exec "$REAL_KUBECTL" "$@"
"""


@dataclass
class Deployment:
    """What a test deploys, and where."""

    cluster: Cluster
    environment: dict[str, str]
    folder: Path

    def call(self, function: str, *arguments: str, **environment: str) -> "Done":
        """Call a function of the target as the driver does."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", f'. {TARGET}; {function} "$@"', "bash", *arguments],
            env=self.environment | environment,
            check=False,
            text=True,
            capture_output=True,
            timeout=60,
        )
        assert not list(self.folder.iterdir()), "the credentials stayed"
        assert self.cluster.tokens.get("deployer", "token of") not in done.stdout + done.stderr
        return Done(done.returncode, done.stdout, done.stderr)

    def begin(self, command: str, **environment: str) -> subprocess.Popen[bytes]:
        """Begin to call a function of the target, in a process group that can be ended."""
        return subprocess.Popen(
            ["bash", "-c", f". {TARGET}; {command}"],
            env=self.environment | environment,
            process_group=0,
            stdout=subprocess.DEVNULL,
        )

    def drive(
        self, image: str, revision: str, command: str = "deploy", **environment: str
    ) -> dict[str, str]:
        """Deploy an image as a pipeline does, or put back; return the outputs of the step."""
        driver = Driver(self.folder.with_name("driver"), self.environment)
        settings = {
            "DEPLOY_STATE": str(self.folder.with_name("state")),
            "DEPLOY_TARGET": "kubernetes",
            "DEPLOY_TIMEOUT": "3",
            "SMOKE_TESTS": driver.write_smoke_tests(),
        } | environment
        done = driver.run(command, image, revision=Version(revision).commit, **settings)
        assert not list(self.folder.glob("kubernetes*")), "the credentials stayed"
        return done.outputs | {"code": str(done.code), "log": done.log}

    def deploy(self, image: str, **environment: str) -> None:
        """Deploy an image that works."""
        assert self.call("target_deploy", image, **environment).code == 0

    def current(self) -> str:
        """Return what the target says that serves."""
        done = self.call("target_current")
        assert done.code == 0
        return done.output.strip()

    @property
    def newest(self) -> str:
        """Name of the ReplicaSet that was made last."""
        return max(self.cluster.objects["replicasets"])

    @property
    def serving(self) -> str:
        """Revision that answers."""
        serving = self.cluster.serving
        return serving[0].revision if serving else ""


@dataclass(frozen=True)
class Done:
    """How a call ended."""

    code: int
    output: str
    errors: str


@pytest.fixture(scope="module")
def objects() -> list[Any]:
    """Everything that is in a namespace before the first deploy."""
    command = ("kubectl", "kustomize", ROOT / "deploy/kubernetes")
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found = list(yaml.safe_load_all(done.stdout))
    next(thing for thing in found if thing["kind"] == "Deployment")["spec"]["replicas"] = 0
    return found


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster_api.start(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.fixture
def cluster(server: Cluster) -> Cluster:
    server.reset()
    server.versions = dict(VERSIONS)
    return server


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home where kubectl keeps what it has found out about the cluster."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def environment(tmp_path: Path, home: Path) -> dict[str, str]:
    """Where the real kubectl is, unless a test puts another one before it."""
    real = shutil.which("kubectl")
    assert real, "install kubectl"
    programs = tmp_path / "bin"
    for folder in (programs, tmp_path / "temp"):
        folder.mkdir()
    (tmp_path / "judge.sh").write_text(JUDGE)
    return {
        "DEPLOY_URL": "https://shop.example.com",
        "GOGC": "off",  # kubectl ends before it would collect anything
        "PATH": f"{programs}:{os.environ['PATH']}",
        "HOME": str(home),
        "PATIENCE": "3",
        "REAL_KUBECTL": real,
        "RUNNER_TEMP": str(tmp_path / "temp"),
        "TARGET_FILE": str(tmp_path / "judge.sh"),
    }


@pytest.fixture
def watched(environment: dict[str, str]) -> None:
    """Let somebody watch what kubectl gets to see."""
    kubectl = Path(environment["PATH"].partition(":")[0], "kubectl")
    kubectl.write_text(WATCHED_KUBECTL)
    kubectl.chmod(0o755)


@pytest.fixture
def fresh(
    cluster: Cluster, objects: list[Any], environment: dict[str, str], tmp_path: Path
) -> Deployment:
    """A namespace where nothing was deployed yet."""
    cluster.install("shop", objects)
    settings = {
        "APP_VERSION": "v1.0.0",
        "DEPLOY_URL": cluster.url,
        "ENVIRONMENT_NAME": "staging",
        "KUBE_CONFIG": cluster.kubeconfig(),
        "KUBE_NAMESPACE": "shop",
    }
    return Deployment(cluster, environment | settings, tmp_path / "temp")


@pytest.fixture
def deployed(fresh: Deployment) -> Deployment:
    """A namespace where a version serves."""
    serve(fresh.cluster, GOOD)
    assert fresh.serving == "good"
    return fresh


def serve(cluster: Cluster, image: str) -> None:
    """Let an image serve that somebody else has deployed."""
    deployment = copy.deepcopy(cluster.deployment)
    deployment["spec"]["replicas"] = 2
    deployment["spec"]["template"]["spec"]["containers"][0]["image"] = image
    cluster.store("deployments", deployment)


@pytest.mark.usefixtures("watched")
def test_deploy_is_one_revision_and_what_others_decide_stays(deployed: Deployment) -> None:
    deployment = copy.deepcopy(deployed.cluster.deployment)
    deployment["spec"]["replicas"] = 5  # the autoscaler
    gates = [{"conditionType": "balancer"}]  # that traffic opens: a preview has none
    deployment["spec"]["template"]["spec"]["readinessGates"] = gates
    source = {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}
    variables = deployment["spec"]["template"]["spec"]["containers"][0]["env"]
    variables.append({"name": "ENVIRONMENT_NAME", "valueFrom": source})
    deployed.cluster.store("deployments", deployment)
    before = int(deployed.cluster.revision)
    deployed.deploy(BETTER, APP_VERSION="v2.0.0")
    assert int(deployed.cluster.revision) == before + 1
    assert deployed.cluster.served == ["good", "better"]
    serving = deployed.cluster.serving
    assert serving
    assert serving[1] == OURS | {"APP_VERSION": "v2.0.0", "ENVIRONMENT_NAME": "staging"}
    causes = deployed.cluster.deployment["metadata"]["annotations"]["kubernetes.io/change-cause"]
    assert causes == f"v2.0.0 {BETTER}"
    spec = deployed.cluster.deployment["spec"]
    assert (spec["replicas"], spec["template"]["spec"]["readinessGates"]) == (5, gates)


def test_version_is_only_text(deployed: Deployment) -> None:
    version = 'v1", "x": "\n$(id)'
    deployed.deploy(BETTER, APP_VERSION=version)
    serving = deployed.cluster.serving
    assert serving
    assert serving[1]["APP_VERSION"] == version


def test_revision_that_is_gone(deployed: Deployment) -> None:
    serve(deployed.cluster, BETTER)
    done = deployed.call("target_rollback", "77")
    assert done.code == 1
    assert "::error title=The version to go back to is gone::" in done.errors
    assert deployed.serving == "better"


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGKILL])
def test_killed_and_run_again(deployed: Deployment, sent: signal.Signals) -> None:
    previous, revision = deployed.newest, deployed.cluster.revision
    with deployed.begin(f"target_deploy {STUCK}") as process:
        deadline = time.monotonic() + 30
        while deployed.cluster.revision == revision and time.monotonic() < deadline:
            time.sleep(0.05)
        os.killpg(process.pid, sent)
    time.sleep(0.5)  # until nobody is left who could clean up
    left = [path for path in deployed.folder.rglob("*") if path.is_file()]
    assert {path.stat().st_mode & 0o777 for path in left} == (
        {0o600} if sent == signal.SIGKILL else set()
    )
    assert deployed.serving == "good"
    half = deployed.cluster.objects["replicasets"][deployed.newest]
    half["status"]["availableReplicas"] = 1
    assert deployed.current() == previous, "not the one that never got ready in full"
    if sent == signal.SIGKILL:  # what is half done is nobody else's, and is put back too
        ended = deployed.drive(SMOKES, "smokes")
        assert (ended["outcome"], deployed.current()) == ("rolled-back", previous), ended["log"]
        assert f"{previous} is the newest again." in ended["log"]
    deployed.deploy(BETTER)
    assert deployed.cluster.served == ["good", "better"]
    assert deployed.call("target_rollback", previous).code == 0
    assert deployed.serving == "good"


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("KUBE_CONFIG", "", "KUBE_CONFIG is not set::deploy/kubernetes/setup.sh prints it"),
        ("KUBE_CONFIG", "%%%", "KUBE_CONFIG is not base64::"),
        ("KUBE_CONFIG", "\ufeffe30=", "KUBE_CONFIG is not base64::"),
        ("KUBE_CONFIG", "bm90aGluZw==", "KUBE_CONFIG is no kubeconfig::"),
        ("KUBE_CONFIG", "e30=", "KUBE_CONFIG is no kubeconfig::"),
        ("KUBE_NAMESPACE", "other", "KUBE_CONFIG does not allow this in the namespace other::"),
        ("KUBE_DEPLOYMENT", "other", "The namespace shop does not have it::"),
        ("KUBE_CONTAINER", "other", "The Deployment app has no container other::"),
    ],
)
def test_wrong_setting(deployed: Deployment, setting: str, value: str, said: str) -> None:
    before = deployed.cluster.revision
    done = deployed.call("target_deploy", BETTER, **{setting: value})
    assert done.code == 1
    assert f"::error title={said}" in done.errors
    assert not done.output
    assert (deployed.cluster.revision, deployed.serving) == (before, "good")


def move(config: str, address: str) -> str:
    """Return a kubeconfig, in base64, with another address of the cluster."""
    content = json.loads(base64.b64decode(config))
    content["clusters"][0]["cluster"]["server"] = address
    return base64.b64encode(json.dumps(content).encode()).decode()


@pytest.mark.parametrize("address", ["https://127.0.0.1:1", "https://cluster.invalid"])
def test_cluster_that_does_not_answer(deployed: Deployment, address: str) -> None:
    config = move(deployed.cluster.kubeconfig(), address)
    done = deployed.call("target_deploy", BETTER, KUBE_CONFIG=config)
    assert done.code == 1
    assert "::error title=The cluster cannot be reached::" in done.errors


def test_another_cluster_at_the_address(deployed: Deployment, tmp_path: Path) -> None:
    with cluster_api.start(tmp_path) as other:
        config = move(deployed.cluster.kubeconfig(), other.server)
        done = deployed.call("target_current", KUBE_CONFIG=config)
    assert done.code == 1
    assert "::error title=The cluster is not the one that KUBE_CONFIG trusts::" in done.errors


def test_no_address(deployed: Deployment) -> None:
    before = deployed.cluster.revision
    ended = deployed.drive(BETTER, "better", DEPLOY_URL="")
    assert "::error title=DEPLOY_URL is not set::" in ended["log"]
    assert ended["reason"].startswith("DEPLOY_URL is not set. Nothing was changed")
    assert (deployed.cluster.revision, deployed.serving) == (before, "good")


def check_that_no_right_is_too_many(cluster: Cluster) -> None:
    """Make sure that everything that the deployer may do was done."""
    (role,) = cluster.objects["roles"].values()
    granted = {
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    assert cluster.used == granted


# The whole deploy.


@pytest.mark.parametrize(
    ("image", "revision", "reason", "said"),
    [
        (
            STALE,
            "new",
            f"it is {Version('stale').commit} that answers, not {Version('new').commit}",
            "",
        ),
        (SMOKES, "smokes", "the smoke tests failed", ""),
        (
            BAD_MIGRATION,
            "bad-migration",
            "The migrations failed",
            "::The version before still serves",
        ),
        (
            MISSING,
            "missing",
            "The new image does not start (ImagePullBackOff)",
            f"::Can the cluster pull {MISSING}",
        ),
    ],
)
def test_what_served_serves_again(
    deployed: Deployment, image: str, revision: str, reason: str, said: str
) -> None:
    before = deployed.cluster.revision
    ended = deployed.drive(image, revision)
    assert ended["code"] == "1", ended["log"]
    assert (ended["outcome"], ended["reason"]) == ("rolled-back", reason)
    assert f"::error title={reason}{said}" in ended["log"] or not said
    ran = {BAD_MIGRATION: "migrate", MISSING: ""}.get(image, "preview")
    assert not ran or f"log of app-{ran}-" in ended["log"]
    assert "log of app-0" not in ended["log"], "the version before is not what has failed"
    assert (deployed.cluster.revision, deployed.serving) == (before, "good"), "nothing was changed"
    assert not deployed.cluster.objects["jobs"]


@pytest.mark.usefixtures("watched")
def test_next_deploys_after_a_rollback_with_no_right_too_many(deployed: Deployment) -> None:
    for _ in range(2):
        ended = deployed.drive(CRASHES_LATE, "crashes-late")
        assert ended["outcome"] == "rolled-back", ended["log"]
        assert ended["reason"] == "The new version does not get ready"
        assert deployed.cluster.served == ["good"]
    ended = deployed.drive(BETTER, "better")
    assert ended["outcome"] == "deployed", ended["log"]
    assert deployed.cluster.served == ["good", "better"]
    check_that_no_right_is_too_many(deployed.cluster)
    before = deployed.cluster.revision
    deployed.cluster.versions[BETTER] = Version("better", works=False)
    ended = deployed.drive(BETTER, "better")  # the same image again
    assert ended["outcome"] == "rolled-back", ended["log"]
    assert "nothing to undo" in ended["log"]
    assert (deployed.cluster.revision, deployed.serving) == (before, "better")


def test_first_deploy_that_fails_leaves_nothing(fresh: Deployment) -> None:
    ended = fresh.drive(SMOKES_LATE, "smokes-late")
    assert (ended["code"], ended["outcome"]) == ("1", "failed"), ended["log"]
    assert (fresh.serving, fresh.current()) == ("", "")
    assert fresh.cluster.deployment["spec"]["replicas"] == 0
    fresh.deploy(GOOD)
    assert fresh.serving == "good"


def test_rollback_that_fails_is_loud(deployed: Deployment) -> None:
    deployed.cluster.undoable = False
    ended = deployed.drive(SMOKES_LATE, "smokes-late")
    assert (ended["code"], ended["outcome"]) == ("3", "rollback-failed"), ended["log"]
    assert "::error title=The rollback failed too::" in ended["log"]


# The namespace and its deployer.


def set_up(
    cluster: Cluster, environment: dict[str, str], *arguments: str, **settings: str
) -> "Done":
    """Run setup.sh as an administrator of the cluster."""
    config = Path(environment["HOME"], "config")
    config.touch(mode=0o600)
    config.write_bytes(base64.b64decode(cluster.kubeconfig("admin")))
    done = subprocess.run(
        ["bash", SETUP.name, *arguments],
        cwd=SETUP.parent,
        env=environment | {"KUBECONFIG": str(config)} | settings,
        check=False,
        text=True,
        capture_output=True,
        timeout=60,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def by_hand(environment: dict[str, str], *arguments: str) -> None:
    """Run kubectl as the administrator that has set up the namespace `shop`."""
    config = {"KUBECONFIG": str(Path(environment["HOME"], "config"))}
    subprocess.run(
        ["kubectl", "--namespace=shop", *arguments],
        env=environment | config, check=True, capture_output=True, timeout=60,
    )  # fmt: skip


def test_setup_makes_everything_that_a_deploy_needs_and_keeps_what_runs(
    cluster: Cluster, environment: dict[str, str], tmp_path: Path
) -> None:
    url = "postgresql://user:pass%20word@host/app?sslmode=require"
    done = set_up(cluster, environment, "shop-staging", DATABASE_URL=url)
    assert done.code == 0, done.errors
    assert url not in done.errors
    assert "KUBE_CONFIG leads to https://127.0.0.1:" in done.errors, "as that of k3s does"
    data = cluster.objects["secrets"]["app"]["data"]
    assert base64.b64decode(data["DATABASE_URL"]).decode() == url
    assert cluster.deployment["spec"]["replicas"] == 0
    deployment = Deployment(cluster, environment | {"KUBE_CONFIG": done.output}, tmp_path / "temp")
    assert deployment.current() == ""
    deployment.deploy(GOOD, APP_VERSION="v3")
    assert (deployment.serving, deployment.current()) == ("good", deployment.newest)
    assert deployment.call("target_url", DEPLOY_URL=cluster.url).output.strip() == cluster.url
    before = copy.deepcopy(cluster.objects)
    again = set_up(cluster, environment, "shop-staging")
    assert again.code == 0, again.errors
    assert again.output == done.output, "the account and its token stay"
    assert cluster.objects == before, "not even a field that the server has added"
    assert cluster.deployment["spec"]["replicas"] == 2
    assert cluster.serving == (VERSIONS[GOOD], OURS | {"APP_VERSION": "v3"})
    assert "DATABASE_URL" in cluster.objects["secrets"]["app"]["data"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [((), "usage: "), (("a", "b"), "usage: "), (("Shop",), "lower-case"), (("-x",), "lower-case"),
     (("shop",), "set DATABASE_URL")],
)  # fmt: skip
def test_setup_refuses(
    cluster: Cluster, environment: dict[str, str], arguments: tuple[str, ...], said: str
) -> None:
    done = set_up(cluster, environment, *arguments)
    assert done.code != 0
    assert said in done.errors
    assert not done.output


# What goes wrong on a real cluster.

SLOW, NEXT = (f"registry.example/app@sha256:{digit * 64}" for digit in "9a")


def note(folder: Path, name: str) -> dict[str, str]:
    """Return the environment of a deploy that keeps notes, as the driver lets it."""
    state = folder.with_name(name)
    state.mkdir(exist_ok=True)
    return {"STATE": str(state)}


def test_database_that_is_away_is_not_emptiness(deployed: Deployment) -> None:
    previous = deployed.current()
    deployed.cluster.lose_database()
    assert deployed.current() == previous
    ended = deployed.drive(BETTER, "better", PATIENCE="1")
    assert ended["code"] != "0"
    assert deployed.cluster.deployment["spec"]["replicas"] == 2
    deployed.cluster.database = True
    assert deployed.serving == "good"


def change_deployment(cluster: Cluster, edit: Callable[[Any], None]) -> None:
    """Let the owner of the Deployment edit its spec."""
    deployment = copy.deepcopy(cluster.deployment)
    edit(deployment["spec"])
    cluster.store("deployments", deployment)


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [("paused", True, "is paused"), ("revisionHistoryLimit", 0, "keeps no earlier version")],
)
def test_deployment_is_left_alone(
    deployed: Deployment, field: str, value: object, reason: str
) -> None:
    change_deployment(deployed.cluster, lambda spec: spec.update({field: value}))
    before = deployed.cluster.revision
    ended = deployed.drive(BETTER, "better")
    assert ended["outcome"] == "failed", ended["log"]
    assert ended["reason"].startswith(f"The Deployment app {reason}")
    assert (deployed.cluster.revision, deployed.serving) == (before, "good")
    assert not deployed.cluster.objects["jobs"]


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda spec: spec.update(paused=True), "The Deployment app is paused::"),
        (
            lambda spec: spec["template"]["spec"]["containers"][0].update(image=GOOD),
            f"Somebody else has deployed meanwhile::Revision 4 is theirs: {GOOD}.",  # as in Git
        ),
    ],
)
def test_deployment_that_is_changed_meanwhile_is_told_at_once(
    deployed: Deployment, edit: Callable[[Any], None], said: str
) -> None:
    revision = deployed.cluster.revision

    def change() -> None:
        while deployed.cluster.revision == revision:
            time.sleep(0.05)
        change_deployment(deployed.cluster, edit)

    thread = threading.Thread(target=change, daemon=True)
    thread.start()
    done = deployed.call("target_deploy", STUCK)
    thread.join(1)
    assert f"::error title={said}" in done.errors


def test_change_that_no_controller_looks_at_is_not_taken_for_done(deployed: Deployment) -> None:
    previous, deployed.cluster.controllers = deployed.newest, False
    serve(deployed.cluster, BETTER)
    done = deployed.call("target_rollback", previous, PATIENCE="0.4")
    assert "::error title=The Deployment does not change::" in done.errors
    deployed.cluster.controllers = True
    deployed.cluster.store("deployments", deployed.cluster.deployment)
    assert (deployed.serving, deployed.cluster.served) == ("good", ["good"])


def test_rollout_without_a_deadline_serves_too(deployed: Deployment) -> None:
    change_deployment(deployed.cluster, lambda spec: spec.update(progressDeadlineSeconds=NEVER))
    assert deployed.current() == deployed.newest


@pytest.mark.parametrize("by_autoscaler", [False, True])
def test_version_that_was_stopped_is_not_lost(deployed: Deployment, by_autoscaler: bool) -> None:
    change_deployment(deployed.cluster, lambda spec: spec.update(replicas=0))
    notes = note(deployed.folder, "notes")
    assert deployed.call("target_deploy", CRASHES_LATE, **notes).code == 1
    if by_autoscaler:
        change_deployment(deployed.cluster, lambda spec: spec.update(replicas=0))
    for _ in range(2):
        assert deployed.call("target_rollback", "", **notes).code == 0
    assert deployed.cluster.deployment["spec"]["replicas"] == 0
    change_deployment(deployed.cluster, lambda spec: spec.update(replicas=2))
    assert deployed.serving == "good"


def test_image_that_the_cluster_has_renamed_is_ours(fresh: Deployment) -> None:
    cluster, notes = fresh.cluster, note(fresh.folder, "notes")
    cluster.mirror = "mirror.example"
    for image, version in VERSIONS.items():
        cluster.versions[image.replace("registry", "mirror")] = version
    serve(cluster, GOOD)
    previous = fresh.newest
    assert fresh.call("target_deploy", CRASHES_LATE, **notes).code == 1
    done = fresh.call("target_rollback", previous, **notes)
    assert (done.code, fresh.serving) == (0, "good"), done.errors


@pytest.mark.parametrize(
    ("image", "said"), [(BETTER, ""), (BAD_MIGRATION, "It ended: Error, exit code 1.")]
)
def test_migration_ends_though_an_injected_container_does_not(
    deployed: Deployment, image: str, said: str
) -> None:
    deployed.cluster.injects = True
    done = deployed.call("target_deploy", image)
    assert (done.code, deployed.serving) == ((1, "good") if said else (0, "better"))
    assert said in done.errors
    assert bool(deployed.cluster.objects["jobs"]) == bool(said), "nothing is left running"


def forget_right(cluster: Cluster) -> None:
    (role,) = cluster.objects["roles"].values()
    role["rules"] = [rule for rule in role["rules"] if rule["resources"] != ["pods/portforward"]]


def forget_port(cluster: Cluster) -> None:
    change_deployment(cluster, lambda spec: spec["template"]["spec"]["containers"][0].pop("ports"))


def take_node_port(cluster: Cluster) -> None:
    change_deployment(
        cluster,
        lambda spec: spec["template"]["spec"]["containers"][0]["ports"][0].update(hostPort=80),
    )


def recreate(cluster: Cluster) -> None:
    change_deployment(cluster, lambda spec: spec.update(strategy={"type": "Recreate"}))


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (
            forget_right,
            "the Role does not allow it. Run deploy/kubernetes/setup.sh again.",
        ),
        (forget_port, "traffic: the container names no port. Name it in the Deployment."),
        (take_node_port, "traffic: it would need a port of the node that the old pod has."),
        (recreate, "traffic: the Deployment stops its pods before it starts new ones."),
    ],
)
def test_without_a_preview_the_new_version_is_judged_in_traffic(
    deployed: Deployment, edit: Callable[[Cluster], None], said: str
) -> None:
    edit(deployed.cluster)
    ended = deployed.drive(SMOKES, "smokes")
    assert "::warning title=No preview::The smoke tests run when the new ver" in ended["log"]
    assert said in ended["log"]
    assert (ended["outcome"], ended["reason"]) == ("rolled-back", "the smoke tests failed")
    assert deployed.cluster.served == ["good", "smokes", "good"]


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("job", ["migration", "preview"])
def test_cancelled_job_ends(
    deployed: Deployment, job: str, sent: signal.Signals, tmp_path: Path
) -> None:
    cluster, judging = deployed.cluster, tmp_path / "judging"
    migrates = None if job == "migration" else True
    cluster.versions[SLOW] = Version("slow", migrates=migrates, schema=2)
    previous, notes = deployed.newest, note(deployed.folder, "notes")
    (tmp_path / "judge.sh").write_text(f"kube_judge() {{ touch {judging}; sleep 60; }}")
    with deployed.begin(f"target_deploy {SLOW}", **notes) as process:
        while not (judging.exists() if migrates else cluster.objects["jobs"]):
            assert process.poll() is None
            time.sleep(0.05)
        os.killpg(process.pid, sent)
    assert deployed.call("target_rollback", previous, **notes).code == 0
    assert not cluster.objects["jobs"]
    cluster.finish_migrations()
    assert (cluster.schema, deployed.serving) == (2 if migrates else 1, "good")


def test_migration_whose_pod_is_removed(deployed: Deployment) -> None:
    cluster = deployed.cluster
    cluster.versions[SLOW] = Version("slow", migrates=None)

    def remove() -> None:
        while not (pods := [name for name in list(cluster.objects["pods"]) if "migrate" in name]):
            time.sleep(0.05)
        time.sleep(0.5)
        del cluster.objects["pods"][pods[0]]

    thread = threading.Thread(target=remove, daemon=True)
    thread.start()
    done = deployed.call("target_deploy", SLOW)
    thread.join(1)
    assert "::error title=The migrations failed::" in done.errors
    assert "Its pod was removed." in done.errors
    assert "The new pod cannot be made" not in done.errors, "that is no event for it"


NOTED = [("get", "deployments"), ("get", "replicasets")]
ROLLED_OUT = [*NOTED, ("get", "deployments"), ("create", "jobs"), ("get", "jobs"),
              ("create", "jobs"), ("get", "pods"), ("create", "portforward"),
              ("delete", "jobs"), ("get", "replicasets"), ("patch", "deployments"),
              ("get", "deployments")]  # fmt: skip
PUT_BACK = [("get", "events"), ("delete", "jobs"), ("get", "pods"), ("get", "deployments"),
            ("get", "replicasets"), ("patch", "deployments"), ("get", "deployments")]  # fmt: skip
"""What a deployment asks the cluster for, in turn; and one that fails in traffic, then."""


def test_short_outages_at_each_stage_are_waited_out(deployed: Deployment) -> None:
    cluster = deployed.cluster
    cluster.outages = [(*call, 0.4) for call in ROLLED_OUT]
    ended = deployed.drive(BETTER, "better")
    assert not cluster.outages, f"it was away each time\n{ended['log']}"
    assert (ended["code"], ended["outcome"]) == ("0", "deployed"), ended["log"]
    assert 0 < ended["log"].count("The cluster is away") <= 3, "once a command of the target"
    assert cluster.served == ["good", "better"]
    assert len(cluster.objects["jobs"]) == 1


def test_short_outages_at_each_stage_of_a_rollback_are_waited_out(deployed: Deployment) -> None:
    cluster = deployed.cluster
    cluster.outages = [*[(*call, 0) for call in ROLLED_OUT], *[(*call, 0.4) for call in PUT_BACK]]
    ended = deployed.drive(SMOKES_LATE, "smokes-late")
    assert not cluster.outages, "it was away each time"
    assert (ended["code"], ended["outcome"]) == ("1", "rolled-back"), ended["log"]
    assert deployed.serving == "good"


@pytest.mark.parametrize("stage", [1, 3, 7, 10, 11, 13, 17])
def test_long_outage_at_each_stage_ends_on_the_same(deployed: Deployment, stage: int) -> None:
    """Longer than anybody waits: the next step goes on, and so does somebody by hand."""
    cluster, previous = deployed.cluster, deployed.newest
    calls = ROLLED_OUT + PUT_BACK
    cluster.outages = [*[(*call, 0.0) for call in calls[:stage]], (*calls[stage], 60)]
    image = SMOKES_LATE if stage >= len(ROLLED_OUT) else BETTER
    ended = deployed.drive(image, VERSIONS[image].revision, PATIENCE="0.3")
    assert not cluster.outages, "it was away"
    noted = stage >= len(NOTED)
    assert (ended["code"], ended["outcome"]) == (
        ("3", "rollback-failed") if noted else ("1", "failed")
    ), ended["log"]
    assert "::error title=The cluster cannot be reached::" in ended["log"]
    cluster.back.set()
    ended = deployed.drive(image, "", "rollback")
    assert ended["code"] == "0", ended["log"]
    assert ended.get("outcome", "") == ("rolled-back" if noted else "")
    assert deployed.serving == "good"
    assert deployed.call("target_rollback", previous).code == 0
    assert deployed.serving == "good"
    assert not cluster.objects["jobs"]


@pytest.mark.parametrize(
    ("what", "said"),
    [("database", "The database does not answer"), ("registry", "The registry does not answer")],
)
def test_what_a_migration_needs_is_waited_for(deployed: Deployment, what: str, said: str) -> None:
    before, notes = deployed.cluster.revision, note(deployed.folder, "notes")
    setattr(deployed.cluster, what, False)
    done = deployed.call("target_deploy", BETTER, PATIENCE="1", **notes)
    assert done.code == 1
    assert f"::warning title={said}::" in done.errors
    assert f"::error title={said}::" in done.errors
    assert "refused" in done.errors
    assert deployed.call("target_rollback", deployed.newest, **notes).code == 0
    assert (deployed.cluster.revision, deployed.cluster.objects["jobs"]) == (before, {})
    jobs = deployed.cluster.objects["jobs"]

    def bring_back() -> None:
        while not any(job["looks"] for job in list(jobs.values())):
            time.sleep(0.02)
        setattr(deployed.cluster, what, True)

    thread = threading.Thread(target=bring_back)
    thread.start()
    done = deployed.call("target_deploy", BETTER, PATIENCE="20")
    thread.join(1)
    assert done.code == 0, done.errors
    assert done.errors.count(said) == 1
    assert deployed.serving == "better"


def test_later_deploy_of_somebody_else_stays(deployed: Deployment) -> None:
    previous = deployed.newest
    ours, theirs = (note(deployed.folder, name) for name in ("ours", "theirs"))
    deployed.deploy(SMOKES_LATE, **ours)
    deployed.deploy(BETTER, **theirs, APP_VERSION="v9")
    for wanted in (previous, ""):
        done = deployed.call("target_rollback", wanted, **ours)
        assert done.code == 75
        assert "Somebody else has deployed since::" in done.errors
        assert "v9" in done.errors
        assert deployed.serving == "better"
    assert deployed.call("target_rollback", previous, **theirs).code == 0
    assert deployed.serving == "good"


def test_two_deploys_at_once(deployed: Deployment) -> None:
    ours, theirs = (note(deployed.folder, name) for name in ("ours", "theirs"))
    previous, revision = deployed.newest, deployed.cluster.revision
    with subprocess.Popen(
        ["bash", "-c", f". {TARGET}; target_deploy {STUCK}"],
        env=deployed.environment | ours | {"RUNNER_TEMP": ours["STATE"]},
        stderr=subprocess.PIPE,
        text=True,
    ) as first:
        deadline = time.monotonic() + 20
        while deployed.cluster.revision == revision and time.monotonic() < deadline:
            time.sleep(0.05)
        deployed.deploy(BETTER, **theirs)
        _, errors = first.communicate(timeout=30)
    assert first.returncode == 1
    assert "::error title=Somebody else has deployed meanwhile::" in errors
    assert deployed.call("target_rollback", previous, **ours).code == 75
    assert deployed.serving == "better"


@pytest.mark.parametrize("seconds", [0.4, 0.8])
def test_rollback_that_is_killed_goes_on(deployed: Deployment, seconds: float) -> None:
    previous, notes = deployed.newest, note(deployed.folder, "notes")
    deployed.deploy(SMOKES_LATE, **notes)
    with deployed.begin(f"target_rollback {previous}", **notes) as process:
        time.sleep(seconds)
        os.killpg(process.pid, signal.SIGKILL)
    assert deployed.call("target_rollback", previous, **notes).code == 0
    assert deployed.serving == "good"


@pytest.mark.parametrize(
    ("flag", "said"),
    [("quota", "The new pod cannot be made::"), ("full", "No node has room for the new pod::")],
)
def test_pod_that_cannot_be_made(deployed: Deployment, flag: str, said: str) -> None:
    setattr(deployed.cluster, flag, "app")
    before, notes = deployed.cluster.revision, note(deployed.folder, "notes")
    done = deployed.call("target_deploy", BETTER, PATIENCE="1", **notes)
    assert done.code == 1
    assert f"::warning title={said}" in done.errors
    assert f"::error title={said}" in done.errors
    assert "quota: pods" in done.errors or "Insufficient memory" in done.errors
    assert "decided after" in done.errors
    assert "The migrations failed" not in done.errors
    assert deployed.call("target_rollback", deployed.newest, **notes).code == 0
    assert (deployed.cluster.revision, deployed.cluster.objects["jobs"]) == (before, {})


@pytest.mark.parametrize(
    ("starts", "full", "reason"),
    [
        (True, "preview", "No node has room for the new pod"),
        (None, "", "it is not ready: the database does not answer"),
    ],
)
def test_late_preview_is_told_by_its_cause(
    deployed: Deployment, starts: bool | None, full: str, reason: str
) -> None:
    change_deployment(deployed.cluster, lambda spec: spec.update(progressDeadlineSeconds=1))
    deployed.cluster.full = full
    deployed.cluster.versions[BETTER] = Version("better", starts=starts)
    ended = deployed.drive(BETTER, "better")
    assert (ended["outcome"], ended["reason"]) == ("rolled-back", reason), ended["log"]
    assert deployed.cluster.served == ["good"]


def add_sidecar(cluster: Cluster) -> None:
    sidecar = {"name": "sidecar", "image": "other", "securityContext": {
        "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]},
    }}  # fmt: skip
    change_deployment(
        cluster, lambda spec: spec["template"]["spec"]["containers"].append(dict(sidecar))
    )


def test_app_that_ends_beside_others_is_seen_at_once(deployed: Deployment) -> None:
    add_sidecar(deployed.cluster)
    ended = deployed.drive(CRASHES, "crashes")
    assert (ended["outcome"], ended["reason"]) == (
        "rolled-back", "The new version does not get ready"
    ), ended["log"]  # fmt: skip
    assert "It ended: Error, exit code 137." in ended["log"]
    assert "log of app-preview-" in ended["log"]


@pytest.mark.parametrize("what", [
    "its app ended", "it was removed", "its connection was cut", "the API server was away",
    "another version was deployed",
])  # fmt: skip
def test_what_happens_while_the_preview_is_judged(
    deployed: Deployment, what: str, tmp_path: Path
) -> None:
    cluster, (judging, done, tests) = deployed.cluster, (tmp_path / name for name in "abc")
    tests.write_text(
        f"#!/bin/sh\n[ -e {done} ] || touch {judging}\nuntil [ -e {done} ]; do sleep 0.1; done\n"
        f'sleep 1; exec {deployed.folder.with_name("driver")}/smoke-tests.sh "$@"\n'
    )
    tests.chmod(0o755)

    def act() -> None:
        while not judging.exists():
            time.sleep(0.05)
        happen()
        done.touch()

    def happen() -> None:
        (preview,) = (name for name in cluster.objects["pods"] if "-preview-" in name)
        match what:
            case "another version was deployed":
                theirs = copy.deepcopy(cluster.deployment)
                theirs["spec"]["template"]["spec"]["containers"][0]["image"] = STALE
                cluster.store("deployments", theirs)
                return
            case "the API server was away":
                time.sleep(2.2)  # longer than PATIENCE: that is for each outage
                cluster.pause(0.5)
                return
            case "its app ended":
                end_app(cluster.objects["pods"][preview], "OOMKilled")
            case "it was removed":
                del cluster.objects["pods"][preview]
        cluster.forwarded[-1].shutdown(socket.SHUT_RDWR)

    thread = threading.Thread(target=act, daemon=True)
    thread.start()
    ended = deployed.drive(BETTER, "better", PATIENCE="2", SMOKE_TESTS=str(tests))
    thread.join(1)
    outcome, reason, said, serving = {
        "its app ended": (
            "rolled-back", "The new version ended while it was judged",
            "It ended: OOMKilled, exit code 137.", "good",
        ),
        "it was removed": (
            "rolled-back", "The new version ended while it was judged", "pod was removed.", "good"
        ),
        "the API server was away": ("deployed", "", "The cluster is away", "better"),
        "its connection was cut": ("deployed", "", "", "better"),
        "another version was deployed": (
            "failed",
            ("Somebody else has deployed meanwhile. Another deployment to the same place stays as"
            " it is; nothing of this one does."),
            "Revision 3 is theirs", "stale",
        ),
    }[what]  # fmt: skip
    assert (ended["outcome"], ended["reason"]) == (outcome, reason), ended["log"]
    assert said in ended["log"]
    assert deployed.serving == serving
    assert not [job for job in cluster.objects["jobs"] if "-preview-" in job]
    left = subprocess.run(["pgrep", "-f", str(tmp_path)], check=False, capture_output=True)
    assert not left.stdout, "nothing is left running"


def test_port_forward_that_hangs_is_given_up(
    environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kubectl = tmp_path / "bin/kubectl"
    kubectl.write_text(
        """#!/bin/sh
case $* in *get*) echo '{"metadata": {}}' ;; *) echo A warning; exec sleep 60 ;; esac
"""
    )
    kubectl.chmod(0o755)
    monkeypatch.setenv("PATH", environment["PATH"])
    monkeypatch.setenv("KUBE_NAMESPACE", "shop")
    monkeypatch.setattr("jobs.PATIENCE", 0.5)
    monkeypatch.setattr("namespace.ANSWER_SECONDS", 0.3, raising=False)
    with pytest.raises(Failure, match="The preview cannot be reached") as failed:
        judge(Namespace(tmp_path / "config"), "app-1", 8000, ["true"])
    assert "A warning" in failed.value.remedy
    assert "timeout" in failed.value.remedy


def test_log_is_that_of_the_new_version(deployed: Deployment) -> None:
    warn = deployed.cluster.warn
    assert deployed.call("target_deploy", CRASHES_LATE).code == 1
    newest = deployed.newest
    warn(f"{newest}-pod", "BackOff", "restarting failed container")
    warn(f"{newest}-pod", "FailedToRetrieveImagePullSecret", "noise")
    warn("app", "FailedGetResourceMetric", "noise")
    for _ in range(10):
        warn(f"{newest}-pod", "BackOff", "restarting failed container")
    events = deployed.cluster.objects["events"]
    events["nameless"] = copy.deepcopy([*events.values()][-1]) | {"involvedObject": {}}
    events["scheduler"] = [*events.values()][-2] | {
        "reason": "FailedScheduling", "lastTimestamp": None, "eventTime": "2026-01-02T00:00:00Z"
    }  # fmt: skip
    output = deployed.call("target_logs").output
    assert "BackOff" in output
    assert "FailedScheduling" in output
    assert "noise" not in output
    assert f"log of {newest}-pod" in output
    others = set(deployed.cluster.objects["replicasets"]) - {newest}
    assert not any(other in output for other in others)


def test_server_that_is_too_old(deployed: Deployment) -> None:
    deployed.cluster.minor = "27"
    said = "::error title=The server is too old, v1.27.1::It must be 1.32 or newer"
    done = deployed.call("target_deploy", BETTER)
    assert done.code == 1
    assert said in done.errors
    before = copy.deepcopy(deployed.cluster.objects)
    made = set_up(deployed.cluster, deployed.environment, "shop", KUBE_CONFIG="")
    assert made.code == 1
    assert said in made.errors
    assert deployed.cluster.objects == before


def test_pods_that_pod_security_refuses(deployed: Deployment) -> None:
    template = copy.deepcopy(deployed.cluster.deployment)
    del template["spec"]["template"]["spec"]["containers"][0]["securityContext"]
    deployed.cluster.store("deployments", template)
    done = deployed.call("target_deploy", BETTER, PATIENCE="1")
    assert "::error title=The new pod cannot be made::" in done.errors
    assert 'Warning: would violate PodSecurity "restricted:latest": allow' in done.errors
    assert 'violates PodSecurity "restricted:latest": allowPrivilegeEscalation' in done.errors
    assert deployed.serving == "good"


@pytest.mark.parametrize(
    ("scenario", "second"),
    [
        ("crashes", Version("next", schema=2, starts=False)),
        ("crashes in traffic", Version("next", schema=2, rolls_out=False)),
        ("never ready", Version("next", schema=2, starts=None)),
        ("never ready in traffic", Version("next", schema=2, rolls_out=None)),
        ("smoke tests fail", Version("next", schema=2, works=False)),
        ("smoke tests fail in traffic", Version("next", schema=2, works=None)),
        ("migration fails", Version("next", schema=2, migrates=False)),
        ("killed after the migration", Version("next", schema=2)),
        ("cancelled in the migration", Version("next", schema=2, migrates=None)),
        ("starts slowly", Version("next", schema=2, slow=2)),
    ],
)
def test_version_before_lives_with_a_newer_schema(
    deployed: Deployment, scenario: str, second: Version
) -> None:
    cluster = deployed.cluster
    cluster.versions[NEXT] = second
    previous, notes = deployed.newest, note(deployed.folder, "notes")
    client = Client(cluster.url, (("GET", "/rows", ""), ("POST", "/rows", "{}")))
    with client.asking():
        begin_and_end(deployed, scenario, notes)
        if scenario != "starts slowly":
            assert deployed.call("target_rollback", previous, **notes).code == 0
            assert deployed.serving == "good"
        cluster.finish_migrations()  # what is left of them
    assert cluster.schema == (1 if second.migrates is not True else 2)
    served = {answer.split()[-1] for answer in client.answers}
    known = {Version(name).commit for name in ("good", "next")}
    # What passes its preview and then fails has traffic until it is judged again.
    assert served <= known | {"500" for _ in [0] if second.works is None}, client.answers
    if scenario.endswith("in traffic"):
        return
    with client.asking():
        deployed.deploy(GOOD, APP_VERSION="v1.0.1")
        assert deployed.serving == "good"
        cluster.versions[NEXT] = Version("next", schema=2)
        deployed.deploy(NEXT)
    assert (cluster.schema, deployed.serving) == (2, "next")
    assert {answer.split()[-1] for answer in client.answers} <= known, client.answers


def begin_and_end(deployed: Deployment, scenario: str, notes: dict[str, str]) -> None:
    """Deploy the next version until the scenario ends it."""
    cluster, revision = deployed.cluster, deployed.cluster.revision
    with deployed.begin(f"target_deploy {NEXT}", **notes) as process:

        def has_come() -> bool:
            match scenario:
                case "never ready":
                    return any("-preview-" in job for job in list(cluster.objects["jobs"]))
                case "never ready in traffic":
                    return cluster.revision != revision
                case "killed after the migration":
                    return cluster.schema > 1
                case "cancelled in the migration":
                    return bool(cluster.objects["jobs"])
            return process.poll() is not None

        while not has_come():
            time.sleep(0.05)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL if "killed" in scenario else signal.SIGTERM)
        process.wait(60)


@pytest.mark.parametrize(
    "said",
    [
        "The connection to the server 10.0.0.1:6443 was refused - did you specify the right host",
        "Unable to connect to the server: net/http: TLS handshake timeout",
        "Unable to connect to the server: dial tcp 10.0.0.1:6443: i/o timeout",
        "Unable to connect to the server: EOF",
        'error: Get "https://a/api": unexpected EOF',
        "Unable to connect to the server: dial tcp: lookup a: no such host",
        "Error from server (ServiceUnavailable): the server is currently unable to handle it",
        "Error from server (TooManyRequests): Too many requests, please try again later",
        "error: http2: client connection lost",
        "Error from server: etcdserver: leader changed",
        'Error from server (InternalError): failed calling webhook "x": no endpoints available',
        "read tcp 10.0.0.2:1->10.0.0.1:6443: read: connection reset by peer",
    ],
)
def test_words_for_a_server_that_is_away(said: str) -> None:
    assert next(cause for pattern, cause in ERRORS if re.search(pattern, said)) == AWAY


NOT_HERE, POLICY, WEBHOOK = (
    "KUBE_CONFIG needs a program or a file that is not here", "A policy of the cluster refuses it",
    "A webhook of the cluster is broken",
)  # fmt: skip


@pytest.mark.parametrize(
    ("said", "title"),
    [
        ("Unable to connect to the server: getting credentials: exec: aws not found", NOT_HERE),
        ("error: unable to read certificate-authority: no such file or directory", NOT_HERE),
        ("error: The gcp auth plugin has been removed.", NOT_HERE),
        ('(InternalError): failed calling webhook "x": Post "https://x": tls: x509: y', WEBHOOK),
        ('(Forbidden): admission webhook "x" denied the request: it has no timeout', POLICY),
        ("(Forbidden): app is forbidden: ValidatingAdmissionPolicy 'x' denied request: y", POLICY),
        (
            "(Forbidden): unable to create content in namespace x because it is being terminated",
            "The namespace {namespace} is being deleted",
        ),
    ],
)
def test_words_of_kubectl(said: str, title: str) -> None:
    assert next(cause for pattern, cause in ERRORS if re.search(pattern, said))[0] == title


def test_app_without_migrations(deployed: Deployment, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "deploy", tmp_path / "copy/deploy")
    (tmp_path / "copy/pyproject.toml").write_text("[tool.pipelines]\nserve = 'x'\n")
    command = f". {tmp_path}/copy/deploy/targets/kubernetes.sh; target_deploy {BETTER}"
    done = subprocess.run(
        ["bash", "-c", command], env=deployed.environment, check=True, text=True,
        capture_output=True, timeout=60,
    )  # fmt: skip
    assert "No migration: [tool.pipelines]" in done.stdout
    assert deployed.serving == "better"
    assert not deployed.cluster.objects["jobs"]


def test_revoking_revokes(cluster: Cluster, environment: dict[str, str], tmp_path: Path) -> None:
    first = set_up(cluster, environment, "shop", DATABASE_URL="sqlite:////x")
    (command,) = re.findall(
        r"kubectl --namespace shop-staging (delete \w+ deployer)",
        (ROOT / "docs/deployment.md").read_text(),
    )
    by_hand(environment, *command.split())
    old = Deployment(cluster, environment | {"KUBE_CONFIG": first.output}, tmp_path / "temp")
    refused = "::error title=The cluster does not accept KUBE_CONFIG::It has expired"
    assert refused in old.call("target_current").errors
    again = set_up(cluster, environment, "shop")
    assert again.code == 0, again.errors
    assert again.output != first.output
    assert old.call("target_current").code == 1, "the old one stays refused"
    new = Deployment(cluster, environment | {"KUBE_CONFIG": again.output}, tmp_path / "temp")
    assert new.call("target_current").code == 0


def test_setup_says_how_to_take_over_what_was_put_back(
    cluster: Cluster, environment: dict[str, str], tmp_path: Path
) -> None:
    made = set_up(cluster, environment, "shop", DATABASE_URL="sqlite:////x")
    deployment = Deployment(cluster, environment | {"KUBE_CONFIG": made.output}, tmp_path / "temp")
    serve(cluster, GOOD)
    previous = deployment.newest
    deployment.deploy(BETTER)
    assert deployment.call("target_rollback", previous).code == 0
    app = {"name": "app", "resources": {"limits": {"memory": "1Mi"}}}
    patch = {"spec": {"template": {"spec": {"containers": [app]}}}}
    by_hand(environment, "patch", "deployment", "app", "--patch", json.dumps(patch))
    refused = set_up(cluster, environment, "shop")
    assert refused.code == 1
    assert 'conflict with "kubectl-patch"' in refused.errors
    assert '.spec.template.spec.containers[name="app"].resources.limits.memory' in refused.errors
    assert "setup.sh --take-over shop" in refused.errors
    taken = set_up(cluster, environment, "--take-over", "shop")
    assert taken.code == 0, taken.errors
    assert deployment.serving == "good"
