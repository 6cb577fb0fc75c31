"""What pipelines with containers need of this machine: Docker, a registry, and base images.

Base images come from their registries. A machine that cannot reach these gets stand-ins, made once
of Debian's packages and kept in the engine; a copy of the tree is changed to use them.
"""

import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from urllib.error import URLError
from urllib.request import HTTPError, urlopen

from lib.processes import LOCALHOST, NoAnswerError, find_free_port, serve

IMAGES = Path(__file__).parent / "images"
PINNED = re.compile(r"(?<=\s)[\w./-]*?(?P<name>[\w-]+):[\w.-]+@sha256:[0-9a-f]{64}")
REGISTRY_IMAGE = (
    "registry:3.1.1@sha256:1be55279f18a2fe1a74edf2664cac61c1bea305b7b4642dab412e7affdcb3e33"
)
"""For machines without Debian's package."""

INTERVALS = re.compile(r"--interval=\S+(?P<others>.*) --start-interval=\S+")
START_SECONDS = 60
REGISTRY = """version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: {folder}}}, delete: {{enabled: true}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""


class ContainersError(Exception):
    """Containers cannot be made here; the text says why and what to do."""


def docker(*arguments: str | Path) -> str:
    """Run `docker ARGUMENTS`; return what it prints, without the last line break.

    Raises:
        ContainersError: It failed, or it is not installed.
    """
    try:
        done = subprocess.run(
            ["docker", *arguments], stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
    except FileNotFoundError as error:
        raise ContainersError("Docker is not installed: https://docs.docker.com/engine/") from error
    if done.returncode:
        reason = done.stderr.decode(errors="replace").strip()[-4000:]
        raise ContainersError(f"docker {arguments[0]}: {reason}")
    return done.stdout.decode().rstrip("\n")


@cache
def find_engine_version() -> tuple[int, ...]:
    """Return the version of the Docker Engine.

    Raises:
        ContainersError: There is no Docker here, none is running, or a part of it is missing.
    """
    version = docker("version", "--format", "{{.Server.Version}}")
    for plugin in ("buildx", "compose"):
        try:
            docker(plugin, "version")
        except ContainersError as error:
            text = f"Docker's plug-in {plugin} is missing: install docker-{plugin}"
            raise ContainersError(text) from error
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])


def find_engine_address() -> str:
    """Return where the engine of `docker` listens: the steps see no context of the user's."""
    return docker("context", "inspect", "--format={{.Endpoints.docker.Host}}")


@cache
def pulls() -> bool:
    """Say whether images can be pulled from Docker's own registry."""
    try:
        with urlopen("https://registry-1.docker.io/v2/", timeout=10):
            return True
    except HTTPError:
        return True  # it answers: log in first
    except (URLError, OSError):
        return False


def adapt(tree: Path) -> None:
    """Let a copy of the tree be built by the engine that is here.

    Where images cannot be pulled, stand-ins take the place of those pinned by digest. An engine
    before Docker 25 knows no start interval of a health check.

    Raises:
        ContainersError: There is no engine, or a stand-in cannot be made.
    """
    names = ("Dockerfile", "docker-compose.yml", "deploy/compose/compose.yaml")
    files = [tree / name for name in names]
    for file in (file for file in files if file.exists()):
        text = file.read_text()
        if find_engine_version() < (25,):
            text = INTERVALS.sub(r"--interval=2s\g<others>", text)
        if not pulls():
            text = PINNED.sub(lambda match: _stand_in(match["name"]), text)
        file.write_text(text)


def _stand_in(name: str) -> str:
    """Return the name of the image that takes another's place; make it if it is not there."""
    if name not in MAKERS:
        raise ContainersError(f"No image can be pulled, and {name} has no stand-in")
    if name == "postgres":
        _stand_in("python")
    tag = f"stand-in/{name}:local"
    lock_file = Path(tempfile.gettempdir()) / f"stand-in-images-{os.getuid()}.lock"
    with lock_file.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not docker("image", "ls", "--quiet", tag):
            MAKERS[name](tag)
    return tag


def _make_python(tag: str) -> None:
    if not shutil.which("mmdebstrap"):
        raise ContainersError(
            "No image can be pulled, and no stand-in can be made: install mmdebstrap"
        )
    subprocess.run([IMAGES / "base.sh", tag], check=True, capture_output=True)


