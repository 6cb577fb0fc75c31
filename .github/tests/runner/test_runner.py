"""The local runner tells the truth, and leaves the working tree and the machine alone."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import run as cli
from containers import find_engine_version
from engine import ROOT, run
from events import Event
from fakes.github_api import FakeGitHub
from harness import RunPipeline, write
from origin import Git, commit, create

WHICH = shutil.which
CHECKOUT = "{uses: actions/checkout@v7.0.1}"


def workflow(jobs: str) -> str:
    return f"on: [push, pull_request, workflow_dispatch]\njobs:\n{jobs}"


def test_job_that_act_passes_over_is_not_a_pass(run_pipeline: RunPipeline) -> None:
    jobs = """
  here: {runs-on: ubuntu-24.04, steps: [{run: "echo .github/runner"}]}
  elsewhere: {runs-on: windows-2025, steps: [{run: echo elsewhere}]}
"""
    it = run_pipeline("trial", "push", edit=write(".github/workflows/trial.yml", workflow(jobs)))
    assert {job.id: job.conclusion for job in it.jobs} == {
        "here": "success",
        "elsewhere": "not-run",
    }
    assert it.conclusion == "failure"
    assert it.find_job("here").steps[-1].log == [".github/runner\n"], "no path is a secret"


def test_legs_of_a_matrix_are_jobs(run_pipeline: RunPipeline) -> None:
    jobs = """
  legs:
    runs-on: ubuntu-24.04
    strategy: {matrix: {code: [0, 1]}}
    steps: [{run: "exit ${{ matrix.code }}"}]
"""
    it = run_pipeline("trial", "push", edit=write(".github/workflows/trial.yml", workflow(jobs)))
    assert sorted(job.conclusion for job in it.jobs) == ["failure", "success"]


CALLED = """name: Called
on: workflow_call
jobs:
  legs:
    name: Leg
    runs-on: ubuntu-24.04
    strategy: {matrix: {code: [0, CODE]}}
    steps: [{run: "exit ${{ matrix.code }}"}]
  last: {name: Last, needs: legs, runs-on: ubuntu-24.04, steps: [{run: echo last}]}
"""
CALLER = """name: Caller
on: push
jobs:
  last: {name: Same id, if: CONDITION, runs-on: ubuntu-24.04, steps: [{run: echo}]}
  call: {name: Call / it, needs: last, uses: ./.github/workflows/called.yml}
  end: {needs: call, if: always(), runs-on: ubuntu-24.04, steps: [{run: echo}]}
"""


@pytest.mark.parametrize(
    ("code", "condition", "expected"),
    [
        ("0", "true", ["success", "success", "success", "success", "success"]),
        ("1", "true", ["success", "failure", "failure", "skipped", "not-run"]),
        ("0", "false", ["skipped", "skipped", "skipped", "skipped", "success"]),
    ],
)
def test_called_workflow_is_shown_and_gives_its_caller_a_conclusion(
    run_pipeline: RunPipeline, code: str, condition: str, expected: list[str]
) -> None:
    def edit(tree: Path) -> None:
        for name, text in {"called": CALLED, "trial": CALLER}.items():
            file = tree / f".github/workflows/{name}.yml"
            file.write_text(text.replace("CODE", code).replace("CONDITION", condition))

    it = run_pipeline("trial", "push", edit=edit)
    worst = {
        job.id: job.conclusion for job in sorted(it.jobs, key=lambda it: it.conclusion == "failure")
    }
    assert [worst[job] for job in ("last", "call", "call/legs", "call/last", "end")] == expected
    assert it.find_job("call/last").name == "Call / it / Last"
    assert it.conclusion == ("failure" if code == "1" else "success")


def test_missing_gh_is_named(run_pipeline: RunPipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        shutil, "which", lambda name, **_: None if name == "gh" else WHICH(name, **_)
    )
    jobs = "  ask: {runs-on: ubuntu-24.04, steps: [{run: gh api nothing}]}\n"
    it = run_pipeline("trial", "push", edit=write(".github/workflows/trial.yml", workflow(jobs)))
    log = "".join(it.find_job("ask").steps[0].log)
    assert "gh is not on this machine. Install the package" in log


@pytest.mark.skipif(not shutil.which("gh"), reason="gh is not installed")
def test_gh_talks_to_the_fake(run_pipeline: RunPipeline) -> None:
    jobs = """
  ask:
    runs-on: ubuntu-24.04
    env: {GH_TOKEN: "${{ github.token }}"}
    steps: [{run: "gh api repos/{owner}/{repo}/releases"}, {run: gh api emojis}]
