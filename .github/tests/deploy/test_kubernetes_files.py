import copy
import os
import shutil
import subprocess
from itertools import count
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from jobs import IDENTITY, Watch, describe_end, find_port, make_job, make_migration, read_log
from namespace import Failure, Namespace
from target import check_versions, wait_for_rollout

ROOT = Path(__file__).parents[3]
FILES = ROOT / "deploy/kubernetes"
VERSIONS = ("1.32", "1.35", "1.37")


def build(folder: Path = FILES) -> list[Any]:
    """Return what kustomize makes of a folder."""
    command = ("kubectl", "kustomize", folder)
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return list(yaml.safe_load_all(done.stdout))


@pytest.fixture(scope="module")
def objects() -> dict[str, Any]:
    """Everything that the files describe, by kind and name."""
    return {f"{thing['kind']}/{thing['metadata']['name']}": thing for thing in build()}


@pytest.fixture
def namespace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Namespace:
    """A namespace that nobody asks anything."""
    monkeypatch.setenv("KUBE_NAMESPACE", "shop")
    return Namespace(tmp_path / "config")


@pytest.fixture
def jobs(namespace: Namespace, objects: dict[str, Any]) -> list[Any]:
    """The Jobs of a deploy with a new image: the preview, and the migration."""
    deployment = objects["Deployment/app"]

    def make() -> Any:
        return make_job(namespace, deployment, "new", {"APP_VERSION": "v2"}, "app-1")

    return [make(), make_migration(namespace, make())]


@pytest.mark.parametrize("version", VERSIONS)
def test_files_fit_the_published_schemas(
    objects: dict[str, Any], jobs: list[Any], version: str
) -> None:
    for thing in [*objects.values(), *jobs]:
        kubernetes_validate.validate(thing, version, strict=True)


def test_schemas_find_a_field_that_is_not_there(jobs: list[Any]) -> None:
    (job, _) = jobs
    job["spec"]["retries"] = 1
    with pytest.raises(kubernetes_validate.ValidationError, match="retries"):
        kubernetes_validate.validate(job, VERSIONS[-1], strict=True)


def test_every_file_is_used() -> None:
    listed = yaml.safe_load((FILES / "kustomization.yaml").read_text())["resources"]
    assert {path.name for path in FILES.glob("*.yaml")} == {*listed, "kustomization.yaml"}


def test_everything_moves_to_another_namespace(tmp_path: Path) -> None:
    shutil.copytree(FILES, tmp_path / "files")
    (tmp_path / "kustomization.yaml").write_text("namespace: shop\nresources: [files]\n")
    for thing in build(tmp_path):
        where = thing["metadata"]["name" if thing["kind"] == "Namespace" else "namespace"]
        assert where == "shop"
        assert all(subject["namespace"] == "shop" for subject in thing.get("subjects", []))


KUBECTL = """#!/bin/sh
for last; do :; done
case "$*" in
version*) echo '{}' ;;
*deployment*) echo '{"spec": {"replicas": 3, "template": {"spec": {"containers": ['
              echo '{"name": "app", "image": "x"}]}}}}' ;;
apply*) "$REAL_KUBECTL" kustomize "${last#--kustomize=}"; exit 1 ;;
esac
"""


def test_set_up_keeps_the_image_of_the_app_alone(tmp_path: Path) -> None:
    shutil.copytree(FILES, tmp_path / "files")
    manifest, kubectl = tmp_path / "files/app.yaml", tmp_path / "kubectl"
    first = "      containers:\n"
    other = "        - name: sidecar\n          image: y\n"
    text = manifest.read_text().replace(first, first + other)
    manifest.write_text(text)
    kubectl.write_text(KUBECTL)
    kubectl.chmod(0o755)
    environment = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}", "REAL_KUBECTL": str(shutil.which("kubectl"))
    }  # fmt: skip
    done = subprocess.run(
        [tmp_path / "files/setup.sh", "shop"], env=environment, check=False, capture_output=True
    )
    (deployment,) = (
        manifest
        for manifest in yaml.safe_load_all(done.stderr)
        if manifest and manifest["kind"] == "Deployment"
    )
    containers = deployment["spec"]["template"]["spec"]["containers"]
    assert {each["name"]: each["image"] for each in containers} == {"sidecar": "y", "app": "x"}


