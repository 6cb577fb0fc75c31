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
from typing import Any

from packaging.utils import canonicalize_name

sys.path.insert(0, str(Path(__file__).parents[1]))
from lib.processes import LOCALHOST, NoAnswerError, end, find_free_port, wait_until_it_answers
from lib.project import Project, ProjectError, read_project
from lib.workflow_commands import annotate, summarize


class Failure(Exception):  # noqa: N818
    """The wheel does not do what a release must do."""


def install(wheel: Path, environment: Path) -> str:
    """Install a wheel with the locked dependencies; return its version."""
    locked = environment.with_suffix(".txt")
    export = ["uv", "export", "--quiet", "--locked", "--no-dev", "--no-emit-project", "--no-hashes"]
    subprocess.run([*export, "--output-file", str(locked)], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["uv", "venv", "--quiet", environment], check=True)
    pip = ["uv", "pip", "install", "--quiet", "--python", str(environment)]
    subprocess.run([*pip, "--constraint", str(locked), str(wheel)], check=True)
    facts = ["uv", "pip", "list", "--format=json", "--python", str(environment)]
    found = json.loads(subprocess.run(facts, check=True, text=True, capture_output=True).stdout)
    name = canonicalize_name(wheel.name.partition("-")[0])
    return str(next(it["version"] for it in found if canonicalize_name(it["name"]) == name))


def ask_health(environment: Path, serve: str, seconds: float) -> dict[str, Any]:
    """Serve the app as pyproject.toml says, in an empty folder; return what `/health` answers.

    Args:
        environment: Where the wheel is installed.
        serve: The serving command with `{host}` and `{port}`.
        seconds: How long it has to answer.

    Raises:
        Failure: There is no such command, it ended, or it did not answer in time.
    """
    port = find_free_port()
    command = Project("", serve).serve_command(LOCALHOST, port)
    program = environment / "bin" / command[0]
    if not program.exists():
        raise Failure(f"the wheel has no command {command[0]}, which [tool.pipelines] serves with")
    with tempfile.TemporaryDirectory() as folder:
        path = f"{environment / 'bin'}{os.pathsep}{os.environ['PATH']}"
        server = subprocess.Popen(
            [program, *command[1:]],
            cwd=folder,
            env={"PATH": path, "HOME": folder},
            text=True,
            start_new_session=True,
        )
        try:
            answer = wait_until_it_answers(
                f"http://{LOCALHOST}:{port}/health", seconds, lambda: server.poll() is None
            )
        except NoAnswerError as error:
            code = server.poll()
            ended = f"ended with exit code {code}" if code is not None else str(error)
            raise Failure(f"{command[0]}: {ended}; its output is in the log") from error
        finally:
            end(server, grace=5)
    with suppress(ValueError):
        health = json.loads(answer)
        if isinstance(health, dict):
            return health
    return {}


def try_out(wheel: Path, version: str, seconds: float) -> str:
    """Return what the installed wheel answered.

    Raises:
        Failure: Something is not as it must be.
        ProjectError: pyproject.toml does not say how the app is served.
    """
    serve = read_project(Path()).serve
    with tempfile.TemporaryDirectory() as folder:
        environment = Path(folder) / "environment"
        found = install(wheel, environment)
        if found != version:
            raise Failure(f"the metadata say {found}, the tag says {version}")
        health = ask_health(environment, serve, seconds)
        if health.get("version", version) != version:
            raise Failure(f"/health says {health['version']}, the tag says {version}")
        said = f"says {version}" if "version" in health else "answers, without a version"
        return f"Installed, `{serve.partition(' ')[0]}` started, `/health` {said}."


def main(arguments: Sequence[str] | None = None) -> int:
    """Try the wheel that the command line names; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("wheel", type=Path)
    parser.add_argument("version", help="what the wheel must say")
    parser.add_argument("--seconds", type=float, default=60, help="time to answer in")
    options = parser.parse_args(arguments)
    try:
        result = try_out(options.wheel, options.version, options.seconds)
    except (Failure, ProjectError, subprocess.CalledProcessError) as failure:
        annotate("error", "The wheel does not work", str(failure))
        summarize(f"### ❌ The wheel in an empty environment\n\n{failure}")
        return 1
    summarize(f"### ✅ The wheel in an empty environment\n\n{result}")
    print(result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
