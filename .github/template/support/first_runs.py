"""What the first run of each pipeline says in a fresh copy, by the kind of repository."""

import re
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field

from engine import ROOT
from events import Repository
from fakes.github_security import Security
from lib.markdown import table
from workflows import find_workflows

WORKFLOWS = find_workflows(ROOT)

FIRST_RUN = "first run"
"""Property of a test that is one, with the kind of repository and the pipeline."""

FORK = {"pull_request.head.repo.full_name": "somebody/widget"}
DEPENDABOT = {
    "sender.login": "dependabot[bot]",
    "pull_request.user.login": "dependabot[bot]",
    "pull_request.title": "build(deps): bump anyio from 4.0 to 4.1",
}
NO_REVIEW = "GitHub's dependency review is off"
NO_SCANNING = "Code scanning is off"
READ_ONLY = "This run's token may only read"
NO_PYPI = "Not published to PyPI"
NO_ATTESTATIONS = "Attestations are off"


def find_settings() -> dict[str, set[str]]:
    """Return the names of the `secrets` and `vars` that workflows, actions and targets read."""
    actions = (ROOT / ".github/actions").rglob("*.yml")
    text = "\n".join(path.read_text() for path in (*WORKFLOWS.values(), *actions))
    targets = "".join(path.read_text() for path in (ROOT / "deploy/targets").glob("*.sh"))
    secrets, variables = (
        {*re.findall(rf"\b{kind}\.([A-Z][A-Z0-9_]*)", text)} for kind in ("secrets", "vars")
    )
    named = {*re.findall(r"(?m)^# ((?:DEPLOY|ENVIRONMENT|KUBE)_[A-Z_]+) ", targets)}
    return {"secrets": secrets - {"GITHUB_TOKEN"}, "vars": variables | (named - secrets)}


@dataclass
class Kind:
    """A kind of repository, and what its first runs say that is off.

    Attributes:
        repository: As an event describes it.
        security: What GitHub has switched on in it.
        overrides: Values of the payload of a pull request.
        says: What a pipeline says in a notice or summary.
        differs: The pipelines that ask for what differs here from a public repository; of the
            others nothing would be new.
    """

    repository: Repository = field(default_factory=Repository)
    security: Callable[[], Security] = lambda: Security(code_scanning=True)
    overrides: dict[str, str] = field(default_factory=dict)
    says: dict[str, list[str]] = field(default_factory=dict)
    differs: Container[str] = frozenset(WORKFLOWS)


NO_TARGET = "The environment staging has no target"
NEW = {"cd": [NO_TARGET], "dependency-review": [NO_REVIEW], "release": [NO_PYPI]}
PRIVATE = {
    "cd": [NO_TARGET, NO_ATTESTATIONS],
    "codeql": [NO_SCANNING],
    "dependency-review": [NO_REVIEW],
    "docker": [NO_SCANNING, NO_ATTESTATIONS],
    "release": [NO_PYPI, NO_ATTESTATIONS],
}
FOREIGN = {
    "codeql": [READ_ONLY],
    "dependency-review": [NO_REVIEW, READ_ONLY],
    "docker": [READ_ONLY],
    "performance": [READ_ONLY],
}
DEFAULT_SETUP = "GitHub's default setup analyses this repository"
KINDS = {
    "public": Kind(says=NEW),
    "private": Kind(Repository(private=True), Security, says=PRIVATE),
    "pull request of a fork": Kind(overrides=FORK, says=FOREIGN),
    "pull request of Dependabot": Kind(
        overrides=DEPENDABOT, says=NEW, differs={"cd", "dependency-review", "pr", "release"}
    ),
    "default setup of CodeQL": Kind(
        security=lambda: Security(code_scanning=True, default_setup=True),
        says={"codeql": [DEFAULT_SETUP]},
        differs={"codeql", "docker"},
    ),
    "upper case": Kind(
        Repository("Octo-Org", "Widget"), says=NEW, differs={"cd", "docker", "release"}
    ),
}
FIRST_EVENTS = {"dependency-review": "pull_request", "pr": "pull_request", "release": "push:v0.1.0"}
"""What starts a pipeline first where it is not the push of the copy itself."""


def choose_event(pipeline: str, kind: Kind) -> str:
    """Return what starts a pipeline first in a kind of repository; nothing if it is not run."""
    if pipeline not in kind.differs:
        return ""
    if not kind.overrides:
        return FIRST_EVENTS.get(pipeline, "push")
    on = WORKFLOWS[pipeline].read_text()
    return "pull_request" if "\n  pull_request:\n" in on else ""


CASES = [
    (name, pipeline)
    for name, kind in KINDS.items()
    for pipeline in WORKFLOWS
    if choose_event(pipeline, kind)
]


def describe(results: Mapping[tuple[str, str], bool]) -> str:
    """Return a table of pipelines and kinds of repositories, with what is off.

    Args:
        results: Whether the run was green, by kind of repository and pipeline.
    """
    numbers: dict[str, str] = {}

    def show(name: str, pipeline: str) -> str:
        if (name, pipeline) not in results:
            return "-" if pipeline in KINDS[name].differs else "as public"
        if not results[name, pipeline]:
            return "❌"
        notes = KINDS[name].says.get(pipeline, [])
        return " ".join(
            ["✅", *(numbers.setdefault(note, str(len(numbers) + 1)) for note in notes)]
        )

    rows = [
        [f"`{workflow}` <!-- {workflow} -->", *(show(name, workflow) for name in KINDS)]
        for workflow in WORKFLOWS
    ]
    legend = "".join(f"{number}. {text}\n" for text, number in numbers.items())
    return f"{table(['pipeline', *KINDS], rows)}\n{legend}"
