"""The documentation names what exists."""

import re
import shlex
import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest
import run
from first_runs import CASES, describe, find_settings
from lib.triggers import triggers
from origin import Git
from repository import rename_project, setup_github
from workflows import find_workflows, load

ROOT = Path(__file__).parents[3]
PAGES = [page for folder in (".", ".github", "docs") for page in (ROOT / folder).glob("*.md")]
REFERENCE = ROOT / "docs/ci-cd.md"
TASKS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["poe"]["tasks"]

OTHERS_SAY = {
    "Required test coverage of … not reached",
    "must be pinned to a full-length commit SHA",
    "uv.lock needs to be updated",
}
"""What the documents quote of pytest-cov, GitHub and uv."""

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def section(workflow: str) -> str:
    """Return the part of the reference that is about a workflow."""
    parts = REFERENCE.read_text().split("\n## ")
    return next(part for part in parts if f"[{workflow}.yml]" in part)


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|\.\./\.\./actions/)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target


@each_page
def test_tasks_exist(page: Path) -> None:
    assert set(re.findall(r"uv run poe (?:-q )?([a-z-]+)", page.read_text())) <= TASKS.keys()


@pytest.fixture(scope="module")
def messages() -> str:
    """What programs say: all files but documents, with the parts of a literal put together."""
    git = Git(ROOT)
    paths = git("ls-files", "--", ".github", "deploy", "src", ":!*.md").splitlines()
    text = "".join((ROOT / path).read_text(errors="replace") for path in paths)
    return re.sub(r"\s+", " ", re.sub(r'"\s*f?"', "", text))


@each_page
def test_messages_that_are_looked_up_are_said(page: Path, messages: str) -> None:
    rows = re.findall(r"^\| (?:<!--.*?--> )?(\*.*?) \|", page.read_text(), re.MULTILINE)
    quotes = {quote for row in rows for quote in re.findall(r"\*([^*]+)\*", row)} - OTHERS_SAY
    for quote in quotes:
        for part in re.split(r"…|`|\b[A-Z]\b(?:\.[A-Z])?", quote):  # X stands for anything
            assert part.strip() in messages, quote


@pytest.mark.parametrize("name", find_workflows(ROOT))
def test_reference_names_jobs_triggers_and_artifacts(name: str) -> None:
    workflow = load(find_workflows(ROOT)[name])
    text = section(name)
    jobs = re.findall(r"^\| `([a-z-]+)` \|", text, re.MULTILINE)
    assert jobs == list(workflow["jobs"])
    verdict = workflow["jobs"].get("summary") or next(iter(workflow["jobs"].values()))
    assert f"*{verdict['name']}*" in text
    uploads = [
        step["with"]["name"].replace("${{ steps.image.outputs.arch }}", "amd64")
        for job in workflow["jobs"].values()
        for step in job.get("steps", [])
        if step.get("uses", "").startswith("actions/upload-artifact@")
    ]
    assert all(f"`{upload}`" in text for upload in uploads)
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


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_tables_have_a_head(page: Path) -> None:
    rows = re.findall(r"(?<!\|)\n(\|.*)\n(.*)", page.read_text())
    assert not [row for row, line in rows if not re.fullmatch(r"[| :-]+", line)]


def test_setup_shows_the_first_runs() -> None:
    assert describe(dict.fromkeys(CASES, True)) in (ROOT / "docs/setup.md").read_text()


def test_setup_names_every_setting() -> None:
    text = (ROOT / "docs/setup.md").read_text()
    named = set(re.findall(r"`([A-Z][A-Z0-9]*_[A-Z0-9_]+|RUNNER)`", text))
    settings = find_settings()
    assert named == settings["secrets"] | settings["vars"]


def read_commands() -> list[str]:
    """Return the commands of the shell blocks of all pages, without their comments."""
    blocks = [
        block
        for page in PAGES
        for block in re.findall(r"^```shell\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)
    ]
    lines = "".join(blocks).replace("\\\n", "").splitlines()
    return sorted({re.sub(r"\s+#.*", "", line).strip() for line in lines} - {""})


@pytest.mark.parametrize("command", read_commands())
def test_command_is_understood(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "key.txt").write_text("the value of a secret")
    understands: dict[str, Any] = {
        "pipelines": run.parse_arguments,
        "rename": lambda words: rename_project.check_name(ROOT, words[0]),
        "setup-github": setup_github.parse_arguments,
    }
    words = shlex.split(command)
    if words[:3] == ["uv", "run", "poe"] and words[3] in understands:
        understands[words[3]](words[4:])
    else:
        assert shutil.which(words[0]), f"{words[0]} is not what a machine has"
