"""The image is really built, run, scanned and pushed, to a registry on this machine."""

import json
import platform
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
import refusal
from containers import docker
from engine import ROOT, Run
from fakes.fake_advisories import Advisory, FakeAdvisories
from fakes.github_api import FakeGitHub
from fakes.github_runs import WorkflowRun
from fakes.github_security import Security
from harness import (
    RunPipeline,
    append,
    explain,
    find_digest,
    inputs_of,
    make_source,
    prepare,
    said,
    write,
)
from performance import history
from workflows import load

OWNER = {"repository.full_name": "Octo-Org/Widget"}
IMAGE = "octo-org/widget"

SMOKES = write(".github/scripts/image/image_smoke.sh", "#!/bin/sh\necho 5 passed\n")
"""In the place of the smoke tests, where they are not what is tested."""

type Build = partial[Run]


@pytest.fixture
def build(run_pipeline: RunPipeline, host: str) -> Iterator[Build]:
    """Return a function that runs the pipeline with a registry and a database of advisories."""
    with FakeAdvisories() as advisories:
        yield partial(
            run_pipeline,
            "docker",
            small=False,
            edit=prepare(),
            variables={"CONTAINER_REGISTRY": host},
            environment=advisories.environment,
        )


def list_tags(host: str, image: str) -> list[str]:
    with urlopen(f"http://{host}/v2/{image}/tags/list", timeout=10) as answer:
        tags: list[str] = json.load(answer)["tags"]
    return tags


def outputs(run: Run) -> dict[str, str]:
    return run.find_job("publish").find_step("Publish").outputs


def failed_steps(run: Run) -> list[str]:
    """Return the steps of the actions that build and check the image which failed."""
    assert run.conclusion == "failure"
    steps = [step for job in run.jobs if job.id in {"try", "build"} for step in job.steps]
    inner = [step for step in steps if len(step.id) == 2]
    return [f"{step.name}/{step.id[1]}" for step in inner if step.outcome == "failure"]


def test_one_image_is_built_once_and_gets_its_tags(build: Build, tmp_path: Path, host: str) -> None:
    source = make_source(tmp_path / "source")
    options: dict[str, Any] = {"source": source.directory, "edit": None, "overrides": OWNER}
    commit = source.find("HEAD")

    run = build("push:main", **options)

    assert run.conclusion == "success", explain(run)
    digest = find_digest(host, f"sha-{commit}")
    assert digest.startswith("sha256:")
    assert find_digest(host, "latest") == digest
    assert "5 passed" in run.find_job("build").summary
    size = json.loads((run.artifacts / history.SCAN / history.SIZE).read_text())["bytes"]
    assert 1e6 < size < 1e9
    assert digest in run.find_job("publish").summary
    (built,) = inputs_of(run, "docker/build-push-action")
    assert (built["sbom"], built["provenance"], built["load"]) == ("true", "mode=max", "false")
    assert f"APP_REVISION={commit}" in built["build-args"]
    built_here, attested = inputs_of(run, "actions/attest")
    assert built_here["subject-digest"].startswith("sha256:")
    assert attested == {
        "subject-name": f"{host}/{IMAGE}",
        "subject-digest": digest,
        "subject-path": "",
    }
    reference = f"{host}/{IMAGE}@{digest}"
    docker("pull", "--quiet", reference)
    config = json.loads(docker("inspect", reference))[0]["Config"]
    assert config["Labels"]["org.opencontainers.image.revision"] == commit
    assert config["Labels"]["org.opencontainers.image.source"].endswith("/Octo-Org/Widget")

    source("commit", "--quiet", "--allow-empty", "-m", "fix: in a hurry")
    late = FakeGitHub()
    late.resources["/repos/Octo-Org/Widget/git/ref/heads/main"] = {"object": {"sha": "f" * 40}}
    late.runs.runs = [WorkflowRun(7, "docker.yml", "f" * 40, {})]
    run = build("push:main", job="publish", github=late, **options)
    assert run.conclusion == "success", explain(run)
    assert "main has a newer commit, ffffffffffff" in said(run, "notice")
    assert find_digest(host, f"sha-{source.find('HEAD')}", IMAGE) != digest
    assert find_digest(host, "latest") == digest
    source("reset", "--quiet", "--hard", commit)

    for event, tag in (("push:v1.2.3", "v1.2.3"), ("push:develop", "develop")):
        again = build(event, **options)
        assert again.conclusion == "success", explain(again)
        assert not inputs_of(again, "docker/build-push-action"), "it was there"
        assert not inputs_of(again, "actions/attest")
        assert find_digest(host, tag) == digest
    assert find_digest(host, "latest") == digest


def test_rebuild_by_hand_replaces_the_image(build: Build, tmp_path: Path, host: str) -> None:
    source = make_source(tmp_path / "source", SMOKES)
    private = {"repository.full_name": "octo-org/private", "repository.private": True}
    options: dict[str, Any] = {"source": source.directory, "edit": None, "job": "publish"}
    overrides = private | {"inputs.rebuild": "true"}
    for _ in range(2):
        run = build("workflow_dispatch:feature", overrides=overrides, **options)
        assert run.conclusion == "success", explain(run)
        assert inputs_of(run, "docker/build-push-action")
        assert not inputs_of(run, "actions/attest")
        assert "GitHub Enterprise Cloud" in run.find_job("publish").summary
    assert all(tag.startswith("sha-") for tag in list_tags(host, "octo-org/private"))


