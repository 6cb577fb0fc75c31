"""Run one workflow file with act, without containers, and return what happened as a structure."""

import json
import os
import platform
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Generator, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from threading import Timer
from typing import Any

import containers
import origin
import workflows
from events import Event, withhold
from fakes.github_api import FakeGitHub
from lib.processes import start

ROOT = Path(__file__).resolve().parents[2]
STAND_INS = Path(__file__).parent / "stand-ins"
RUNNERS = re.compile(r"ubuntu-(?:[\d.]+|latest|slim)(?:-arm)?")
"""What runners of GitHub's are called that this machine takes the place of."""
OWN_RUNNERS = ("RUNNER", "RUNNER_ARM", "RUNNER_SMALL")
"""Variables that name other runners; here each of them is this machine."""
FOREIGN_RUNNERS = re.compile(
    r"\b(?:macos|windows)-(?:\d|latest)"
    + (r"|-arm(?=$|')" if platform.machine() == "x86_64" else "")
)
"""Whose legs of a matrix cannot be run here: an arm machine emulates amd64, not the other way."""

PASSED_ON = re.compile(
    r"(?i:(all|https?|no)_proxy)|DOCKER_HOST|GITHUB_PATIENCE|LANG|REQUESTS_CA_BUNDLE|"
    r"SSL_CERT_(DIR|FILE)|UV_(DEFAULT_INDEX|EXTRA_INDEX_URL|INDEX\w*|NATIVE_TLS|OFFLINE|SYSTEM_CERTS)"
)
"""What the steps see of the environment; the rest would make a run differ from GitHub's."""

LONGEST_SUMMARY = 2**20
"""Bytes that GitHub takes of a step."""
GRACE_SECONDS = 30
"""That act has to end its jobs when it is stopped."""
EARLY = re.compile(r'time="[^"]*" level=(debug|info|warning) ')
"""What act may log before it has turned to JSON."""
NODE = """#!/bin/sh
[ "$*" = "--no-warnings -e console.log(process.execPath)" ] && exec echo {node}
exec {node} "$@"
"""
FAILURE = {"shell": "bash", "run": "echo '::error::made to fail'; exit 1"}
"""What takes the place of a step that is to fail."""
UNPLAYED = (
    '[[ -z ${variable} ]] || echo "::warning title={name}::the stand-in goes without {key}"\n'
)
UNSET = 'echo "::warning title={name}::the stand-in sets no output {key}: it is empty here"\n'
REQUIRED = (
    '[[ ${variable} ]] || {{ echo "::error::Input required and not supplied: {key}"; exit 1; }}\n'
)
LEFT_OUT = 'echo "::notice title={name}::no stand-in: left out. --real-actions runs it."'
PLAYED = """printf '{{"action": "{name}", "job": "%s", "inputs": %s}}\\n' "$GITHUB_JOB" \\
  "${{INPUTS//$'\\n'/}}" >>"$PIPELINES_RECORDS"
{program}"""
"""What takes the place of an action: it records what it was given, and runs the stand-in."""


@dataclass
class Step:
    """One step: its name, its id (`["setup", "0"]` inside an action) and how it ended."""

    name: str
    id: list[str]
    outcome: str = "running"
    log: list[str] = field(default_factory=list)
    annotations: list[dict[str, str]] = field(default_factory=list)
    outputs: dict[str, str] = field(default_factory=dict)


