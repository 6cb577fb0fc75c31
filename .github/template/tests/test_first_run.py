"""A fresh copy, with nothing configured, is green on the first run of every pipeline.

What is off depends on the kind of repository; each run says it by name. What does not depend on it,
such as linters, tests and scans, is left out here: the tests of each pipeline run it. With a wrong
setting, the run is red, and says which.
"""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import refusal
from engine import ROOT
from fakes.fake_advisories import FakeAdvisories
from fakes.github_api import FakeGitHub
from fakes.github_settings import Settings
from first_runs import (
    CASES,
    DEFAULT_SETUP,
    FIRST_EVENTS,
    FIRST_RUN,
    KINDS,
    NO_ATTESTATIONS,
    NO_REVIEW,
    NO_SCANNING,
    READ_ONLY,
    WORKFLOWS,
    choose_event,
    find_settings,
)
from harness import RunPipeline, explain, make_quick, report_to, said
from projects import make_template
from workflows import needs_containers, replace_step

SHELL_STUB = """#!/usr/bin/env bash
touch coverage.xml
echo "### $1" >>"$GITHUB_STEP_SUMMARY"
"""
SCAN_STUB = """#!/usr/bin/env bash
mkdir "$2"
echo '{"version": "2.1.0", "runs": []}' >"$2/trivy.sarif"
"""
DEPLOY_STUB = """#!/usr/bin/env bash
echo outcome=deployed >>"$GITHUB_OUTPUT"
"""
LEFT_OUT = {
    "benchmark_compare.py": report_to("benchmark-results"),
    "check.sh": SHELL_STUB,
    "deploy.sh": DEPLOY_STUB,
    "image_scan.sh": SCAN_STUB,
    "license_check.py": report_to("license-report"),
    "memory_profile.py": report_to("memory-results"),
    "outdated_report.py": report_to("outdated-report"),
    "vulnerability_scan.py": report_to("safety-scan-results"),
}
"""Scripts that ask GitHub nothing and take long, with what takes their place."""


def leave_images_out(tree: Path) -> None:
    """Let the jobs install nothing, and the image have nothing in it."""
    make_quick(tree)
    (tree / "Dockerfile").write_text("FROM scratch\nCOPY LICENSE /\n")


def leave_work_out(tree: Path) -> None:
    """Let the pipelines do only what may depend on the kind of repository."""
    for name, stub in LEFT_OUT.items():
        next((tree / ".github/scripts").rglob(name)).write_text(stub)
    leave_images_out(tree)
    for pipeline in ("ci", "pr"):
        path = tree / f".github/workflows/{pipeline}.yml"
        replace_step(tree, path, "test/Judge the coverage", {"run": "true"})


@pytest.mark.parametrize(("name", "pipeline"), CASES)
def test_green(
    run_pipeline: RunPipeline,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    name: str,
    pipeline: str,
) -> None:
    request.node.user_properties.append((FIRST_RUN, [name, pipeline]))
    kind = KINDS[name]
    github = FakeGitHub()
    github.security = kind.security()
    github.settings = Settings(private=kind.repository.private, owner=kind.repository.owner)
    options: dict[str, Any] = {"overrides": kind.overrides, "edit": leave_work_out}
    if pipeline == "release":
        make_template(tmp_path / "project", quick=True)
        options = {"source": tmp_path / "project", "small": False}
    if needs_containers(ROOT, WORKFLOWS[pipeline]):
        options["variables"] = {"CONTAINER_REGISTRY": request.getfixturevalue("host")}
    event = choose_event(pipeline, kind)
    run = run_pipeline(pipeline, event, repository=kind.repository, github=github, **options)
    assert run.conclusion == "success", explain(run)
    summaries = "\n".join(job.summary for job in run.jobs)
    for text in kind.says.get(pipeline, []):
        assert text in summaries
        assert text in said(run, "notice")
    everything_off = {NO_REVIEW, NO_SCANNING, NO_ATTESTATIONS, DEFAULT_SETUP, READ_ONLY}
    for text in everything_off - {*kind.says.get(pipeline, [])}:
        assert text not in summaries


