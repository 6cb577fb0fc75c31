"""The rules that keep workflows safe and right: each is broken once, accepted once."""

import re
from pathlib import Path

import pytest
from checks import workflow_rules
from engine import ROOT
from origin import Git

PIN = "3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1"
PYPROJECT = '[tool.pipelines]\nserve = "app --port {port}"\n'
PLAIN = """on: push
jobs:
  scan:
    runs-on: ubuntu-24.04
    timeout-minutes: 5
    permissions: {contents: read}
    steps:
      - uses: actions/checkout@PIN
        with: {persist-credentials: false}
      - run: make scan
"""
VERDICT = """
  last:
    needs: [scan]
    if: always()
    runs-on: ubuntu-24.04
    timeout-minutes: 5
    permissions: {contents: read}
    steps:
      - uses: ./.github/actions/verdict
        with: {needs: "${{ toJSON(needs) }}"}
"""
ADDED = "\n  new: {runs-on: x, timeout-minutes: 5, permissions: {}, steps: [{run: make}]}\n"
FAULTS = {
    "other.yml/scan: timeout": ("    timeout-minutes: 5\n", "", "six hours"),
    "other.yml/scan: contents": ("{contents: read}", "{}", "private repository"),
    "other.yml/scan: pin of an image": ("run: make scan", "uses: docker://alpine:3", "digest"),
    "other.yml/last: verdict": (VERDICT, VERDICT + ADDED, "new"),
    "other.yml/last: verdict runs always": ("    if: always()\n", "", "always()"),
    "other.yml: paths": ("on: push", "on: {pull_request: {paths: [src]}}", "for ever"),
}


def write(folder: Path, text: str, accepted: str = "") -> None:
    workflows = folder / ".github/workflows"
    workflows.mkdir(parents=True, exist_ok=True)
    (workflows / "other.yml").write_text(text)
    table = f"[tool.pipelines.accepted]\n{accepted}\n" if accepted else ""
    (folder / "pyproject.toml").write_text(PYPROJECT + table)


def test_our_own_break_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert workflow_rules.main([str(ROOT)]) == 0, capsys.readouterr().out


@pytest.mark.parametrize("key", FAULTS)
def test_fault_is_named_and_can_be_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], key: str
) -> None:
    old, new, word = FAULTS[key]
    text = (PLAIN + VERDICT).replace("PIN", PIN)
    assert old in text
    write(tmp_path, text.replace(old, new, 1))
    assert workflow_rules.main([str(tmp_path)]) == 1
    said = capsys.readouterr().out.replace("%3A", ":")
    assert [line for line in said.splitlines() if line.startswith(f"::error title={key}::")]
    assert word in said
    write(tmp_path, text.replace(old, new, 1), f'"{key}" = "we want it so"')
    assert workflow_rules.main([str(tmp_path)]) == 0


@pytest.mark.parametrize("name", [".gitignore", ".github/.gitignore", ".github/.ignore"])
def test_workflow_that_zizmor_would_pass_over_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    git = Git(tmp_path)
    git("init", "--quiet")
    write(tmp_path, PLAIN.replace("PIN", PIN))
    git.save("ci: scan")
    (tmp_path / name).write_text("other.yml\n*.pyc\n")
    assert workflow_rules.main([str(tmp_path)]) == 1
    assert "::error title=.github/workflows/other.yml%3A ignored::" in capsys.readouterr().out


def test_acceptance_that_nothing_needs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, PLAIN.replace("PIN", PIN), '"gone.yml: paths" = "old"')
    assert workflow_rules.main([str(tmp_path)]) == 0
    assert "can go" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["", "on: push", "jobs: {a: null}", "jobs:\n  a: {steps: null}"])
def test_half_written_workflow_is_no_traceback(tmp_path: Path, text: str) -> None:
    write(tmp_path, text)
    workflow_rules.main([str(tmp_path)])


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("[tool.pipelines]\nsevre = 1\n", "line 2, [tool.pipelines]: sevre is unknown; there are "),
        ("[tool.pipelines\n", "is no valid TOML: "),
        ("", "has no [tool.pipelines]: add it, "),
    ],
)
def test_mistake_in_the_project_is_said_as_what_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], table: str, said: str
) -> None:
    write(tmp_path, PLAIN)
    (tmp_path / "pyproject.toml").write_text(table)
    assert workflow_rules.main([str(tmp_path)]) == 1
    error, title = capsys.readouterr().out, "The workflows could not be checked"
    assert re.match(rf"::error title={title}::pyproject\.toml,? {re.escape(said)}", error)


def test_no_yaml(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, "jobs: {")
    assert workflow_rules.main([str(tmp_path)]) == 1
    assert "could not be checked" in capsys.readouterr().out
