"""What GitHub would run on an event, and what it would bill a private repository for it."""

import ast
import math
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from events import Event
from lib.triggers import starts_on
from workflows import find_workflows, load

SET_UP = 20
"""Seconds that a job takes on GitHub before it does what it does here: actions, packages."""
SMALL = "ubuntu-slim"
STATUS = {"always()": True, "cancelled()": False, "failure()": False, "success()": True} | {
    "true": True, "false": False, "null": None,
}  # fmt: skip
SYMBOL = re.compile(
    r"'(?:[^']|'')*'|(?:always|cancelled|failure|success)\(\)|&&|\|\||!=|!|[\w.*-]+"
)
SIGNS = {"&&": " and ", "||": " or ", "!": "~", "!=": "!="}
"""How Python writes them; its `~` binds as tightly as `!` does here."""
ANYWAY = re.compile(r"\b(?:always|cancelled|failure)\(")
"""Without one of these a condition means: and every job that this one needs succeeded."""


@dataclass(frozen=True)
class Planned:
    """A job, or one leg of a matrix, that runs on an event."""

    pipeline: str
    id: str
    runner: str


def evaluate(text: str, values: Mapping[str, Any]) -> Any:  # noqa: ANN401
    """Return the value of an expression in a run in which nothing failed and nothing was cancelled.

    Args:
        text: The expression, with or without `${{ }}`.
        values: What it may name, by dotted path; the rest is an empty string.

    Raises:
        ValueError: It uses what only a run can answer.
    """

    def translate(symbol: re.Match[str]) -> str:
        found = symbol[0]
        value = STATUS.get(found, values.get(found, ""))
        with suppress(ValueError):
            value = float(found)
        if found.startswith("'"):
            value = found[1:-1].replace("''", "'")
        return SIGNS.get(found) or f"({value!r})"

    inner = text.strip().removeprefix("${{").removesuffix("}}").strip()
    try:
        return _work_out(ast.parse(SYMBOL.sub(translate, inner), mode="eval").body)
    except SyntaxError:
        raise ValueError(f"not known before the run: {text}") from None


def _work_out(node: ast.expr) -> Any:  # noqa: ANN401
    """Return the value of a part of an expression whose names are values already."""
    match node:
        case ast.BoolOp(op, [first, *rest]):
            value = _work_out(first)
            for other in rest:
                if bool(value) != isinstance(op, ast.Or):
                    value = _work_out(other)
            return value
        case ast.Compare(left, [ast.Eq() | ast.NotEq() as sign], [right]):
            return _equal(_work_out(left), _work_out(right)) is isinstance(sign, ast.Eq)
        case ast.UnaryOp(ast.Invert(), operand):
            return not _work_out(operand)
        case ast.Constant(value):
            return value
    raise ValueError(f"not known before the run: {ast.unparse(node)}")


def _equal(one: object, other: object) -> bool:
    """Compare as GitHub does: texts in any case; what is of different types, as numbers."""
    if isinstance(one, str) and isinstance(other, str):
        return one.lower() == other.lower()
    with suppress(TypeError, ValueError):
        return float(one or 0) == float(other or 0)  # type: ignore[arg-type] # or it is no number
    return False


def describe(event: Event) -> dict[str, Any]:
    """Return what expressions may name of an event, by dotted path."""
    values = {"github.event_name": event.name, "github.ref": event.ref}
    values["github.ref_type"] = "tag" if event.ref.startswith("refs/tags/") else "branch"
    values["github.ref_name"] = event.ref.split("/", 2)[-1]
    return values | dict(_flatten("github.event", event.payload()))


def plan(root: Path, event: Event, touched: Collection[str] | None = None) -> list[Planned]:
    """Return the jobs of all workflows that GitHub would run on an event.

    Args:
        root: The tree that has the workflows.
        event: What happens.
        touched: The areas that a pull request touches; all if not given.
    """
    payload, values = event.payload(), describe(event)
    planned: list[Planned] = []
    for name, path in find_workflows(root).items():
        workflow = load(path)
        if starts_on(workflow, event.name, payload):
            planned += _plan_jobs(root, name, workflow, values, touched)
    return planned