def test_rollout_loses_no_request(objects: dict[str, Any]) -> None:
    spec = objects["Deployment/app"]["spec"]
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    assert "replicas" not in spec, "they are the autoscaler's"
    pod = spec["template"]["spec"]
    (container,) = pod["containers"]
    assert container["readinessProbe"]["httpGet"]["path"] == "/ready"
    assert container["livenessProbe"]["httpGet"]["path"] == "/health"
    pause = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    settings = (ROOT / "src").glob("*/settings.py")
    assert "graceful_shutdown_seconds: int = Field(default=20" in next(settings).read_text()
    assert pod["terminationGracePeriodSeconds"] > pause + 20
    assert objects["HorizontalPodAutoscaler/app"]["spec"]["minReplicas"] > 1
    assert objects["PodDisruptionBudget/app"]["spec"]["maxUnavailable"] == 1


def test_selectors_find_the_pods(objects: dict[str, Any]) -> None:
    deployment = objects["Deployment/app"]["spec"]
    labels = deployment["template"]["metadata"]["labels"]
    assert deployment["selector"]["matchLabels"] == labels
    assert objects["Service/app"]["spec"]["selector"] == labels
    assert objects["PodDisruptionBudget/app"]["spec"]["selector"]["matchLabels"] == labels
    assert "pod-template-hash" not in labels


