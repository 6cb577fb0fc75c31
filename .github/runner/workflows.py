"""Read workflow files and answer what GitHub would do with them."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from lib.triggers import triggers

USES = re.compile(
    r"\buses['\"]?: +['\"]?(?P<action>[\w.-]+/[\w./-]+)@(?P<ref>[\w./-]+)"
    r"['\"]?(?: # (?P<version>\S+))?",
)
"""A use of an action from outside, with the version that the comment behind it names."""


OWN_ACTION = re.compile(r"\buses['\"]?: +['\"]?(\./[\w./-]+)")
FIRST_LEG = "strategy.job-index == 0"


class PlainDumper(yaml.CSafeDumper):
    """Write every scalar as it was read: what was a number becomes one again."""

    yaml_implicit_resolvers = {}  # noqa: RUF012


def load(path: Path) -> dict[str, Any]:
    """Return the content of a workflow or action file, every scalar as a string."""
    content: dict[str, Any] = yaml.load(path.read_text(), Loader=yaml.CBaseLoader)  # noqa: S506
    return content


def find_workflows(root: Path) -> dict[str, Path]:
    """Return the workflow files of the tree below `root` by their names."""
    return {path.stem: path for path in sorted((root / ".github/workflows").glob("*.y*ml"))}


def find_branch(root: Path) -> str:
    """Return the default branch: the one that the workflows of a tree name most often."""
    filters = [on for path in find_workflows(root).values() for on in triggers(load(path)).values()]
    lists = [on.get("branches", []) for on in filters]
    names = [name for found in lists for name in ([found] if isinstance(found, str) else found)]
    plain = Counter(name for name in names if re.fullmatch(r"[\w./-]+", name))
    return plain.most_common(1)[0][0] if plain else "main"


def find_actions(root: Path, *users: Path) -> list[Path]:
    """Return the files of the tree's own actions that workflows, or these files, lead to."""
    found: list[Path] = []
    waiting = [*(users or find_workflows(root).values())]
    while waiting:
        for folder in OWN_ACTION.findall(waiting.pop().read_text()):
            files = [file for file in (root / folder).glob("action.y*ml") if file not in found]
            found += files
            waiting += files
    return sorted(found)


def find_uses(root: Path) -> Iterator[tuple[Path, re.Match[str]]]:
    """Yield each use of an action from outside: its file, and a match of `USES`."""
    for path in (*find_workflows(root).values(), *find_actions(root)):
        for match in USES.finditer(path.read_text()):
            yield path, match


def find_interfaces(root: Path) -> dict[str, tuple[set[str], set[str]]]:
    """Return which inputs each action is given anywhere, and which of its outputs are read."""
    found: dict[str, tuple[set[str], set[str]]] = {}
    for path in (*find_workflows(root).values(), *find_actions(root)):
        content = load(path)
        for place in content.get("jobs", {"": content}).values():
            for step in place.get("runs", place).get("steps", []):
                action = step.get("uses", "").partition("@")[0]
                inputs, outputs = found.setdefault(action, (set(), set()))
                inputs.update(step.get("with", {}))
                read = rf"\bsteps\.{re.escape(step.get('id', ' '))}\.outputs\.([\w-]+)"
                outputs.update(re.findall(read, str(place)))
    return found


def needs_containers(root: Path, path: Path) -> bool:
    """Say whether a workflow, or an action or workflow that it uses, makes container images."""
    called = (root / name for name in OWN_ACTION.findall(path.read_text()))
    if any(needs_containers(root, file) for file in called if file.is_file()):
        return True
    return any("uses: docker/" in file.read_text() for file in (path, *find_actions(root, path)))


def replace_step(root: Path, path: Path, where: str, what: dict[str, str]) -> None:
    """Let a step of a workflow file do something else; its name, id and condition stay.

    Args:
        root: The tree that has the workflow.
        path: The workflow's file.
        where: `JOB/STEP`, the job's id and the step's name; `JOB/INNER-JOB/STEP` where the job
            calls a workflow.
        what: The keys of the step that does it.

    Raises:
        LookupError: There is no such step.
    """
    workflow = load(path)
    job, _, name = where.partition("/")
    body = workflow["jobs"].get(job, {})
    if "uses" in body:
        return replace_step(root, root / body["uses"], name, what)
    steps = body.get("steps", [])
    names = [step.get("name") for step in steps]
    if name not in names:
        named = ", ".join(f"{job}/{name}" for name in names) or ", ".join(workflow["jobs"])
        raise LookupError(f"{path.stem} has no step {where}; it has: {named}")
    step = steps[names.index(name)]
    kept = {key: step[key] for key in ("name", "id", "if") if key in step}
    steps[names.index(name)] = kept | what
    path.write_text(yaml.dump(workflow, Dumper=PlainDumper, sort_keys=False))
    return None