""".replace("{owner}/{repo}", "octo-org/widget")
    github = FakeGitHub()
    edit = write(".github/workflows/trial.yml", workflow(jobs))
    it = run_pipeline("trial", "push", edit=edit, github=github)
    assert [step.outcome for step in it.find_job("ask").steps] == ["success", "failure"]
    assert github.unexpected == ["GET /emojis"]


def test_event_on_another_branch_leaves_main_where_it_is(tmp_path: Path) -> None:
    git = create(ROOT, tmp_path / "source")
    git("add", "--all")
    git("commit", "--quiet", "--allow-empty", "-m", "chore: start")
    git("branch", "--force", "main")
    git("tag", "v1.0.0")
    git("checkout", "--quiet", "-b", "release/1.0")
    git("commit", "--quiet", "--allow-empty", "-m", "fix: it")
    start, fix = git.find("main"), git.find("HEAD")
    expected = {
        "push": (fix, fix),
        "push:release/1.0": (start, fix),
        "push:v1.0.0": (start, start),
        "push:v1.0.1": (fix, fix),
    }
    for number, (event, refs) in enumerate(expected.items()):
        copy = create(git.directory, tmp_path / str(number))
        _, head = commit(copy, Event.parse(event))
        assert (copy.find("refs/heads/main"), head) == refs, event
        assert copy.find("refs/heads/release/1.0") == fix


def test_commit_that_was_not_fetched_is_not_there(run_pipeline: RunPipeline) -> None:
    jobs = f"""
  look:
    runs-on: ubuntu-24.04
    steps:
      - {CHECKOUT}
      - run: git cat-file -e "${{{{ github.event.after }}}}"
      - run: "! git cat-file -e ${{{{ github.event.before }}}}"
"""
    it = run_pipeline("trial", "push", edit=write(".github/workflows/trial.yml", workflow(jobs)))
    assert it.conclusion == "success", it.find_job("look").steps[-1].log


def test_skipped_job_is_no_failure(run_pipeline: RunPipeline) -> None:
    jobs = "  never: {if: false, runs-on: ubuntu-24.04, steps: [{run: exit 1}]}\n"
    it = run_pipeline("trial", "push", edit=write(".github/workflows/trial.yml", workflow(jobs)))
    assert it.find_job("never").conclusion == "skipped"
    assert it.conclusion == "success"


def test_workflow_that_cannot_be_read_is_a_failure(run_pipeline: RunPipeline) -> None:
    jobs = "  wrong: {runs-on: ubuntu-24.04, needs: nothing, steps: [{run: exit 0}]}\n"
    it = run_pipeline("trial", "push", edit=write(".github/workflows/trial.yml", workflow(jobs)))
    assert it.conclusion == "failure"
    assert it.error


def test_run_that_hangs_is_cut_off(tmp_path: Path) -> None:
    jobs = "  slow: {runs-on: ubuntu-24.04, steps: [{run: sleep 60}]}\n"
    edit = write(".github/workflows/trial.yml", workflow(jobs))
    it = run("trial", Event.parse("push"), tmp_path / "1", edit=edit, timeout=2)
    assert it.conclusion == "failure"
    assert it.error == "cut off after 2 seconds"


def test_action_without_stand_in_is_named(run_pipeline: RunPipeline) -> None:
    jobs = "  new: {runs-on: ubuntu-24.04, steps: [\n    uses: some/action@v1\n  ]}\n"
    with pytest.raises(LookupError, match=r"trial\.yml uses some/action, which has no stand-in"):
        run_pipeline("trial", "push", edit=write(".github/workflows/trial.yml", workflow(jobs)))


def test_steps_see_no_environment_but_a_runners(
    run_pipeline: RunPipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_SECRET", "in my shell")
    jobs = '  look: {runs-on: ubuntu-24.04, steps: [{run: "env; type python ruff || true"}]}\n'
    it = run_pipeline("trial", "push", edit=write(".github/workflows/trial.yml", workflow(jobs)))
    log = "".join(it.find_job("look").steps[0].log)
    assert "MY_SECRET" not in log
    assert "VIRTUAL_ENV" not in log
    assert str(Path(sys.executable).parent) not in log
    assert "GITHUB_REPOSITORY=octo-org/widget" in log


@pytest.mark.parametrize(
    ("event", "ref"),
    [
        ("push", "refs/heads/main"),
        ("push:develop", "refs/heads/develop"),
        ("push:v1.2.3", "refs/tags/v1.2.3"),
        ("pull_request", "refs/pull/1/merge"),
        ("workflow_dispatch", "refs/heads/main"),
    ],
)
def test_checkout_is_as_shallow_and_as_described_as_on_github(
    run_pipeline: RunPipeline, event: str, ref: str
) -> None:
    jobs = f"""
  look:
    runs-on: ubuntu-24.04
    steps:
      - {CHECKOUT}
      - {{run: 'echo $GITHUB_REF $GITHUB_SHA $(git rev-parse HEAD) $(git rev-list --count HEAD)'}}
