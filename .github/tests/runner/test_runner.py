"""The local runner tells the truth of workflows made up for it."""

import importlib
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import containers
import pytest
import run as cli
import workflows
from engine import ROOT, Job, Run, Step, run
from events import Event
from fakes.github_api import FakeGitHub
from harness import RunPipeline, write
from machine import DOCKER, Need
from origin import Git, commit, create
from rich.console import Console

CHECKOUT = "{uses: actions/checkout@v7.0.1}"
UPLOAD = "actions/upload-artifact"


FAILING = f"""
  all:
    runs-on: ubuntu-24.04
    steps:
      - {CHECKOUT}
      - {{name: told, run: "echo '::error title=Lint::4 errors'; sleep 0.3; exit 1"}}
      - {{name: spoke, if: always(), run: "echo its last words; exit 1"}}
      - {{name: silent, if: always(), run: exit 3}}
      - {{name: inside, if: always(), uses: "./.github/actions/inner"}}
"""
ACTION_THAT_FAILS = """name: inner
runs:
  using: composite
  steps: [{shell: bash, run: "echo '::error title=Inner::too'; sleep 0.3; exit 1"}]
"""


def workflow(jobs: str) -> str:
    return f"on: [push, pull_request, workflow_dispatch]\njobs:\n{jobs}"


def test_job_that_act_passes_over_or_github_refuses_is_not_a_pass(
    run_pipeline: RunPipeline,
) -> None:
    jobs = """
  here: {runs-on: ubuntu-24.04, steps: [{run: "echo .github/runner"}]}
  elsewhere: {runs-on: windows-2025, steps: [{run: echo elsewhere}]}
  empty:
    runs-on: ubuntu-24.04
    strategy: {matrix: {leg: "${{ fromJSON('[]') }}"}}
    steps: [{run: echo}]
"""
    done = run_pipeline("trial", "push", edit=write(".github/workflows/trial.yml", workflow(jobs)))
    assert {job.id: job.conclusion for job in done.jobs} == {
        "here": "success",
        "elsewhere": "not-run",
        "empty": "failure",
    }
    assert done.conclusion == "failure"
    assert done.find_job("empty").failed_steps[0].log == [
        "the matrix has no legs, which GitHub refuses"
    ]
    assert done.find_job("here").steps[-1].log == [".github/runner\n"], "no path is a secret"


