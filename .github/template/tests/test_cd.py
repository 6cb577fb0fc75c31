"""A commit is really built, pushed and deployed, and a broken one is rolled back."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import ssh_server
from containers import docker
from deployments import Client
from engine import ROOT, Run
from fakes.github_api import FakeGitHub
from fakes.github_runs import WorkflowRun
from harness import (
    RunPipeline,
    append,
    explain,
    find_digest,
    inputs_of,
    make_source,
    replace,
    said,
    write,
)
from lib.processes import find_free_port
from origin import Git
from schemas import write_migration
from workflows import load

OWNER = {"repository.full_name": "octo-org/widget"}
CD = ".github/workflows/cd.yml"
BROKEN = "ENV MAX_BODY_BYTES=1\n"
"""With this line in its Dockerfile, the image is healthy and ready, and fails the smoke tests."""

DEPLOYS = '.github/scripts/deploy/deploy.sh deploy "$IMAGE"'
KILLED = f"timeout --foreground --signal=KILL 3 {DEPLOYS}"
"""How the runner ends a step that takes too long."""

type Deploy = Callable[..., Run]


@pytest.fixture
def source(tmp_path: Path) -> Git:
    """A repository with one commit, tagged v1.0.0."""
    git = make_source(tmp_path / "source")
    git("tag", "v1.0.0")
    return git


@pytest.fixture
def deploy(run_pipeline: RunPipeline, source: Git, host: str) -> Deploy:
    """Return a function that runs the pipeline with a registry."""

    def run(event: str, **options: Any) -> Run:
        variables = {"CONTAINER_REGISTRY": host} | options.pop("variables", {})
        overrides = OWNER | options.pop("overrides", {})
        environment = {"SMOKE_TESTS": "true"} | options.pop("environment", {})
        return run_pipeline(
            "cd",
            event,
            small=False,
            source=source.directory,
            variables=variables,
            overrides=overrides,
            environment=environment,
            **options,
        )

    return run


def commit(git: Git, edit: Callable[[Path], None], message: str) -> None:
    edit(git.directory)
    git("commit", "--quiet", "--all", "-m", message)


def outcome(run: Run) -> dict[str, str]:
    """Return the outputs of the deployment; none if there was none."""
    steps = {step.name: step.outputs for step in run.find_job("deploy").steps}
    return steps.get("Roll back") or steps.get("Deploy") or {}


def test_one_image_goes_from_staging_to_production(deploy: Deploy, source: Git, host: str) -> None:
    first = deploy("push:main", environment={"SMOKE_TESTS": ""})
    assert first.conclusion == "success", explain(first)
    digest = find_digest(host, f"sha-{source.find('HEAD')}")
    assert find_digest(host, "staging") == digest
    assert outcome(first)["outcome"] == "deployed"
    story = first.find_job("summary").summary
    assert f"✅ {source.find('HEAD')[:12]} deployed at" in story
    assert "a rehearsal on the runner" in story
    assert "| production | ⏭️ not deployed" in story
    assert "The environment staging has no target" in said(first, "notice")

    commit(source, append("README.md", "More.\n"), "docs: say more")
    late = FakeGitHub()
    late.resources["/repos/octo-org/widget/git/ref/heads/main"] = {"object": {"sha": "f" * 40}}
    late.runs.runs = [WorkflowRun(7, "cd.yml", "f" * 40, {})]
    overtaken = deploy("push:main", github=late)
    assert overtaken.conclusion == "success", explain(overtaken)
    assert "main has a newer commit, ffffffffffff" in said(overtaken, "notice")
    assert outcome(overtaken) == {}
    story = overtaken.find_job("summary").summary
    assert "⏭️ not deployed, because something newer has a run of its own" in story
    assert find_digest(host, "staging") == digest

    tag = deploy("push:v1.0.0")
    assert tag.conclusion == "success", explain(tag)
    assert not inputs_of(tag, "docker/build-push-action"), "it was there"
    assert find_digest(host, "production") == digest
    assert "✅ v1.0.0 deployed" in tag.find_job("summary").summary
    assert "Nobody has to approve deployments to production" in said(tag, "notice")


def test_broken_version_is_rolled_back_and_told(deploy: Deploy, source: Git, host: str) -> None:
    good = deploy("push:main")
    assert good.conclusion == "success", explain(good)
    serving = find_digest(host, "staging")
    commit(source, append("Dockerfile", BROKEN), "feat: break it")
    messages: list[dict[str, Any]] = []

    class Service(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            messages.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Service) as server:
        Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        secrets = {"SLACK_WEBHOOK_URL": f"http://127.0.0.1:{server.server_port}/"}
        run = deploy("push:main", environment={"SMOKE_TESTS": ""}, secrets=secrets)
        server.shutdown()

    assert run.conclusion == "failure"
    assert [step.name for step in run.find_job("deploy").failed_steps] == ["Deploy"]
    result = outcome(run)
    assert (result["outcome"], result["reason"]) == ("rolled-back", "the smoke tests failed")
    assert serving in result["previous"]
    story = run.find_job("summary").summary
    assert "**rolled back** to" in story
    assert "because the smoke tests failed" in story
    assert find_digest(host, "staging") == serving, "what the environment runs"
    assert "rolled back" in json.dumps(messages).lower()


@dataclass(frozen=True)
class Server:
    """A server that runs the source's first commit: how the pipeline and a client reach it."""

    client: Client
    secrets: dict[str, str]
    variables: dict[str, str]


