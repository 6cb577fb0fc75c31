"""Run pipelines on this machine: the command `uv run poe pipelines`."""

import argparse
import getpass
import json
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from containers import ContainersError, adapt, find_engine_version, registry
from engine import ROOT, Job, Run, make_directory, run
from events import EVENTS, USUAL, Event
from fakes.fake_advisories import FakeAdvisories
from rich.console import Console
from rich.live import Live
from rich.markdown import Markdown
from rich.table import Table
from rich.text import Text
from workflows import find_workflows, load, needs_containers, starts_on

MARKS = {
    "success": "[green]✔ success[/]",
    "failure": "[red]✘ failure[/]",
    "skipped": "[dim]- skipped[/]",
    "not-run": "[yellow]? not-run[/]",
}
LAST_LINES = 30
KEPT = Path(tempfile.gettempdir()) / f"pipelines-of-{getpass.getuser()}"
"""Images and what was attested: what a run deploys, the next one can go back to."""


def choose_events(pipeline: Path, wanted: Sequence[Event]) -> Event | None:
    """Return the first event that starts a pipeline on GitHub."""
    workflow = load(pipeline)
    return next((it for it in wanted if starts_on(workflow, it.name, it.payload())), None)


def make_table(runs: Sequence[Run], *, finished: bool) -> Table:
    """Return the table of all jobs so far."""
    table = Table("Pipeline", "Event", "Job", "Result", "Seconds")
    table.columns[-1].justify = "right"
    for it in runs:
        for job in it.jobs:
            waiting = not finished and it is runs[-1] and job.conclusion == "not-run"
            mark = "[blue]… running[/]" if job.steps and waiting else MARKS[job.conclusion]
            result = "" if waiting and not job.steps else mark
            table.add_row(it.pipeline, it.event, job.name, result, f"{job.seconds:.1f}")
        table.add_section()
    return table


def show_failure(console: Console, pipeline: str, job: Job) -> None:
    """Show the last lines of each failed step, and the errors that it announced."""
    for step in job.failed_steps:
        log = [line for it in job.steps if it.id[: len(step.id)] == step.id for line in it.log]
        console.rule(f"[red]{pipeline} / {job.name} / {step.name}", align="left")
        console.print(Text.from_ansi("".join(log[-LAST_LINES:]).rstrip()))
    for note in job.annotations:
        if note["level"] == "error":
            title = note.get("title", "error")
            console.print(Text(f"✘ {title}: {note['text']}", style="red"))


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
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    parser.add_argument("--keep", action="store_true", help="keep what the run made, say where")
    parser.add_argument(
        "--real-actions", action="store_true", help="fetch the actions instead of the stand-ins"
    )
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.pipeline if name not in pipelines]:
        parser.error(f"no pipeline {', '.join(unknown)}; there are: {', '.join(pipelines)}")
    if wrong := [text for text in options.set if "=" not in text]:
        parser.error(f"--set takes PATH=VALUE, not {wrong[0]}")
    overrides = dict(text.split("=", 1) for text in options.set)
    try:
        wanted = [
            Event.parse(text, overrides) for text in ([options.event] if options.event else USUAL)
        ]
    except ValueError as error:
        parser.error(str(error))
    options.plan = []
    for name in options.pipeline or pipelines:
        event = choose_events(pipelines[name], wanted)
        jobs = load(pipelines[name])["jobs"]
        if event and options.job and options.job not in jobs:
            parser.error(f"{name} has no job {options.job}; it has: {', '.join(jobs)}")
        if event:
            options.plan.append((name, event))
        elif options.pipeline:
            on = ", ".join(it for it in USUAL if choose_events(pipelines[name], [Event.parse(it)]))
            parser.error(f"{name} does not start on {options.event}; it starts on: {on}")
    if not options.plan:
        parser.error(f"no pipeline starts on {options.event}")
    if options.fail and len(options.plan) > 1:
        parser.error("--fail takes one pipeline")
    return options


def check_engine(options: argparse.Namespace) -> str:
    """Leave out what needs Docker on a machine without it; return what to say about that.

    Raises:
        ContainersError: It was asked for by its name.
    """
    files = find_workflows(ROOT)
    options.containers = [name for name, _ in options.plan if needs_containers(ROOT, files[name])]
    if not options.containers:
        return ""
    try:
        find_engine_version()
    except ContainersError as error:
        names = ", ".join(options.containers)
        if options.pipeline:
            raise ContainersError(f"{names} cannot run here: {error}") from error
        options.plan = [it for it in options.plan if it[0] not in options.containers]
        options.containers = []
        return f"Left out: {names}. {error}"
    return ""


def execute(
    plan: Sequence[tuple[str, Event]],
    options: argparse.Namespace,
    live: Live,
    environment: Mapping[str, str],
    variables: Mapping[str, str],
) -> list[Run]:
    """Run each pipeline in turn, with the table of all of them live."""
    runs: list[Run] = []

    def update(it: Run) -> None:
        runs[-1] = it
        live.update(make_table(runs, finished=False))

    for name, event in plan:
        directory = make_directory()
        runs.append(Run(name, str(event)))
        try:
            runs[-1] = run(
                name,
                event,
                directory,
                job=options.job,
                fail=options.fail,
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
        if not live.console.is_terminal:  # where the table comes at the end only
            live.console.print(f"{name}: {runs[-1].conclusion} in {runs[-1].seconds:.0f} s")
    live.update(make_table(runs, finished=True))
    return runs


def show(console: Console, runs: Sequence[Run]) -> None:
    """Show the job summaries, then what failed."""
    for it in runs:
        for job in it.jobs:
            if job.summary:
                console.rule(f"{it.pipeline} / {job.name} / summary", align="left")
                console.print(Markdown(job.summary))
    for it in runs:
        for job in it.jobs:
            show_failure(console, it.pipeline, job)
        if it.error and it.conclusion != "success":
            console.print(Text(it.error, style="red"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for; return the exit code."""
    options = parse_arguments(arguments)
    console = Console(stderr=options.json)
    with ExitStack() as stack:
        environment: Mapping[str, str] = {}
        variables: Mapping[str, str] = {}
        try:
            left_out = check_engine(options)
            if options.containers:
                variables = {"CONTAINER_REGISTRY": stack.enter_context(registry(KEPT / "images"))}
            if options.stand_in_advisories:
                console.print("[yellow]A stand-in that knows 0 advisories answers the scan.[/]")
                environment = stack.enter_context(FakeAdvisories()).environment
            with Live(console=console, refresh_per_second=4) as live:
                runs = execute(options.plan, options, live, environment, variables)
        except (ContainersError, LookupError) as error:
            console.print(Text(str(error), style="red"))
            return 2
    if left_out:
        console.print(Text(left_out, style="yellow"))
    console.line()
    if options.json:
        print(json.dumps([it.as_dict() for it in runs], indent=2))
    else:
        show(console, runs)
    return 0 if all(it.conclusion == "success" for it in runs) else 1


if __name__ == "__main__":
    sys.exit(main())