def _make_uv(tag: str) -> None:
    uv = os.environ.get("UV") or "uv"  # what is on PATH may be a script that looks for it
    found = subprocess.run(
        [uv, "run", "--no-project", "printenv", "UV"], stdout=subprocess.PIPE, check=True
    )
    _import_program(Path(found.stdout.decode().strip()).resolve(), tag)


def _make_caddy(tag: str) -> None:
    run = ["/caddy", "run", "--config=/etc/caddy/Caddyfile", "--adapter=caddyfile"]
    home = "ENV PATH=/ XDG_CONFIG_HOME=/config XDG_DATA_HOME=/data"
    _import_program(Path(sys.executable).parent / "caddy", tag, f"CMD {json.dumps(run)}", home)


def _import_program(program: Path, tag: str, *changes: str) -> None:
    """Make an image of one static program."""
    archive = ["tar", "--create", "--dereference", "--directory", str(program.parent), program.name]
    options = [f"--change={change}" for change in changes]
    with subprocess.Popen(archive, stdout=subprocess.PIPE) as tar:
        subprocess.run(
            ["docker", "import", *options, "-", tag],
            stdin=tar.stdout,
            stdout=subprocess.PIPE,
            check=True,
        )


def _make_postgres(tag: str) -> None:
    folder = IMAGES / "postgres"
    options = ("--quiet", "--load", f"--tag={tag}", f"--file={folder / 'Containerfile'}")
    docker("buildx", "build", *options, folder)


MAKERS = {"caddy": _make_caddy, "postgres": _make_postgres, "python": _make_python, "uv": _make_uv}
"""What makes the stand-in for an image, by the last part of its name."""


def remove_started(directory: Path) -> None:
    """Remove what `docker compose` started with files in a folder, and its data."""
    label = "com.docker.compose.project"
    form = f'{{{{.Label "{label}.config_files"}}}}\t{{{{.Label "{label}"}}}}'
    lines = docker("ps", "--all", f"--filter=label={label}", f"--format={form}").splitlines()
    for project in {line.split("\t")[1] for line in lines if line.startswith(f"{directory}/")}:
        docker("compose", "--project-name", project, "down", "--volumes", "--timeout=1")


@contextmanager
def registry(folder: Path | None = None) -> Iterator[str]:
    """Serve a registry on a free port of this machine; yield its `HOST:PORT`.

    At the end the engine forgets the images that came from it or were made for it.

    Args:
        folder: Where it keeps the images; without it, it is empty and keeps none.

    Raises:
        ContainersError: It does not start.
    """
    with ExitStack() as stack:
        own = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="registry-")))
        port = find_free_port()
        address = f"{LOCALHOST}:{port}"
        config, log = own / "config.yml", own / "log"
        config.write_text(REGISTRY.format(folder=folder or own / "images", port=port))
        command = ["docker-registry", "serve", str(config)]
        if not shutil.which(command[0]):
            if not pulls():
                raise ContainersError("There is no registry to push to: install docker-registry")
            docker("pull", "--quiet", REGISTRY_IMAGE)
            keep = f"--volume={folder or own / 'images'}:/var/lib/registry"
            command = ["docker", "run", "--rm", f"--publish={address}:5000", keep, REGISTRY_IMAGE]
        output = stack.enter_context(log.open("w"))
        try:
            stack.enter_context(
                serve(
                    command, f"http://{address}/v2/", START_SECONDS,
                    folder=own, environment=os.environ, output=output,
                )
            )  # fmt: skip
        except NoAnswerError as error:
            raise ContainersError(f"The registry: {error}. {log.read_text()}") from error
        try:
            yield address
        finally:
            form = "{{.Repository}}:{{.Tag}}\n{{.Repository}}@{{.Digest}}"
            of_ours = ("--digests", f"--filter=reference={address}/*/*", f"--format={form}")
            names = {
                line
                for line in docker("image", "ls", *of_ours).splitlines()
                if "<none>" not in line
            }
            if names:  # not by their IDs: others may have made the very same image
                docker("image", "rm", "--force", *names)
