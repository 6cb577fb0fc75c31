"""A build that cannot be repeated, or a wheel that does not work, is refused."""

import json
import os
import re
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from uuid import UUID

import pytest
from lib import processes
from lib.processes import NoAnswerError, find_free_port
from origin import Git
from release import release_try
from release.release_try import Failure
from wheels import make_wheel

SCRIPT = Path(__file__).parents[3] / ".github/scripts/release/release_build.sh"

PROJECT = """
[build-system]
requires = ["hatchling", "hatch-vcs"]
build-backend = "hatchling.build"
[project]
name = "demo"
dynamic = ["version"]
requires-python = ">=3.13"
[project.scripts]
demo = "demo:main"
[tool.hatch.version]
source = "vcs"
fallback-version = "0.0.0"
[dependency-groups]
test = ["tester"]
[tool.uv]
default-groups = ["test"]
[tool.uv.sources]
tester = { path = "tester", editable = true }
"""
TESTER = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "tester"
version = "1.0"
"""
HOOK = """
import time
from pathlib import Path
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

class Hook(BuildHookInterface):
    def initialize(self, version, build_data):
        file = Path(self.root, "demo", "built.py")
        file.write_text(f"at = {time.time_ns()}")
        build_data["artifacts"].append("demo/built.py")
"""


@pytest.fixture
def project(tmp_path: Path) -> Git:
    tree = tmp_path / "project"
    (tree / "demo").mkdir(parents=True)
    (tree / "pyproject.toml").write_text(PROJECT)
    (tree / "demo/__init__.py").write_text("def main(): ...\n")
    (tree / ".gitignore").write_text("uv.lock\n")
    (tree / ".gitattributes").write_text("/demo/data export-ignore\n")
    for name, text in {"demo/data/x": "x", "tester/pyproject.toml": TESTER}.items():
        (tree / name).parent.mkdir()
        (tree / name).write_text(text)
    git = Git(tree)
    git("init", "--quiet", "--initial-branch=main")
    git.save("feat: start")
    git("tag", "v9.9.9")
    return git


def build(git: Git, version: str, environment: dict[str, str] | None = None) -> tuple[int, str]:
    path = {"PATH": f"{sys.prefix}/bin:{os.environ['PATH']}"}
    variables = os.environ | path | (environment or {})
    command = [str(SCRIPT), version, "dist"]
    done = processes.run(command, 300, folder=git.directory, environment=variables)
    return done.returncode, done.stdout


def lock(git: Git) -> None:
    options = ["--quiet", "--python", sys.executable, "--offline"]
    subprocess.run(["uv", "lock", *options], cwd=git.directory, check=True)


def test_builds_what_the_version_says_whatever_the_tags_say(project: Git) -> None:
    lock(project)
    (project.directory / "dist").mkdir()
    (project.directory / "dist/demo-0.9.0.tar.gz").touch()
    project("config", "log.showSignature", "true")
    code, text = build(project, "1.0.0b1", {"UV_PYTHON": sys.executable})
    assert code == 0, text
    assert "0.9.0" not in (project.directory / "dist/SHA256SUMS").read_text()
    names = sorted(path.name for path in (project.directory / "dist").iterdir())
    assert names == [
        "SHA256SUMS",
        "demo-0.9.0.tar.gz",
        "demo-1.0.0b1-py3-none-any.whl",
        "demo-1.0.0b1.cdx.json",
        "demo-1.0.0b1.tar.gz",
    ]
    check = ["sha256sum", "--check", "--strict", "SHA256SUMS"]
    subprocess.run(check, cwd=project.directory / "dist", check=True, stdout=subprocess.DEVNULL)
    materials = json.loads((project.directory / "dist/demo-1.0.0b1.cdx.json").read_text())
    assert materials["metadata"]["component"]["version"] == "1.0.0b1"
    assert not materials.get("components"), "nothing for development"
    time = datetime.fromisoformat(materials["metadata"]["timestamp"])
    assert time.timestamp() == int(project("log", "-1", "--format=%ct"))
    assert UUID(materials["serialNumber"]).hex[:12] == project.find("HEAD")[:12]


def test_no_commit_to_build(tmp_path: Path) -> None:
    code, text = build(Git(tmp_path), "1.0.0")
    assert code == 1
    assert "::error title=Build::There is no commit to build: git init && git add -A" in text


def test_build_that_depends_on_the_clock(project: Git) -> None:
    with (project.directory / "pyproject.toml").open("a") as file:
        file.write("[tool.hatch.build.hooks.custom]\n")
    (project.directory / "hatch_build.py").write_text(HOOK)
    project.save("feat: know the time")
    code, text = build(project, "1.0.0")
    assert code != 0
    assert re.search(r"::error title=Build::Building \w+", text), text


def test_file_that_is_not_committed_and_version_that_is_not_taken(project: Git) -> None:
    left = project.directory / "demo/left.py"
    left.touch()
    code, text = build(project, "1.0.0")
    assert code != 0
    assert "Building again from a clean copy" in text
    left.unlink()
    file = project.directory / "pyproject.toml"
    file.write_text(file.read_text().replace('dynamic = ["version"]', 'version = "3.0.0"'))
    code, text = build(project, "1.0.0")
    assert code != 0
    assert "The tag says 1.0.0, the packages say demo-3.0.0-" in text


@pytest.mark.parametrize(
    ("text", "name", "why"),
    [
        ("raise SystemExit(3)", "command", "ended with exit code 3"),
        ("import time; time.sleep(60)", "command", "did not answer within"),
        ("", "other", "the wheel has no command other"),
    ],
)
def test_command_that_does_not_serve(tmp_path: Path, text: str, name: str, why: str) -> None:
    command = tmp_path / "bin/command"
    command.parent.mkdir()
    command.write_text(f"#!{sys.executable}\n{text}")
    command.chmod(0o755)
    with pytest.raises((Failure, NoAnswerError), match=why):
        release_try.ask_health(tmp_path, [name], find_free_port(), 0.5)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (b'{"version": "1.0.0"}', "says 1.0.0"),
        (b'{"status": "ok"}', "answers, without a version"),
        (b"OK", "answers, without a version"),
        (b"[1]", "answers, without a version"),
        (b'{"version": "0.9.0"}', "/health says 0.9.0, the tag says 1.0.0"),
    ],
)
def test_versions_must_agree(answer: bytes, told: str) -> None:
    if "the tag" in told:
        with pytest.raises(Failure, match=told):
            release_try.judge(answer, "1.0.0")
    else:
        assert release_try.judge(answer, "1.0.0") == told


def test_what_pypi_has_not_comes_from_where_the_lock_has_it(
    project: Git, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = project.directory / "pyproject.toml"
    text = file.read_text().replace("dynamic = [", 'dependencies = ["own", "tester"]\ndynamic = [')
    wheels = project.directory / "wheels"
    wheels.mkdir()
    path = make_wheel(wheels, "tester").relative_to(project.directory)
    text = text.replace('path = "tester", editable = true', f'path = "{path}"')
    make_wheel(wheels, "own")
    index = '[[tool.uv.index]]\nname = "own"\nurl = "wheels"\nformat = "flat"\nexplicit = true\n'
    file.write_text(f'{text}own = {{ index = "own" }}\n{index}')
    lock(project)
    monkeypatch.chdir(project.directory)
    monkeypatch.setenv("UV_PYTHON", sys.executable)
    release_try.install(make_wheel(tmp_path, "demo"), tmp_path / "environment")
    installed = {folder.name for folder in tmp_path.glob("environment/lib/*/*/*.dist-info")}
    assert installed == {f"{name}-1.0.dist-info" for name in ("demo", "own", "tester")}


def test_wheel_that_cannot_be_installed(
    project: Git, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lock(project)
    with (project.directory / "pyproject.toml").open("a") as file:
        file.write('[tool.pipelines]\nserve = "demo --port {port}"\n')
    monkeypatch.chdir(project.directory)
    monkeypatch.setenv("UV_PYTHON", sys.executable)
    assert release_try.main(["nothing-1.0.0-py3-none-any.whl", "1.0.0"]) == 1
    assert "::error title=The wheel in an empty environment::" in capsys.readouterr().out