NOBODY = "127.0.0.1:1"
"""Where nothing listens."""
WRONG = {
    "CONTAINER_REGISTRY": (NOBODY, "docker", "build", "variable CONTAINER_REGISTRY"),
    "DEPLOY_HOST": ("not a host", "cd", "deploy", "DEPLOY_HOST has a wrong value"),
    "DEPLOY_SSH_KEY": ("wrong", "cd", "deploy", "DEPLOY_SSH_KEY is no private key"),
    "DEPLOY_TARGET": ("nonsense", "cd", "deploy", "There is no target nonsense"),
    "KUBE_CONFIG": ("not base64", "cd", "deploy", "KUBE_CONFIG is not base64"),
    "PYPI_API_TOKEN": ("wrong", "release", "pypi", "403 Forbidden"),
    "PYPI_CHECK_URL": (f"http://{NOBODY}/", "release", "pypi", NOBODY),
    "PYPI_PUBLISH_URL": (f"http://{NOBODY}/", "release", "pypi", NOBODY),
    "PYPI_TRUSTED_PUBLISHING": ("yes", "release", "pypi", "PYPI_TRUSTED_PUBLISHING is neither"),
    "SAFETY_API_KEY": ("wrong", "dependency-review", "vulnerabilities", "secret SAFETY_API_KEY"),
}
"""Settings with a wrong value, and which job of which pipeline has to say what of it."""
SERVER = {"DEPLOY_TARGET": "compose", "DEPLOY_HOST": "host", "DEPLOY_KNOWN_HOSTS": "host ssh-rsa A"}
OTHERS = {
    "DEPLOY_HOST": SERVER | {"DEPLOY_SSH_KEY": "key"},
    "DEPLOY_SSH_KEY": SERVER,
    "KUBE_CONFIG": {"DEPLOY_TARGET": "kubernetes", "DEPLOY_URL": "https://shop.example"},
}
"""What has to be set too, so that a setting is looked at."""
ELSEWHERE = {
    "DATABASE_URL", "DEPLOY_KNOWN_HOSTS", "DEPLOY_PORT", "DEPLOY_UNAPPROVED", "DEPLOY_URL",
    "DEPLOY_USER", "DISCORD_WEBHOOK_URL", "KUBE_CONTAINER", "KUBE_DEPLOYMENT", "KUBE_NAMESPACE",
    "SLACK_WEBHOOK_URL", "TEMPLATE_REPOSITORY", "TEMPLATE_UPDATE_TOKEN",
}  # fmt: skip
"""What test_cd, test_notify, test_update_from_template and the targets try with wrong values."""
NEVER_WRONG = {"ENVIRONMENT_NAME", "RUNNER", "RUNNER_ARM", "RUNNER_SMALL", "SAFETY_ENVIRONMENT"}
"""Any text is right: the one is a label, and GitHub makes an environment when it is named."""


def test_every_setting_has_a_wrong_value() -> None:
    settings = find_settings()
    assert settings["secrets"] | settings["vars"] == WRONG.keys() | ELSEWHERE | NEVER_WRONG


@pytest.mark.parametrize("setting", WRONG)
def test_wrong_setting_is_red(
    run_pipeline: RunPipeline, request: pytest.FixtureRequest, tmp_path: Path, setting: str
) -> None:
    value, pipeline, job_id, cause = WRONG[setting]
    options: dict[str, Any] = {"edit": leave_images_out}
    given = OTHERS.get(setting, {}) | {setting: value}
    with ExitStack() as stack:
        if pipeline == "release":
            make_template(tmp_path / "project", quick=True)
            options = {"source": tmp_path / "project", "small": False}
            index = f"http://{stack.enter_context(refusal.serve())}/"
            given = {"PYPI_PUBLISH_URL": index, "PYPI_CHECK_URL": index} | given
            if setting != "PYPI_TRUSTED_PUBLISHING":
                given = {"PYPI_API_TOKEN": "valid"} | given
        if pipeline == "cd":
            given["CONTAINER_REGISTRY"] = request.getfixturevalue("host")
        advisories = stack.enter_context(FakeAdvisories())
        advisories.refused = {"wrong"}
        secrets = find_settings()["secrets"]
        run = run_pipeline(
            pipeline,
            FIRST_EVENTS.get(pipeline, "push"),
            job=job_id,
            environment=advisories.environment | {"UV_HTTP_RETRIES": "0"},
            secrets={key: text for key, text in given.items() if key in secrets},
            variables={key: text for key, text in given.items() if key not in secrets},
            **options,
        )
    assert run.conclusion == "failure"
    job = run.find_job(job_id)
    assert job.conclusion == "failure", explain(run)
    assert cause in said(run, "error")
    assert job.summary
