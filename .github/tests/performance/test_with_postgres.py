"""A command beside a throw-away PostgreSQL server."""

import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

SCRIPT = Path(__file__).parents[3] / ".github/scripts/performance/with_postgres.sh"
SHOW_URL = ("sh", "-c", 'echo "$TEST_DATABASE_URL"')
GIVEN = "postgresql://given/database"

type Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def environment() -> dict[str, str]:
    """No server is given from outside."""
    return {name: value for name, value in os.environ.items() if name != "TEST_DATABASE_URL"}


@pytest.fixture
def run(environment: dict[str, str]) -> Run:
    """Run the script, or a copy of it, to its end."""

    def run(
        *arguments: str, script: Path = SCRIPT, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [script, *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            env=environment | variables,
        )

    return run


@pytest.fixture
def installed(run: Run) -> None:
    """Skip what needs a server where there is none."""
    if run("true").returncode:
        pytest.skip("PostgreSQL is not installed")


@pytest.fixture
def unlucky(tmp_path: Path) -> tuple[Path, str]:
    """A copy of the script that finds no PostgreSQL, and the PATH to run it with."""
    text = SCRIPT.read_text()
    for place in ("/usr/lib/postgresql", "/usr/pgsql-", "/opt/homebrew", "/usr/local/opt"):
        assert place in text
        text = text.replace(place, f"{tmp_path}/none")
    copy = tmp_path / "with_postgres.sh"
    copy.write_text(text)
    copy.chmod(0o755)
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("bash", "env", "sh", "sort", "xargs", "dirname"):
        found = shutil.which(name)
        assert found
        (programs / name).symlink_to(found)
    return copy, str(programs)


def is_gone(url: str) -> bool:
    """Whether nothing answers any more."""
    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.OperationalError:
        return True
    return False


@pytest.mark.usefixtures("installed")
def test_server_lives_as_long_as_the_command(run: Run) -> None:
    program = (
        "import os, psycopg;"
        "url = os.environ['TEST_DATABASE_URL'];"
        "connection = psycopg.connect(url);"
        "directory, = connection.execute('SHOW data_directory').fetchone();"
        "print(url, directory)"
    )

    done = run("python", "-c", program)

    assert done.returncode == 0, done.stderr
    url, directory = done.stdout.split()
    assert is_gone(url)
    assert not Path(directory).parent.exists()


@pytest.mark.usefixtures("installed")
def test_exit_code_arguments_and_input_are_passed_on(environment: dict[str, str]) -> None:
    done = subprocess.run(
        [SCRIPT, "--", "sh", "-c", 'printf "%s|" "$@"; cat; exit 7', "sh", "a b", "", "*"],
        capture_output=True,
        text=True,
        check=False,
        input="input",
        env=environment,
    )

    assert (done.returncode, done.stdout) == (7, "a b||*|input")


@pytest.mark.usefixtures("installed")
def test_command_that_does_not_exist(run: Run) -> None:
    assert run("no-such-command").returncode == 127


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_command_and_server(
    environment: dict[str, str], number: signal.Signals
) -> None:
    with subprocess.Popen(
        [SCRIPT, "sh", "-c", 'echo "$TEST_DATABASE_URL"; exec sleep 60'],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        assert process.stdout
        url = process.stdout.readline().strip()
        assert not is_gone(url)
        process.send_signal(number)
        assert process.wait(30) == 128 + number

    assert is_gone(url)


@pytest.mark.usefixtures("installed")
def test_several_at_the_same_time(run: Run) -> None:
    with ThreadPoolExecutor(3) as pool:
        urls = [done.stdout for done in pool.map(lambda _: run(*SHOW_URL), range(3))]

    assert all(url.startswith("postgresql://") for url in urls)


def test_given_server_is_used(run: Run, unlucky: tuple[Path, str]) -> None:
    script, path = unlucky

    done = run(*SHOW_URL, script=script, PATH=path, TEST_DATABASE_URL=GIVEN)

    assert (done.returncode, done.stdout, done.stderr) == (0, f"{GIVEN}\n", "")


def test_not_installed(run: Run, unlucky: tuple[Path, str]) -> None:
    script, path = unlucky

    done = run(*SHOW_URL, script=script, PATH=path)

    assert (done.returncode, done.stdout) == (1, "")
    assert "install the package 'postgresql'" in done.stderr


def test_not_installed_but_optional(run: Run, unlucky: tuple[Path, str]) -> None:
    script, path = unlucky

    done = run("--optional", *SHOW_URL, script=script, PATH=path)

    assert (done.returncode, done.stdout) == (0, "\n")
    assert "warning: PostgreSQL is not installed" in done.stderr


def test_help(run: Run) -> None:
    done = run("--help")

    assert done.returncode == 0
    assert done.stdout.startswith("Usage: with_postgres.sh ")


@pytest.mark.parametrize("arguments", [(), ("--nonsense", "true"), ("--optional",)])
def test_wrong_call(run: Run, arguments: tuple[str, ...]) -> None:
    done = run(*arguments)

    assert done.returncode == 2
    assert "Usage: " in done.stderr
