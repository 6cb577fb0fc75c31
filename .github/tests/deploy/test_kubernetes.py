"""The Kubernetes target with the real kubectl, on a cluster that is a local stand-in."""

import base64
import copy
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cluster_api
import pytest
import yaml
from cluster import Cluster, Version

ROOT = Path(__file__).parents[3]
DRIVER = ROOT / ".github/scripts/deploy/deploy.sh"
TARGET = ROOT / "deploy/targets/kubernetes.sh"
SETUP = ROOT / "deploy/kubernetes/setup.sh"
GOOD, BETTER, CRASHES, STUCK, BAD_MIGRATION, MISSING, SMOKES, STALE = (
    f"registry.example/app@sha256:{digit * 64}" for digit in "12345678"
)
VERSIONS = {
    GOOD: Version("good"),
    BETTER: Version("better"),
    CRASHES: Version("crashes", starts=False),
    STUCK: Version("stuck", starts=None),
    BAD_MIGRATION: Version("bad-migration", migrates=False),
    SMOKES: Version("smokes", works=False),
    STALE: Version("stale"),
}
WATCHED_KUBECTL = """#!/bin/sh
[ "$(stat -c %a "$KUBECONFIG")" = 600 ] || { echo "others can read $KUBECONFIG" >&2; exit 99; }
[ -z "$KUBE_CONFIG" ] || { echo "kubectl needs no KUBE_CONFIG" >&2; exit 99; }
exec "$REAL_KUBECTL" "$@"
"""