@dataclass
class Job:
    """One job, or one leg of a matrix; `not-run` if act never said how it ended.

    Of a job that calls a workflow, `called` is that one's name; the ids of the called jobs start
    with its own: `test/lint`. What act calls a job, without that of its caller, is in `label`.
    """

    id: str
    name: str
    conclusion: str = "not-run"
    seconds: float = 0
    started: float | None = None
    failed: bool = False
    steps: list[Step] = field(default_factory=list)
    summary: str = ""
    label: str = ""
    called: str = ""
    has_legs: bool = False

    @property
    def prefix(self) -> str:
        """What act puts before the names of the jobs that this one calls."""
        return f"{self.label}/{self.called}/"

    @property
    def annotations(self) -> list[dict[str, str]]:
        """What the steps told the runner, in the order of the steps."""
        return [note for step in self.steps for note in step.annotations]

    @property
    def failed_steps(self) -> list[Step]:
        """The steps of the job itself that failed."""
        return [step for step in self.steps if step.outcome == "failure" and len(step.id) == 1]

    def find_parts(self, step: Step) -> list[Step]:
        """Return a step and the steps inside the action that it uses."""
        return [part for part in self.steps if part.id[: len(step.id)] == step.id]

    def find_step(self, name: str) -> Step:
        """Return the step with this name.

        Raises:
            StopIteration: It did not start.
        """
        return next(step for step in self.steps if step.name == name)


@dataclass
class Run:
    """One run of one pipeline."""

    pipeline: str
    event: str
    jobs: list[Job] = field(default_factory=list)
    seconds: float = 0
    error: str = ""
    left_out: list[str] = field(default_factory=list)
    records: list[dict[str, Any]] = field(default_factory=list)
    artifacts: Path = Path()

    @property
    def conclusion(self) -> str:
        """`success` if every job succeeded or was skipped by its condition, else `failure`."""
        fine = self.jobs and not self.error
        ended = all(job.conclusion in {"success", "skipped"} for job in self.jobs)
        return "success" if fine and ended else "failure"

    def find_job(self, job_id: str) -> Job:
        """Return the (first) job with this id.

        Raises:
            StopIteration: There is none.
        """
        return next(job for job in self.jobs if job.id == job_id)


def run(  # noqa: PLR0913
    pipeline: str,
    event: Event,
    directory: Path,
    *,
    source: Path = ROOT,
    edit: Callable[[Path], None] | None = None,
    job: str = "",
    fail: str = "",
    without: str = "",
    github: FakeGitHub | None = None,
    secrets: Mapping[str, str] | None = None,
    variables: Mapping[str, str] | None = None,
    environment: Mapping[str, str] | None = None,
    attestations: Path | None = None,
    real_actions: bool = False,
    timeout: float = 1800,
    on_update: Callable[[Run], None] | None = None,
) -> Run:
    """Execute a workflow file on a copy of the tree.

    Args:
        pipeline: The workflow's name, such as `ci`.
        event: What starts it.
        directory: An empty folder for everything that the run makes; it can be thrown away.
        source: The tree to copy.
        edit: Changes the copy before it is committed.
        job: Run this job and those it needs only.
        without: Leave this job out; those that need it run all the same.
        fail: Let this step fail instead of running it: `JOB/STEP`, by the step's name.
        github: Plays GitHub's API; a new one that knows the event if not given.
        secrets: Repository secrets; a fork sees none, nor does Dependabot.
        variables: Repository variables; a fork sees none.
        environment: What the steps see besides, such as where a stand-in for a service listens.
        attestations: A folder that keeps what was attested; one of the run's own if not given.
        real_actions: Let act fetch the actions instead of using the stand-ins.
        timeout: Seconds after which the run is cut off.
        on_update: Called with the run whenever something changed.

    Raises:
        LookupError: There is no step `fail`, or no job `without`.
    """
    git = origin.create(source, directory / "origin")
    if edit:
        edit(git.directory)
    base, head = origin.commit(git, event)
    path = workflows.find_workflows(git.directory)[pipeline]
    _edit_workflow(git.directory, path, without, fail)
    payload = event.payload(base, head)
    secrets, variables = withhold(payload, secrets or {}, variables or {})
    result = Run(pipeline, str(event), artifacts=directory / "artifacts")
    for file in workflows.find_workflows(git.directory).values():
        workflows.name_first_legs(file)
        keys = workflows.leave_out_keys(file)
        result.left_out += keys if file == path else []
        workflows.leave_out_containers(file)
    left_out = workflows.leave_out_legs(path, FOREIGN_RUNNERS)
    result.jobs = [*_expected_jobs(git.directory, workflows.load(path), job)]
    for job_id, name in left_out:
        result.jobs.append(Job(job_id, f"{name} (not on this machine)", "skipped"))
    with ExitStack() as stack:
        if workflows.needs_containers(git.directory, path):
            stack.callback(containers.remove_started, directory)
        api = stack.enter_context(github or FakeGitHub())
        api.see(payload)
        api.releases.origin = git
        command = [*_command(git.directory, directory, path, event, payload, variables)]
        api.lead_gh(directory / "home/.config/gh")
        _place_programs(directory)
        attested = attestations or directory / "attestations"
        attested.mkdir(parents=True, exist_ok=True)
        command += ["--env", f"GITHUB_API_URL={api.url}", *(["--job", job] if job else [])]
        command += ["--env", f"PIPELINES_ATTESTATIONS={attested}"]
        command += [f"--env={key}={text}" for key, text in (environment or {}).items()]
        command += [] if real_actions else _map_stand_ins(git.directory, directory)
        for kind, values in (("secret", secrets), ("var", variables)):
            file = directory / f"{kind}s"
            file.write_text("".join(f"{key}={json.dumps(text)}\n" for key, text in values.items()))
            command += [f"--{kind}-file", str(file)]
        started = time.monotonic()
        lines = _lines(command, git.directory, _environment(directory), timeout)
        stack.enter_context(closing(lines))  # ends act first, whatever happens here
        for line in lines:
            result.seconds = time.monotonic() - started
            _update(result, line)
            if on_update:
                on_update(result)
        result.seconds = time.monotonic() - started
        api.releases.save(directory / "releases")
    records = directory / "records.jsonl"
    result.records = [json.loads(line) for line in records.read_text().splitlines()]
    if result.seconds >= timeout:
        result.error = f"cut off after {timeout:.0f} seconds"
    return result


