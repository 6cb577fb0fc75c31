"""What OpenSSF Scorecard reads from files is at 10: its rules, as its source has them.

https://github.com/ossf/scorecard/tree/40c1e3599; each test names the file of its rule. What people
and settings decide is not here: reviews, branch protection, webhooks, activity, the badge of CII.
"""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from engine import ROOT
from origin import Git

FILES = [ROOT / line for line in Git(ROOT)("ls-files").splitlines()]
WORKFLOWS = [file for file in FILES if file.match(".github/workflows/*.y*ml")]
BINARY = {
    "crx", "deb", "dex", "dey", "elf", "o", "a", "so", "macho", "iso", "class", "jar", "bundle",
    "dylib", "lib", "msi", "dll", "drv", "efi", "exe", "ocx", "pyc", "pyo", "par", "rpm", "wasm",
    "whl",
}  # fmt: skip
UNTRUSTED = re.compile(
    r"github\.head_ref|(?i:tojson)\s*\(\s*github(\.event)?\s*\)|github\.event\..*"
    r"(issue\.(title|body)|pull_request\.(title|body|head\.(ref|label|repo\.default_branch))|"
    r"(discussion|comment|review|review_comment)\.(title|body)|page_name|commits.*\.(message|"
    r"author\.(email|name))|head_commit\.(message|author\.(email|name)))"
)


def read(path: Path) -> str:
    """Return the text of a file."""
    return path.read_text(encoding="utf-8", errors="ignore")


def load(path: Path) -> Any:
    """Return the content of a workflow, in which `on` is a text."""
    return yaml.load(read(path), Loader=yaml.BaseLoader)  # noqa: S506


def find_steps(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the steps of a workflow or an action."""
    content = load(path)
    for job in [content["runs"]] if "runs" in content else content["jobs"].values():
        yield from job.get("steps", [])


def test_no_binary_is_kept() -> None:
    """checks/raw/binary_artifact.go: known endings, and content that is no text."""
    found = [
        file for file in FILES if file.suffix[1:].lower() in BINARY or b"\0" in file.read_bytes()
    ]
    assert not found


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_no_workflow_runs_what_strangers_wrote(path: Path) -> None:
    """checks/raw/dangerous_workflow.go: triggers with secrets, event text in a shell."""
    assert not {"pull_request_target", "workflow_run"} & {*load(path)["on"]}
    for step in find_steps(path):
        for expression in re.findall(r"\$\{\{(.*?)\}\}", step.get("run", ""), re.DOTALL):
            assert not UNTRUSTED.search(expression)


def test_dependencies_are_updated_by_a_bot() -> None:
    """checks/raw/dependency_update_tool.go: the file of Dependabot."""
    assert ROOT / ".github/dependabot.yml" in FILES


def test_project_is_fuzzed() -> None:
    """checks/raw/fuzzing.go: Atheris in a Python file."""
    scripts = (file for file in FILES if file.match(".github/scripts/*/*.py"))
    assert any(re.search(r"^\s*import atheris", read(script), re.MULTILINE) for script in scripts)


def test_licence_is_known() -> None:
    """checks/raw/license.go: a file at the top whose name says licence, with a text of the OSI."""
    project = tomllib.loads(read(ROOT / "pyproject.toml"))["project"]
    assert project["license"] == "MIT"
    assert "MIT License" in read(ROOT / "LICENSE")


@pytest.mark.parametrize(
    "path", [*WORKFLOWS, *(file for file in FILES if file.name == "action.yml")],
    ids=lambda path: str(path.relative_to(ROOT)),
)  # fmt: skip
def test_actions_are_pinned(path: Path) -> None:
    """checks/raw/pinned_dependencies.go, validateGitHubActionWorkflow: a commit, or a digest."""
    for step in find_steps(path):
        used = step.get("uses", "./")
        assert used.startswith("./") or re.search(r"@([0-9a-f]{40}|sha256:[0-9a-f]{64})$", used)


@pytest.mark.parametrize(
    "path", [file for file in FILES if "dockerfile" in file.name.lower()],
    ids=lambda path: str(path.relative_to(ROOT)),
)  # fmt: skip
def test_images_are_pinned(path: Path) -> None:
    """checks/raw/pinned_dependencies.go, validateDockerfilesPinning: a digest, or a stage."""
    stages = {"scratch"}
    for image, stage in re.findall(r"^FROM (\S+)(?: AS (\S+))?$", read(path), re.MULTILINE):
        assert image in stages or re.search("@sha256:[0-9a-f]{64}$", image), image
        stages.add(stage)
    assert stages != {"scratch"}


DOWNLOAD = re.compile(
    r"\b(?:curl|wget)\b[^\n|]*\|\s*(?:sudo\s+)?(?:ba|da|z)?sh\b"
    r"|(?<!uv )(?<!`)\bpip3? (?:install|download)\b|\bnpm (?:i|install)\b"
    r"|\bgo (?:get|install)\b|\bgem install\b|(?:ba)?sh <\((?:curl|wget)",
    re.MULTILINE,
)


def test_nothing_is_downloaded_without_a_hash() -> None:
    """checks/raw/shell_download_validate.go: packages by name, programs from the network."""
    for path in FILES:
        text = ""
        if path.suffix == ".sh" or "dockerfile" in path.name.lower() or path == ROOT / ".ci/run":
            text = read(path)
        elif path in WORKFLOWS or path.name == "action.yml":
            text = "\n".join(step.get("run", "") for step in find_steps(path))
        code = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
        assert not DOWNLOAD.search(code), path


def test_code_is_analysed() -> None:
    """checks/raw/sast.go: CodeQL's action in a workflow that each pull request starts."""
    [found] = [
        workflow
        for workflow in WORKFLOWS
        if any(
            "github/codeql-action/analyze@" in step.get("uses", "") for step in find_steps(workflow)
        )
    ]
    assert "pull_request" in load(found)["on"]


def test_security_policy_says_how_to_report() -> None:
    """checks/raw/security_policy.go: a link (6 points), text (3), words on disclosure (1)."""
    text = read(ROOT / ".github/SECURITY.md")
    links = re.findall(r"https?://[a-zA-Z0-9./?=_%:-]*", text)
    assert links
    assert len(text) > sum(len(link) + 2 for link in links)
    assert len(re.findall(r"(?i)disclos|vuln|\b[0-9]{1,4}\b", text)) > 1


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_tokens_may_do_nothing_by_default(path: Path) -> None:
    """checks/evaluation/permissions.go: no write permission for a whole workflow."""
    assert load(path)["permissions"] == {}


def test_readme_has_the_badge() -> None:
    """The badge of Scorecard itself, which is only right where its results are published."""
    assert "https://api.scorecard.dev/projects/github.com/" in read(ROOT / "docs/setup.md")