SMOKE_TESTS = """#!/bin/sh
exec curl --fail --silent --output /dev/null "${1#--base-url=}/items"
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

    def drive(self, image: str, revision: str, **environment: str) -> dict[str, str]:
        """Deploy an image as a pipeline does, and return the outputs of the step."""
        outputs, smoke_tests = self.folder.with_name("outputs"), self.folder.with_name("smoke.sh")
        outputs.write_text("")
        smoke_tests.write_text(SMOKE_TESTS)
        smoke_tests.chmod(0o755)
        settings = {
            "APP_REVISION": Version(revision).commit,
            "DEPLOY_STATE": str(self.folder.with_name("state")),
            "DEPLOY_TARGET": "kubernetes",
            "DEPLOY_TIMEOUT": "3",
            "GITHUB_OUTPUT": str(outputs),
            "SMOKE_TESTS": str(smoke_tests),
        }
        done = subprocess.run(
            [DRIVER, "deploy", image],
            env=self.environment | settings | environment,
            check=False,
            text=True,
            capture_output=True,
            timeout=60,
        )
        assert not list(self.folder.glob("kubernetes*")), "the credentials stayed"
        said = dict(line.split("=", 1) for line in outputs.read_text().splitlines())
        return said | {"code": str(done.returncode), "log": done.stdout + done.stderr}

    def deploy(self, image: str, **environment: str) -> None:
        """Deploy an image that works."""
        assert self.call("target_deploy", image, **environment).code == 0

    def current(self) -> str:
        """Return what the target says that serves."""
        done = self.call("target_current")
        assert done.code == 0
        return done.output.strip()

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
    next(it for it in found if it["kind"] == "Deployment")["spec"]["replicas"] = 0
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
    """Where the real kubectl is watched over."""
    real = shutil.which("kubectl")
    assert real, "install kubectl"
    programs = tmp_path / "bin"
    for folder in (programs, tmp_path / "temp"):
        folder.mkdir()
    (programs / "kubectl").write_text(WATCHED_KUBECTL)
    (programs / "kubectl").chmod(0o755)
    return {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "HOME": str(home),
        "PATIENCE": "3",
        "REAL_KUBECTL": real,
        "RUNNER_TEMP": str(tmp_path / "temp"),
    }


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
    deployment = copy.deepcopy(fresh.cluster.deployment)
    deployment["spec"]["replicas"] = 2
    deployment["spec"]["template"]["spec"]["containers"][0]["image"] = GOOD
    fresh.cluster.store("deployments", deployment)
    assert fresh.serving == "good"
    return fresh


def test_first_deploy_ever(fresh: Deployment) -> None:
    assert fresh.current() == ""
    fresh.deploy(GOOD, KUBE_NAMESPACE="")
    assert fresh.serving == "good"
    assert fresh.cluster.deployment["spec"]["replicas"] == 2
    (newest, *_) = sorted(fresh.cluster.objects["replicasets"], reverse=True)
    assert fresh.current() == newest
    assert fresh.call("target_url").output.strip() == fresh.cluster.url


def test_first_deploy_that_fails_leaves_nothing(fresh: Deployment) -> None:
    assert fresh.call("target_deploy", CRASHES).code == 1
    assert fresh.call("target_rollback", "").code == 0
    assert fresh.cluster.deployment["spec"]["replicas"] == 0
    assert fresh.current() == ""
    fresh.deploy(GOOD)
    assert fresh.serving == "good"


def test_deploy_is_one_revision(deployed: Deployment) -> None:
    before = int(deployed.cluster.revision)
    deployed.deploy(BETTER, APP_VERSION="v2.0.0")
    assert int(deployed.cluster.revision) == before + 1
    assert deployed.cluster.served == ["good", "better"]
    serving = deployed.cluster.serving
    assert serving
    assert serving[1] == {"APP_VERSION": "v2.0.0", "ENVIRONMENT_NAME": "staging"}
    causes = deployed.cluster.deployment["metadata"]["annotations"]["kubernetes.io/change-cause"]
    assert causes == f"v2.0.0 {BETTER}"


def test_autoscaler_keeps_its_number(deployed: Deployment) -> None:
    deployed.cluster.deployment["spec"]["replicas"] = 5
    deployed.deploy(BETTER)
    assert deployed.cluster.deployment["spec"]["replicas"] == 5


@pytest.mark.parametrize("version", ['v1", "x": "', "v1\n$(id)"])
def test_version_is_only_text(deployed: Deployment, version: str) -> None:
    deployed.deploy(BETTER, APP_VERSION=version)
    serving = deployed.cluster.serving
    assert serving
    assert serving[1]["APP_VERSION"] == version


def test_failing_migration_changes_nothing(deployed: Deployment) -> None:
    revision, previous = deployed.cluster.revision, deployed.current()
    done = deployed.call("target_deploy", BAD_MIGRATION)
    assert done.code == 1
    assert "::error title=The migrations failed::The version before still serves" in done.errors
    assert "log of app-migrate-" in done.output
    assert (deployed.cluster.revision, deployed.serving) == (revision, "good")
    assert deployed.call("target_rollback", previous).code == 0
    assert (deployed.cluster.revision, deployed.serving) == (revision, "good")


def test_missing_image_changes_nothing(deployed: Deployment) -> None:
    revision = deployed.cluster.revision
    done = deployed.call("target_deploy", MISSING)
    assert done.code == 1
    assert f"does not start (ImagePullBackOff)::Can the cluster pull {MISSING}" in done.errors
    assert "The migrations failed" not in done.errors
    assert (deployed.cluster.revision, deployed.serving) == (revision, "good")
    assert not [it for it in deployed.cluster.objects["jobs"] if MISSING in str(it)]


def test_revision_that_is_gone(deployed: Deployment) -> None:
    deployed.deploy(BETTER)
    done = deployed.call("target_rollback", "77")
    assert done.code == 1
    assert "::error title=The version to go back to is gone::" in done.errors
    assert deployed.serving == "better"


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGKILL])
def test_killed_and_run_again(deployed: Deployment, sent: signal.Signals) -> None:
    previous, revision = deployed.current(), deployed.cluster.revision
    with subprocess.Popen(
        ["bash", "-c", f". {TARGET}; target_deploy {STUCK}"],
        env=deployed.environment,
        process_group=0,
        stdout=subprocess.DEVNULL,
    ) as process:
        deadline = time.monotonic() + 30
        while deployed.cluster.revision == revision and time.monotonic() < deadline:
            time.sleep(0.05)
        os.killpg(process.pid, sent)
    time.sleep(0.5)  # until nobody is left who could clean up
    left = [it for it in deployed.folder.rglob("*") if it.is_file()]
    assert {it.stat().st_mode & 0o777 for it in left} == (
        {0o600} if sent == signal.SIGKILL else set()
    )
    assert deployed.serving == "good"
    newest = max(deployed.cluster.objects["replicasets"])
    deployed.cluster.objects["replicasets"][newest]["status"]["availableReplicas"] = 1
    assert deployed.current() == previous, "not the one that never got ready in full"
    deployed.deploy(BETTER)
    assert deployed.cluster.served == ["good", "better"]
    assert deployed.call("target_rollback", previous).code == 0
    assert deployed.serving == "good"


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("KUBE_CONFIG", "", "KUBE_CONFIG is not set::deploy/kubernetes/setup.sh prints it"),
        ("KUBE_CONFIG", "%%%", "KUBE_CONFIG is not base64::"),
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


def test_expired_credentials(deployed: Deployment) -> None:
    config = deployed.cluster.kubeconfig()
    deployed.cluster.tokens["deployer"] = "another token"
    done = deployed.call("target_current", KUBE_CONFIG=config)
    assert done.code == 1
    assert "::error title=The cluster does not accept KUBE_CONFIG::It has expired" in done.errors


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
    done = deployed.call("target_url", DEPLOY_URL="")
    assert done.code == 1
    assert "::error title=DEPLOY_URL is not set::" in done.errors


def test_deployer_has_no_right_too_many(deployed: Deployment) -> None:
    previous = deployed.current()
    for image in (CRASHES, MISSING):
        assert deployed.call("target_deploy", image).code == 1
    deployed.call("target_logs")
    assert deployed.call("target_rollback", previous).code == 0
    (role,) = deployed.cluster.objects["roles"].values()
    granted = {
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    assert deployed.cluster.used == granted


# The whole deploy.


@pytest.mark.parametrize(
    ("image", "revision", "reason"),
    [
        (CRASHES, "crashes", "The new version does not get ready"),
        (
            STALE,
            "new",
            f"it is {Version('stale').commit} that answers, not {Version('new').commit}",
        ),
        (SMOKES, "smokes", "the smoke tests failed"),
        (BAD_MIGRATION, "bad-migration", "The migrations failed"),
        (MISSING, "missing", "The new image does not start (ImagePullBackOff)"),
    ],
)
def test_what_served_serves_again(
    deployed: Deployment, image: str, revision: str, reason: str
) -> None:
    ended = deployed.drive(image, revision)
    assert ended["code"] == "1", ended["log"]
    assert (ended["outcome"], ended["reason"]) == ("rolled-back", reason)
    assert deployed.serving == "good"


def test_next_deploys_after_a_rollback(deployed: Deployment) -> None:
    for _ in range(2):
        assert deployed.drive(CRASHES, "crashes")["outcome"] == "rolled-back"
        assert deployed.cluster.served == ["good"]
    ended = deployed.drive(BETTER, "better")
    assert ended["outcome"] == "deployed", ended["log"]
    assert deployed.cluster.served == ["good", "better"]


def test_same_image_again_with_failing_smoke_tests(deployed: Deployment) -> None:
    assert deployed.drive(BETTER, "better")["outcome"] == "deployed"
    before = deployed.cluster.revision
    deployed.cluster.versions[BETTER] = Version("better", works=False)
    ended = deployed.drive(BETTER, "better")
    assert ended["outcome"] == "rolled-back", ended["log"]
    assert "nothing to undo" in ended["log"]
    assert (deployed.cluster.revision, deployed.serving) == (before, "better")


def test_first_deploy_with_a_broken_version(fresh: Deployment) -> None:
    ended = fresh.drive(SMOKES, "smokes")
    assert (ended["code"], ended["outcome"]) == ("1", "failed"), ended["log"]
    assert (fresh.serving, fresh.current()) == ("", "")


def test_rollback_that_fails_is_loud(deployed: Deployment) -> None:
    deployed.cluster.undoable = False
    ended = deployed.drive(SMOKES, "smokes")
    assert (ended["code"], ended["outcome"]) == ("3", "rollback-failed"), ended["log"]
    assert "::error title=The rollback failed too::" in ended["log"]


def test_nothing_changes_without_credentials(deployed: Deployment) -> None:
    before = deployed.cluster.revision
    ended = deployed.drive(BETTER, "better", KUBE_CONFIG="")
    assert (ended["code"], ended["outcome"]) == ("1", "failed")
    assert "::error title=KUBE_CONFIG is not set::" in ended["log"]
    assert (deployed.cluster.revision, deployed.serving) == (before, "good")


def test_names_come_from_the_variables_of_the_environment(deployed: Deployment) -> None:
    settings = json.dumps({"KUBE_NAMESPACE": "other", "DEPLOY_TARGET": "kubernetes"})
    ended = deployed.drive(BETTER, "better", SETTINGS=settings, KUBE_NAMESPACE="")
    assert ended["code"] == "1"
    assert "does not allow this in the namespace other::" in ended["log"]


# The namespace and its deployer.


def set_up(
    cluster: Cluster, environment: dict[str, str], *arguments: str, **settings: str
) -> "Done":
    """Run setup.sh as an administrator of the cluster."""
    config = Path(environment["HOME"], "config")
    config.touch(mode=0o600)
    config.write_bytes(base64.b64decode(cluster.kubeconfig("admin")))
    done = subprocess.run(
        [SETUP, *arguments],
        env=environment | {"KUBECONFIG": str(config)} | settings,
        check=False,
        text=True,
        capture_output=True,
        timeout=60,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def test_setup_makes_everything_that_a_deploy_needs(
    cluster: Cluster, environment: dict[str, str], tmp_path: Path
) -> None:
    url = "postgresql://user:pass%20word@host/app?sslmode=require"
    done = set_up(cluster, environment, "shop-staging", DATABASE_URL=url)
    assert done.code == 0, done.errors
    assert url not in done.errors
    data = cluster.objects["secrets"]["app"]["data"]
    assert base64.b64decode(data["DATABASE_URL"]).decode() == url
    assert cluster.deployment["spec"]["replicas"] == 0
    deployment = Deployment(cluster, environment | {"KUBE_CONFIG": done.output}, tmp_path / "temp")
    assert deployment.current() == ""
    deployment.deploy(GOOD)
    assert deployment.serving == "good"


def test_setup_again_keeps_what_runs(
    cluster: Cluster, environment: dict[str, str], tmp_path: Path
) -> None:
    first = set_up(cluster, environment, "shop", DATABASE_URL="sqlite:////x")
    deployment = Deployment(
        cluster, environment | {"KUBE_CONFIG": first.output, "APP_VERSION": "v3"}, tmp_path / "temp"
    )
    deployment.deploy(GOOD)
    before = deployment.cluster.revision
    again = set_up(cluster, environment, "shop")
    assert again.code == 0, again.errors
    assert again.output == first.output, "the account and its token stay"
    assert cluster.revision == before
    assert cluster.deployment["spec"]["replicas"] == 2
    assert cluster.serving == (VERSIONS[GOOD], {"APP_VERSION": "v3"})
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


def test_help() -> None:
    done = subprocess.run([SETUP, "--help"], check=True, text=True, capture_output=True)
    assert "usage: DATABASE_URL=" in done.stdout
