"""Releases of throw-away projects: what is made, what is refused, what is left after a failure."""

import base64
import json
import shutil
import subprocess
from pathlib import Path

import pytest
from fakes.github_releases import Release
from harness import RunPipeline, explain, said
from projects import Project, make_template, results, subjects

JOBS = ["validate", "test", "build", "release", "pypi", "summary"]
ALL = dict.fromkeys(JOBS, "success")
REFUSED = dict.fromkeys(JOBS, "skipped") | {"validate": "failure", "summary": "failure"}
HOSTILE = "<b>$(id) `id` @octocat ::error::x ${{ github.token }} é"
HARMLESS = "\\<b\\>\\$(id) \\`id\\` @\u2060octocat ::error::x \\$\\{\\{ github.token \\}\\} é"


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("templates")
    make_template(directory / "quick", quick=True)
    make_template(directory / "whole", quick=False)
    return directory


@pytest.fixture
def project(templates: Path, tmp_path: Path, run_pipeline: RunPipeline) -> Project:
    shutil.copytree(templates / "quick", tmp_path / "project", symlinks=True)
    return Project(tmp_path / "project", run_pipeline)


@pytest.fixture
def whole_project(templates: Path, tmp_path: Path, run_pipeline: RunPipeline) -> Project:
    shutil.copytree(templates / "whole", tmp_path / "project", symlinks=True)
    return Project(tmp_path / "project", run_pipeline)


def test_first_release_reaches_github_and_the_index(
    whole_project: Project, index: str, tmp_path: Path
) -> None:
    project = whole_project
    commit = project.commit("feat(api): say hello", "fix: spell it right", "docs: explain", HOSTILE)
    settings = {
        "secrets": {"PYPI_API_TOKEN": "pypi-token"},
        "variables": {"PYPI_PUBLISH_URL": f"{index}/", "PYPI_CHECK_URL": f"{index}/simple/"},
    }
    run = project.push("v1.0.0", **settings)
    assert results(run) == ALL, explain(run)
    release = project.github.releases.find("v1.0.0")
    assert not release.draft
    assert f"<!-- release of {commit}, " in release.fields["body"]
    assert project.github.releases.latest == "v1.0.0"
    assert subjects(project.notes("v1.0.0")) == [
        "start", "**api:** say hello", "spell it right", "explain", HARMLESS,
    ]  # fmt: skip
    names = sorted(asset.name for asset in release.assets)
    assert [Path(name).suffix for name in names] == ["", ".whl", ".json", ".gz", ".json"]
    tested = run.artifacts / "release-files/files"
    (bundle,) = (name for name in names if name.endswith(".sigstore.json"))
    envelope = json.loads(release.find(bundle))["dsseEnvelope"]
    attested = {
        subject["name"] for subject in json.loads(base64.b64decode(envelope["payload"]))["subject"]
    }
    assert attested == {*names} - {bundle}
    for asset in release.assets:
        if asset.name == bundle:
            continue
        assert asset.content == (tested / asset.name).read_bytes()
        if asset.name != "SHA256SUMS":
            assert (tmp_path / "index" / asset.name).exists() == (".cdx" not in asset.name)
    assert (tmp_path / "1/releases/v1.0.0/assets/SHA256SUMS").exists()
    assert not said(run, "error")
    assert all(job.summary for job in run.jobs if job.id in JOBS and job.id != "test")

    name = next(name for name in names if name.endswith(".whl")).partition("-")[0]
    target = tmp_path / "target"
    pip = ["uv", "pip", "install", "--quiet", "--no-deps", "--index-url", f"{index}/simple/"]
    subprocess.run([*pip, "--target", target, f"{name}==1.0.0"], check=True)
    assert (target / name / "cli.py").exists()


def test_betas_are_drafts_and_the_stable_release_covers_them(project: Project) -> None:
    project.tag("v1.0.0")
    project.commit("feat: one")
    project.tag("v1.1.0-beta.1")
    project.commit("feat: two")
    run = project.push("v1.1.0-beta.2")
    assert results(run) == ALL | {"pypi": "skipped"}, run.error
    beta = project.github.releases.find("v1.1.0-beta.2")
    assert beta.draft
    assert beta.fields["prerelease"]
    assert beta.assets
    assert subjects(beta.fields["body"]) == ["two"]

    project.commit("fix: three")
    assert results(project.push("v1.1.0")) == ALL
    assert subjects(project.notes("v1.1.0")) == ["one", "two", "three"]
    assert "compare/v1.0.0...v1.1.0" in project.notes("v1.1.0")
    assert project.github.releases.latest == "v1.1.0"


def test_hotfix_of_an_older_line(project: Project) -> None:
    project.tag("v1.2.3")
    project.commit("feat: new")
    project.tag("v1.3.0")
    newest = Release(1, {"tag_name": "v1.3.0", "draft": False, "prerelease": False})
    project.github.releases.all.append(newest)
    project.github.releases.latest = "v1.3.0"
    project.branch("release/1.2", "v1.2.3")
    project.commit("fix: old trouble")
    run = project.push("v1.2.4")
    assert results(run) == ALL, explain(run)
    assert subjects(project.notes("v1.2.4")) == ["old trouble"]
    assert project.github.releases.latest == "v1.3.0"
    (attested,) = [record for record in run.records if record["action"] == "actions/attest"]
    assert attested["inputs"]["subject-path"] == "release/files/*"


