"""Run pipelines on this machine: the command `uv run poe pipelines`."""

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import Any

sys.path.append(str(Path(__file__).parents[1] / "scripts"))
from checks.changes import touches
from containers import ContainersError, adapt, find_engine_address, registry
from costs import SMALL, estimate, plan
from engine import ROOT, Job, Run, Step, make_directory, run
from events import EVENTS, USUAL, Event
from fakes.fake_advisories import FakeAdvisories
from lib.project import ProjectError, read_project
from lib.triggers import starts_on, triggers
from machine import DOCKER, find_needs
from rich.console import Console
from rich.live import Live
from rich.markdown import Markdown
from rich.table import Table
from rich.text import Text
from workflows import find_branch, find_workflows, load

MARKS = {
    "success": "[green]✔ success[/]",
    "failure": "[red]✘ failure[/]",
    "skipped": "[dim]- skipped[/]",
    "not-run": "[yellow]? not-run[/]",
}
EXIT = re.compile(r"exit status \d+")
"""What act adds to the log of each step that fails."""
VERDICT = "Not every job succeeded"
CHANGES = {
    "documents": "README.md",
    "everything": "uv.lock",
    "the app": "{code}/app.py",
}
"""Kinds of change whose costs are shown, each with a file that it touches."""
REFUSED = (
    '{{range $fault := .}}{{if or (eq .Kind "syntax-check") (eq .Kind "job-needs") '
    '(eq .Kind "workflow-call")}}{{.Filepath}}:{{.Line}}: {{.Message}}\\n{{end}}{{end}}'
)
"""What of actionlint's findings keeps GitHub from starting a workflow at all."""
KEPT = Path(tempfile.gettempdir()) / f"pipelines-of-{os.getuid()}"
"""Images and what was attested: what a run deploys, the next one can go back to."""


def find_refused(root: Path) -> str:
    """Return what is wrong with the workflow files that GitHub would not start, a line each."""
    program = str(Path(sys.executable).with_name("actionlint"))
    command = [program, "-no-color", "-shellcheck=", "-pyflakes=", "-format", REFUSED]
    command += map(str, find_workflows(root).values())
    done = subprocess.run(command, cwd=root, text=True, capture_output=True, check=False)
    return (done.stdout if done.returncode <= 1 else done.stderr).strip()


def make_event(text: str, overrides: dict[str, Any] | None = None) -> Event:
    """Return an event in this repository.

    Raises:
        ValueError: There is none of that name.
    """
    return Event.parse(text, overrides, find_branch(ROOT))


def choose_events(pipeline: Path, wanted: Sequence[Event]) -> Event | None:
    """Return the first event that starts a pipeline on GitHub."""
    workflow = load(pipeline)
    return next(
        (event for event in wanted if starts_on(workflow, event.name, event.payload())), None
    )


def find_refusal(pipeline: Path, event: Event) -> str:
    """Return why GitHub would not start a pipeline by hand with the inputs of an event."""
    if event.name != "workflow_dispatch":
        return ""
    known = triggers(load(pipeline))["workflow_dispatch"].get("inputs") or {}
    given = event.payload()["inputs"]
    if unknown := given.keys() - known.keys():
        return f"has no input {', '.join(sorted(unknown))}; it has: {', '.join(known)}"
    for name, one in ((name, one or {}) for name, one in known.items()):
        value, choice = given.get(name) or one.get("default", ""), one.get("options", [])
        if (not value and one.get("required") == "true") or (
            value and choice and value not in choice
        ):
            return f"needs --set inputs.{name}={' or '.join(choice) or 'VALUE'}"
    return ""


def find_repeated(pipeline: Path, runs: Sequence[Run]) -> str:
    """Return the job that calls a pipeline which has just been green; empty if there is none."""
    green = {one.pipeline for one in runs if one.conclusion == "success"}
    called = {
        key: body["uses"]
        for key, body in load(pipeline)["jobs"].items()
        if body.get("uses", "").startswith("./")
    }
    return next((key for key, path in called.items() if Path(path).stem in green), "")


