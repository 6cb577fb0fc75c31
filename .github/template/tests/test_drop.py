"""A copy without some of the pipelines: nothing is red, nothing is left over."""

import re
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import pytest
import yaml
from copies import execute, lint
from engine import ROOT
from harness import RunPipeline, explain
from origin import Git
from workflows import find_workflows

SCRIPT = ".github/scripts/repository/drop_pipeline.py"
PIPELINES = sorted(find_workflows(ROOT))
ALL_BUT_ONE = [pipeline for pipeline in PIPELINES if pipeline != "pr"]
CASES = [
    *([pipeline] for pipeline in PIPELINES if pipeline != "ci"),
    ["ci", "release"],
    ["cd", "docker"],
    ALL_BUT_ONE,
]
each_case = pytest.mark.parametrize("names", CASES, ids="-".join)


def drop(tree: Path, *names: str) -> subprocess.CompletedProcess[str]:
    """Run the command; return how it ended."""
    command = [sys.executable, SCRIPT, *names]
    return subprocess.run(command, cwd=tree, check=False, text=True, capture_output=True)


def read(tree: Path) -> dict[str, str]:
    """Return the text of each file."""
    listed = Git(tree)("ls-files", "--cached", "--others", "--exclude-standard").splitlines()
    paths = (path for path in listed if (tree / path).is_file() and path != "uv.lock")
    return {path: (tree / path).read_text(errors="replace") for path in paths}


@cache
def find_orphans(tree: Path) -> set[str]:
    """Return what nothing names: scripts, actions, helpers, documents, groups, ignored folders."""
    texts = read(tree)
    code = {path: text for path, text in texts.items() if not path.startswith(".github/tests/")}
    orphans = set()
    for path in texts:
        others = (texts if path.startswith(".github/tests/") else code).keys() - {path}
        name = Path(path).name
        if path.startswith((".github/scripts/", ".github/tests/support/", "docs/", "deploy/")):
            if path.endswith(".py"):
                folder, stem = Path(path).parent.name, Path(path).stem
                named = re.compile(
                    rf"{stem}\.py\b|\b{folder}\.{stem}\b|^from {stem} |\"{stem}\""
                    rf"|^(?:from {folder} )?import [^\n]*\b{stem}\b",
                    re.MULTILINE,
                )
                used = any(named.search(texts[other]) for other in others)
            else:
                used = any(name in texts[other] for other in others)
        elif path.startswith(".github/actions/"):
            used = any(str(Path(path).parent) in texts[other] for other in others)
        else:
            continue
        if not used:
            orphans.add(path)
    found = re.findall(
        r"groups: (.*)|group[= ](\S+)|include-group = \"([\w-]+)", "\n".join(code.values())
    )
    known = set(re.findall(r"[\w-]+", " ".join(" ".join(groups) for groups in found))) | {"dev"}
    groups = tomllib.loads(texts["pyproject.toml"])["dependency-groups"]
    orphans |= {f"group {group}" for group in groups if group not in known}
    for folder in re.findall(r"^/([\w-]+)/$", texts[".gitignore"], re.MULTILINE):
        if not any(folder in text for path, text in code.items() if path != ".gitignore"):
            orphans.add(f"ignored {folder}")
    steps = (".github/workflows/", ".github/actions/")
    calls = "".join(text for path, text in texts.items() if path.startswith(steps))
    called = set(re.findall(r"uses: ([\w.-]+/[\w./-]+)@", calls))
    pins = set(re.findall(r"uses: (\S+)@", texts[".github/runner/pins/action.yml"]))
    orphans |= {f"pin {pin}" for pin in pins - called}
    called |= set(re.findall(r"uses: ([\w.-]+/[\w./-]+)@", "".join(texts.values())))
    folders = (tree / ".github/runner/stand-ins").rglob("interface.yml")
    names = {
        "/".join(folder.parent.relative_to(tree / ".github/runner/stand-ins").parts)
        for folder in folders
    }
    return orphans | {f"stand-in {name}" for name in names - called}


def find_dead_links(texts: dict[str, str], tree: Path) -> set[str]:
    """Return links in documents that lead nowhere."""
    dead = set()
    pages = {path: text for path, text in texts.items() if path.endswith(".md")}
    for page, text in pages.items():
        for target in re.findall(r"\]\((?!https?:|\.\./\.\./actions/)([^)\s]+)", text):
            path, _, anchor = target.partition("#")
            other = (tree / page).parent / path if path else tree / page
            heads = re.findall(r"^#+ (.+)$", other.read_text(), re.MULTILINE) if anchor else ()
            known = {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}
            if not other.exists() or (anchor and anchor not in known):
                dead.add(f"{page}: {target}")
    return dead


def find_dead_imports(texts: dict[str, str], tree: Path) -> set[str]:
    """Return modules that are imported and not there; those of packages too."""
    folders = (".github/runner", ".github/scripts", ".github/tests/support", "deploy/kubernetes")
    roots = [tree / folder for folder in folders]
    known = {
        ".".join(path.relative_to(root).with_suffix("").parts)
        for root in roots
        for path in root.rglob("*.py")
    }
    imports = re.compile(r"^(?:from (\S+) )?import (?:\(\s+)?([\w.]+(?:,\s+\w+)*)", re.MULTILINE)
    return {
        f"{path}: {package} {name}"
        for path, text in texts.items()
        if path.endswith(".py")
        for package, names in imports.findall(text)
        for name in re.split(r",\s+", names)
        if not {package, f"{package}.{name}".lstrip(".")} & known
    }


