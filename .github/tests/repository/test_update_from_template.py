import os
from collections.abc import Callable
from pathlib import Path

import lib.git
import pytest
from fakes.github_api import FakeGitHub
from origin import Git
from repository import update_from_template
from repository.rename_project import RefusedError, rename
from repository.update_from_template import (
    TRAILER,
    Conflicts,
    apply,
    describe,
    find_base,
    prepare,
)

Propose = Callable[[], tuple[int, str]]

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
    git.save(message)
    return git


@pytest.fixture(autouse=True)
def _identity(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for key, value in Git(tmp_path).environment.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setattr(update_from_template, "lock", lambda _: None)


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


def run(copy: Git, template: Git, base: str = "", ref: str = "HEAD") -> str:
    """Update; return what a dry run says before."""
    update = prepare(copy.directory, str(template.directory), ref, base)
    if not update.commit:
        return "has everything"
    before = copy("status", "--porcelain"), copy.find("HEAD")
    said = describe(copy.directory, update)
    assert (copy("status", "--porcelain"), copy.find("HEAD")) == before
    apply(copy.directory, update)
    return said


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
    said = run(copy, template)
    assert [" ".join(line.split()) for line in said.splitlines()[1:]] == [
        ".github/runner/run.py | 1 +",
        ".github/scripts/new.py (new) | 1 +",
        ".github/workflows/ci.yml | 2 +-",
        "3 files changed, 3 insertions(+), 1 deletion(-)",
        "README.md: yours, or deleted here: left as it is",
        "src/my_service/app.py: yours, or deleted here: left as it is",
        "src/my_service/new.py: yours, or deleted here: left as it is",
    ]
    assert read(copy, ".github/workflows/ci.yml") == improved.replace("one: 1", "one: mine")
    assert read(copy, ".github/runner/run.py") == "import my_service\nimport more\n"
    assert read(copy, ".github/scripts/new.py") == "import my_service\n"
    assert read(copy, "README.md") == "# my-service\n"
    assert read(copy, "src/my_service/app.py") == "app = 2\n"
    assert not (copy.directory / "src/my_service/new.py").exists()
    assert not copy("status", "--porcelain")
    message = copy("log", "-1", "--format=%B")
    assert message.startswith("build: update from the template to ")
    assert "\n\n- ci: better\n" in message
    assert f"{TRAILER}: {template.find('HEAD')}" in message


def test_second_update_brings_only_what_is_new(copy: Git, template: Git) -> None:
    make(template.directory, {"LICENSE": "MIT 2"}, "docs: one")
    run(copy, template)
    message = copy("log", "-1", "--format=%B").replace("\n", "\r\n")  # squashed in a browser
    copy("commit", "--quiet", "--amend", "-m", f"{message}\r\n\r\nCo-authored-by: A <a@b.c>")
    assert "has everything" in run(copy, template)
    make(copy.directory, {"LICENSE": "MIT 2, mine"})
    make(template.directory, {".github/workflows/cd.yml": "name: CD 2\n"}, "ci: two")
    run(copy, template)
    assert read(copy, "LICENSE") == "MIT 2, mine"
    assert read(copy, ".github/workflows/cd.yml") == "name: CD 2\n"
    assert "docs: one" not in copy("log", "-1", "--format=%B")


def test_clash_is_an_ordinary_conflict(copy: Git, template: Git) -> None:
    theirs = WORKFLOW.replace("one: 1", "one: theirs")
    make(template.directory, {".github/workflows/ci.yml": theirs, "LICENSE": "MIT 2"}, "ci: one")
    update = prepare(copy.directory, str(template.directory), "HEAD", "")
    said = describe(copy.directory, update)
    assert " .github/workflows/ci.yml: a conflict to be solved" in said.splitlines()
    assert " LICENSE " in said
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
    with pytest.raises(RefusedError, match="There is no commit deadbeef here, nor in the template"):
        run(other, template, base="deadbeef")
    run(other, template, base=template.find("HEAD^")[:9])
    assert read(other, "LICENSE") == "MIT 2"


def test_shallow_clone_needs_its_past(copy: Git, template: Git, tmp_path: Path) -> None:
    make(copy.directory, {"own.txt": "mine"})
    shallow = Git(tmp_path / "shallow")
    copy("clone", "--quiet", "--depth=1", f"file://{copy.directory}", str(shallow.directory))
    with pytest.raises(RefusedError, match="git fetch --unshallow"):
        run(shallow, template)


def test_what_was_deleted_and_what_is_yours_stays(copy: Git, template: Git) -> None:
    scan = "scan = 1\n" * 9
    files = {"audit/scan.py": scan, "audit/moved.py": f"{scan}2", "kept/a.py": "a\n"}
    make(template.directory, files, "feat: scan")
    run(copy, template)
    copy("rm", "--quiet", "-r", "audit", ".github/workflows/cd.yml")
    make(copy.directory, {}, "ci: no scans, no delivery")
    files = {"audit/second.py": scan, "audit/deeper/third.py": scan, "kept/b.py": "b\n"}
    files["src/the_template/other.py"] = "other\n"
    make(template.directory, files | {".github/workflows/cd.yml": "name: CD 2\n"}, "feat: more")
    (template.directory / "moved").mkdir()
    template("mv", "audit/moved.py", "moved/scan.py")
    template("mv", "src/the_template/app.py", ".github/app.py")
    make(template.directory, {}, "refactor: move")
    run(copy, template)
    here = {path.rpartition("/")[2] for path in copy("ls-files").splitlines()}
    assert not here & {"scan.py", "moved.py", "second.py", "third.py", "cd.yml"}
    assert {"a.py", "b.py"} <= here
    assert read(copy, "src/my_service/app.py") == "app = 2\n"


def test_what_was_moved_gets_the_templates_changes(copy: Git, template: Git) -> None:
    copy("mv", ".github/workflows/ci.yml", ".github/workflows/build.yaml")
    (copy.directory / "legal").mkdir()
    copy("mv", "LICENSE", "legal/LICENSE")
    make(copy.directory, {}, "chore: move")
    improved = WORKFLOW.replace("three: 3", "three: better")
    make(template.directory, {".github/workflows/ci.yml": improved, "LICENSE": "MIT\n2\n"})
    assert "left as it is" not in run(copy, template)
    assert "three: better" in read(copy, ".github/workflows/build.yaml")
    assert "one: mine" in read(copy, ".github/workflows/build.yaml")
    assert read(copy, "legal/LICENSE") == "MIT\n2\n"


def test_clone_with_the_templates_history(template: Git, tmp_path: Path) -> None:
    clone = Git(tmp_path / "clone")
    template("clone", "--quiet", str(template.directory), str(clone.directory))
    make(template.directory, {"LICENSE": "MIT 2"}, "docs: better")
    run(clone, template)
    assert read(clone, "LICENSE") == "MIT 2"
    assert "has everything" in run(clone, template)


def test_newest_stable_release_is_meant(copy: Git, template: Git) -> None:
    for number, tag in enumerate(["v1.9.0", "v1.10.0", "v2.0.0-rc.1", "sprint12", "v1.2"]):
        make(template.directory, {"LICENSE": f"MIT {number}"}, f"docs: {tag} [skip ci]")
        template("tag", tag)
    run(copy, template, ref="")
    assert read(copy, "LICENSE") == "MIT 1"
    assert copy("log", "-1", "--format=%s") == "build: update from the template to v1.10.0"
    assert "- docs: v1.10.0 (skip ci)" in copy("log", "-1", "--format=%b"), "GitHub checks it"
    assert "has everything" in run(copy, template, ref="")
    run(copy, template, ref="v2.0.0-rc.1")
    assert read(copy, "LICENSE") == "MIT 2"


def make_branch(template: Git, name: str, start: str, files: dict[str, str]) -> None:
    template("switch", "--quiet", "--create", name, start)
    make(template.directory, files, f"feat: {name}")
    template("switch", "--quiet", "main")


@pytest.mark.parametrize("updated_to", ["", "main", "beside"])
@pytest.mark.parametrize("is_fresh", [False, True])
def test_copy_that_is_newer_than_the_release_has_everything(
    copy: Git, template: Git, updated_to: str, *, is_fresh: bool
) -> None:
    if updated_to:
        make(template.directory, {"LICENSE": "MIT 1"}, "docs: of the release")
    template("tag", "v1.0.0", "HEAD" if updated_to else "HEAD^")
    make(template.directory, {"LICENSE": "MIT 2", "new.txt": "new\n"}, "docs: newer")
    make_branch(template, "beside", "main", {"LICENSE": "MIT 3"})
    if updated_to:
        run(copy, template, ref=updated_to)
    if is_fresh:  # as a job has it: without what was fetched here
        make(copy.directory, {})
        fresh = Git(copy.directory.with_name("fresh"))
        copy("clone", "--quiet", "--no-local", str(copy.directory), str(fresh.directory))
        copy = fresh
    assert "has everything" in run(copy, template, ref="")
    release(template, {"LICENSE": "MIT 3", "next.txt": "next\n"}, "docs: next", "v1.1.0")
    run(copy, template, ref="")
    assert read(copy, "next.txt") == "next\n"
    assert read(copy, "LICENSE") == "MIT 3"


def test_branch_beside_takes_nothing_back(copy: Git, template: Git) -> None:
    make(template.directory, {"new.txt": "new\n"}, "feat: new")
    run(copy, template)
    make_branch(template, "beside", "HEAD^", {"LICENSE": "MIT 2"})
    run(copy, template, ref="beside")
    assert (read(copy, "new.txt"), read(copy, "LICENSE")) == ("new\n", "MIT 2")
    make(template.directory, {"LICENSE": "MIT 3"}, "docs: newer")
    run(copy, template)
    assert (read(copy, "new.txt"), read(copy, "LICENSE")) == ("new\n", "MIT 3")


def test_state_that_the_template_lost_needs_a_base(copy: Git, template: Git) -> None:
    make(copy.directory, {}, f"build: update\n\n{TRAILER}: {'1' * 40}")
    make(template.directory, {"LICENSE": "MIT 2"})
    with pytest.raises(RefusedError, match=f"no commit {'1' * 40} any more.* --base COMMIT"):
        run(copy, template)
    run(copy, template, base=template.find("HEAD^"))
    assert read(copy, "LICENSE") == "MIT 2"


def test_what_stops_an_update_is_said(
    copy: Git, template: Git, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(copy.directory)
    assert update_from_template.main(["--dry-run"]) == 1
    assert "git remote add template ADDRESS" in capsys.readouterr().err
    make(template.directory, {"LICENSE": "MIT 2"})
    (copy.directory / "LICENSE").write_text("mine")
    with pytest.raises(RefusedError, match="Commit or stash"):
        run(copy, template)
    assert copy("status", "--porcelain") == " M LICENSE"
    project = f'{read(copy, "pyproject.toml")}\n[tool.pipelines]\nyous = ["LICENSE"]\n'
    make(copy.directory, {"pyproject.toml": project})
    with pytest.raises(RefusedError, match="yous is unknown; there are"):
        run(copy, template)
    monkeypatch.chdir(copy.directory.parent)
    for source in ("template", str(template.directory)):
        assert update_from_template.main(["--from", source]) == 1
        assert "Not updated. There is no Git repository here" in capsys.readouterr().err


@pytest.fixture
def propose(
    copy: Git,
    template: Git,
    github: FakeGitHub,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Propose:
    """Return a function that proposes the newest release, with the token for it."""
    origin = copy.directory.with_name("origin")
    copy("init", "--quiet", "--bare", str(origin))
    copy("remote", "add", "origin", str(origin))
    template("tag", "v1.0.0")
    monkeypatch.chdir(copy.directory)
    copy("config", "user.useConfigOnly", "true")  # a job's machine may know no name for commits
    for variable in [name for name in os.environ if name.startswith(("GIT_AUTHOR", "GIT_COMM"))]:
        monkeypatch.delenv(variable)
    monkeypatch.delenv("GITHUB_TOKEN")
    monkeypatch.setenv("GH_TOKEN", "")
    monkeypatch.setenv("TEMPLATE_UPDATE_TOKEN", "secret")

    def execute() -> tuple[int, str]:
        assert github.url
        copy("switch", "--quiet", "main")
        arguments = ["--from", str(template.directory), "--pull-request", "main"]
        return update_from_template.main(arguments), capsys.readouterr().out

    return execute


def release(template: Git, files: dict[str, str], message: str, tag: str) -> None:
    make(template.directory, files, message)
    template("tag", tag)


def test_release_is_proposed_once(
    propose: Propose, template: Git, copy: Git, github: FakeGitHub
) -> None:
    assert propose() == (0, "This copy has everything of the template up to v1.0.0.\n")
    release(template, {"LICENSE": "MIT 2"}, "docs: <b> @octocat", "v1.1.0")
    assert propose() == (0, "Opened #1 with v1.1.0.\n")
    pull = github.issues.heads["octo-org:template/v1.1.0"]
    assert pull["title"] == "build: update from the template to v1.1.0"
    assert (pull["base"], pull["draft"]) == ("main", False)
    assert "- docs: \\<b\\> @\u2060octocat" in pull["body"]
    assert copy("show", "origin/template/v1.1.0:LICENSE") == "MIT 2"
    assert "secret" not in (copy.directory / ".git/config").read_text()
    assert propose() == (0, "v1.1.0 was proposed already.\n")
    copy("push", "--quiet", "--delete", "origin", "template/v1.1.0")
    assert propose() == (0, "v1.1.0 was proposed already.\n"), "it was closed"

    # GitHub makes the text of the pull request the message of the squashed commit
    make(copy.directory, {"LICENSE": "MIT 2"}, f"{pull['title']}\n\n{pull['body']}")
    release(template, {"LICENSE": "MIT 3"}, "docs: two", "v1.2.0")
    tip = template.find("HEAD")
    base = find_base(lib.git.Git(copy.directory), str(template.directory), tip, tip)
    assert base == template.find("v1.1.0")
    assert propose() == (0, "Opened #2 with v1.2.0.\n")


def test_proposal_that_failed_is_made_again(
    propose: Propose, template: Git, copy: Git, github: FakeGitHub
) -> None:
    release(template, {"LICENSE": "MIT 2"}, "docs: one", "v1.1.0")
    github.faults = ["POST .*/pulls"]
    assert propose()[0] == 1
    github.faults = []
    copy("switch", "--quiet", "main")
    make(copy.directory, {"own.txt": "meanwhile"})
    assert propose() == (0, "Opened #1 with v1.1.0.\n")
    assert copy("show", "origin/template/v1.1.0:own.txt") == "meanwhile"

    release(template, {"LICENSE": "MIT 3"}, "docs: two", "v1.2.0")
    copy("switch", "--quiet", "--create", "template/v1.2.0")
    make(copy.directory, {"own.txt": "by hand"})
    copy("push", "--quiet", "origin", "template/v1.2.0")
    assert propose() == (0, "v1.2.0 was proposed already.\n")
    assert copy("show", "origin/template/v1.2.0:own.txt") == "by hand"


def test_conflict_comes_as_a_draft(
    propose: Propose, template: Git, copy: Git, github: FakeGitHub
) -> None:
    file = ".github/workflows/ci.yml"
    theirs = {file: WORKFLOW.replace("one: 1", "one: theirs"), "LICENSE": "MIT 2"}
    release(template, theirs, "ci: theirs", "v1.1.0")
    assert propose() == (0, "Opened #1 with v1.1.0, with 1 conflicts to be solved.\n")
    pull = github.issues.heads["octo-org:template/v1.1.0"]
    assert pull["draft"]
    assert f"- `{file}`" in pull["body"]
    assert "<<<<<<<" in copy("show", f"origin/template/v1.1.0:{file}")
    assert copy("show", "origin/template/v1.1.0:LICENSE") == "MIT 2"


def test_what_stops_a_proposal_is_said(
    propose: Propose, template: Git, github: FakeGitHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    release(template, {"LICENSE": "MIT 2"}, "docs: one", "v1.1.0")
    github.faults = ["POST .*/pulls"]
    code, text = propose()
    assert code == 1
    assert "POST pulls: HTTP 502" in text
    template.directory.rename(template.directory.with_name("gone"))
    code, text = propose()
    assert code == 1
    assert "::error title=Update from the template::" in text
    assert "does not" in text
    monkeypatch.delenv("TEMPLATE_UPDATE_TOKEN")
    code, text = propose()
    assert code == 1
    assert "gh secret set TEMPLATE_UPDATE_TOKEN" in text
