from pathlib import Path

import pytest
from origin import Git
from repository import update_from_template
from repository.rename_project import RefusedError, rename
from repository.update_from_template import TRAILER, Conflicts, update

WORKFLOW = "name: CI\n\none: 1\n\ntwo: 2\n\nthree: 3\n"
FILES = {
    "pyproject.toml": '[project]\nname = "the-template"\ndescription = "x"\n',
    "uv.lock": 'name = "the-template"\n',
    "README.md": "# the-template\n",
    ".github/workflows/ci.yml": WORKFLOW,
    ".github/workflows/cd.yml": "name: CD\n",
    ".github/runner/run.py": "import the_template\n",
    "src/the_template/app.py": "app = 1\n",
}


def make(directory: Path, files: dict[str, str], message: str = "feat: start") -> Git:
    """Commit files in a repository, which is made if it is not there."""
    git = Git(directory)
    if not directory.exists():
        directory.mkdir()
        git("init", "--quiet", "--initial-branch=main")
    for name, text in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text)
    git("add", "--all")
    git("commit", "--quiet", "-m", message)
    return git


@pytest.fixture(autouse=True)
def _identity(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for key, value in Git(tmp_path).environment.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setattr(update_from_template, "lock", lambda _: False)


@pytest.fixture
def template(tmp_path: Path) -> Git:
    make(tmp_path / "template", FILES | {"LICENSE": "older"}, "feat: before the copy was made")
    return make(tmp_path / "template", FILES | {"LICENSE": "MIT"})


@pytest.fixture
def copy(template: Git, tmp_path: Path) -> Git:
    """Return what 'Use this template' makes, renamed and edited: a history of its own."""
    git = make(tmp_path / "copy", FILES | {"LICENSE": "MIT"}, "Initial commit")
    rename(git.directory, "my-service")
    make(git.directory, {}, "chore: rename")
    edited = WORKFLOW.replace("one: 1", "one: mine")
    make(git.directory, {".github/workflows/ci.yml": edited, "src/my_service/app.py": "app = 2\n"})
    assert template.find("HEAD") != git.find("HEAD")
    return git


def run(copy: Git, template: Git, base: str = "") -> str:
    return update(copy.directory, str(template.directory), "HEAD", base)


def read(git: Git, path: str) -> str:
    return (git.directory / path).read_text()


def test_edited_workflow_gets_the_templates_changes(copy: Git, template: Git) -> None:
    improved = WORKFLOW.replace("three: 3", "three: better")
    files = {
        ".github/workflows/ci.yml": improved,
        ".github/runner/run.py": "import the_template\nimport more\n",
        ".github/scripts/new.py": "import the_template\n",
        "README.md": "# the-template, improved\n",
        "src/the_template/app.py": "app = 3\n",
        "src/the_template/new.py": "new\n",
    }
    make(template.directory, files, "ci: better")
    assert "Updated to" in run(copy, template)
    assert read(copy, ".github/workflows/ci.yml") == improved.replace("one: 1", "one: mine")
    assert read(copy, ".github/runner/run.py") == "import my_service\nimport more\n"
    assert read(copy, ".github/scripts/new.py") == "import my_service\n"
    assert read(copy, "README.md") == "# my-service\n"
    assert read(copy, "src/my_service/app.py") == "app = 2\n"
    assert not (copy.directory / "src/my_service/new.py").exists()
    assert not copy("status", "--porcelain")
    message = copy("log", "-1", "--format=%B")
    assert message.startswith("build: update from the template\n\n- ci: better\n")
    assert f"{TRAILER}: {template.find('HEAD')}" in message


def test_second_update_brings_only_what_is_new(copy: Git, template: Git) -> None:
    make(template.directory, {"LICENSE": "MIT 2"}, "docs: one")
    run(copy, template)
    assert "has everything" in run(copy, template)
    make(copy.directory, {"LICENSE": "MIT 2, mine"})
    make(template.directory, {".github/workflows/cd.yml": "name: CD 2\n"}, "ci: two")
    run(copy, template)
    assert read(copy, "LICENSE") == "MIT 2, mine"
    assert read(copy, ".github/workflows/cd.yml") == "name: CD 2\n"
    assert "docs: one" not in copy("log", "-1", "--format=%B")


def test_deleted_file_stays_deleted(copy: Git, template: Git) -> None:
    (copy.directory / ".github/workflows/cd.yml").unlink()
    make(copy.directory, {}, "ci: no delivery")
    make(template.directory, {".github/workflows/cd.yml": "name: CD 2\n", "LICENSE": "MIT 2"})
    run(copy, template)
    assert not (copy.directory / ".github/workflows/cd.yml").exists()
    assert read(copy, "LICENSE") == "MIT 2"


def test_clash_is_an_ordinary_conflict(copy: Git, template: Git) -> None:
    theirs = WORKFLOW.replace("one: 1", "one: theirs")
    make(template.directory, {".github/workflows/ci.yml": theirs, "LICENSE": "MIT 2"}, "ci: one")
    with pytest.raises(Conflicts, match=r"^\.github/workflows/ci\.yml$"):
        run(copy, template)
    text = read(copy, ".github/workflows/ci.yml")
    assert "<<<<<<< HEAD\none: mine\n=======\none: theirs\n>>>>>>>" in text
    (copy.directory / ".github/workflows/ci.yml").write_text(theirs)
    copy("add", "--all")
    copy("-c", "core.editor=true", "cherry-pick", "--continue")
    assert "has everything" in run(copy, template)
    assert read(copy, "LICENSE") == "MIT 2"


def test_copy_of_unknown_origin_needs_a_base(template: Git, tmp_path: Path) -> None:
    other = make(tmp_path / "other", FILES | {"LICENSE": "MIT", "own.txt": "mine"})
    make(template.directory, {"LICENSE": "MIT 2"})
    with pytest.raises(RefusedError, match="--base COMMIT"):
        run(other, template)
    run(other, template, base=template.find("HEAD^"))
    assert read(other, "LICENSE") == "MIT 2"


def test_uncommitted_change_is_refused(copy: Git, template: Git) -> None:
    (copy.directory / "LICENSE").write_text("mine")
    with pytest.raises(RefusedError, match="Commit or stash"):
        run(copy, template)
    assert copy("status", "--porcelain") == " M LICENSE"
