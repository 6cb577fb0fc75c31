"""Any app: a command that serves and `/health` are enough for all eight pipelines."""

import shutil
from pathlib import Path

import pytest
from containers import adapt
from copies import APPS, NAME, bring, execute, make_copy
from engine import ROOT
from events import USUAL, Event
from fakes.fake_advisories import FakeAdvisories
from harness import RunPipeline, explain, make_quick, replace
from once import make_once
from run import choose_events
from workflows import find_workflows, needs_containers

WORKFLOWS = find_workflows(ROOT)
INSTALLED_BY_THE_JOBS = "fastapi"
"""The app whose jobs install their packages; the other apps have theirs installed once."""
ENVIRONMENT = "environment"


@pytest.fixture(scope="session", params=sorted(path.name for path in APPS.iterdir()))
def copy(request: pytest.FixtureRequest) -> Path:
    """A renamed copy with a foreign app, committed."""

    def make(folder: Path) -> None:
        git = make_copy(folder / "copy", NAME)
        bring(git.directory, request.param)
        git.save("feat: an app of our own")
        if request.param != INSTALLED_BY_THE_JOBS:
            environment = str(folder / ENVIRONMENT)
            options = {"UV_PROJECT_ENVIRONMENT": environment, "VIRTUAL_ENV": ""}
            execute(git.directory, "uv", "sync", "--locked", "--all-groups", "--quiet", **options)

    return make_once(f"app-{request.param}", make) / "copy"


@pytest.mark.usefixtures("types")
@pytest.mark.parametrize("pipeline", WORKFLOWS)
def test_green(
    copy: Path, run_pipeline: RunPipeline, request: pytest.FixtureRequest, pipeline: str
) -> None:
    event = choose_events(WORKFLOWS[pipeline], [Event.parse(event) for event in USUAL])
    containers = needs_containers(ROOT, WORKFLOWS[pipeline])
    variables = {"CONTAINER_REGISTRY": request.getfixturevalue("host")} if containers else {}
    directory, environment = copy.parent / pipeline, copy.parent / ENVIRONMENT

    def prepare(tree: Path) -> None:
        if containers:
            adapt(tree)
        if environment.exists():
            make_quick(tree, environment)
        if pipeline == "performance":  # five users, for five seconds
            replace(f".github/workflows/{pipeline}.yml", "'20'", "'5'")(tree)

    with FakeAdvisories() as advisories:
        run = run_pipeline(
            pipeline,
            str(event),
            source=copy,
            directory=directory,
            small=False,
            edit=prepare,
            without="test" if pipeline == "release" else "",  # which is CI, and runs by itself
            variables=variables,
            environment=advisories.environment
            | {
                "PYTEST_XDIST_AUTO_NUM_WORKERS": "0",  # to start some takes longer than two tests
                "PYTHONPATH": "src:.",  # what is installed once is the code of the copy itself
            },
            timeout=900,
        )
    shutil.rmtree(directory, ignore_errors=True)
    assert run.conclusion == "success", explain(run)