def _edit_workflow(tree: Path, path: Path, without: str, fail: str) -> None:
    if without:
        workflows.leave_out(path, without)
    if fail:
        workflows.replace_step(tree, path, fail, FAILURE)


def _expected_jobs(
    tree: Path, workflow: Mapping[str, Any], only: str = "", caller: Job | None = None
) -> Iterator[Job]:
    """Yield the jobs of a workflow, those of a workflow that it calls behind the caller."""
    for key, body in workflow["jobs"].items():
        if only not in {"", key}:
            continue
        label = body.get("name", key)
        job = Job(key, label, label=label, has_legs="matrix" in body.get("strategy", {}))
        if caller:
            job.id, job.name = f"{caller.id}/{key}", f"{caller.name} / {label}"
        yield job
        if body.get("uses", "").startswith("./"):
            called = workflows.load(tree / body["uses"])
            job.called = called.get("name", Path(body["uses"]).name)
            yield from _expected_jobs(tree, called, caller=job)


def _command(  # noqa: PLR0913, PLR0917
    tree: Path,
    directory: Path,
    path: Path,
    event: Event,
    payload: dict[str, Any],
    variables: Mapping[str, str],
) -> Iterator[str]:
    (directory / "event.json").write_text(json.dumps(payload))
    (directory / "records.jsonl").touch()
    for name in ("artifacts", "bin", "home"):
        (directory / name).mkdir()
    (directory / "bin/uv").symlink_to(os.environ.get("UV") or shutil.which("uv") or "uv")
    yield from (shutil.which("act", path=Path(sys.executable).parent) or "act", event.name)
    yield from ("--workflows", str(path))
    yield from ("--eventpath", str(directory / "event.json"))
    yield from ("--json", "--verbose", "--no-skip-checkout")
    yield from ("--action-cache-path", str(directory / "act"), "--container-daemon-socket", "-")
    yield from ("--artifact-server-addr", "127.0.0.1", "--cache-server-addr", "127.0.0.1")
    yield from ("--env-file", os.devnull, "--input-file", os.devnull)
    yield from ("--secret", "GITHUB_TOKEN=no-token", "--actor", payload["sender"]["login"])
    own = {variables[variable] for variable in OWN_RUNNERS if variables.get(variable)}
    for file in workflows.find_workflows(tree).values():
        own |= {*RUNNERS.findall(file.read_text())}
    yield from (f"--platform={runner}=-self-hosted" for runner in own)
    plugins = Path.home() / ".docker/cli-plugins"
    if plugins.is_dir():
        (directory / "home/.docker").mkdir()
        (directory / "home/.docker/cli-plugins").symlink_to(plugins)
    for key, value in {
        "GITHUB_REF": event.ref,
        "GITHUB_REF_TYPE": "tag" if event.ref.startswith("refs/tags/") else "branch",
        "GITHUB_REPOSITORY": payload["repository"]["full_name"],
        "GITHUB_REPOSITORY_OWNER": payload["repository"]["owner"]["login"],
        "GITHUB_WORKFLOW_REF": (
            f"{payload['repository']['full_name']}/.github/workflows/{path.name}@{event.ref}"
        ),
        "PIPELINES_GH": find_program("gh"),
        "PIPELINES_ARTIFACTS": directory / "artifacts",
        "PIPELINES_ORIGIN": tree,
        "PIPELINES_OWN_PYTHON": sys.executable,
        "PIPELINES_PYTHON": Path(sys.executable).resolve(),
        "PIPELINES_PYTHON_VERSION": "{}.{}".format(*sys.version_info),
        "PIPELINES_RECORDS": directory / "records.jsonl",
        "PIPELINES_STAND_INS": STAND_INS,
    }.items():
        yield from ("--env", f"{key}={value}")


