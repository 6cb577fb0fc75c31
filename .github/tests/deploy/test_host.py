"""What host.sh keeps and decides, with an engine that does whatever it is asked."""

import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from engine import ROOT

DOCKER = """#!/bin/sh
if [ -e "$HOST_FOLDER.away" ] && expr "$*" : "$(cat "$HOST_FOLDER.away")" >&2; then
  rm "$HOST_FOLDER.away"
  echo "Cannot connect to the Docker daemon at $DOCKER_HOST. Is the docker daemon running?" >&2
  exit 1
fi
echo "$*" >>"$HOST_FOLDER.log"
dead=$(cat "$HOST_FOLDER.dead" 2>/dev/null)
case "$*" in
  "compose "*" ${dead:-nothing}" | "ps --quiet"*"-${dead:-nothing}-1$") exit 1 ;;
  "compose "*" proxy") echo "$LIVE" >"$HOST_FOLDER.proxy" ;;
  inspect*live*) cat "$HOST_FOLDER.proxy" ;;
esac
[ "$1" != ps ] || echo container
"""
IMAGE, REVISION = f"registry.example/app@sha256:{'1' * 64}", "1" * 40


@dataclass
class Host:
    """A server.

    Attributes:
        folder: Where its state is.
        environment: What host.sh sees.
    """

    folder: Path
    environment: dict[str, str]

    def ask(self, *words: str, **settings: str) -> str:
        """Run host.sh with settings as its standard input; return what it prints."""
        return subprocess.run(
            [ROOT / "deploy/compose/host.sh", *words],
            env=self.environment,
            input="".join(f"{name}={value}\n" for name, value in settings.items()),
            check=True,
            text=True,
            capture_output=True,
        ).stdout.strip()

    def deploy(self, image: str = IMAGE, **settings: str) -> None:
        """Let an image serve."""
        self.ask("switch", self.ask("stage", image, "v1", REVISION, **settings))


@pytest.fixture
def server(tmp_path: Path) -> Host:
    """A server where nothing was deployed yet."""
    docker = tmp_path / "bin/docker"
    docker.parent.mkdir()
    docker.write_text(DOCKER)
    docker.chmod(0o755)
    path = f"{docker.parent}:{os.environ['PATH']}"
    folder = tmp_path / "state"
    return Host(folder, os.environ | {"HOST_FOLDER": str(folder), "PATH": path, "PATIENCE": "1"})


def test_same_version_with_other_settings_is_put_back_with_its_own(server: Host) -> None:
    server.deploy(DATABASE_URL="good")
    server.ask("confirm")
    before = (server.folder / "serving").read_text().strip()
    server.deploy(DATABASE_URL="bad")
    reserve = server.folder / "reserve"
    assert reserve.stat().st_size == 65_536, "room on a disk that the new version fills"
    server.ask("rollback", IMAGE, "v1")
    assert not reserve.exists()
    assert (server.folder / "serving").read_text().strip() == before
    assert "DATABASE_URL='good'" in (server.folder / f"{before}.env").read_text()
    assert (server.folder / "live" / before).exists()
    server.folder.with_name("state.dead").write_text(before)  # the engine went away meanwhile
    server.ask("rollback", IMAGE, "v1")
    log = server.folder.with_name("state.log").read_text()
    assert log.count(f"--no-recreate {before}\n") == 2, "what was put back in vain is tried again"
    server.ask("rollback", IMAGE.replace("1", "2"), "v2")
    assert not (server.folder / "live" / before).exists()
    for copy in ("blue", "green"):
        assert "DATABASE_URL='good'" in (server.folder / f"{copy}.env").read_text()
    with pytest.raises(subprocess.CalledProcessError) as refused:
        server.deploy()
    assert "would begin with an empty database" in refused.value.stderr
    (server.folder / "app.env").write_text("DATABASE_URL='good'")
    server.folder.with_name("state.dead").unlink()
    server.deploy()


def test_proxy_of_a_state_that_is_gone_looks_up_the_new_one(server: Host) -> None:
    """A runner of one's own empties its folders between two jobs, and keeps the containers."""
    server.deploy()
    server.ask("confirm")
    log = server.folder.with_name("state.log")
    first = log.read_text()
    server.deploy(IMAGE.replace("1", "2"))
    again = log.read_text().removeprefix(first)
    assert "service=proxy" in first
    assert "service=proxy" not in again, "it serves"
    with pytest.raises(subprocess.CalledProcessError) as refused:
        server.ask("confirm", DEPLOYMENT="theirs")
    assert refused.value.stderr == "::error title=Another deployment came between::\n"
    server.folder.with_name("state.proxy").write_text("the folder before a backup was restored")
    server.deploy()
    assert "service=proxy" in log.read_text().removeprefix(first)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "The state cannot be written"),
        ({"DATABASE_URL": "it's"}, "DATABASE_URL must not have '"),
        ({"DATABASE_URL": "C:\\"}, "DATABASE_URL must not have ' and not end with \\"),
    ],
)
def test_refusal_is_told(server: Host, settings: dict[str, str], said: str) -> None:
    (server.folder / "deployment.new").mkdir(parents=True)  # as bad as a full disk
    with pytest.raises(subprocess.CalledProcessError) as refused:
        server.ask("stage", IMAGE, "v1", REVISION, **settings)
    assert f"::error title={said}" in refused.value.stderr


def test_first_deployment_whose_port_is_taken_leaves_nothing(server: Host) -> None:
    taken = server.folder.with_name("state.dead")
    taken.write_text("proxy")
    with pytest.raises(subprocess.CalledProcessError) as refused:
        server.ask("stage", IMAGE, "v1", REVISION)
    assert "::error title=The proxy does not start. Is its port taken" in refused.value.stderr
    server.ask("rollback")
    taken.unlink()
    server.deploy()


@pytest.mark.parametrize("call", ["ps --quiet$", "compose .* run ", "compose .* up .*blue"])
def test_engine_that_is_away_is_waited_for(server: Host, call: str) -> None:
    away = server.folder.with_name("state.away")
    away.write_text(call)
    server.deploy()
    assert not away.exists()


def test_deployment_of_the_future_is_abandoned(server: Host) -> None:
    """The clock of a server that has just started may be wrong for a while."""
    server.ask("stage", IMAGE, "v1", REVISION, DEPLOYMENT="theirs")
    tomorrow = time.time() + 86_400
    os.utime(server.folder / "deployment", (tomorrow, tomorrow))
    assert server.ask("stage", IMAGE, "v1", REVISION, DEPLOYMENT="ours")