def make_table(runs: Sequence[Run], *, finished: bool) -> Table:
    """Return the table of all jobs so far."""
    table = Table("Pipeline", "Event", "Job", "Result", "Seconds")
    table.columns[-1].justify = "right"
    for one in runs:
        for job in one.jobs:
            waiting = not finished and one is runs[-1] and job.conclusion == "not-run"
            mark = "[blue]… running[/]" if job.steps and waiting else MARKS[job.conclusion]
            result = "" if waiting and not job.steps else mark
            table.add_row(one.pipeline, one.event, job.name, result, f"{job.seconds:.1f}")
        table.add_section()
    return table


def find_cause(job: Job, step: Step) -> str:
    """Return the first line that says why a step failed: its error, or else its last words."""
    parts = job.find_parts(step)
    errors = [note for part in parts for note in part.annotations if note["level"] == "error"]
    if errors:
        title = errors[0].get("title", "")
        return f"{title}: {errors[0]['text']}" if title else errors[0]["text"]
    lines = [line.strip() for part in parts for line in part.log if line.strip()]
    said = [line for line in lines if not EXIT.fullmatch(line)] or lines
    return Text.from_ansi(said[-1]).plain if said else "it said nothing"


def show_failures(console: Console, runs: Sequence[Run], log: Path) -> None:
    """List what failed: where, the first line of the cause, and the command to run it alone.

    A job that only judges the others says nothing new, nor does act of a job that failed.
    """
    console.rule("[red]what failed", align="left")
    for one in runs:
        alone = f"uv run poe pipelines {one.pipeline} --event {one.event}"
        causes = [
            (f"{one.pipeline} / {job.name} / {step.name}", job, find_cause(job, step))
            for job in one.jobs
            if job.conclusion != "success"
            for step in job.failed_steps
        ]
        own = [cause for cause in causes if VERDICT not in cause[2]] or causes
        for place, job, cause in own:
            text = f"✘ {place} — {cause.splitlines()[0]}"
            console.print(Text(text, style="red"), soft_wrap=True)
            console.print(f"  {alone} --job {job.id.partition('/')[0]}", soft_wrap=True)
        if one.conclusion != "success" and not own:
            unsaid = [job.name for job in one.jobs if job.conclusion == "not-run"]
            cause = one.error.strip() or f"did not run: {', '.join(unsaid)}"
            text = f"✘ {one.pipeline} — {cause.splitlines()[0]}"
            console.print(Text(text, style="red"), soft_wrap=True)
            console.print(f"  {alone}", soft_wrap=True)
    console.print(f"The whole logs: {log}", soft_wrap=True)