def test_containers_go_whatever_happens(
    run_pipeline: RunPipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    removed: list[Path] = []
    monkeypatch.setattr(containers, "remove_started", removed.append)
    monkeypatch.setattr(workflows, "needs_containers", lambda *_: True)

    def cancel(_: object) -> None:
        raise KeyboardInterrupt

    jobs = "  here: {runs-on: ubuntu-24.04, steps: [{run: sleep 60}]}\n"
    edit = write(".github/workflows/trial.yml", workflow(jobs))
    with pytest.raises(KeyboardInterrupt):
        run_pipeline("trial", "push", edit=edit, on_update=cancel)
    assert len(removed) == 1


@pytest.mark.usefixtures("run_pipeline")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_cancelled_command_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    command = [sys.executable, cli.__file__, "pr", "--job", "validate"]
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    before = signal.signal(number, signal.SIG_DFL)  # nohup may have started the tests
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as running:
        signal.signal(number, before)
        while not list(tmp_path.glob("pipelines-*/act")):
            assert running.poll() is None
            time.sleep(0.1)
        for _ in range(2):
            running.send_signal(number)
            time.sleep(0.1)
        assert running.wait(45) == 128 + number
    assert not list(tmp_path.glob("pipelines-*/act"))


def test_legs_of_a_matrix_are_jobs(run_pipeline: RunPipeline) -> None:
    jobs = """
  legs:
    runs-on: ubuntu-24.04
    strategy: {matrix: {code: [0, 1], python: ["3.10"]}}
    steps:
      - {name: first, if: strategy.job-index == 0, run: echo first}
      - {run: "exit ${{ matrix.code }}"}
"""
    done = run_pipeline("trial", "push", edit=write(".github/workflows/trial.yml", workflow(jobs)))
    assert sorted(job.conclusion for job in done.jobs) == ["failure", "success"]
    first = [[step.outcome for step in job.steps if step.name == "first"] for job in done.jobs]
    assert first.count(["success"]) == 1


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

    done = run_pipeline("trial", "push", edit=edit)
    worst = {
        job.id: job.conclusion
        for job in sorted(done.jobs, key=lambda job: job.conclusion == "failure")
    }
    assert [worst[job] for job in ("last", "call", "call/legs", "call/last", "end")] == expected
    assert done.find_job("call/last").name == "Call / it / Last"
    assert done.conclusion == ("failure" if code == "1" else "success")


def test_workflows_are_called_by_legs_and_by_called_ones(run_pipeline: RunPipeline) -> None:
    def edit(tree: Path) -> None:
        folder = tree / ".github/workflows"
        call = "strategy: {matrix: {leg: [a, b]}}, uses: ./.github/workflows/inner.yaml"
        (folder / "trial.yml").write_text(f"on: push\njobs: {{call: {{{call}}}}}\n")
        inner = "jobs: {again: {uses: ./.github/workflows/called.yml}}\n"
        (folder / "inner.yaml").write_text(f"on: workflow_call\n{inner}")
        (folder / "called.yml").write_text(CALLED.replace("CODE", "0"))

    done = run_pipeline("trial", "push", edit=edit)
    assert done.conclusion == "success", done.jobs
    assert {"call-1", "call-2", "call-2 / again"} <= {job.name for job in done.jobs}


def test_gh_and_python_are_there_on_a_bare_machine(
    run_pipeline: RunPipeline, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "bin").mkdir()
    for name in ("bash", "cat", "dirname", "env", "git", "mkdir", "rm", "sleep", "sh"):
        (tmp_path / "bin" / name).symlink_to(str(shutil.which(name)))
    monkeypatch.setenv("UV", os.environ.get("UV") or str(shutil.which("uv")))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    jobs = "  ask: {runs-on: ubuntu-24.04, steps: [{run: gh --version}, {run: python3 -c 1}]}\n"
    done = run_pipeline("trial", "push", edit=write(".github/workflows/trial.yml", workflow(jobs)))
    assert done.conclusion == "success", done.find_job("ask").steps


def test_gh_talks_to_the_fake(run_pipeline: RunPipeline) -> None:
    jobs = """
  ask:
    runs-on: ubuntu-24.04
    env: {GH_TOKEN: "${{ github.token }}"}
    steps: [{run: "gh api repos/{owner}/{repo}/releases"}, {run: gh api emojis}]
""".replace("{owner}/{repo}", "octo-org/widget")
    github = FakeGitHub()
    edit = write(".github/workflows/trial.yml", workflow(jobs))
    done = run_pipeline("trial", "push", edit=edit, github=github)
    assert [step.outcome for step in done.find_job("ask").steps] == ["success", "failure"]
    assert github.unexpected == ["GET /emojis"]


def test_event_on_another_branch_leaves_main_where_it_is(tmp_path: Path) -> None:
    git = create(ROOT, tmp_path / "source")
    git.save("chore: start")
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


def test_default_branch_is_the_one_that_the_workflows_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = tmp_path / "source/.github/workflows"
    folder.mkdir(parents=True)
    git = Git(tmp_path / "source")
    git("init", "--quiet")
    on = "{push: {branches: trunk}, pull_request: {branches: [trunk, develop, 'release/*']}}"
    (folder / "own.yml").write_text(f"on: {on}\njobs: {{a: {{runs-on: ubuntu-24.04}}}}\n")
    git.save("chore: start")
    monkeypatch.setattr(cli, "ROOT", git.directory)
    for text, ref in {
        "push": "refs/heads/trunk", "schedule": "refs/heads/trunk",
        "pull_request": "refs/pull/1/merge",
        "merge_group": f"refs/heads/gh-readonly-queue/trunk/pr-1-{'0' * 40}",
    }.items():  # fmt: skip
        event = cli.make_event(text)
        copy = create(git.directory, tmp_path / text)
        base, head = commit(copy, event)
        assert (event.ref, copy.find(ref)) == (ref, copy.find("HEAD"))
        assert copy.find("refs/heads/trunk") == (base if text == "pull_request" else head)
        assert event.payload()["repository"]["default_branch"] == "trunk"
    (planned,) = cli.parse_arguments([]).plan
    assert str(planned[1]) == "push:trunk"


def test_commit_that_was_not_fetched_is_not_there(run_pipeline: RunPipeline) -> None:
    jobs = f"""
  look:
    runs-on: ubuntu-24.04
    steps:
      - {CHECKOUT}
      - run: git cat-file -e "${{{{ github.event.after }}}}"
      - run: "! git cat-file -e ${{{{ github.event.before }}}}"
"""
    done = run_pipeline("trial", "push", edit=write(".github/workflows/trial.yml", workflow(jobs)))
    assert done.conclusion == "success", done.find_job("look").steps[-1].log


@pytest.mark.parametrize(
    ("on", "event", "refusal"),
    [
        ("issues", "", "starts on none of these: push, "),
        ("{workflow_dispatch: {inputs: {a: {required: true}}}}", "", "needs --set inputs.a=VALUE"),
        ("{push: {paths: [docs]}}", "", ""),
        ("{workflow_dispatch: {inputs: {a: {required: true, default: b}}}}", "", ""),
        ("issues", "push", "starts on none of these: push, "),
    ],
)
def test_workflow_that_cannot_be_played_is_left_out(  # noqa: PLR0913, PLR0917
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    on: str,
    event: str,
    refusal: str,
) -> None:
    folder = tmp_path / ".github/workflows"
    folder.mkdir(parents=True)
    jobs = "jobs: {a: {runs-on: ubuntu-24.04}}"
    (folder / "own.yml").write_text(f"on: {on}\n{jobs}")
    (folder / "other.yml").write_text(f"on: push\n{jobs}")
    monkeypatch.setattr(cli, "ROOT", tmp_path)
    options = ["--event", event] if event else []
    plan = [name for name, _ in cli.parse_arguments(options).plan]
    assert plan == (["other"] if refusal else ["other", "own"])
    assert (f"own {refusal}" in capsys.readouterr().err) == (bool(refusal) and not event)
    if refusal:
        with pytest.raises(SystemExit):
            cli.parse_arguments(["own", *options])
        assert f"own {refusal}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("on: push\njobs:\n\ta: {}\n", ":3: could not parse as YAML"),
        ("", ":1: workflow is empty"),
        ("on: push\n", '"jobs" section is missing'),
        ("on: push\njobs: {a: {runs-on: x, foo: 1, steps: [{run: y}]}}\n", 'unexpected key "foo"'),
        ("on: push\njobs: {a: {runs-on: x, needs: b, steps: [{run: y}]}}\n", "does not exist"),
        ("on: push\njobs: {a: {runs-on: x, steps: [echo]}}\n", '"steps" section is scalar'),
    ],
)
def test_workflow_that_github_would_not_start_is_named(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    text: str,
    said: str,
) -> None:
    (tmp_path / ".github/workflows").mkdir(parents=True)
    (tmp_path / ".github/workflows/own.yml").write_text(text)
    monkeypatch.setattr(cli, "ROOT", tmp_path)
    assert cli.main([]) == 2
    shown = capsys.readouterr().out.replace("\n", " ")
    assert ".github/workflows/own.yml:" in shown
    assert said in shown