def test_pods_have_few_rights(objects: dict[str, Any], jobs: list[Any]) -> None:
    label = objects["Namespace/app"]["metadata"]["labels"]
    assert label == {"pod-security.kubernetes.io/enforce": "restricted"}
    for thing in (objects["Deployment/app"], *jobs):
        pod = thing["spec"]["template"]["spec"]
        assert pod["automountServiceAccountToken"] is False
        security = pod["securityContext"]
        assert security["runAsNonRoot"] is True
        assert security["runAsUser"] == 10001, "as in the Dockerfile"
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        (container,) = pod["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        }
        assert container["resources"]["requests"].keys() == {"cpu", "memory"}


def test_jobs_are_the_same_pod_with_the_new_image(
    namespace: Namespace, objects: dict[str, Any]
) -> None:
    deployment = copy.deepcopy(objects["Deployment/app"])
    (before,) = deployment["spec"]["template"]["spec"]["containers"]
    before["env"] = [{"name": "APP_VERSION", "value": "v1"}, {"name": "KEPT", "value": "x"}]
    before["command"] = ["serve"]
    secrets = {"vault.hashicorp.com/agent-inject": "true"}
    deployment["spec"]["template"]["metadata"]["annotations"] = secrets
    deployment["spec"]["template"]["metadata"]["labels"][IDENTITY] = "true"
    near: dict[str, Any] = {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": []}}
    apart = {"podAntiAffinity": near["podAffinity"]}
    deployment["spec"]["template"]["spec"]["affinity"] = near | apart
    original = copy.deepcopy(deployment)
    preview = make_job(namespace, deployment, "new", {"APP_VERSION": "v2"}, "app-preview-1")
    migration = make_migration(namespace, copy.deepcopy(preview))
    assert deployment == original
    for job in (preview, migration):
        pod = job["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        assert {variable["name"]: variable["value"] for variable in container["env"]} == {
            "KEPT": "x",
            "APP_VERSION": "v2",
        }
        assert (container["image"], container["envFrom"]) == ("new", before["envFrom"])
        assert (pod["restartPolicy"], job["spec"]["backoffLimit"]) == ("Never", 0)
        metadata = job["spec"]["template"]["metadata"]
        kept = {"annotations": secrets, "labels": {IDENTITY: "true"}}
        assert metadata == kept, "no Service may find it"
        assert pod["affinity"] == near, "each node may have a pod of the app already"
        probes = [key for key in container if "Probe" in key]
        assert (container.get("command"), container.get("args"), len(probes)) == (
            (None, ["migrate"], 0) if job is migration else (["serve"], None, 3)
        )


@pytest.mark.parametrize(
    ("ports", "probe", "found"),
    [
        ([("http", 8000)], "http", 8000),
        ([("metrics", 9090), ("web", 8000)], "web", 8000),
        ([("metrics", 9090), ("web", 8000)], 8000, 8000),
        ([], 8000, 8000),
        ([("metrics", 9090), ("http", 8000)], None, 9090),
        ([], None, 0),
    ],
)
def test_preview_is_asked_where_the_probe_asks(
    namespace: Namespace, ports: list[tuple[str, int]], probe: str | int | None, found: int
) -> None:
    app: dict[str, Any] = {"name": "app"}
    app["ports"] = [{"name": name, "containerPort": port} for name, port in ports]
    if probe:
        app["readinessProbe"] = {"httpGet": {"path": "/ready", "port": probe}}
    assert find_port(namespace, {"spec": {"template": {"spec": {"containers": [app]}}}}) == found


def test_kubectl_that_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("KUBE_NAMESPACE", raising=False)
    with pytest.raises(Failure, match="kubectl is missing"):
        Namespace(tmp_path / "config")


def test_kubectl_of_an_unknown_version_is_taken() -> None:
    """Somebody has built it without saying which it is."""
    check_versions('{"clientVersion": {"major": "", "minor": "", "gitVersion": "v0.0.0-master"}}')


def wait_for(reason: str, message: str) -> dict[str, Any]:
    """Return the status of a pod whose container waits."""
    return {"containerStatuses": [{"state": {"waiting": {"reason": reason, "message": message}}}]}


@pytest.mark.parametrize(
    ("status", "title"),
    [
        (
            {"conditions": [{"type": "PodScheduled", "status": "False", "message": "no memory"}]},
            "No node has room for the new pod",
        ),
        (wait_for("ImagePullBackOff", "dial tcp: i/o timeout"), "The registry does not answer"),
        (
            wait_for("CreateContainerConfigError", "failed to sync secret cache: timed out"),
            "The node does not start the container",
        ),
        (
            wait_for("CreateContainerError", 'failed to reserve container name "x"'),
            "The node does not start the container",
        ),
    ],
)
def test_each_pod_has_its_own_time_and_what_heals_is_forgotten(
    namespace: Namespace, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str],
    status: dict[str, Any], title: str,
) -> None:  # fmt: skip
    monkeypatch.setattr("jobs.PATIENCE", 0)
    watch, names = Watch(namespace), [""]
    monkeypatch.setattr(
        namespace,
        "read",
        lambda *_: {"items": [{"metadata": {"name": n}, "status": status} for n in names]},
    )
    for names[:] in (["a"], ["b"], [], ["b"]):
        watch.look("selector", "image")
    with pytest.raises(Failure, match=title):
        watch.look("selector", "image")
    assert capfd.readouterr().err.count(f"::warning title={title}::") == 1


@pytest.mark.parametrize("own", ["", "id"])
def test_quota_that_is_used_up_until_other_pods_have_ended(
    namespace: Namespace, monkeypatch: pytest.MonkeyPatch, own: str
) -> None:
    spec = {"replicas": 2, "template": {"spec": {"containers": [{"name": "app", "image": "x"}]}}}
    metadata = {"annotations": {"deploy/id": own}, "uid": "1"}
    refused = {"conditions": [{"type": "ReplicaFailure", "status": "True"}]}
    done = {"updatedReplicas": 2, "replicas": 2, "availableReplicas": 2}
    states = iter([refused] * 6 + [done])
    monkeypatch.setattr(namespace, "read", lambda *_: {"items": []})
    monkeypatch.setattr(
        namespace, "read_deployment",
        lambda: {"spec": spec, "metadata": metadata, "status": next(states)},
    )  # fmt: skip
    clock = count(0, 10)
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    monkeypatch.setattr("time.sleep", lambda _: None)
    wait_for_rollout(namespace, own, "x")
    assert not list(states)


def test_init_container_that_fails_is_named_and_its_log_is_shown(
    namespace: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    pod = {"metadata": {"name": "a"}, "status": {
        "phase": "Failed",
        "containerStatuses": [{"name": "app", "state": {"waiting": {}}}],
        "initContainerStatuses": [{"name": "wait", "state": {"terminated": {"exitCode": 1}}}],
    }}  # fmt: skip
    assert "Its init container wait failed." in describe_end(namespace, pod)
    monkeypatch.setattr(namespace, "ask", lambda *words, **_: " ".join(words))
    assert "--container=wait" in read_log(namespace, [pod])[0]


def test_log_that_is_no_utf8_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "kubectl").write_text("#!/bin/sh\nprintf 'caf\\351'\n")
    (tmp_path / "kubectl").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("KUBE_NAMESPACE", "shop")
    assert Namespace(tmp_path / "config").ask("logs", "app-1") == "caf\N{REPLACEMENT CHARACTER}"


def test_jobs_know_the_container_that_is_named(
    namespace: Namespace, objects: dict[str, Any]
) -> None:
    deployment = copy.deepcopy(objects["Deployment/app"])
    pod = deployment["spec"]["template"]["spec"]
    pod["containers"].insert(0, {"name": "sidecar", "image": "other"})
    preview = make_job(namespace, deployment, "new", {}, "app-preview-1")
    migration = make_migration(namespace, copy.deepcopy(preview))
    images = [
        {one["name"]: one["image"] for one in job["spec"]["template"]["spec"]["containers"]}
        for job in (preview, migration)
    ]
    assert images == [{"sidecar": "other", "app": "new"}, {"app": "new"}]
