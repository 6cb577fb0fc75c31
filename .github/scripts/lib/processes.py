"""Processes that end in time, with all that they started, and servers that answer."""

import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from http.client import HTTPException
from pathlib import Path
from typing import IO

from lib.workflow_commands import annotate

LOCALHOST = "127.0.0.1"
STOP_SECONDS = 10
"""That a server has to end by itself."""
SILENCE_SECONDS = 8
"""After which it is said that a server does not answer yet."""


class NoAnswerError(Exception):
    """A server ended, or did not answer in time."""


def run(  # noqa: PLR0913
    command: Sequence[str | Path],
    seconds: float,
    *,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    output: IO[str] | int = subprocess.PIPE,
    errors: IO[str] | int = subprocess.PIPE,
) -> "subprocess.CompletedProcess[str]":
    """Run a command without input; then end what it started and left behind.

    Args:
        command: The program and its arguments.
        seconds: How long it may take.
        folder: Where it runs; here if not given.
        environment: All of its environment variables; ours if not given.
        output: Where its output goes.
        errors: Where its error output goes; `subprocess.STDOUT` mixes it with the output.

    Raises:
        OSError: It cannot be started.
        subprocess.TimeoutExpired: It took longer, and was ended; `output` is what it printed.
    """
    with subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=errors,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as process:
        try:
            out, err = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired as expired:
            end(process)
            out, err = process.communicate()
            raise subprocess.TimeoutExpired(command, seconds, out, err) from expired
        finally:
            end(process)
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
def serve(  # noqa: PLR0913
    command: Sequence[str | Path],
    url: str,
    seconds: float,
    *,
    folder: Path,
    environment: Mapping[str, str],
    output: IO[str] | None = None,
    read_end: Callable[[], str] = str,
) -> Iterator[tuple["subprocess.Popen[str]", bytes]]:
    """Start a server; yield its process and what it answered first. End it with its group.

    Args:
        command: The program and its arguments.
        url: What to ask until it answers.
        seconds: How long it may take to answer.
        folder: Where it runs.
        environment: All of its environment variables.
        output: Where its output and errors go; to ours if not given.
        read_end: Returns the last lines of them, for the warning that it does not answer yet.

    Raises:
        OSError: It cannot be started.
        NoAnswerError: It ended, or did not answer in time.
    """
    with subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output and subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as server:
        try:
            answer = wait_until_it_answers(
                url, seconds, lambda: server.poll() is None, read_end=read_end
            )
            yield server, answer
        except NoAnswerError as error:
            if server.returncode is None:
                raise
            text = f"ended with exit code {server.returncode} before it answered"
            raise NoAnswerError(text) from error
        finally:
            end(server, STOP_SECONDS)


def find_free_port() -> int:
    """Return a port of this machine that nothing listens on at the moment."""
    with socket.socket() as probe:
        probe.bind((LOCALHOST, 0))
        return int(probe.getsockname()[1])


def wait_until_it_answers(
    url: str, seconds: float, lives: Callable[[], bool], *, read_end: Callable[[], str] = str
) -> bytes:
    """Ask a server until it answers with a status below 400; return the content.

    Args:
        url: What to ask for, by HTTP.
        seconds: How long to go on.
        lives: Says whether the server still runs.
        read_end: Returns the last lines that it wrote.

    Raises:
        NoAnswerError: It ended, or did not answer in time; says what it answered last.
    """
    start = time.monotonic()
    silent = False
    last = "nothing"
    while lives():
        try:
            with urllib.request.urlopen(url, timeout=max(1, seconds / 4)) as answer:  # noqa: S310
                return bytes(answer.read())
        except (HTTPException, OSError) as error:
            last = str(error)
        waited = time.monotonic() - start
        if waited > SILENCE_SECONDS and not silent:
            silent = True
            text = f"The server runs, but {url} does not answer. {read_end()}"
            annotate("warning", "No answer yet", text)
        if waited > seconds:
            raise NoAnswerError(f"{url} did not answer within {seconds:g} s; the last was: {last}")
        time.sleep(0.1)
    raise NoAnswerError(f"the server of {url} ended before it answered; the last was: {last}")