@pytest.fixture
def server(deploy: Deploy, source: Git, host: str, tmp_path: Path) -> Iterator[Server]:
    """A server over SSH; the pipeline has deployed to it once."""
    compose = source.directory / "deploy/compose"
    (tmp_path / "server").mkdir()
    port = find_free_port()
    repository = f"{host}/octo-org/widget"
    with ssh_server.serve(tmp_path / "server", compose / "gate.sh", repository) as running:
        running.state.mkdir()
        (running.state / "proxy.env").write_text(f"HTTP_BIND=127.0.0.1:{port}\n")
        client = Client(f"http://127.0.0.1:{port}")
        variables = running.settings | {"DEPLOY_TARGET": "compose", "DEPLOY_URL": client.url}
        secrets = {"DEPLOY_SSH_KEY": variables.pop("DEPLOY_SSH_KEY")}
        try:
            first = deploy("push:main", variables=variables, secrets=secrets)
            assert first.conclusion == "success", explain(first)
            assert "rehearsal" not in first.find_job("summary").summary
            assert client.ask().endswith(source.find("HEAD"))
            yield Server(client, secrets, variables)
        finally:
            subprocess.run(
                [compose / "host.sh", "remove"],
                check=True,
                env=os.environ | {"HOST_FOLDER": str(running.state)},
            )


def test_migrations_and_interruptions_on_a_server(
    deploy: Deploy, source: Git, server: Server
) -> None:
    options: dict[str, Any] = {"variables": server.variables, "secrets": server.secrets}
    before = server.client.ask()
    add_migration(source, 2, "feat: a column more")
    with server.client.asking():
        good = deploy("push:main", **options)
    assert good.conclusion == "success", explain(good)
    serving = server.client.ask()
    assert serving.endswith(source.find("HEAD"))
    assert server.client.answers.keys() <= {before, serving}

    append("Dockerfile", BROKEN)(source.directory)
    add_migration(source, 3, "feat: another column, and a version that is broken")
    with server.client.asking():
        bad = deploy("push:main", environment={"SMOKE_TESTS": ""}, **options)
    assert bad.conclusion == "failure"
    assert outcome(bad)["outcome"] == "rolled-back", explain(bad)
    story = bad.find_job("summary").summary
    assert "**rolled back** to" in story
    assert "because the smoke tests failed" in story
    assert server.client.answers.keys() == {serving}, "nobody saw it, and nothing failed"

    head = source.find("HEAD")
    either = {serving, f"{head[:12]} {head}"}
    with server.client.asking():
        killed = deploy("push:main", edit=replace(CD, DEPLOYS, KILLED), **options)
    assert outcome(killed)["outcome"] == "rolled-back", explain(killed)
    assert outcome(killed)["reason"] == "the deployment was ended in the middle"
    assert "rolled back" in killed.find_job("summary").summary
    assert server.client.ask() == serving
    assert server.client.answers.keys() <= either
    again = deploy("push:main", **options)
    assert again.conclusion == "success", explain(again)
    cannot = deploy(
        "push:main",
        edit=replace("deploy/targets/compose.sh", "ssh_ask rollback", "false rollback"),
        environment={"SMOKE_TESTS": ""},
        **options,
    )
    assert outcome(cannot)["outcome"] == "rollback-failed", explain(cannot)
    assert "staging needs somebody now" in said(cannot, "error")
    assert "🔥" in cannot.find_job("summary").summary


def add_migration(git: Git, number: int, message: str) -> None:
    """Commit everything, with a migration more."""
    path, text = write_migration(number)
    write(f"src/{path}", text)(git.directory)
    git("add", "--all")
    git("commit", "--quiet", "-m", message)


