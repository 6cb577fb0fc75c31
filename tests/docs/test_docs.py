"""The documentation names what exists."""

import re
import tomllib
from pathlib import Path

import pytest
from workflows import find_workflows, load, triggers

ROOT = Path(__file__).parents[2]
PAGES = [page for folder in (".", ".github", "docs") for page in (ROOT / folder).glob("*.md")]
REFERENCE = ROOT / "docs/ci-cd.md"
TASKS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["poe"]["tasks"]

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def section(workflow: str) -> str:
    """Return the part of the reference that is about a workflow."""
    parts = REFERENCE.read_text().split("\n## ")
    return next(part for part in parts if f"[{workflow}.yml]" in part)


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target


@each_page
def test_tasks_exist(page: Path) -> None:
    assert set(re.findall(r"uv run poe (?:-q )?([a-z-]+)", page.read_text())) <= TASKS.keys()


@pytest.mark.parametrize("name", find_workflows(ROOT))
def test_reference_names_the_jobs_and_the_triggers(name: str) -> None:
    workflow = load(find_workflows(ROOT)[name])
    text = section(name)
    jobs = re.findall(r"^\| `([a-z-]+)` \|", text, re.MULTILINE)
    assert jobs == list(workflow["jobs"])
    assert f"*{workflow['jobs']['summary']['name']}*" in text
    for filters in triggers(workflow).values():
        for value in [*filters.get("branches", []), *filters.get("types", [])]:
            assert value in text


@pytest.mark.parametrize("name", find_workflows(ROOT))
def test_overview_lists_every_pipeline(name: str) -> None:
    assert f".github/workflows/{name}.yml)" in (ROOT / "README.md").read_text()


def test_languages_have_one_structure() -> None:
    def outline(page: Path) -> list[tuple[str, ...]]:
        pattern = re.compile(r"^(#+) |^\| (`[a-z-]+`) \||^(\||- \*\*|```)", re.MULTILINE)
        return [match.groups("") for match in pattern.finditer(page.read_text())]

    assert outline(REFERENCE) == outline(REFERENCE.with_suffix(".ru.md"))
