#!/usr/bin/env python3
"""Install a wheel into an empty environment, start its command, and ask it for its version.

The dependencies are those of uv.lock: what is tried is what was tested.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from lib.workflow_commands import annotate, summarize

FACTS = """
import json, sys
from importlib.metadata import distribution
found = distribution(sys.argv[1])
scripts = [it.name for it in found.entry_points.select(group="console_scripts")]
print(json.dumps({"version": found.version, "scripts": scripts}))
"""


class Failure(Exception):  # noqa: N818
    """The wheel does not do what a release must do."""


def install(wheel: Path, environment: Path) -> dict[str, Any]:
    """Install a wheel with the locked dependencies; return its version and its commands."""
    locked = environment.with_suffix(".txt")
    export = ["uv", "export", "--quiet", "--locked", "--no-dev", "--no-emit-project", "--no-hashes"]
    subprocess.run([*export, "--output-file", str(locked)], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["uv", "venv", "--quiet", environment], check=True)
    pip = ["uv", "pip", "install", "--quiet", "--python", str(environment)]
    subprocess.run([*pip, "--constraint", str(locked), str(wheel)], check=True)
    name = wheel.name.partition("-")[0]
    found = subprocess.run(
        [environment / "bin/python", "-c", FACTS, name], check=True, text=True, capture_output=True
    )
    facts: dict[str, Any] = json.loads(found.stdout)
    return facts


def ask_health(command: Path, seconds: float) -> dict[str, Any]:
    """Start a command in an empty folder and return what `/health` answers.

    Raises:
        Failure: It ended, or did not answer in time.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    deadline = time.monotonic() + seconds
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(
            [command, "serve", "--port", str(port)],
            cwd=folder,
            env={"PATH": os.environ["PATH"], "HOME": folder},
        ) as server,
    ):
        try:
            while time.monotonic() < deadline and server.poll() is None:
                try:
                    address = f"http://127.0.0.1:{port}/health"
                    with urllib.request.urlopen(address, timeout=5) as answer:
                        health: dict[str, Any] = json.load(answer)
                        return health
                except OSError:
                    time.sleep(0.1)
        finally:
            server.terminate()
    code = server.returncode
    ended = "did not answer in time" if code <= 0 else f"ended with exit code {code}"
    raise Failure(f"{command.name} serve {ended}; its output is in the log")


def try_out(wheel: Path, version: str, seconds: float) -> str:
    """Return what the installed wheel answered.

    Raises:
        Failure: Something is not as it must be.
    """
    with tempfile.TemporaryDirectory() as folder:
        environment = Path(folder) / "environment"
        facts = install(wheel, environment)
        if facts["version"] != version:
            raise Failure(f"the metadata say {facts['version']}, the tag says {version}")
        if not facts["scripts"]:
            return "Installed; it has no command to start."
        command = facts["scripts"][0]
        health = ask_health(environment / "bin" / command, seconds)
        if health.get("version") != version:
            raise Failure(f"/health says {health.get('version')}, the tag says {version}")
        return f"Installed, `{command} serve` started, `/health` says {version}."


def main(arguments: Sequence[str] | None = None) -> int:
    """Try the wheel that the command line names; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("wheel", type=Path)
    parser.add_argument("version", help="what the wheel must say")
    parser.add_argument("--seconds", type=float, default=60, help="time to answer in")
    options = parser.parse_args(arguments)
    try:
        result = try_out(options.wheel, options.version, options.seconds)
    except (Failure, subprocess.CalledProcessError) as failure:
        annotate("error", "The wheel does not work", str(failure))
        summarize(f"### ❌ The wheel in an empty environment\n\n{failure}")
        return 1
    summarize(f"### ✅ The wheel in an empty environment\n\n{result}")
    print(result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
