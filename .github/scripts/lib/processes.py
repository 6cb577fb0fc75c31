"""Processes that end in time, with all that they started, and servers that answer."""

import os
import shlex
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from http.client import HTTPException
from pathlib import Path
from typing import IO, TypedDict, Unpack

from lib.workflow_commands import annotate

LOCALHOST = "127.0.0.1"
STOP_SECONDS = 10
"""That a server has to end by itself."""
SILENCE_SECONDS = 8
"""After which it is said that a server does not answer yet."""


class NoAnswerError(OSError):
    """A server ended, or did not answer in time."""


class Options(TypedDict, total=False):
    """How a command runs, beside without input and in a group of its own.

    Attributes:
        folder: Where; here if not given.
        environment: All of its environment variables; ours if not given.
        output: Where its output goes; to ours if not given.
        errors: Where its error output goes: where the output goes, or `subprocess.PIPE`.
    """

    folder: Path | None
    environment: Mapping[str, str] | None
    output: IO[str] | int
    errors: int


@contextmanager
def start(
    command: Sequence[str | Path], *, grace: float = 0, **options: Unpack[Options]
) -> Iterator["subprocess.Popen[str]"]:
    """Start a command; at the end, end what it started and left behind.

    Args:
        command: The program and its arguments.
        grace: Seconds that it has to end by itself at the end.
        options: How it runs.

    Raises:
        OSError: It cannot be started.
    """
    output = options.get("output")
    with subprocess.Popen(
        command,
        cwd=options.get("folder"),
        env=options.get("environment"),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=None if output is None else options.get("errors", subprocess.STDOUT),
        text=True,
        errors="replace",
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            end(process, grace)


def run(
    command: Sequence[str | Path], seconds: float, **options: Unpack[Options]
) -> "subprocess.CompletedProcess[str]":
    """Run a command as `start` does, to its end or for some seconds; its output is a pipe.

    Raises:
        OSError: It cannot be started.
        subprocess.TimeoutExpired: It took longer, and was ended; `output` is what it printed.
    """
    options.setdefault("output", subprocess.PIPE)
    with start(command, **options) as process:
        try:
            out, err = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired as expired:
            end(process)
            out, err = process.communicate()
            raise subprocess.TimeoutExpired(command, seconds, out, err) from expired
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def end(process: "subprocess.Popen[str]", grace: float = 0) -> None:
    """End a process that leads a group, and the group: politely first, if there is a grace.

    Args:
        process: What was started with `start_new_session=True`.
        grace: Seconds that it has to end by itself after SIGTERM.
    """
    with suppress(ProcessLookupError):
        if grace and process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(grace)
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@contextmanager
def serve(
    command: Sequence[str | Path],
    url: str,
    seconds: float,
    read_end: Callable[[], str] = str,
    **options: Unpack[Options],
) -> Iterator[tuple["subprocess.Popen[str]", bytes]]:
    """Start a server; yield its process and what it answered first. End it with its group.

    The arguments are those of `start` and of `wait_until_it_answers`.

    Raises:
        OSError: It cannot be started.
        NoAnswerError: It ended, or did not answer in time.
    """
    with start(command, grace=STOP_SECONDS, **options) as server:
        yield server, wait_until_it_answers(server, url, seconds, read_end)


def find_free_port() -> int:
    """Return a port of this machine that nothing listens on at the moment."""
    with socket.socket() as probe:
        probe.bind((LOCALHOST, 0))
        return int(probe.getsockname()[1])


def wait_until_it_answers(
    server: "subprocess.Popen[str]", url: str, seconds: float, read_end: Callable[[], str] = str
) -> bytes:
    """Ask a server until it answers with a status below 400; return the content.

    Args:
        server: Its process.
        url: What to ask for, by HTTP.
        seconds: How long to go on.
        read_end: Returns the last lines that it wrote, for the warning that it does not answer yet.

    Raises:
        NoAnswerError: It ended, or did not answer in time; says what it answered last.
    """
    begin = time.monotonic()
    silent = False
    last = "nothing"
    while server.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=max(1, seconds / 4)) as answer:  # noqa: S310
                return bytes(answer.read())
        except (HTTPException, OSError) as error:
            last = str(error)
        waited = time.monotonic() - begin
        if waited > SILENCE_SECONDS and not silent:
            silent = True
            text = f"The server runs, but {url} does not answer. {read_end()}"
            annotate("warning", "No answer yet", text)
        if waited > seconds:
            raise NoAnswerError(f"{url} did not answer within {seconds:g} s; the last was: {last}")
        time.sleep(0.1)
    words = shlex.join(map(str, server.args)) if isinstance(server.args, list | tuple) else "it"
    raise NoAnswerError(f"`{words}` ended with exit code {server.returncode} before it answered")