@cache
def find_dead_ends(tree: Path) -> set[str]:
    """Return links, tasks, groups, folders and modules that are named and not there."""
    texts = read(tree)
    project = tomllib.loads(texts["pyproject.toml"])
    tasks = project["tool"]["poe"]["tasks"]
    named = re.compile(r"(?:uv run|--locked) poe (?:-q )?([a-z][a-z-]*)")
    dead = {
        f"{path}: poe {task}"
        for path, text in texts.items() if not path.startswith(".github/tests/")
        for task in set(named.findall(text)) - set(tasks)
    }  # fmt: skip
    dead |= {
        f"task {name}: {path}"
        for name, task in tasks.items()
        for path in re.findall(r"[\w./-]+/[\w./-]+", str(task))
        if not (tree / path).exists()
    }
    for name, workflow in find_workflows(tree).items():
        groups = " ".join(re.findall(r"groups: (.*)", workflow.read_text())).split()
        dead |= {f"{name}: {group}" for group in set(groups) - set(project["dependency-groups"])}
    for update in yaml.safe_load(texts[".github/dependabot.yml"])["updates"]:
        folders = update.get("directories") or [update["directory"]]
        dead |= {
            folder for folder in folders if not list(tree.glob(f"{folder.strip('/') or '.'}/*"))
        }
    return dead | find_dead_links(texts, tree) | find_dead_imports(texts, tree)


@each_case
def test_nothing_is_left_over(renamed: Git, copy: Path, names: list[str]) -> None:
    done = drop(copy, *names)
    assert done.returncode == 0, done.stderr
    assert find_dead_ends(copy) - find_dead_ends(renamed.directory) == set()
    assert find_orphans(copy) - find_orphans(renamed.directory) == set()
    left = "|".join(names)
    commands = re.compile(
        rf"pipelines (?:{left})\b(?!-)|workflow run (?:{left})\.yml|^# /?(?:{left})$"
    )
    pages = {
        path: text for path, text in read(copy).items() if path.endswith((".md", ".toml", ".yml"))
    }
    assert not [path for path, text in pages.items() if commands.search(text)]
    execute(copy, "uv", "lock", "--check", "--quiet")
    execute(copy, "actionlint", "-shellcheck=")
    execute(copy, sys.executable, ".github/scripts/checks/workflow_rules.py")
    execute(copy, "ruff", "check", ".")


@pytest.mark.usefixtures("types")
def test_linters_and_tests_are_green(copy: Path) -> None:
    assert drop(copy, *ALL_BUT_ONE).returncode == 0
    lint(copy)
    execute(copy, "poe", "-q", "--executor=simple", "shellcheck")
    execute(copy, "hadolint", "--failure-threshold", "warning", "Dockerfile")
    readers = (
        "checks/test_changes.py", "checks/test_workflow_rules.py", "workflows",
        "repository/test_setup_github.py", "runner/test_workflows.py",
    )  # fmt: skip
    tests = [f".github/tests/{reader}" for reader in readers]
    execute(copy, "pytest", *tests, "-q", "-n0", "--assert=plain", "-m", "not slow")


@pytest.mark.parametrize(
    ("names", "pipeline", "event"),
    [(["performance", "cd"], "ci", "push"), (ALL_BUT_ONE, "pr", "pull_request")],
    ids=("ci", "pr"),
)
@pytest.mark.usefixtures("types")
def test_the_rest_still_runs(
    copy: Path, quick_pipeline: RunPipeline, names: list[str], pipeline: str, event: str
) -> None:
    assert drop(copy, *names).returncode == 0
    run = quick_pipeline(pipeline, event, source=copy)
    assert run.conclusion == "success", explain(run)


def test_what_a_pipeline_that_stays_calls_is_not_dropped(copy: Path) -> None:
    done = drop(copy, "ci")
    assert done.returncode == 1
    assert "release calls ci" in done.stderr
    assert not Git(copy)("status", "--porcelain")


def test_dry_run_changes_nothing(copy: Path) -> None:
    done = drop(copy, "performance", "--dry-run")
    assert "- locustfile.py\n" in done.stdout
    assert not Git(copy)("status", "--porcelain")


@pytest.mark.parametrize("name", ["nightly", "Performance", "ci.yml", "--all"])
def test_unknown_pipeline_is_refused(copy: Path, name: str) -> None:
    done = drop(copy, name)
    assert done.returncode
    assert "cd, ci, codeql" in done.stderr or "usage:" in done.stderr
    assert not Git(copy)("status", "--porcelain")


def test_uncommitted_changes_are_refused(copy: Path) -> None:
    (copy / "README.md").write_text("mine\n")
    assert "Commit or stash" in drop(copy, "performance").stderr
    assert (copy / "README.md").read_text() == "mine\n"


def test_the_name_comes_first(copy: Path) -> None:
    (copy / ".github/template").mkdir(exist_ok=True)
    (copy / ".github/template/proof.py").touch()
    Git(copy).save("chore: not renamed")
    assert "uv run poe rename NAME" in drop(copy, "performance").stderr
    assert not Git(copy)("status", "--porcelain")


def test_what_a_person_added_stays(copy: Path) -> None:
    script = copy / ".github/scripts/release/own.sh"
    script.write_text("#!/usr/bin/env bash\n# run by hand\n")
    other = copy / ".github/workflows/nightly.yml"
    other.write_text("on: workflow_dispatch\njobs: {a: {steps: [{run: x/license_check.py}]}}\n")
    git = Git(copy)
    git.save("chore: ours")
    assert drop(copy, "release", "dependency-review").returncode == 0
    assert script.exists()
    assert (copy / ".github/scripts/audit/licenses.py").exists()
    assert not (copy / ".github/scripts/audit/report_issue.py").exists()
