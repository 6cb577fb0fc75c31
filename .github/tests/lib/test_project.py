"""What `[tool.pipelines]` may say, and what is said of what it may not."""

import sys
from pathlib import Path

import pytest
from lib import processes
from lib import project as script
from lib.project import ProjectError, read_project

SERVE = 'serve = "uvicorn app:app --host {host} --port {port}"'


def read(folder: Path, table: str) -> object:
    (folder / "pyproject.toml").write_text(f'[project]\nname = "shop"\n\n{table}\n')
    return read_project(folder)


def test_least(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(f"[tool.pipelines]\n{SERVE}\n")
    project = read_project(tmp_path)
    words = ["uvicorn", "app:app", "--host", "0.0.0.0", "--port", "80"]  # noqa: S104
    assert project.serve_command("0.0.0.0", 80) == words  # noqa: S104
    assert not project.migrate_command()
    assert not project.takes_workers


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("", "has no [tool.pipelines]"),
        ("[tool]\npipelines = 1", "has no [tool.pipelines]"),
        ("[tool.pipelines]\ncode = 'src'", "line 4, [tool.pipelines]: serve is missing"),
        (f"[tool.pipelines]\n{SERVE}\nserv = 'x'", "line 6, [tool.pipelines]: serv is unknown"),
        ("[tool.pipelines]\nserve = ['x']", "line 5, [tool.pipelines]: serve has to be a text"),
        ("[tool.pipelines]\nserve = ' '", "not ' '"),
        ("[tool.pipelines]\nserve = 'x --port 80'", "where the port goes"),
        ("[tool.pipelines]\nserve = 'x {port} {prot}'", "{prot}"),
        ("[tool.pipelines]\nserve = 'x {port'", "cannot be read as a command"),
        (f"[tool.pipelines]\n{SERVE}\nmigrate = 'x \"'", "line 6"),
        (
            f"[tool.pipelines]\n{SERVE}\nmigrate = 'a && b'",
            "line 6, [tool.pipelines]: migrate has `&`",
        ),
        (f"[tool.pipelines]\n{SERVE}\nmigrate = 'X=1 a'", "has `X=`, and no shell runs it"),
        ("[tool.pipelines]\nserve = 'x {port} $WORKERS'", "serve has `$`"),
        ("[tool.pipelines]\nserve = 'x app:make() {port}'", "serve has `(`"),
        (f"[tool.pipelines]\n{SERVE}\n[tool.pipelines.accepted]\nx = ''", "each rule a reason"),
        (f"[tool.pipelines]\n{SERVE}\nyours = 'src'", "yours has to be a list of texts"),
        (f"[tool.pipelines]\n{SERVE}\nyours = [1]", "not [1]"),
        (f"[tool.pipelines]\n{SERVE}\nyours = ['src/', 'docs/*.md']", "yours has 'docs/*.md'"),
        (f"[tool.pipelines]\n{SERVE}\nyours = ['./docs/']", "yours has './docs/'"),
        ("[tool.pipelines\n", "no valid TOML"),
    ],
)
def test_mistake_is_named_with_its_line(tmp_path: Path, table: str, message: str) -> None:
    with pytest.raises(ProjectError) as error:
        read(tmp_path, table)
    assert message in str(error.value)


@pytest.mark.parametrize("command", ["sh -c 'a && b'", "x 'app:make()' --like=a=b", "x 'a;b'"])
def test_what_is_quoted_needs_no_shell(tmp_path: Path, command: str) -> None:
    read(tmp_path, f'[tool.pipelines]\n{SERVE}\nmigrate = "{command}"\nyours = [".github/x"]')


@pytest.mark.parametrize(
    ("table", "arguments", "code", "said"),
    [
        ("serve = 'echo {host} {port} {workers}'", ["serve", "--port=80"], 0, "127.0.0.1 80 1"),
        ("serve = 'nosuch {port}'\nmigrate = 'echo moved'", ["migrate"], 0, "moved"),
        ("serve = 'nosuch {port}'", ["migrate"], 0, "The app has no migrations."),
        (
            "serve = 'nosuch {port}'",
            ["serve"],
            1,
            "nosuch: No such file or directory. It is `serve` of",
        ),
        ("serve = 'x'", ["serve"], 1, "where the port goes"),
    ],
)
def test_command_of_the_app_is_run(
    tmp_path: Path, table: str, arguments: list[str], code: int, said: str
) -> None:
    (tmp_path / "pyproject.toml").write_text(f"[tool.pipelines]\n{table}\n")
    done = processes.run([sys.executable, script.__file__, *arguments], 60, folder=tmp_path)
    assert (done.returncode, said in done.stdout) == (code, True), done.stdout