def test_whole_run_again_changes_nothing(project: Project) -> None:
    project.commit("feat: once")
    assert results(project.push("v1.0.0")) == ALL
    before = project.github.releases.find("v1.0.0").describe()
    run = project.push("v1.0.0")
    assert results(run) == ALL, explain(run)
    assert [release.describe() for release in project.github.releases.all] == [before]
    assert "was published before" in run.find_job("release").summary


FAILURES = [
    "validate/Decide",
    "test/check/Check",
    "build/Build twice and compare",
    "build/Write the notes",
    "release/Attest the files",
    "release/Create the release",
    "pypi/Publish",
]


def test_manual_run_goes_on_after_each_job_has_failed_and_makes_the_tag_last(
    project: Project,
) -> None:
    commit = project.commit("feat: by hand")
    for step in FAILURES:
        job_id = step.partition("/")[0]
        if step == "release/Create the release":
            project.github.faults = [r"PATCH .*/releases/\d+"]
        run = project.dispatch("v2.0.0", fail="" if project.github.faults else step)
        failed = {job for job, result in results(run).items() if result == "failure"}
        # act ends a run when a called workflow fails: the summary does not run then.
        assert failed - {"summary"} == {job_id}, step
        is_published = job_id == "pypi"
        assert project.git.find("refs/tags/v2.0.0") == (commit if is_published else ""), step
        assert all(release.draft != is_published for release in project.github.releases.all), step
    assert "GitHub starts no pipeline" in said(run, "notice")
    run = project.dispatch("v2.0.0")
    assert results(run) == ALL, explain(run)
    assert len(project.github.releases.all) == 1
    assert subjects(project.notes("v2.0.0")) == ["start", "by hand"]


def test_what_is_not_configured_or_not_to_be_had_is_said(project: Project) -> None:
    run = project.push("v1.0.0", overrides={"repository.private": "true"})
    assert results(run) == ALL, explain(run)
    assert "PYPI\\_API\\_TOKEN" in run.find_job("pypi").summary, "Markdown shows it as it is"
    assert "PYPI_TRUSTED_PUBLISHING" in said(run, "notice")
    assert "Enterprise Cloud" in said(run, "notice")
    assert "actions/attest" not in {record["action"] for record in run.records}


@pytest.mark.parametrize("kind", ["lower", "moved", "branch", "foreign"])
def test_what_release_refuses_is_not_deployed_and_not_published(
    project: Project, kind: str
) -> None:
    tag, why = "v1.0.1", "v1.0.1 is lower than v1.1.0"
    if kind == "lower":
        project.tag("v1.1.0")
        project.commit("fix: late")
        project.tag(tag)
    elif kind == "moved":
        assert results(project.push(tag)) == ALL
        project.github.releases.find(tag).fields["body"] = "Written anew by hand."
        project.commit("fix: too late")
        project.git("tag", "--force", tag)
        why = "v1.0.1 was already released from"
    elif kind == "branch":
        project.branch("feature", "main")
        project.commit("feat: not merged")
        project.tag(tag)
        why = "neither on main nor on release/1.0"
    else:
        tag, why = "v1.2.3-arm64", "v1.2.3-arm64 is not a version"
        project.tag(tag)
    texts = set()
    for pipeline, job in (("release", "validate"), ("cd", "plan"), ("docker", "lint")):
        run = project.run_pipeline(
            pipeline,
            f"push:{tag}",
            small=False,
            source=project.directory,
            github=project.github,
            job=job,
        )
        assert run.find_job(job).conclusion == "failure", explain(run)
        texts.add(said(run, "error"))
    assert len(texts) == 1
    assert why in texts.pop()


def test_hotfix_that_was_merged_by_squash_is_told_once(project: Project) -> None:
    project.tag("v1.2.3")
    project.commit("feat: new")
    project.branch("release/1.2", "v1.2.3")
    project.change("README.md", lambda text: f"{text}\nmore\n", "fix: old trouble")
    assert results(project.push("v1.2.4")) == ALL
    project.git("checkout", "--quiet", "main")
    project.change("README.md", lambda text: f"{text}\nmore\n", "fix: old trouble (#8)")
    assert results(project.push("v1.3.0")) == ALL
    assert subjects(project.notes("v1.3.0")) == ["new"]
    assert "in v1.2.4 already: 1 " in project.notes("v1.3.0")


def test_tag_on_a_commit_with_other_workflows(project: Project) -> None:
    project.tag("v1.0.0")
    project.change(
        ".github/workflows/pr.yml", lambda text: f"{text}# bumped\n", "ci: bump an action"
    )
    assert results(project.push("v1.0.0")) == ALL


def test_hostile_version(project: Project, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    run = project.dispatch(f'v1.0.0\n::set-output name=tag::x\n$(touch {marker})"; touch {marker}')
    assert results(run) == REFUSED
    assert "The form is vMAJOR.MINOR.PATCH" in said(run, "error")
    assert not marker.exists()
    assert not run.find_job("validate").find_step("Decide").outputs