def find_program(name: str) -> str:
    """Return the path of a program of this machine, or else of the lock file; empty if of neither.

    The machine's own wins: it is what its owner keeps up to date.
    """
    own = Path(sys.executable).parent
    return shutil.which(name, path=_machine_path()) or shutil.which(name, path=own) or ""


def _machine_path() -> str:
    """Return PATH without this project's virtual environment."""
    own = str(Path(sys.executable).parent)
    return os.pathsep.join(
        folder for folder in os.environ["PATH"].split(os.pathsep) if folder != own
    )


def _place_programs(directory: Path) -> None:
    """Put a stand-in in the place of gh, and Python where GitHub's runners have it.

    act asks node where it is, for each job anew: that is answered without starting it.
    """
    (directory / "bin/gh").symlink_to(STAND_INS / "gh.sh")
    if not shutil.which("python3", path=_machine_path()):
        (directory / "bin/python3").symlink_to(Path(sys.executable).resolve())
    if node := shutil.which("node", path=_machine_path()):
        (directory / "bin/node").write_text(NODE.format(node=shlex.quote(node)))
        (directory / "bin/node").chmod(0o755)


def _map_stand_ins(tree: Path, directory: Path) -> list[str]:
    """Return act's options that lead each action from outside to what plays it here."""
    mapping: dict[str, Path] = {}
    interfaces = workflows.find_interfaces(tree)
    for _, match in workflows.find_uses(tree):
        name = "/".join(match["action"].split("/")[:2])
        mapping[f"{name}@{match['ref']}"] = directory / "actions" / name
        file = directory / "actions" / match["action"] / "action.yml"
        file.parent.mkdir(parents=True, exist_ok=True)
        used = interfaces.get(match["action"], ((), ()))
        file.write_text(json.dumps(_make_stand_in(match["action"], *used)))  # JSON is YAML
    return [f"--local-repository={key}={folder}" for key, folder in mapping.items()]


