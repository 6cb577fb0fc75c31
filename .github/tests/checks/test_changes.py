"""What a change touches, and that whatever is not known touches everything."""

from pathlib import Path

import pytest
from checks import changes
from checks.changes import AREAS, DOCUMENTS, decide, touches
from engine import ROOT
from origin import Git
from workflows import find_workflows

EVERYTHING = {*AREAS}
CASES = {
    "README.md": set(),
    "docs/setup.md": set(),
    "docs/images/picture.png": set(),
    ".github/pull_request_template.md": set(),
    ".github/ISSUE_TEMPLATE/bug.yml": set(),
    "docs/conf.py": {"codeql"},
    "src/shop/prompt.md": {"app", "image", "performance"},
    "tests/unit/letter.md": {"app"},
    ".github/scripts/lib/processes.py": EVERYTHING,
    ".github/actions/setup/action.yml": EVERYTHING,
    ".github/workflows/pr.yml": {"app", "codeql", "machinery"},
    "tests/unit/test_it.py": {"app", "codeql"},
    "tests/conftest.py": {"app", "codeql", "image", "performance"},
    ".github/scripts/codeql/sarif_report.py": {"codeql", "image", "machinery"},
    "tests/smoke/test_it.py": {"app", "codeql", "image"},
    "src/shop/app.py": {"app", "codeql", "image", "performance"},
    "uv.lock": EVERYTHING,
    "pyproject.toml": EVERYTHING,
    "Dockerfile": {"image", "machinery"},
    ".github/workflows/ci.yml": {"codeql", "machinery"},
    ".github/workflows/docker.yml": {"codeql", "image", "machinery"},
    ".github/scripts/audit/license_check.py": {"codeql", "dependencies", "machinery"},
    ".github/scripts/performance/report.py": {"codeql", "machinery", "performance"},
    ".github/dependency-review-config.yml": {"dependencies", "machinery"},
    "deploy/compose/host.sh": {"machinery"},
    "locustfile.py": {"codeql", "performance"},
    "a file that nobody thought of": EVERYTHING,
    "Makefile": EVERYTHING,
    "conftest.py": EVERYTHING,
    "tools/generate.py": EVERYTHING,
    ".pre-commit-config.yaml": EVERYTHING,
}


@pytest.mark.parametrize("path", CASES)
def test_one_file(path: str) -> None:
    assert touches([path]) == CASES[path]


def test_areas_add_up_and_nothing_touches_nothing() -> None:
    assert touches(["README.md", "deploy/x.sh", "Dockerfile"]) == {"image", "machinery"}
    assert touches([]) == set()


def test_code_may_be_elsewhere() -> None:
    assert touches(["app/main.py"], "app") == CASES["src/shop/app.py"]
    assert touches(["app/data.json"], "src") == EVERYTHING


def test_every_file_of_this_repository_is_in_a_list() -> None:
    files = Git(ROOT)("ls-files", "src", "tests", ".github", "deploy", "docs").splitlines()
    named = [*DOCUMENTS, *(pattern for patterns in AREAS.values() for pattern in patterns)]
    known = changes.compile_patterns((*named,))
    assert not [file for file in files if not known.fullmatch(file)]


JUDGED = {
    "codeql": "codeql", "dependency-review": "dependencies", "docker": "image",
    "performance": "performance",
}  # fmt: skip
"""The area whose change starts the jobs of a pipeline."""
NOT_IN_PULL_REQUESTS = {
    ".github/scripts/release/release_version.py", ".github/scripts/audit/report_issue.py",
    ".github/scripts/repository/update_from_template.py",
}  # fmt: skip


def find_scripts(text: str) -> set[Path]:
    """Return the scripts that a text calls or imports."""
    return {
        path
        for path in (ROOT / ".github/scripts").rglob("*.*")
        if f"{path.parent.name}/{path.name}" in text
        or f"from {path.parent.name}.{path.stem} import" in text
    }


@pytest.mark.parametrize("pipeline", sorted(JUDGED.keys() & find_workflows(ROOT).keys()))
def test_script_of_a_pipeline_touches_it(pipeline: str) -> None:
    new = find_scripts(find_workflows(ROOT)[pipeline].read_text())
    new = {path for path in new if path.relative_to(ROOT).as_posix() not in NOT_IN_PULL_REQUESTS}
    used: set[Path] = set()
    while new:
        used |= new
        new = {found for path in new for found in find_scripts(path.read_text())} - used
    assert used
    paths = [path.relative_to(ROOT).as_posix() for path in used]
    assert not [path for path in paths if JUDGED[pipeline] not in touches([path])]


