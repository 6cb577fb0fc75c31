"""An SSH server on this machine, with a key that is bound to the gate."""

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lib.processes import find_free_port

START_SECONDS = 10
CONFIG = """Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/authorized_keys
PasswordAuthentication no
PidFile none
StrictModes no
Subsystem sftp internal-sftp
UsePAM no
SetEnv PATH={path} PATIENCE=15
"""


@dataclass(frozen=True)
class Server:
    """A running SSH server: its port, and the folder of its files and of the client's keys."""

    port: int
    folder: Path

    @property
    def state(self) -> Path:
        """The folder in which the gate keeps its state."""
        return self.folder / "state"

    @property
    def settings(self) -> dict[str, str]:
        """What the target needs to reach it."""
        return {
            "DEPLOY_HOST": "127.0.0.1",
            "DEPLOY_KNOWN_HOSTS": self.find_host_key("host_key"),
            "DEPLOY_PORT": str(self.port),
            "DEPLOY_SSH_KEY": (self.folder / "key").read_text(),
            "DEPLOY_USER": getpass.getuser(),
        }

    def find_host_key(self, name: str) -> str:
        """Return the line of a known_hosts file for a key of the folder."""
        kind, blob, *_ = (self.folder / f"{name}.pub").read_text().split()
        return f"[127.0.0.1]:{self.port} {kind} {blob}"

    def ask(self, *words: str, client: str = "ssh") -> subprocess.CompletedProcess[str]:
        """Run a client as somebody who has the deploy key; words that start with - are options."""
        (self.folder / "known_hosts").write_text(self.find_host_key("host_key") + "\n")
        port = "-p" if client == "ssh" else "-P"
        options: list[str | Path] = ["-F", "none", "-i", self.folder / "key", port, str(self.port)]
        options += ["-o", "BatchMode=yes", "-o", "ExitOnForwardFailure=yes"]
        options += ["-o", f"UserKnownHostsFile={self.folder}/known_hosts"]
        flags = [word for word in words if word.startswith("-")]
        where = [f"{getpass.getuser()}@127.0.0.1"] if client == "ssh" else []
        rest = [word for word in words if not word.startswith("-")]
        return subprocess.run(
            [client, *options, *flags, *where, *rest],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )


@contextmanager
def serve(folder: Path, gate: Path, repository: str) -> Iterator[Server]:
    """Run an SSH server whose only key is bound to the gate of a repository.

    Args:
        folder: Where its files are.
        gate: What the key starts.
        repository: Whose images may be deployed.
    """
    for name in ("host_key", "key", "other_key"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", folder / name]
        subprocess.run(command, check=True)
    server = Server(find_free_port(), folder)
    key = (folder / "key.pub").read_text()
    forced = f'restrict,command="{gate} {server.state} {repository}" {key}'
    (folder / "authorized_keys").write_text(forced)
    config = CONFIG.format(port=server.port, folder=folder, path=os.environ["PATH"])
    (folder / "sshd_config").write_text(config)
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    program = shutil.which("sshd") or "/usr/sbin/sshd"
    log = folder / "sshd.log"
    with subprocess.Popen(
        [program, "-D", "-f", folder / "sshd_config", "-E", log],
        stdin=subprocess.DEVNULL,
    ) as process:
        try:
            _wait_for(server.port, process, log)
            yield server
        finally:
            process.terminate()


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return
        except OSError:
            time.sleep(0.05)
    raise AssertionError(f"The SSH server did not start: {log.read_text()}")