def _make_stand_in(
    name: str, given: Collection[str] = (), read: Collection[str] = ()
) -> dict[str, Any]:
    """Return the action that takes the place of another one.

    The program that plays it gets each input as a variable: `fetch-depth` as `INPUT_FETCH_DEPTH`.
    Of inputs that are given somewhere and that it does not know, it says so where they are; of
    outputs that are read somewhere, wherever it is used.
    """
    interface, folder = {}, STAND_INS / name
    run = LEFT_OUT.format(name=name)
    if (folder / "interface.yml").is_file():
        interface = workflows.load(folder / "interface.yml") or {}
        (file,) = (path for path in folder.glob("*.*") if path.name != "interface.yml")
        program = f'"$PIPELINES_STAND_INS/{name}/{file.name}"'
        program = f'"$PIPELINES_OWN_PYTHON" {program}' if file.suffix == ".py" else program
        run = PLAYED.format(name=name, program=program)
    inputs, outputs = dict(interface.get("inputs", {})), interface.get("outputs", [])
    if interface:
        strange = {key: "" for key in sorted(given) if key not in inputs}
        checks = [UNSET.format(name=name, key=key) for key in sorted({*read} - {*outputs})]
        checks += [UNPLAYED.format(name=name, key=key, variable=_name(key)) for key in strange]
        inputs |= strange
        needed = interface.get("required", [])
        checks += [REQUIRED.format(key=key, variable=_name(key)) for key in needed]
        run = "".join(checks) + run
    env = {_name(key): f"${{{{ inputs.{key} }}}}" for key in inputs}
    env |= {"GITHUB_TOKEN": "${{ github.token }}", "INPUTS": "${{ toJSON(inputs) }}"}
    step = {"id": "main", "shell": "bash", "env": env, "run": run}
    return {
        "name": name,
        "description": f"Takes the place of {name}",
        "inputs": {key: {"default": default} for key, default in inputs.items()},
        "outputs": {
            output: {"value": f"${{{{ steps.main.outputs.{output} }}}}"} for output in outputs
        },
        "runs": {"using": "composite", "steps": [step]},
    }


def _name(key: str) -> str:
    return f"INPUT_{re.sub(r'\W', '_', key).upper()}"


def _environment(directory: Path) -> dict[str, str]:
    """A runner's environment: nothing of this project's own, its virtual environment least."""
    uv = str((directory / "bin/uv").resolve())
    return {key: text for key, text in os.environ.items() if PASSED_ON.fullmatch(key)} | {
        "GIT_PAGER": "cat",
        "HOME": str(directory / "home"),
        "PAGER": "cat",
        "PATH": os.pathsep.join([str(directory / "bin"), _machine_path()]),
        "TERM": "dumb",
        "UV_CACHE_DIR": _find_folder("cache", uv),
        "UV_PYTHON_INSTALL_DIR": _find_folder("python", uv),
    }


@cache
def _find_folder(kind: str, uv: str) -> str:
    """Return the folder where uv keeps packages or interpreters."""
    return subprocess.run(
        [uv, kind, "dir"], check=True, text=True, capture_output=True
    ).stdout.strip()


def _lines(
    command: list[str], tree: Path, environment: dict[str, str], timeout: float
) -> Generator[dict[str, Any]]:
    """Run act in a process group of its own and yield what it says; leave nothing running."""
    with start(
        command, folder=tree, environment=environment, output=subprocess.PIPE, grace=GRACE_SECONDS,
    ) as process:  # fmt: skip
        timer = Timer(timeout, os.killpg, (process.pid, signal.SIGKILL))
        timer.start()
        try:
            for line in process.stdout or ():
                if line.startswith("{"):
                    yield json.loads(line)
                elif not EARLY.match(line):
                    yield {"level": "error", "msg": line}
        finally:
            timer.cancel()