@pytest.fixture
def git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Git:
    """Return a small project with one commit; it is the current folder."""
    git = Git(tmp_path)
    git("init", "--quiet", "--initial-branch=main")
    (tmp_path / "pyproject.toml").write_text('[tool.pipelines]\nserve = "x {port}"\n')
    (tmp_path / "src").mkdir()
    (tmp_path / "src/app.py").write_text("one = 1\n")
    git.save("feat: start")
    monkeypatch.chdir(tmp_path)
    return git


@pytest.mark.parametrize("edit", [("mv", "src/app.py", "notes.md"), ("rm", "src/app.py")])
def test_what_is_gone_counts(git: Git, edit: tuple[str, ...]) -> None:
    git(*edit)
    git("commit", "--quiet", "-m", "feat: less")
    assert decide("HEAD^1")[0] == CASES["src/shop/app.py"]


def test_merge_is_compared_with_its_first_parent(git: Git) -> None:
    git("checkout", "--quiet", "-b", "feature")
    Path("README.md").write_text("new\n")
    git.save("docs: new")
    git("checkout", "--quiet", "main")
    Path("src/app.py").write_text("two = 2\n")
    git("commit", "--quiet", "-am", "feat: on main")
    git("merge", "--quiet", "--no-ff", "-m", "merge", "feature")
    assert decide("HEAD^1")[0] == set()


def test_first_commit_and_shallow_clone_touch_everything(
    git: Git, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert decide("HEAD^1")[0] == EVERYTHING
    git("commit", "--quiet", "--allow-empty", "-m", "chore: nothing")
    shallow = tmp_path_factory.mktemp("shallow") / "clone"
    git("clone", "--quiet", "--depth=1", f"file://{git.directory}", str(shallow))
    monkeypatch.chdir(shallow)
    assert decide("HEAD^1")[0] == EVERYTHING


@pytest.mark.parametrize("trouble", ["no base", "no git", "no table"])
def test_trouble_touches_everything(
    git: Git, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, trouble: str
) -> None:
    git("commit", "--quiet", "--allow-empty", "-m", "chore: nothing")
    if trouble == "no git":
        monkeypatch.setenv("PATH", str(tmp_path))
    if trouble == "no table":
        Path("pyproject.toml").write_text("")
    assert decide("" if trouble == "no base" else "HEAD^1")[0] == EVERYTHING


def test_outputs(git: Git, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    git("commit", "--quiet", "--allow-empty", "-m", "chore: nothing")
    monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "out"))
    assert changes.main(["--base=HEAD^1"]) == 0
    assert (tmp_path / "out").read_text() == "".join(f"{area}=false\n" for area in AREAS)


def test_new_base_touches_everything_and_hides_no_gate(
    git: Git, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    gate = Path(".github/codeql/config.yml")
    gate.parent.mkdir(parents=True)
    gate.touch()
    git.save("chore: accept")
    assert decide("HEAD^1")[0] != EVERYTHING
    (tmp_path / "event").write_text('{"action": "edited", "changes": {"base": {}}}')
    monkeypatch.setenv("GITHUB_EVENT_PATH", str(tmp_path / "event"))
    areas, _, gates = decide("HEAD^1")
    assert (areas, gates) == (EVERYTHING, [str(gate)])


def test_settings_of_gates_are_named(
    git: Git, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with Path("pyproject.toml").open("a") as file:
        file.write("[tool.coverage.report]\nfail_under = 0\n")
    names = [".github/workflows/ci.yml", ".hadolint.yaml", "src/mypy.ini", "src/.ruff.toml"]
    names += ["src/.gitattributes", "src/pyproject.toml", ".trivyignore"]
    for name in (*names, "src/app.py"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text("one = 2\n")
    git.save("feat: more")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary"))
    assert changes.main(["--base=HEAD^1"]) == 0
    told = (tmp_path / "summary").read_text().replace("\\", "").partition("closely:\n\n")[2]
    assert {*told.split("\n")} == {f"- {name}" for name in (*names, "[tool.coverage]")} | {""}


def test_many_files(git: Git) -> None:
    folder = git.directory / "docs"
    folder.mkdir()
    for number in range(5000):
        (folder / f"{number}.md").touch()
    git.save("docs: many")
    assert decide("HEAD^1")[0] == set()
