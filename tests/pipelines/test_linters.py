"""The linters of the pipelines find nothing, and nothing is hidden from them."""

import re
import subprocess

import pytest
import yaml
from engine import ROOT


@pytest.mark.parametrize("task", ["actionlint", "zizmor", "shellcheck", "hadolint"])
def test_finds_nothing(task: str) -> None:
    done = subprocess.run(
        ["poe", "-q", task], check=False, cwd=ROOT, text=True, capture_output=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_one_rule_of_zizmor_is_off() -> None:
    rules = yaml.safe_load((ROOT / ".github/zizmor.yml").read_text())["rules"]
    assert rules == {"self-repository": {"disable": True}}


def test_nothing_is_suppressed() -> None:
    suppression = re.compile(r"zizmor: ignore|shellcheck disable|hadolint ignore")
    for path in (ROOT / ".github").rglob("*"):
        if path.suffix in {".yml", ".sh"}:
            assert not suppression.search(path.read_text()), path