def test_earlier_version_by_hand_is_the_manual_rollback(
    deploy: Deploy, source: Git, host: str
) -> None:
    assert deploy("push:v1.0.0").conclusion == "success"
    digest = find_digest(host, "production")
    commit(source, append("README.md", "More.\n"), "docs: say more")
    inputs = {"inputs.environment": "production", "inputs.version": "v1.0.0"}

    run = deploy("workflow_dispatch:main", overrides=inputs)
    assert run.conclusion == "success", explain(run)
    assert run.find_job("build").conclusion == "skipped"
    assert find_digest(host, "production") == digest

    source("tag", "v1.0.1")
    missing = deploy("workflow_dispatch:main", overrides=inputs | {"inputs.version": "v1.0.2"})
    assert "There is no tag v1.0.2" in said(missing, "error")
    assert missing.find_job("deploy").conclusion == "skipped"
    commit(source, append("README.md", "Even more.\n"), "docs: say even more")
    unbuilt = deploy("workflow_dispatch:main", overrides=inputs | {"inputs.version": "v1.0.1"})
    assert "it was never built, or it was deleted" in said(unbuilt, "error")
    assert unbuilt.find_job("deploy").conclusion == "skipped"


def test_image_that_nobody_attested_is_not_deployed(
    deploy: Deploy, source: Git, tmp_path: Path, host: str
) -> None:
    run = deploy("push:main", job="image")
    assert run.conclusion == "success"
    head, signer = source.find("HEAD"), "octo-org/widget/.github/workflows"
    digests = [one["subject-digest"].partition(":")[2] for one in inputs_of(run, "actions/attest")]
    attested, platform = (tmp_path / "attestations" / digest for digest in digests[::-1])
    for file in (attested, platform):
        assert file.read_text() == f"octo-org/widget {head} {signer}/cd.yml\n"
    attested.write_text(f"octo-org/widget {head} {signer}/ci.yml")
    run = deploy("push:main")
    assert run.find_job("image").conclusion == "failure"
    assert run.find_job("deploy").conclusion == "skipped"
    assert "The image is not attested" in run.find_job("image").summary
    assert "image ended as failure" in run.find_job("summary").summary
    attested.unlink()
    assert "no attestations found" in said(deploy("push:main", job="image"), "error")

    # whoever may push to the registry knows the next commit before it is built
    commit(source, append("README.md", "More.\n"), "docs: say more")
    arch = docker("version", "--format={{.Server.Arch}}")
    image = f"{host}/octo-org/widget"
    planted, other = f"{image}:sha-{source.find('HEAD')}-{arch}", f"{image}@sha256:{platform.name}"
    docker("buildx", "imagetools", "create", "--tag", planted, other)
    run = deploy("push:main", job="build")
    assert run.conclusion == "success", explain(run)
    assert "is there, and is not attested" in said(run, "notice")
    assert inputs_of(run, "docker/build-push-action"), "it is built, not taken"


def test_production_that_nobody_protects_gets_nothing(deploy: Deploy) -> None:
    real = {"DEPLOY_TARGET": "kubernetes", "DEPLOY_URL": "https://shop.example"}
    refused = deploy("push:v1.0.0", variables=real)
    assert [step.name for step in refused.find_job("deploy").failed_steps] == [
        "Refuse what nobody has to approve"
    ]
    assert "setup-github --apply --reviewer" in refused.find_job("deploy").summary

    github = FakeGitHub()
    github.settings.environments["production"] = {
        "wait_timer": 5,
        "reviewers": [{"type": "User", "id": 1}],
        "deployment_branch_policy": None,
    }
    for options in ({"variables": real | {"DEPLOY_UNAPPROVED": "true"}}, {"github": github}):
        run = deploy("push:v1.0.0", **{"variables": real, **options})
        assert outcome(run)["reason"].startswith("KUBE_CONFIG is not set")


def test_docker_and_cd_work_without_each_other(source: Git) -> None:
    for name in ("docker", "cd"):
        copy = source.directory.parent / name
        shutil.copytree(source.directory / ".github/workflows", copy)
        (copy / f"{name}.yml").unlink()
        others = "".join(path.read_text() for path in copy.iterdir())
        assert f"workflows/{name}.yml" not in others


def test_nothing_that_waits_is_dropped_or_built_twice() -> None:
    cd, docker = (load(ROOT / f".github/workflows/{name}.yml")["jobs"] for name in ("cd", "docker"))
    assert cd["deploy"]["concurrency"]["queue"] == "max", "one that waits for an approval"
    builds = [jobs["build"]["concurrency"] for jobs in (cd, docker)]
    assert builds[0] == builds[1]
    assert builds[0]["queue"] == "max"
    assert "github.ref" not in builds[0]["group"], "main and a tag may be one commit"
