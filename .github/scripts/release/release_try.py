#!/usr/bin/env python3
"""Install a wheel into an empty environment, start its command, and ask it for its version.

The dependencies are those of uv.lock: what is tried is what was tested.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from lib.processes import LOCALHOST, NoAnswerError, find_free_port, serve
from lib.project import SERVED, ProjectError, read_project
from lib.workflow_commands import refuse, summarize

TITLE = "The wheel in an empty environment"


class Failure(Exception):  # noqa: N818
    """The wheel does not do what a release must do."""


def install(wheel: Path, environment: Path) -> None:
    """Make an environment with a wheel and its dependencies, each from where the lock has it.

    Asked for by its name, what is not on PyPI would be somebody else's there.
    """
    options = ("--locked", "--no-default-groups", "--no-install-project", "--no-editable")
    _uv("sync", *options, UV_PROJECT_ENVIRONMENT=str(environment))
    _uv("pip", "install", "--no-deps", f"--python={environment}", str(wheel))


def _uv(*arguments: str, **variables: str) -> None:
    subprocess.run(["uv", "--quiet", *arguments], check=True, env=os.environ | variables)


def ask_health(environment: Path, command: Sequence[str], port: int, seconds: float = 60) -> bytes:
    """Serve the app of an environment on a port; return what `/health` answers in some seconds.

    Raises:
        Failure: There is no such command.
        NoAnswerError: It ended, or did not answer in time.
    """
    program = environment / "bin" / command[0]
    if not program.exists():
        raise Failure(f"the wheel has no command {command[0]}, which [tool.pipelines] serves with")
    variables = {
        "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(environment),
    }
    url = f"http://{LOCALHOST}:{port}/health"
    words = [str(program), *command[1:]]
    with serve(words, url, seconds, folder=environment, environment=variables) as (_, answer):
        return answer


def judge(answer: bytes, version: str) -> str:
    """Return what `/health` says of its version.

    Raises:
        Failure: It says another one.
    """
    told = None
    with suppress(ValueError, AttributeError):
        told = json.loads(answer).get("version")
    if told is not None and told != version:
        raise Failure(f"/health says {told}, the tag says {version}")
    return f"says {told}" if told else "answers, without a version"


def main(arguments: Sequence[str] | None = None) -> int:
    """Try the wheel that the command line names; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("wheel", type=Path)
    parser.add_argument("version", help="what the wheel must say")
    options = parser.parse_args(arguments)
    try:
        port = find_free_port()
        command = read_project(Path()).serve_command(LOCALHOST, port)
        with tempfile.TemporaryDirectory() as folder:
            environment = Path(folder) / "environment"
            install(options.wheel, environment)
            told = judge(ask_health(environment, command, port), options.version)
    except (Failure, NoAnswerError, ProjectError, subprocess.CalledProcessError) as failure:
        hint = f" {SERVED}, with no setting given." if isinstance(failure, NoAnswerError) else ""
        refuse(TITLE, f"{failure}. What its command printed is in the log above.{hint}")
        return 1
    result = f"Installed, `{command[0]}` started, `/health` {told}."
    summarize(f"### ✅ {TITLE}\n\n{result}")
    print(result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