def test_workflow_that_cannot_be_read_is_a_failure(run_pipeline: RunPipeline) -> None:
    jobs = "  wrong: {runs-on: ubuntu-24.04, needs: nothing, steps: [{run: exit 0}]}\n"
    done = run_pipeline("trial", "push", edit=write(".github/workflows/trial.yml", workflow(jobs)))
    assert done.conclusion == "failure"
    assert done.error


def test_run_that_hangs_is_cut_off(tmp_path: Path) -> None:
    jobs = "  slow: {runs-on: ubuntu-24.04, steps: [{run: sleep 60}]}\n"
    edit = write(".github/workflows/trial.yml", workflow(jobs))
    done = run("trial", Event.parse("push"), tmp_path / "1", edit=edit, timeout=2)
    assert done.conclusion == "failure"
    assert done.error == "cut off after 2 seconds"


def test_each_failed_step_has_its_own_cause(run_pipeline: RunPipeline) -> None:
    def edit(tree: Path) -> None:
        (tree / ".github/actions/inner").mkdir()
        (tree / ".github/actions/inner/action.yml").write_text(ACTION_THAT_FAILS)
        (tree / ".github/workflows/trial.yml").write_text(workflow(FAILING))

    job = run_pipeline("trial", "push", edit=edit).find_job("all")
    assert {step.name: cli.find_cause(job, step) for step in job.failed_steps} == {
        "told": "Lint: 4 errors",
        "spoke": "its last words",
        "silent": "exit status 3",
        "inside": "Inner: too",
    }


