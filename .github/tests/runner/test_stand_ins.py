"""The stand-ins for the actions that move files and code are as strict as the actions."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from origin import Git

STAND_INS = Path(__file__).parents[2] / "runner/stand-ins/actions"


def run(action: str, tree: Path, **inputs: str) -> tuple[int, str, str]:
    """Run a stand-in in a folder; return its exit code, what it printed, and its outputs."""
    output = tree.parent / "output"
    output.write_text("")
    (tree.parent / "kept").mkdir(exist_ok=True)
    (main,) = (STAND_INS / action).glob("main.*")
    command = [sys.executable if main.suffix == ".py" else "bash", str(main)]
    done = subprocess.run(
        command,
        cwd=tree,
        env=os.environ
        | Git(tree).environment
        | {
            "GITHUB_OUTPUT": str(output),
            "GITHUB_REPOSITORY": "octo-org/widget",
            "GITHUB_RUN_ID": "1",
            "GITHUB_SERVER_URL": "https://github.com",
            "PIPELINES_ARTIFACTS": str(tree.parent / "kept"),
            **inputs,
        },
        check=False,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    return done.returncode, done.stdout, output.read_text()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return a folder with files to keep."""
    tree = tmp_path / "tree"
    for name in ("a/one.txt", "a/b/two.txt", "a/.hidden", "c/three.txt", ".d/four.txt"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(name)
    return tree


def upload(tree: Path, patterns: str, **inputs: str) -> tuple[int, str, str]:
    settings = {"ABSENT": "warn", "HIDDEN": "false", "NAME": "files", "OVERWRITE": "false"}
    return run("upload-artifact", tree, PATTERNS=patterns, **settings | inputs)


def kept(tree: Path, name: str = "files") -> set[str]:
    folder = tree.parent / "kept" / name
    return {str(it.relative_to(folder)) for it in folder.rglob("*") if it.is_file()}


@pytest.mark.parametrize(
    ("patterns", "hidden", "names"),
    [
        ("a/", "false", {"one.txt", "b/two.txt"}),
        ("a/", "true", {"one.txt", "b/two.txt", ".hidden"}),
        ("a/one.txt", "false", {"one.txt"}),
        ("a/*.txt", "false", {"one.txt"}),
        ("a/b\nc/three.txt", "false", {"a/b/two.txt", "c/three.txt"}),
        ("a/\n!a/b/**", "false", {"one.txt"}),
        ("*/*.txt", "false", {"a/one.txt", "c/three.txt"}),
    ],
)
def test_upload_keeps_what_the_action_keeps(
    tree: Path, patterns: str, hidden: str, names: set[str]
) -> None:
    code, text, outputs = upload(tree, patterns, HIDDEN=hidden)
    assert code == 0, text
    assert kept(tree) == names
    assert "artifact-url=https://github.com/octo-org/widget/actions/runs/1/" in outputs


@pytest.mark.parametrize(
    "inputs",
    [
        {"NAME": "a/b"},
        {"NAME": "a:b"},
        {"NAME": ""},
        {"ABSENT": "fail"},
        {"ABSENT": "error", "PATTERNS": "nowhere"},
        {"PATTERNS": "strange"},
    ],
)
def test_upload_refuses_what_the_action_refuses(tree: Path, inputs: dict[str, str]) -> None:
    (tree / "strange").mkdir()
    (tree / "strange/a:b").touch()
    code, text, outputs = upload(tree, inputs.pop("PATTERNS", "a"), **inputs)
    assert code == 1
    assert text.startswith("::error::")
    assert not outputs


def test_upload_without_files_has_no_outputs(tree: Path) -> None:
    code, text, outputs = upload(tree, "nowhere")
    assert (code, outputs) == (0, "")
    assert text.startswith("::warning::")


def test_download_of_one_match_has_no_folder(tree: Path) -> None:
    inputs = {"NAME": "", "PATTERN": "*-results", "TARGET": str(tree / "got")}
    upload(tree, "a/one.txt", NAME="one-results")
    assert run("download-artifact", tree, **inputs)[0] == 0
    assert [it.name for it in (tree / "got").iterdir()] == ["one.txt"]
    upload(tree, "c", NAME="two-results")
    run("download-artifact", tree, **inputs | {"TARGET": str(tree / "both")})
    assert sorted(it.name for it in (tree / "both").iterdir()) == ["one-results", "two-results"]


@pytest.mark.parametrize("depth", ["0", "1"])
@pytest.mark.parametrize("fate", ["stayed", "moved", "went"])
def test_checkout_of_a_tag(tmp_path: Path, depth: str, fate: str) -> None:
    origin = Git(tmp_path / "origin")
    origin.directory.mkdir()
    origin("init", "--quiet", "--initial-branch=main")
    origin("commit", "--quiet", "--allow-empty", "-m", "feat: one")
    commit = origin.find("HEAD")
    origin("tag", "--annotate", "--message", "text", "v1.0.0")
    if fate != "stayed":
        origin("commit", "--quiet", "--allow-empty", "-m", "feat: two")
        origin("tag", "--delete", "v1.0.0")
    if fate == "moved":
        origin("tag", "v1.0.0")
    code, text, _ = run(
        "checkout",
        tmp_path / "origin",
        DEPTH=depth,
        GITHUB_REF="refs/tags/v1.0.0",
        GITHUB_SHA=commit,
        PIPELINES_ORIGIN=str(origin.directory),
        REF=commit,
        TARGET=str(tmp_path / "target"),
    )
    assert (code == 0) == (fate == "stayed"), text
    if fate == "moved":
        assert "does not point to the expected commit" in text
