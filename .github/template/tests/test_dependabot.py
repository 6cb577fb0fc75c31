"""Dependabot looks after everything here that has versions, and after nothing else."""

from fnmatch import fnmatchcase
from typing import Any

import pytest
import yaml
from engine import ROOT
from workflows import find_actions

UPDATES = {
    it["package-ecosystem"]: it
    for it in yaml.safe_load((ROOT / ".github/dependabot.yml").read_text())["updates"]
}
MANIFESTS = {
    "docker": "Dockerfile",
    "docker-compose": "docker-compose.yml",
    "github-actions": ".github/workflows/ci.yml",
    "uv": "uv.lock",
}


def test_each_kind_of_manifest_is_looked_after() -> None:
    here = {kind for kind, path in MANIFESTS.items() if (ROOT / path).exists()}
    assert UPDATES.keys() == here, "a kind without a manifest is an error in Dependabot"


def test_hooks_have_no_versions_of_their_own() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    assert {it["repo"] for it in hooks["repos"]} == {"local"}, "let Dependabot watch pre-commit"


def test_composite_actions_and_the_list_of_pins_are_looked_after() -> None:
    patterns = UPDATES["github-actions"]["directories"]
    for path in (*find_actions(ROOT), ROOT / ".github/runner/pins/action.yml"):
        folder = f"/{path.parent.relative_to(ROOT)}"
        assert any(fnmatchcase(folder, pattern) for pattern in patterns), folder


@pytest.mark.parametrize("update", UPDATES.values(), ids=UPDATES)
def test_one_grouped_pull_request_a_week_after_a_cooldown(update: dict[str, Any]) -> None:
    assert update["schedule"]["interval"] == "weekly"
    assert update["cooldown"]["default-days"] >= 7
    assert [it["patterns"] for it in update["groups"].values()] == [["*"]]