def keep_logs(runs: Sequence[Run], folder: Path) -> Path:
    """Write what every step of every job said into one file; return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / f"{time.strftime('%Y-%m-%d-%H%M%S')}.log"
    with log.open("w", encoding="utf-8") as file:
        for one in runs:
            for job in one.jobs:
                for step in job.steps:
                    file.write(f"\n##### {one.pipeline} / {job.name} / {step.name}: ")
                    file.write(f"{step.outcome}\n{Text.from_ansi(''.join(step.log)).plain}\n")
            file.write(one.error)
    return log


def make_plan(
    parser: argparse.ArgumentParser,
    options: argparse.Namespace,
    pipelines: Mapping[str, Path],
    wanted: Sequence[Event],
) -> Iterator[tuple[str, Event]]:
    """Yield the pipelines to run, each with its event; end with 2 if one that is named cannot."""
    for name in options.pipeline or pipelines:
        event = choose_events(pipelines[name], wanted)
        jobs = load(pipelines[name])["jobs"]
        if event and options.job and options.job not in jobs:
            parser.error(f"{name} has no job {options.job}; it has: {', '.join(jobs)}")
        if event:
            refusal = find_refusal(pipelines[name], event)
        else:
            on = [text for text in USUAL if choose_events(pipelines[name], [make_event(text)])]
            refusal = f"does not start on {options.event}; it starts on: {', '.join(on)}"
            if not on:
                refusal = f"starts on none of these: {', '.join(USUAL)}"
        if event and not refusal:
            yield name, event
        elif options.pipeline:
            parser.error(f"{name} {refusal}")
        elif event or not options.event:
            print(f"Left out: {name} {refusal}", file=sys.stderr)


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line; end with 2 and a list of what is valid if it is wrong."""
    pipelines = find_workflows(ROOT)
    parser = argparse.ArgumentParser(
        prog="poe pipelines",
        description="Run pipelines on this machine, on a copy of the working tree. Only those that "
        "make container images need Docker.",
        epilog="Ends with 0 if every job succeeded, 1 if one did not or did not run.",
    )
    parser.add_argument("pipeline", nargs="*", help=f"{', '.join(pipelines)}; all if not given")
    parser.add_argument(
        "--event",
        metavar="NAME[:DETAIL]",
        help=f"{', '.join(EVENTS)}; DETAIL is a branch, a tag or an activity type, "
        "as in push:v1.2.3 or pull_request:edited; the first that starts the pipeline if not given",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="PATH=VALUE",
        help="a value of the event's payload, such as 'pull_request.title=fix: a typo'",
    )
    parser.add_argument("--job", default="", help="this job and those that it needs only")
    parser.add_argument(
        "--without",
        default="",
        metavar="JOB",
        help="leave this job out, such as test of release; those that need it run all the same",
    )
    parser.add_argument(
        "--fail",
        default="",
        metavar="JOB/STEP",
        help="let this step fail instead of running it, to see what the pipeline does then",
    )
    parser.add_argument(
        "--stand-in-advisories",
        action="store_true",
        help="for machines that reach no advisory database: a stand-in that knows no vulnerability "
        "answers the scan",
    )
    parser.add_argument("--keep", action="store_true", help="keep what the run made, say where")
    parser.add_argument(
        "--real-actions", action="store_true", help="fetch the actions instead of the stand-ins"
    )
    parser.add_argument(
        "--verbose", action="store_true", help="say which keys of the workflow act does not know"
    )
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.pipeline if name not in pipelines]:
        parser.error(f"no pipeline {', '.join(unknown)}; there are: {', '.join(pipelines)}")
    if wrong := [text for text in options.set if "=" not in text]:
        parser.error(f"--set takes PATH=VALUE, not {wrong[0]}")
    overrides = dict(text.split("=", 1) for text in options.set)
    try:
        wanted = [
            make_event(text, overrides) for text in ([options.event] if options.event else USUAL)
        ]
    except ValueError as error:
        parser.error(str(error))
    options.plan = [*make_plan(parser, options, pipelines, wanted)]
    if not options.plan:
        parser.error(f"no pipeline starts on {options.event}")
    if (options.fail or options.without) and len(options.plan) > 1:
        parser.error("--fail and --without take one pipeline")
    return options


def check_machine(options: argparse.Namespace, console: Console) -> None:
    """Show what is here and what is missing; leave out the pipelines that need what is missing.

    Raises:
        ContainersError: One that was asked for by its name cannot run here.
    """
    needs = find_needs(ROOT, [name for name, _ in options.plan])
    table = Table("Needed", "Here", "By", title="this machine", title_justify="left")
    for need in needs:
        by = ", ".join(need.pipelines) or "all"
        table.add_row(need.program, need.found or f"[red]missing[/]: {need.fix}", by)
    console.print(table)
    missing = [need for need in needs if not need.found]
    lacking = {
        name
        for need in missing
        for name in need.pipelines or [planned[0] for planned in options.plan]
    }
    if lacking:
        fixes = "; ".join(f"{need.program} is missing: {need.fix}" for need in missing)
        named = ", ".join(sorted(lacking))
        if options.pipeline:
            raise ContainersError(f"{named} cannot run here. {fixes}")
        options.plan = [planned for planned in options.plan if planned[0] not in lacking]
        console.print(Text(f"Left out: {named}. {fixes}", style="yellow"))
    containers = next((need.pipelines for need in needs if need.program == DOCKER), [])
    options.containers = [name for name, _ in options.plan if name in containers]


def execute(
    plan: Sequence[tuple[str, Event]],
    options: argparse.Namespace,
    live: Live,
    environment: Mapping[str, str],
    variables: Mapping[str, str],
) -> list[Run]:
    """Run each pipeline in turn, with the table of all of them live."""
    runs: list[Run] = []

    def update(ended: Run) -> None:
        runs[-1] = ended
        live.update(make_table(runs, finished=False))

    for name, event in plan:
        directory = make_directory()
        repeated = find_repeated(find_workflows(ROOT)[name], runs)
        if repeated:
            live.console.print(f"{name}: the job {repeated} was run above, and is not run again")
        runs.append(Run(name, str(event)))
        try:
            runs[-1] = run(
                name,
                event,
                directory,
                job=options.job,
                fail=options.fail,
                without=options.without or repeated,
                edit=adapt if name in options.containers else None,
                environment=environment,
                variables=variables,
                attestations=KEPT / "attestations",
                real_actions=options.real_actions,
                on_update=update,
            )
        finally:
            if options.keep:
                live.console.print(f"{name}: kept in {directory}")
            else:
                shutil.rmtree(directory, ignore_errors=True)
        if options.verbose and runs[-1].left_out:
            keys = ", ".join(runs[-1].left_out)
            live.console.print(f"{name}: left out, as act does not know them: {keys}")
        if not live.console.is_terminal:  # where the table comes at the end only
            live.console.print(f"{name}: {runs[-1].conclusion} in {runs[-1].seconds:.0f} s")
    live.update(make_table(runs, finished=True))
    return runs