def test_step_that_may_fail_is_no_cause(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    jobs = [
        Job(ended, ended, ended, steps=[Step(f"of {ended}", ["0"], "failure")])
        for ended in ("success", "failure")
    ]
    cli.show_failures(Console(width=80), [Run("trial", "push", jobs)], tmp_path)
    said = capsys.readouterr().out
    assert "of failure" in said
    assert "of success" not in said


@pytest.mark.parametrize("action", ["some/action", "some/action/inside", "actions/cache/save"])
def test_action_without_stand_in_is_left_out_and_said(
    run_pipeline: RunPipeline, capsys: pytest.CaptureFixture[str], action: str
) -> None:
    jobs = f"""
  new:
    runs-on: ubuntu-24.04
    steps: [{CHECKOUT}, {{uses: "{action}@v1"}}, {{name: own, run: "test -d .github
      && echo ::warning::look at it"}}]
"""
    done = run_pipeline("trial", "push", edit=write(".github/workflows/trial.yml", workflow(jobs)))
    assert done.conclusion == "success"
    cli.show(Console(width=80), [done])
    said = capsys.readouterr().out.splitlines()
    left_out = f"! trial / new / {action} — no stand-in: left out. --real-actions runs it."
    assert said[1:] == [left_out, "! trial / new / own — look at it"]


@pytest.mark.skipif(
    not (ROOT / ".github/runner/stand-ins" / UPLOAD).exists(), reason="no pipeline here uses it"
)
def test_what_github_or_a_stand_in_lacks_or_needs_is_said(run_pipeline: RunPipeline) -> None:
    jobs = f"""
  use:
    runs-on: ubuntu-24.04
    steps:
      - {CHECKOUT}
      - id: told
        run: |
          echo ::add-mask::hush; echo "secret=hush" >>"$GITHUB_OUTPUT"
          seq 200000 >>"$GITHUB_STEP_SUMMARY"
      - {{name: other, uses: actions/checkout@v7.0.1, with: {{repository: a/b, path: other}}}}
      - {{name: keep, id: keep, uses: {UPLOAD}@v7.0.2, with: {{name: x}}}}
      - {{run: "echo ${{{{ steps.keep.outputs.artifact-id }}}}"}}
"""
    done = run_pipeline("trial", "push", edit=write(".github/workflows/trial.yml", workflow(jobs)))
    assert [(note["level"], note["text"]) for note in done.find_job("use").annotations] == [
        ("warning", "secret holds what is masked: GitHub hands it to no other job"),
        ("warning", "the summary has more than a MiB: GitHub shows nothing of it"),
        ("warning", "the stand-in goes without repository"),
        ("warning", "the stand-in sets no output artifact-id: it is empty here"),
        ("error", "Input required and not supplied: path"),
    ]


def test_steps_see_no_environment_but_a_runners(
    run_pipeline: RunPipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_SECRET", "in my shell")
    monkeypatch.setenv("no_proxy", "here")
    jobs = '  look: {runs-on: ubuntu-24.04, steps: [{run: "env; type python ruff || true"}]}\n'
    done = run_pipeline("trial", "push", edit=write(".github/workflows/trial.yml", workflow(jobs)))
    lines = done.find_job("look").steps[0].log
    log = "".join(line for line in lines if not line.startswith("PIPELINES_"))
    assert "MY_SECRET" not in log
    assert "no_proxy=here" in log, "what a machine needs to reach the others"
    assert "UV_PYTHON_INSTALL_DIR=/" in log, "no Python is fetched that is here"
    assert "VIRTUAL_ENV" not in log
    assert str(Path(sys.executable).parent) not in log
    assert "GITHUB_REPOSITORY=octo-org/widget" in log


def test_steps_reach_the_engine_that_docker_s_context_names(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen: dict[str, str] = {}
    (tmp_path / "docker").write_text("#!/bin/sh\necho unix:///rootless.sock\n")
    (tmp_path / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(cli, "registry", lambda _: nullcontext("127.0.0.1:1"))
    monkeypatch.setattr(cli, "find_needs", lambda *_: [Need(DOCKER, "28.0", pipelines=["pr"])])
    monkeypatch.setattr(cli, "execute", lambda *given: [*map(seen.update, [given[3]])][1:])
    assert cli.main(["pr"]) == 0
    assert seen == {"DOCKER_HOST": "unix:///rootless.sock"}


def test_user_needs_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("getpass.getuser")  # which fails in a container for a bare number
    assert importlib.reload(cli).KEPT


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
    runs-on: ubuntu-22.04
    steps:
      - {CHECKOUT}
      - {{run: 'echo $GITHUB_REF $GITHUB_SHA $(git rev-parse HEAD) $(git rev-list --count HEAD)'}}
      - {{run: 'echo ${{{{ github.ref_type }}}} ${{GITHUB_WORKFLOW_REF%@*}}'}}
"""
    done = run_pipeline("trial", event, edit=write(".github/workflows/trial.yaml", workflow(jobs)))
    *_, (line,), (described,) = (step.log for step in done.find_job("look").steps)
    seen, sha, *rest = line.split()
    assert [seen, *rest] == [ref, sha, "1"]
    kind = "tag" if "/tags/" in ref else "branch"
    assert described.split() == [kind, "octo-org/widget/.github/workflows/trial.yaml"]


def test_pull_request_changes_what_the_working_tree_changes(tmp_path: Path) -> None:
    git = create(ROOT, tmp_path / "source")
    git.save("chore: start")
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
    done = run(
        "trial", Event.parse("pull_request"), tmp_path / "1", source=git.directory, edit=edit
    )
    assert [line.split("\t") for line in done.find_job("look").steps[-1].log] == [
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
        done = run_pipeline("trial", event, source=source, small=False)
        assert done.conclusion == "success"


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
    done = run_pipeline("trial", event, source=source, small=False, edit=edit)
    assert done.conclusion == "success"


def test_clone_without_the_files_of_its_history_is_refused(tmp_path: Path) -> None:
    git = create(tmp_path / "nothing", tmp_path / "whole")
    (git.directory / "file").write_text("one")
    git.save("feat: one")
    git("config", "uploadpack.allowFilter", "true")
    filtered = ("--quiet", "--no-checkout", "--filter=blob:none")
    git("clone", *filtered, f"file://{git.directory}", "../partial")
    with pytest.raises(LookupError, match="git fetch --refetch --no-filter"):
        create(tmp_path / "partial", tmp_path / "copy")


def test_copy_has_what_is_there_and_not_what_was_committed(tmp_path: Path) -> None:
    git = Git(tmp_path / "source")
    (git.directory / "folder").mkdir(parents=True)
    git("init", "--quiet")
    for name in ("folder/a", "gone", "run"):
        (git.directory / name).write_text(name)
    git.save("feat: start")
    shutil.rmtree(git.directory / "folder")
    (git.directory / "gone").unlink()
    (git.directory / "folder").write_text("a file now")
    (git.directory / "link").symlink_to("nowhere")
    (git.directory / "run").chmod(0o755)
    git("branch", "head/of/something")
    if os.geteuid() == 0:  # of somebody else
        subprocess.run(["chown", "-R", "nobody", git.directory], check=True)
    copy = create(git.directory, tmp_path / "copy").directory
    assert {path.name for path in copy.iterdir()} == {".git", "folder", "link", "run"}
    assert (copy / "folder").read_text() == "a file now"
    commit(Git(copy), Event.parse("push:main"))
    assert (copy / "link").readlink() == Path("nowhere")
    assert os.access(copy / "run", os.X_OK)