def estimate(
    planned: Collection[Planned], seconds: Mapping[tuple[str, str], float]
) -> tuple[int, int, int]:
    """Return the minutes that GitHub bills, how many of them on small runners, and guessed jobs.

    Args:
        planned: The jobs; each is rounded up.
        seconds: What a job took here, by pipeline and id; one that is not there counts one minute.
    """
    minutes = {True: 0, False: 0}
    guessed = 0
    for job in planned:
        known = seconds.get((job.pipeline, job.id))
        guessed += known is None
        minutes[job.runner == SMALL] += math.ceil((SET_UP + (known or 0)) / 60)
    return sum(minutes.values()), minutes[True], guessed


def _plan_jobs(
    root: Path,
    pipeline: str,
    workflow: Mapping[str, Any],
    known: Mapping[str, Any],
    touched: Collection[str] | None,
) -> Iterator[Planned]:
    values = dict(known)
    waiting = dict(workflow["jobs"])
    while waiting:
        name = next(job_id for job_id in waiting if not waiting.keys() & _needs(waiting[job_id]))
        job = waiting.pop(name)
        condition = job.get("if", "success()")
        needed = [values[f"needs.{need}.result"] for need in _needs(job)]
        runs = ANYWAY.search(condition) or "skipped" not in needed
        with suppress(ValueError):  # what only the run can answer counts as a yes
            runs = runs and evaluate(condition, values)
        values[f"needs.{name}.result"] = "success" if runs else "skipped"
        if not runs:
            continue
        for output, text in job.get("outputs", {}).items():
            _, _, area = text.partition("steps.changes.outputs.")
            hit = not area or touched is None or area.removesuffix("}}").strip() in touched
            values[f"needs.{name}.outputs.{output}"] = str(hit).lower()
        if job.get("uses", "").startswith("./"):
            called = load(root / job["uses"])
            for inner in _plan_jobs(root, pipeline, called, known, touched):
                yield Planned(pipeline, f"{name}/{inner.id}", inner.runner)
            continue
        for leg in _find_legs(job):
            yield Planned(pipeline, name, _find_runner(str(job.get("runs-on")), values | leg))


def _find_runner(label: str, values: Mapping[str, Any]) -> str:
    """Return the label, which may come from an expression, and that from a leg of a matrix."""
    while "${{" in label:
        try:
            label = str(evaluate(label, values))
        except ValueError:
            break
    return label


def _needs(job: Mapping[str, Any]) -> set[str]:
    needs = job.get("needs", [])
    return {needs} if isinstance(needs, str) else {*needs}


def _find_legs(job: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    """Yield the values of each leg; one leg where they are made by the run itself."""
    matrix = job.get("strategy", {}).get("matrix", {})
    if isinstance(matrix, str) or not all(isinstance(value, list) for value in matrix.values()):
        matrix = {}
    axes = {key: value for key, value in matrix.items() if key not in {"include", "exclude"}}
    legs = [dict(zip(axes, leg, strict=True)) for leg in product(*axes.values())] if axes else []
    for gone in matrix.get("exclude", []):
        legs = [leg for leg in legs if not gone.items() <= leg.items()]
    more = []
    for extra in matrix.get("include", []):
        same = {key: text for key, text in extra.items() if key in axes}.items()
        fitting = [leg for leg in legs if same <= leg.items()]
        for leg in fitting:
            leg.update(extra)
        more += [] if fitting else [extra]
    for leg in [*legs, *more] or [{}]:
        yield {f"matrix.{key}": text for key, text in leg.items()}


def _flatten(prefix: str, tree: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _flatten(f"{prefix}.{key}", value)
        else:
            yield f"{prefix}.{key}", value