def leave_out(path: Path, job: str, why: str = "It has run above, or --without names it.") -> None:
    """Let a job of a workflow file do nothing but say so; the others that need it go on.

    Raises:
        LookupError: There is no such job.
    """
    workflow = load(path)
    if job not in workflow["jobs"]:
        raise LookupError(f"{path.stem} has no job {job}; it has: {', '.join(workflow['jobs'])}")
    body = workflow["jobs"][job]
    kept = {key: body[key] for key in ("name", "needs", "if", "permissions") if key in body}
    step = {"name": "Left out", "run": f"echo '::warning::{why}'"}
    workflow["jobs"][job] = kept | {"runs-on": "ubuntu-24.04", "steps": [step]}
    path.write_text(yaml.dump(workflow, Dumper=PlainDumper, sort_keys=False))


def leave_out_containers(path: Path) -> None:
    """Leave out the jobs of a workflow file that GitHub runs in containers, or beside some.

    So it goes with steps that are an image, and with workflows of other repositories.
    """
    for name, job in load(path)["jobs"].items():
        uses = job.get("uses", "./")
        for place in ("container", "services"):
            if place in job:
                leave_out(path, name, f"{place}: is not started here, so that the job is left out.")
        if not uses.startswith("./"):
            leave_out(path, name, f"{uses} is not here, so that the job is left out.")
    workflow = load(path)
    steps = [step for job in workflow["jobs"].values() for step in job.get("steps", [])]
    images = [step for step in steps if step.get("uses", "").startswith("docker://")]
    for step in images:
        step["run"] = f"echo '::notice title={step.pop('uses')}::an image: left out.'"
        step.pop("with", None)
    if images:
        path.write_text(yaml.dump(workflow, Dumper=PlainDumper, sort_keys=False))


def leave_out_legs(path: Path, foreign: re.Pattern[str]) -> list[tuple[str, str]]:
    """Remove the legs from the matrices of a workflow whose runner is a foreign one.

    Returns:
        The id of the job and the name of the leg, for each leg that is gone.
    """
    workflow = load(path)
    gone: list[tuple[str, str]] = []
    for job_id, job in workflow["jobs"].items():
        matrix = job.get("strategy", {}).get("matrix", {})
        for key in re.findall(r"matrix\.([\w-]+)", str(job.get("runs-on", ""))):
            for place in (key, "include"):
                legs = matrix.get(place) if isinstance(matrix, dict) else None
                if not isinstance(legs, list):
                    continue
                for leg in [*legs]:
                    values = leg if isinstance(leg, dict) else {key: leg}
                    if foreign.search(values.get(key, "")):
                        legs.remove(leg)
                        name = job.get("name", f"{job_id} ({', '.join(values.values())})")
                        for found, value in values.items():
                            name = name.replace(f"${{{{ matrix.{found} }}}}", value)
                        gone.append((job_id, name))
    if gone:
        path.write_text(yaml.dump(workflow, Dumper=PlainDumper, sort_keys=False))
    return gone


def name_first_legs(path: Path) -> None:
    """Say by its values which leg of a matrix is the first: act does not know `strategy.job-index`.

    The text is changed, and not what YAML makes of it: "3.10" stays a text.
    """
    text = path.read_text()
    for job in load(path)["jobs"].values():
        matrix = job.get("strategy", {}).get("matrix", {})
        lists = {
            key: values[0]
            for key, values in (matrix.items() if isinstance(matrix, dict) else ())
            if key != "exclude" and isinstance(values, list)
        }
        included = lists.pop("include", {})
        firsts = [*_compare("matrix", lists or included)]
        if firsts and any(FIRST_LEG in step.get("if", "") for step in job.get("steps", [])):
            text = text.replace(FIRST_LEG, f"({' && '.join(firsts)})")
            path.write_text(text)


def _compare(name: str, value: Any) -> Iterator[str]:  # noqa: ANN401
    """Yield the expressions that say that something has a value of a matrix."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _compare(f"{name}.{key}", inner)
    elif isinstance(value, str):
        same = f"{name} == '{value.replace("'", "''")}'"
        yield f"({same} || {name} == {value})" if value in {"false", "true"} else same


def leave_out_keys(path: Path) -> list[str]:
    """Remove from a workflow file the keys that GitHub knows and act refuses; return their places.

    These say who waits for whom, and whether GitHub notes a deployment: nothing that runs here.
    """
    workflow = load(path)
    places = {"concurrency": "queue", "environment": "deployment"}
    gone = []
    for name, body in {"": workflow, **workflow["jobs"]}.items():
        for parent, key in places.items():
            if isinstance(body.get(parent), dict) and body[parent].pop(key, None) is not None:
                gone.append(f"{name}.{parent}.{key}".lstrip("."))
    if gone:
        path.write_text(yaml.dump(workflow, Dumper=PlainDumper, sort_keys=False))
    return gone