"""
    it = run_pipeline("trial", event, edit=write(".github/workflows/trial.yml", workflow(jobs)))
    (line,) = it.find_job("look").steps[-1].log
    seen, sha, *rest = line.split()
    assert [seen, *rest] == [ref, sha, "1"]


def test_pull_request_changes_what_the_working_tree_changes(tmp_path: Path) -> None:
    git = create(ROOT, tmp_path / "source")
    git("add", "--all")
    git("commit", "--quiet", "-m", "chore: start", "--allow-empty")
    (git.directory / "new file.txt").write_text("new\n")
    (git.directory / "LICENSE").unlink()
    jobs = f"""
  look:
    runs-on: ubuntu-24.04
    steps:
      - {CHECKOUT.replace("}", ", with: {fetch-depth: 2}}")}
      - {{run: git diff --name-status HEAD^1 HEAD}}
"""
    edit = write(".github/workflows/trial.yml", workflow(jobs))
    it = run("trial", Event.parse("pull_request"), tmp_path / "1", source=git.directory, edit=edit)
    assert [line.split("\t") for line in it.find_job("look").steps[-1].log] == [
        ["A", ".github/workflows/trial.yml\n"],
        ["D", "LICENSE\n"],
        ["A", "new file.txt\n"],
    ]


def test_tree_without_history_runs(run_pipeline: RunPipeline, tmp_path: Path) -> None:
    source = tmp_path / "plain"
    (source / ".github/workflows").mkdir(parents=True)
    jobs = f"  look: {{runs-on: ubuntu-24.04, steps: [{CHECKOUT}, {{run: test -d .github}}]}}\n"
    (source / ".github/workflows/trial.yml").write_text(workflow(jobs))
    for event in ("push", "pull_request"):
        it = run_pipeline("trial", event, source=source, small=False)
        assert it.conclusion == "success"


@pytest.mark.parametrize("event", ["push", "pull_request"])
def test_shallow_clone_runs(run_pipeline: RunPipeline, tmp_path: Path, event: str) -> None:
    git = create(ROOT, tmp_path / "deep")
    git("add", "--all")
    for subject in ("one", "two"):
        git("commit", "--quiet", "--allow-empty", "-m", f"chore: {subject}")
    source = tmp_path / "shallow"
    git("clone", "--quiet", "--depth=1", f"file://{git.directory}", str(source))
    Git(source)("checkout", "--quiet", "--detach")
    jobs = f"  look: {{runs-on: ubuntu-24.04, steps: [{CHECKOUT}, {{run: test -d .github}}]}}\n"
    edit = write(".github/workflows/trial.yml", workflow(jobs))
    it = run_pipeline("trial", event, source=source, small=False, edit=edit)
    assert it.conclusion == "success"


def test_working_tree_is_not_touched(run_pipeline: RunPipeline) -> None:
    def state() -> str:
        return Git(ROOT)("status", "--porcelain=v2", "--branch", "--ignored=no")

    before = state()
    run_pipeline("pr", "pull_request", job="validate")
    assert state() == before


def call(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, ROOT / ".github/runner/run.py", *arguments],
        check=False,
        text=True,
        capture_output=True,
        env=os.environ | {"COLUMNS": "120"},
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing"], "no pipeline nothing; there are: cd, ci, "),
        (["--event", "pusj"], "unknown event 'pusj'; known are: push, pull_request, "),
        (["pr", "--event", "push"], "pr does not start on push; it starts on: pull_request"),
        (["ci", "--event", "push:develop"], "ci does not start on push:develop"),
        (["ci", "--job", "nothing"], "ci has no job nothing; it has: lint, "),
        (["ci", "--set", "x"], "--set takes PATH=VALUE, not x"),
    ],
)
def test_mistakes_are_answered_with_what_is_valid(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(arguments)
    assert end.value.code == 2
    assert message in capsys.readouterr().err


def test_shows_a_table_the_summaries_and_the_failure() -> None:
    done = call("pr", "--job", "validate", "--set", "pull_request.title=Wrong")
    assert done.returncode == 1
    assert "pr: failure in " in done.stdout
    assert "✘ failure" in done.stdout
    assert "Validate the title / summary" in done.stdout
    assert "feat: Wrong" in done.stdout
    assert "pr / Validate the title / Check the title" in done.stdout


def test_prints_json_and_keeps_what_it_made() -> None:
    done = call("pr", "--job", "validate", "--json", "--keep")
    assert done.returncode == 0, done.stderr
    (it,) = json.loads(done.stdout)
    assert it["conclusion"] == "success"
    assert [job["id"] for job in it["jobs"]] == ["validate"]
    assert Path(it["artifacts"]).is_dir()


def test_advisories_of_a_stand_in_are_said_to_be(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["dependency-review", "--job", "vulnerabilities", "--stand-in-advisories"]
    assert cli.main([*arguments, "--event", "workflow_dispatch"]) == 0
    shown = capsys.readouterr().out
    assert "A stand-in that knows 0 advisories answers the scan." in shown
    assert "Copies answered, not the databases themselves" in " ".join(shown.split())


def test_step_that_is_made_to_fail(run_pipeline: RunPipeline) -> None:
    it = run_pipeline("pr", "pull_request", job="security", fail="security/Ruff security rules")
    job = it.find_job("security")
    assert [step.name for step in job.failed_steps] == ["Ruff security rules"]
    assert "made to fail" in [note["text"] for note in job.annotations]
    assert job.find_step("Annotate the findings").outcome == "success", "conditions stay"
    with pytest.raises(LookupError, match="pr has no step security/Bandit; it has: security/"):
        run_pipeline("pr", "pull_request", fail="security/Bandit")


@pytest.fixture
def no_docker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine on which no Docker Engine runs."""
    find_engine_version.cache_clear()
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody")


@pytest.mark.usefixtures("no_docker")
def test_pipelines_that_need_docker_are_left_out_by_name(
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = ["--event", "workflow_dispatch", "--job", "lint"]
    options = cli.parse_arguments(["--event", "push", "--job", "summary"])
    assert "docker" in [name for name, _ in options.plan]
    assert re.match(r"Left out: cd, docker\. .+", cli.check_engine(options))
    names = [name for name, _ in options.plan]
    assert not {"cd", "docker"} & {*names}
    assert "ci" in names
    assert cli.main(["docker", *arguments]) == 2
    assert "docker cannot run here: " in capsys.readouterr().out