def test_pull_request_pushes_nothing(build: Build, host: str) -> None:
    overrides = {"repository.full_name": "octo-org/proposal"}
    with FakeAdvisories(Advisory("starlette", fixed="")) as advisories:
        run = build("pull_request", overrides=overrides, environment=advisories.environment)
    assert run.conclusion == "success", explain(run)
    assert run.find_job("publish").conclusion == "skipped"
    assert not inputs_of(run, "docker/login-action")
    (built,) = inputs_of(run, "docker/build-push-action")
    assert (built["push"], built["load"], built["sbom"]) == ("false", "true", "false")
    with pytest.raises(OSError, match="404"):
        list_tags(host, "octo-org/proposal")
    assert run.find_job("build").conclusion == "skipped", "it has a token that may push"
    assert "1 findings of any kind" in run.find_job("try").summary, "without a fix it may pass"


@pytest.mark.skipif(platform.machine() != "x86_64", reason="it emulates the other platform")
def test_platform_of_another_machine_is_left_out_by_name(build: Build) -> None:
    run = build("push", job="lint")
    legs = [job for job in run.jobs if "linux/arm64" in job.name]
    assert {leg.id: leg.conclusion for leg in legs} == {"try": "skipped", "build": "skipped"}
    assert all("not on this machine" in leg.name for leg in legs)


def test_finding_of_hadolint_stops_the_build(build: Build) -> None:
    edit = prepare(append("Dockerfile", "RUN cd /tmp\n"))
    run = build("push", edit=edit)
    assert run.conclusion == "failure"
    assert "DL3003" in run.find_job("lint").summary
    assert run.find_job("build").conclusion == "skipped"
    assert run.find_job("summary").conclusion == "failure"


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("ENV APP_REVISION=another\n", "another answers"),
        ("ENV LOG_LEVEL=nonsense\n", "The container is not healthy, but: exited"),
    ],
    ids=["another revision", "ends at once"],
)
def test_image_that_does_not_work_is_not_published(
    build: Build, host: str, fault: str, expected: str
) -> None:
    overrides = {"repository.full_name": "octo-org/broken"}
    run = build("push", edit=prepare(append("Dockerfile", fault)), overrides=overrides)
    assert failed_steps(run) == ["Check/run"]
    assert expected in run.find_job("build").summary
    assert run.find_job("publish").conclusion == "skipped"
    assert "latest" not in list_tags(host, "octo-org/broken")


def test_grave_vulnerability_with_a_fix_stops_the_image(build: Build) -> None:
    fake = FakeGitHub()
    fake.security = Security(code_scanning=True)
    with FakeAdvisories(Advisory("starlette"), Advisory("fastapi", "GHSA-x", "")) as advisories:
        options: dict[str, Any] = {"environment": advisories.environment, "github": fake}
        run = build("push", edit=prepare(SMOKES), **options)
    assert failed_steps(run) == ["Check/scan"]
    job = run.find_job("build")
    assert "GHSA-aaaa-bbbb-cccc" in job.summary
    assert "GHSA-x" not in job.summary, "there is no fix"
    assert "2 findings of any kind" in job.summary
    (log,) = fake.security.uploads
    assert {result["ruleId"] for result in log["runs"][0]["results"]} == {
        "GHSA-aaaa-bbbb-cccc",
        "GHSA-x",
    }
    assert run.find_job("publish").conclusion == "skipped"


def test_nothing_is_uploaded_from_a_merge_queue() -> None:
    steps = load(ROOT / ".github/actions/check-image/action.yml")["runs"]["steps"]
    (upload,) = [step for step in steps if "upload-sarif" in step.get("uses", "")]
    assert upload["if"].endswith(" && github.event_name != 'merge_group'")


def test_scan_that_could_not_look_is_no_pass(build: Build) -> None:
    with FakeAdvisories() as advisories:
        advisories.down = {"trivy"}
        (Path(advisories.environment["TRIVY_CACHE_DIR"]) / "db/trivy.db").unlink()
        environment = advisories.environment
        run = build("pull_request", edit=prepare(SMOKES), environment=environment)
    assert failed_steps(run) == ["Check/scan"]
    assert "Trivy could not look" in run.find_job("try").summary
    assert "Nothing is known about the image" in said(run, "error")


def test_refusal_of_the_registry_says_where_to_click(build: Build) -> None:
    with refusal.serve() as address:
        run = build("push", variables={"CONTAINER_REGISTRY": address}, overrides=OWNER)
    assert failed_steps(run) == ["Build/build"]
    job = run.find_job("build")
    assert "https://github.com/Octo-Org?tab=packages" in job.summary
    assert "Manage Actions access → Add repository" in job.summary
    assert "packages: write" in job.summary
    assert "denied: permission_denied" in explain(run)
