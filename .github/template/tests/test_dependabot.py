"""Dependabot looks after everything here that has versions, and after nothing else."""

import re
from datetime import UTC, date, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
import yaml
from engine import ROOT
from origin import Git

UPDATES = {
    update["package-ecosystem"]: update
    for update in yaml.safe_load((ROOT / ".github/dependabot.yml").read_text())["updates"]
}
MANIFESTS = {
    "docker": r"(.*/)?Dockerfile",
    "docker-compose": r"(.*/)?(docker-)?compose(\.\w+)?\.ya?ml",
    "github-actions": r"\.github/workflows/.*\.ya?ml|(.*/)?action\.ya?ml",
    "npm": r"(.*/)?package\.json",
    "uv": r"(.*/)?uv\.lock",
}
"""What Dependabot reads: https://docs.github.com/code-security/reference/supply-chain-security/supported-ecosystems-and-repositories."""
NO_BOT = re.compile(r"(?P<what>\S+) # no bot raises it: looked at on (?P<day>\d{4}-\d\d-\d\d)")
OLD_DAYS = 180
THIS = str(Path(__file__).relative_to(ROOT))
FILES = Git(ROOT)("ls-files").splitlines()


def read(path: str) -> str:
    """Return the text of a file of the repository; empty if it is no text."""
    return (ROOT / path).read_text(encoding="utf-8", errors="ignore")


def find_steps(content: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the steps of a workflow or an action."""
    jobs = [content["runs"]] if "runs" in content else content["jobs"].values()
    return [step for job in jobs for step in job.get("steps", [])]


@pytest.mark.parametrize("kind", MANIFESTS)
def test_each_manifest_is_looked_after(kind: str) -> None:
    paths = [file for file in FILES if re.fullmatch(MANIFESTS[kind], file)]
    update = UPDATES.get(kind, {})
    patterns = update.get("directories", [update.get("directory", "none")])
    for path in paths:
        # that of the workflows is called by the root
        folder = "/" + re.sub(r"^\.github/workflows$|^\.$", "", str(Path(path).parent))
        assert any(fnmatchcase(folder, pattern) for pattern in patterns), path
    assert (kind in UPDATES) == bool(paths), "a kind without a manifest is an error in Dependabot"


def test_what_no_bot_raises_was_looked_at_lately() -> None:
    found = [match for path in FILES if path != THIS for match in NO_BOT.finditer(read(path))]
    assert found
    today = datetime.now(tz=UTC).date()
    old = [
        version["what"]
        for version in found
        if (today - date.fromisoformat(version["day"])).days > OLD_DAYS
    ]
    assert not old, "look for a newer release, then write the day of today beside it"


def test_trivy_is_of_one_version() -> None:
    versions = {
        step["with"]["version"]
        for path in FILES
        if re.fullmatch(MANIFESTS["github-actions"], path)
        for step in find_steps(yaml.safe_load(read(path)))
        if step.get("uses", "").startswith("aquasecurity/setup-trivy@")
    }
    assert len(versions) == 1


def test_hooks_have_no_versions_of_their_own() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    assert {repo["repo"] for repo in hooks["repos"]} == {"local"}, "let Dependabot watch pre-commit"


def test_devcontainer_has_the_versions_of_the_image() -> None:
    images = {
        path: set(re.findall(r"^FROM (\S+@\S+)", read(path), re.MULTILINE))
        for path in ("Dockerfile", ".devcontainer/Dockerfile")
    }
    assert images[".devcontainer/Dockerfile"] == images["Dockerfile"]


@pytest.mark.parametrize("update", UPDATES.values(), ids=UPDATES)
def test_one_grouped_pull_request_a_week_after_a_cooldown(update: dict[str, Any]) -> None:
    assert update["schedule"]["interval"] == "weekly"
    assert update["cooldown"]["default-days"] >= 7
    assert [group["patterns"] for group in update["groups"].values()] == [["*"]]