def show_notices(console: Console, runs: Sequence[Run]) -> None:
    """List the warnings and notices, such as a step that was left out: GitHub shows them too."""
    said = [
        f"! {one.pipeline} / {job.name} / {note.get('title') or step.name} — {note['text']}"
        for one in runs
        for job in one.jobs
        for step in job.steps
        for note in step.annotations
        if note["level"] != "error"
    ]
    if said:
        console.rule("[yellow]what to know", align="left")
    for text in dict.fromkeys(said):
        console.print(Text(text, style="yellow"), soft_wrap=True)


def show(console: Console, runs: Sequence[Run]) -> None:
    """Show the job summaries and notices, then what failed: the list of it is the last thing."""
    for one in runs:
        for job in one.jobs:
            if job.summary:
                console.rule(f"{one.pipeline} / {job.name} / summary", align="left")
                console.print(Markdown(job.summary))
    show_notices(console, runs)
    if any(one.conclusion != "success" for one in runs):
        show_failures(console, runs, keep_logs(runs, KEPT / "logs"))


def show_costs(console: Console, runs: Sequence[Run]) -> None:
    """Say how many jobs GitHub runs for a pull request, and what a private repository is billed."""
    seconds = {
        (one.pipeline, job.id): job.seconds for one in runs for job in one.jobs if job.seconds
    }
    try:
        code = read_project(ROOT).code
    except ProjectError as error:
        console.print(Text(f"What a pull request costs is not known: {error}", style="yellow"))
        return
    for change, file in CHANGES.items():
        planned = plan(ROOT, make_event("pull_request"), touches([file.format(code=code)], code))
        minutes, small, guessed = estimate(planned, seconds)
        text = (
            f"pull_request: {len(planned)} jobs, about {minutes} billed minutes in a private "
            f"repository ({small} of them on {SMALL}): {change}"
        )
        more = f"; {guessed} jobs that did not run here count one minute" if guessed else ""
        console.print(text + more, soft_wrap=True, highlight=False)


def end_cleanly() -> None:
    """Let a signal end what runs, and further ones not the cleaning up: poe sends a second one."""
    signals = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # which is what nohup asks for
        signals.append(signal.SIGHUP)

    def stop(number: int, _frame: FrameType | None) -> None:
        for each in signals:
            signal.signal(each, signal.SIG_IGN)
        sys.exit(128 + number)

    for each in signals:
        signal.signal(each, stop)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for; return the exit code."""
    console = Console()
    if refused := find_refused(ROOT):
        console.print(Text(f"GitHub would refuse these workflow files:\n{refused}", style="red"))
        return 2
    options = parse_arguments(arguments)
    with ExitStack() as stack:
        environment: dict[str, str] = {}
        variables: Mapping[str, str] = {}
        try:
            check_machine(options, console)
            if options.containers:
                environment["DOCKER_HOST"] = find_engine_address()
                variables = {"CONTAINER_REGISTRY": stack.enter_context(registry(KEPT / "images"))}
            if options.stand_in_advisories:
                console.print("[yellow]A stand-in that knows 0 advisories answers the scan.[/]")
                environment |= stack.enter_context(FakeAdvisories()).environment
            with Live(console=console, refresh_per_second=4) as live:
                runs = execute(options.plan, options, live, environment, variables)
        except (ContainersError, LookupError) as error:
            console.print(Text(str(error), style="red"))
            return 2
    console.line()
    show(console, runs)
    if not (options.pipeline or options.job):
        show_costs(console, runs)
    return 0 if all(one.conclusion == "success" for one in runs) else 1


if __name__ == "__main__":
    end_cleanly()
    sys.exit(main())