def _update(run: Run, line: dict[str, Any]) -> None:
    """Take in one line of act's JSON log."""
    if "jobID" not in line:
        if line["level"] in {"error", "fatal"}:
            run.error += line["msg"]
        return
    job = _find_job(run, line)
    job.started = run.seconds if job.started is None else job.started
    job.seconds = run.seconds - job.started
    if line.get("stepResult") == "failure":
        job.failed = True
    if "jobResult" in line:
        # act gives every leg of a matrix the result of the worst one.
        passed_itself = line["matrix"] and not job.failed and line["jobResult"] == "failure"
        job.conclusion = "success" if passed_itself else line["jobResult"]
        if job.has_legs and not line["matrix"] and job.conclusion == "success":
            job.conclusion = "failure"
            said = ["the matrix has no legs, which GitHub refuses"]
            job.steps.append(Step("matrix", ["matrix"], "failure", said))
        _conclude_calls(run)
    if "stepID" in line and line.get("stage") != "Post":
        _update_step(job, _find_step(job, line), line)


def _update_step(job: Job, step: Step, line: dict[str, Any]) -> None:
    match line:
        case {"raw_output": True}:
            step.log.append(line["msg"])
        case {"command": "set-output"}:
            step.outputs[line["name"]] = line["arg"]
            if "***" in line["msg"]:
                text = f"{line['name']} holds what is masked: GitHub hands it to no other job"
                step.annotations.append({"level": "warning", "text": text})
        case {"command": "summary"} if len(job.find_parts(step)) == 1:
            job.summary += line["content"]
            if len(line["content"].encode()) > LONGEST_SUMMARY:
                text = "the summary has more than a MiB: GitHub shows nothing of it"
                step.annotations.append({"level": "warning", "text": text})
        case {"command": ("error" | "warning" | "notice") as level}:
            step.annotations.append({"level": level, "text": line["arg"], **line["kvPairs"]})
        case {"stepResult": outcome, "stage": "Main"}:
            step.outcome = outcome
        case {"level": "error", "msg": str(text)}:
            step.log.append(f"{text}\n")


def _find_job(run: Run, line: dict[str, Any]) -> Job:
    """Return the job that a line is about; the legs of a matrix replace the job they come from."""
    caller = next(
        (job for job in run.jobs if job.called and line["job"].startswith(job.prefix)), None
    )
    if caller:
        label = line["job"].removeprefix(caller.prefix).strip()
        job_id, name = f"{caller.id}/{line['jobID']}", f"{caller.name} / {label}"
    else:
        job_id, name = line["jobID"], line["job"].split("/", 1)[-1].strip()
        label = name
    for job in run.jobs:
        if job.name == name:
            return job
    first = next((job for job in run.jobs if job.id == job_id), None)
    if first and first.started is None:
        first.name, first.label = name, label
        return first
    run.jobs.append(Job(job_id, name, label=label, called=first.called if first else ""))
    return run.jobs[-1]


def _conclude_calls(run: Run) -> None:
    """Give each job that calls a workflow the conclusion that follows from the called jobs."""
    for caller in (job for job in reversed(run.jobs) if job.called):  # the innermost first
        called = [job for job in run.jobs if job.id.startswith(f"{caller.id}/")]
        conclusions = {job.conclusion for job in called}
        if caller.conclusion == "skipped":
            for job in called:
                job.conclusion = "skipped"
        elif "failure" in conclusions:
            caller.conclusion = "failure"
        elif conclusions <= {"success", "skipped"}:
            caller.conclusion = "success"
        caller.seconds = sum(job.seconds for job in called)


def _find_step(job: Job, line: dict[str, Any]) -> Step:
    for step in job.steps:
        if step.id == line["stepID"]:
            return step
    job.steps.append(Step(line["step"], line["stepID"]))
    return job.steps[-1]


def make_directory() -> Path:
    """Return a new empty folder for a run."""
    return Path(tempfile.mkdtemp(prefix="pipelines-"))
