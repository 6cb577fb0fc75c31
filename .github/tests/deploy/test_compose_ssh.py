"""Deployments to a server over SSH: a real SSH server on this machine, real containers."""

import os
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import pytest
import ssh_server
from containers import docker
from deployments import (
    ONE,
    ROOT,
    SLOW_START,
    TWO,
    Client,
    Driver,
    Releases,
    fail_network,
    host,
)
from lib.processes import find_free_port
from ssh_server import Server

CREDENTIAL = "ghs_thisIsTheTokenOfTheJob"
DATABASE = "sqlite:////data/pa$$word$HOME.sqlite3?key=c2VjcmV0MQ=="


@pytest.fixture(scope="module")
def server(
    tree: Path, releases: Releases, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A server that may be deployed to."""
    folder = tmp_path_factory.mktemp("server")
    repository = releases(ONE).partition("@")[0]
    with ssh_server.serve(folder, tree / "deploy/compose/gate.sh", repository) as running:
        yield running
        host(tree, running.state, "remove")


@pytest.fixture(scope="module")
def driver(
    server: Server, tree: Path, releases: Releases, tmp_path_factory: pytest.TempPathFactory
) -> Driver:
    """The driver, for the server, where version v1 serves."""
    settings = server.settings | {"DEPLOY_TARGET": "compose", "SMOKE_TESTS": "true"}
    driver = Driver(tmp_path_factory.mktemp("a runner"), settings)
    host(tree, server.state, "logs")  # makes the state
    port = find_free_port()
    (server.state / "proxy.env").write_text(f"HTTP_BIND=127.0.0.1:{port}\n")
    driver.settings["DEPLOY_URL"] = f"http://127.0.0.1:{port}"
    done = driver.run("deploy", releases(ONE), version="v1", revision=ONE)
    assert done.code == 0, done.log
    return driver


@pytest.fixture
def client(driver: Driver, server: Server, tree: Path, releases: Releases) -> Client:
    """A client of version v1, which serves."""
    host(tree, server.state, "rollback", releases(ONE), "v1")  # which is quick: it is still there
    client = Client(driver.settings["DEPLOY_URL"])
    assert client.ask() == f"v1 {ONE}"
    return client


def find_variables(server: Server) -> str:
    """Return the environment of the copy that serves, as JSON."""
    label = "com.docker.compose"
    copy = (server.state / "serving").read_text().strip()
    proxy = ("ps", f"--filter=volume={server.state}/live")
    project = docker(*proxy, f'--format={{{{.Label "{label}.project"}}}}')
    filters = (f"{label}.project={project}", f"{label}.service={copy}")
    container = docker(
        "ps", "--quiet", *(f"--filter=label={label_filter}" for label_filter in filters)
    )
    return docker("inspect", "--format={{json .Config.Env}}", container)


@contextmanager
def watching_arguments(*secrets: str) -> Iterator[list[str]]:
    """Look at the arguments of all processes; collect those with a secret in them."""
    found: list[str] = []
    stop = Event()

    def look() -> None:
        while not stop.is_set():
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    text = path.read_text(errors="replace")
                except OSError:
                    continue  # it has ended
                found.extend(text for secret in secrets if secret in text)
            time.sleep(0.02)

    thread = Thread(target=look)
    thread.start()
    try:
        yield found
    finally:
        stop.set()
        thread.join()


def test_credentials_reach_the_server_and_do_not_stay(
    driver: Driver, server: Server, client: Client, releases: Releases
) -> None:
    docker("image", "rm", "--force", releases(TWO))
    secrets = {"DATABASE_URL": DATABASE, "REGISTRY_TOKEN": CREDENTIAL, "GITHUB_ACTOR": "somebody"}
    with client.asking(), watching_arguments(CREDENTIAL, DATABASE, "OPENSSH PRIVATE") as seen:
        done = driver.run("deploy", releases(TWO), version="v2", revision=TWO, **secrets)
    assert done.code == 0, done.log
    assert done.outputs["previous"] == f"{releases(ONE)} v1"
    assert client.answers.keys() == {f"v1 {ONE}", f"v2 {TWO}"}
    assert seen == []
    assert CREDENTIAL not in done.log
    assert DATABASE not in done.log
    files = [path for folder in (server.state, driver.folder) for path in folder.rglob("*")]
    credential = CREDENTIAL.encode()
    holders = {file for file in files if file.is_file() and credential in file.read_bytes()}
    assert holders == set()
    wait_until_no_key_is_left(driver)  # it went with the connection
    settings = server.state / f"{(server.state / 'serving').read_text().strip()}.env"
    assert settings.stat().st_mode & 0o777 == 0o600
    assert f'"DATABASE_URL={DATABASE}"' in find_variables(server)


ASKS_SLOWLY = """#!/bin/sh
case "$*" in *X-Preview*) exit ;; esac
for option; do case $option in --base-url=*) url=${{option#*=}} ;; esac; done
curl --silent --output /dev/null --write-out '%{{http_code}}' "$url/slow" >{answered} 2>/dev/null &
sleep 0.5
exit 1
"""
"""Smoke tests that fail when the new version has traffic, and answers something."""


def test_rolls_back_what_has_traffic_already(
    driver: Driver, client: Client, releases: Releases, tmp_path: Path
) -> None:
    smoke, answered = tmp_path / "smoke", tmp_path / "answered"
    smoke.write_text(ASKS_SLOWLY.format(answered=answered))
    smoke.chmod(0o755)
    with client.asking():
        done = driver.run(
            "deploy", releases(TWO), version="v2", revision=TWO, SMOKE_TESTS=str(smoke)
        )
    assert done.outputs["outcome"] == "rolled-back", done.log
    assert client.answers.keys() == {f"v1 {ONE}", f"v2 {TWO}"}
    assert client.ask() == f"v1 {ONE}"
    assert answered.read_text() == "200", "what the new version had begun to answer"


def test_deployment_that_was_killed_is_put_back(
    driver: Driver, client: Client, releases: Releases
) -> None:
    with client.asking():
        for seconds in (0.5, 2):
            driver.kill(releases(TWO, SLOW_START), "v2", TWO, after=seconds)
            done = driver.run("rollback", version="v2", revision=TWO)
            assert done.code == 0, done.log
            assert client.ask() == f"v1 {ONE}"
    assert client.answers.keys() <= {f"v1 {ONE}", f"v2 {TWO}"}
    done = driver.run("deploy", releases(ONE), version="v1", revision=ONE)
    assert done.code == 0, done.log
    wait_until_no_key_is_left(driver)  # what the killed one left is gone


def wait_until_no_key_is_left(driver: Driver) -> None:
    """Wait for the last sign of life of a deployment, which may outlast it."""
    deadline = time.monotonic() + 20
    while left := list(driver.folder.glob("compose.*")):
        assert time.monotonic() < deadline, left
        time.sleep(0.1)


STAGES = ("current", "stage", "switch", "confirm")


@pytest.mark.parametrize("fault", [("away", 2), ("lost", 0.5)])
def test_short_outages_at_each_stage_are_waited_out(
    driver: Driver,
    client: Client,
    releases: Releases,
    tmp_path: Path,
    fault: tuple[str, float],
) -> None:
    faults = dict.fromkeys((*STAGES, "rollback"), fault)
    network = fail_network(tmp_path / "network", "ssh", **faults) | {"PATIENCE": "20"}
    with client.asking():
        done = driver.run("deploy", releases(TWO), version="v2", revision=TWO, **network)
        assert (done.code, done.outputs["outcome"]) == (0, "deployed"), done.log
        waits = done.log.count("Waiting for 127.0.0.1: ")
        assert waits == len(STAGES) or (fault[0] == "lost" and waits), "what is quick is not lost"
        network["SMOKE_TESTS"] = "false"
        done = driver.run("deploy", releases(ONE), version="v1", revision=ONE, **network)
        assert (done.code, done.outputs["outcome"]) == (1, "rolled-back"), done.log
    assert client.ask() == f"v2 {TWO}"
    assert client.answers.keys() == {f"v1 {ONE}", f"v2 {TWO}"}


@pytest.mark.parametrize("stage", ["current", "switch", "rollback"])
def test_long_outage_is_said_and_what_served_can_be_put_back(
    driver: Driver,
    client: Client,
    releases: Releases,
    tmp_path: Path,
    stage: str,
) -> None:
    network = fail_network(tmp_path / "network", "ssh", **{stage: ("away", 300)})
    network |= {"PATIENCE": "2", "ROLLBACK_TIMEOUT": "5"}
    network["SMOKE_TESTS"] = "false" if stage == "rollback" else "true"
    with client.asking():
        done = driver.run("deploy", releases(TWO), version="v2", revision=TWO, **network)
        assert "::error title=127.0.0.1 cannot be reached::" in done.log
        if stage == "current":
            assert (done.code, done.outputs["outcome"]) == (1, "failed"), done.log
        else:
            assert (done.code, done.outputs["outcome"]) == (3, "rollback-failed"), done.log
            done = driver.run("rollback", version="v2", revision=TWO)
            assert (done.code, done.outputs["outcome"]) == (0, "rolled-back"), done.log
            assert driver.run("rollback").log == "There is nothing to put back.\n"
    assert client.ask() == f"v1 {ONE}"
    assert client.answers.keys() <= {f"v1 {ONE}", f"v2 {TWO}"}


def test_what_was_not_looked_at_gets_no_traffic(
    driver: Driver, server: Server, client: Client
) -> None:
    done = server.ask(f"switch {'0' * 32}")
    assert done.returncode == 75
    assert "Another deployment came between" in done.stderr
    assert client.ask() == f"v1 {ONE}"
    assert driver.settings


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"DEPLOY_HOST": ""},
            "DEPLOY_HOST is not set::Run: gh variable set DEPLOY_HOST --env prod",
        ),
        ({"DEPLOY_KNOWN_HOSTS": ""}, "DEPLOY_KNOWN_HOSTS is not set::Run: gh variable set"),
        ({"DEPLOY_SSH_KEY": ""}, "DEPLOY_SSH_KEY is not set::Run: gh secret set DEPLOY_SSH_KEY"),
        ({"DEPLOY_SSH_KEY": "x"}, "DEPLOY_SSH_KEY is no private key without passphrase"),
        ({"DEPLOY_HOST": "-oProxyCommand=id"}, "DEPLOY_HOST has a wrong value"),
        ({"DEPLOY_USER": "a b"}, "DEPLOY_USER has a wrong value"),
        ({"DEPLOY_PORT": "1;id"}, "DEPLOY_PORT has a wrong value"),
        ({"DEPLOY_PORT": "1"}, "127.0.0.1 cannot be reached"),
        ({"DEPLOY_HOST": "no-such-host.invalid"}, "no-such-host.invalid cannot be reached"),
    ],
)
def test_setting_that_is_missing_or_wrong(
    driver: Driver, releases: Releases, changes: dict[str, str], message: str
) -> None:
    settings = changes | {"DEPLOY_ENVIRONMENT": "production"}
    done = driver.run("deploy", releases(TWO), version="v2", revision=TWO, **settings)
    assert (done.code, done.outputs["outcome"]) == (1, "failed")
    assert f"::error title={message}" in done.log
    assert Client(driver.settings["DEPLOY_URL"]).ask().endswith((ONE, TWO))


def test_firewall_that_limits_connections_gets_time(tmp_path: Path) -> None:
    """`ufw limit` refuses whoever tries six times in 30 seconds, and counts what it refuses."""
    script = f"""source {ROOT}/deploy/targets/compose.sh; DEPLOYMENT=x SSH_FOLDER={tmp_path}
    ssh() {{ return 255; }}
    sleep() {{ echo "$1" >&3; ((SECONDS += $1)); }}
    DEPLOY_USER=deploy DEPLOY_HOST=host DEPLOY_PORT=22 ssh_ask current 3>&1 2>{tmp_path}/said"""
    done = subprocess.run(["bash", "-c", script], check=False, text=True, capture_output=True)
    assert done.stdout.split() == ["1", "3", "9", "27", "27"], done.stderr


def test_ssh_that_is_missing() -> None:
    script = f". {ROOT}/deploy/targets/compose.sh; PATH=/nowhere; target_current"
    done = subprocess.run(["bash", "-c", script], check=False, text=True, capture_output=True)
    assert done.returncode == 1
    assert done.stderr == "::error title=ssh is missing::Install OpenSSH where this job runs.\n"


def test_host_key_is_always_verified(driver: Driver, server: Server, releases: Releases) -> None:
    for line in (server.find_host_key("other_key"), "other.example ssh-ed25519 AAAA"):
        done = driver.run("deploy", releases(TWO), revision=TWO, DEPLOY_KNOWN_HOSTS=line)
        assert done.code == 1
        title = "::error title=The host key of 127.0.0.1 is not in DEPLOY_KNOWN_HOSTS::"
        assert title in done.log


def test_key_that_the_server_does_not_know(
    driver: Driver, server: Server, releases: Releases
) -> None:
    key = (server.folder / "other_key").read_text().replace("\n", "\r\n")
    done = driver.run("deploy", releases(TWO), revision=TWO, DEPLOY_SSH_KEY=key)
    assert done.code == 1
    assert "::error title=127.0.0.1 does not accept DEPLOY_SSH_KEY for" in done.log


def test_image_of_another_repository_is_refused(
    driver: Driver, client: Client, releases: Releases
) -> None:
    image = releases(ONE).replace("widget", "gadget")
    done = driver.run("deploy", image, version="v2", revision=TWO)
    assert done.outputs["outcome"] == "rolled-back"
    assert done.outputs["reason"] == "The server refuses the command"
    assert client.ask() == f"v1 {ONE}"


@pytest.mark.parametrize(
    "command",
    ["", "bash", "deploy x; rm -rf /", "current; id", "current\nid", "$(id)", "logs $(id)",
     "logs --follow", "remove", "rollback ../../etc", "rollback OLD@1 v2", "switch",
     f"switch ../{'0' * 32}",
     "scp -t /tmp", "env", "stage IMAGE v1 1234", f"stage IMAGE $(id) {ONE}",
     f"stage IMAGE v1 {ONE} more", f"stage IMAGE v1;id {ONE}", f" stage IMAGE v1 {ONE}"],
)  # fmt: skip
def test_gate_runs_nothing_else(
    tree: Path, releases: Releases, tmp_path: Path, command: str
) -> None:
    """The gate itself, with a system log and a host.sh that note what they get."""
    for name in ("host.sh", "logger"):
        program = tmp_path / name
        noted = f'echo "$@" >>{tmp_path}/{name}.log'
        program.write_text(f'#!/bin/sh\n[ "$1" = current ] && echo OLD@1 v1 || {noted}\n')
        program.chmod(0o755)
    gate = tmp_path / "gate.sh"
    gate.write_bytes((tree / "deploy/compose/gate.sh").read_bytes())
    gate.chmod(0o755)
    image = releases(ONE)

    def ask(text: str) -> int:
        environment = os.environ | {
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
            "SSH_ORIGINAL_COMMAND": text.replace("IMAGE", image),
        }
        return subprocess.run(
            [gate, tmp_path / "state", image.partition("@")[0]],
            env=environment,
            stderr=subprocess.DEVNULL,
            check=False,
        ).returncode

    assert ask(command) == 77
    assert not (tmp_path / "host.sh.log").exists()
    assert "refused from" in (tmp_path / "logger.log").read_text()
    assert ask(f"stage IMAGE v1.2.3 {ONE}") == 0
    assert ask("rollback OLD@1 v1") == 0, "what serves, whatever it was called"
    noted = f"stage {image} v1.2.3 {ONE}\nrollback OLD@1 v1\n"
    assert (tmp_path / "host.sh.log").read_text() == noted


def test_key_opens_no_shell_no_copy_and_no_tunnel(server: Server, tmp_path: Path) -> None:
    port = find_free_port()
    assert server.ask().returncode == 77
    assert server.ask("-tt", "bash -i").returncode in {77, 255}
    assert server.ask("-s", "sftp").returncode == 77
    assert server.ask(f"-R{port}:127.0.0.1:22", "current").returncode == 255, "no tunnel"
    copy = server.ask(f"{__file__}", f"127.0.0.1:{tmp_path}/copy", client="scp")
    assert copy.returncode != 0
    assert not (tmp_path / "copy").exists()


PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHdoYXRldmVyIHRoaXMgaXMsIGl0IGlzIG5vIGtl me@home"
SETUP = "/source/setup_server.sh --domain app.example.com --port 2222 ghcr.io/octo-org/widget"
OTHER = "/source/setup_server.sh ghcr.io/octo-org/another"
OLD_COMPOSE = """docker() { case $* in *--progress*) return 125 ;; esac; }; export -f docker;"""
USABLE = """
set -e
groupadd docker
printf '#!/bin/sh\\n' >/usr/local/bin/docker
mkdir -p /etc/ssh
echo 'ssh-ed25519 AAAAhost root@server' >/etc/ssh/ssh_host_ed25519_key.pub
chmod +x /usr/local/bin/docker
"""
"""Makes a container look like a server with Docker and SSH."""


def set_up(image: str, script: str) -> str:
    """Run a script as root of a throw-away machine, with the files of a server in `/source`."""
    source = f"--volume={ROOT}/deploy/compose:/source:ro"
    options = ("--rm", "--user=0", "--entrypoint=bash", source)
    return docker("run", *options, image, "-c", f"key='{PUBLIC_KEY}'\n{script}")


def test_server_is_set_up_by_one_command(image: str) -> None:
    log = set_up(
        image,
        f"""{USABLE}
        {SETUP} "$key" server.example.com >/tmp/first
        {SETUP} "$key" server.example.com
        cmp /tmp/first <({SETUP} "$key" server.example.com)
        echo "=== files"
        cd / && find opt/deploy var/lib/deploy -printf '%p %U:%u %m\\n' | sort
        cat /var/lib/deploy/.ssh/authorized_keys /var/lib/deploy/app/proxy.env
        id -nG deploy
        su deploy -c '/opt/deploy/gate.sh --help' | head -n 1
        su deploy -c 'SSH_ORIGINAL_COMMAND=current /opt/deploy/gate.sh /var/lib/deploy/app a/b'
        su deploy -c 'touch /opt/deploy/x /var/lib/deploy/x /var/lib/deploy/.ssh/x' 2>&1 | wc -l
        su deploy -c 'HOST_FOLDER=/var/lib/deploy/app /opt/deploy/host.sh remove' || echo failed
        ls -A /var/lib/deploy/app | wc -l
        """,
    )
    commands, _, files = log.partition("=== files\n")
    assert (
        "gh variable set DEPLOY_URL --env production --body 'https://app.example.com'" in commands
    )
    known = "[server.example.com]:2222 ssh-ed25519 AAAAhost"
    assert f"gh variable set DEPLOY_KNOWN_HOSTS --env production --body '{known}'" in commands
    assert "gh secret set DEPLOY_SSH_KEY --env production <" in commands
    modes = dict(
        line.split(" ", 1) for line in files.splitlines() if line.startswith(("opt", "var"))
    )
    for name, mode in (("app", "700"), ("app/proxy.env", "644")):
        assert modes.pop(f"var/lib/deploy/{name}").endswith(f":deploy {mode}")
    assert modes.pop("opt/deploy/gate.sh") == modes.pop("opt/deploy/host.sh") == "0:root 755"
    assert set(modes.values()) == {"0:root 755", "0:root 644"}
    key = " ".join(PUBLIC_KEY.split()[:2])
    gate = "/opt/deploy/gate.sh /var/lib/deploy/app ghcr.io/octo-org/widget"
    assert files.splitlines()[-8:] == [
        f'restrict,command="{gate}" {key} production',
        "SITE_ADDRESS=app.example.com",
        "HTTP_BIND=80",
        "HTTPS_BIND=443",
        "deploy docker",
        "usage: gate.sh FOLDER REPOSITORY",
        "3",
        "0",
    ]


def test_setup_refuses(image: str) -> None:
    refused = {
        f'{SETUP} "$key" host': "Docker is missing",
        f'{OLD_COMPOSE} {SETUP} "$key" host': "or that is too old",
        f'{OTHER.replace(" ", " --http 192.0.2.1: ", 1)} "$key" host': "--http cannot be",
        f'{USABLE} {SETUP} "$key" "host;id"': "HOST cannot be host;id",
        f'{SETUP} "$key"': "usage: setup_server.sh",
        f'{SETUP} "x\\",command=\\"sh" host': "PUBLIC_KEY cannot be",
        '/source/setup_server.sh \'ghcr.io/a/b" sh "\' "$key" host': "REPOSITORY cannot be",
        "/source/setup_server.sh --user '../root' a/b \"$key\" host": "--user cannot be",
        "/source/setup_server.sh --domain": "--domain has no value",
        f'useradd --create-home deploy; {SETUP} "$key" host': "deploy is somebody's",
        f'userdel deploy; {SETUP} "$key" host && {OTHER} "$key" host': "deploy deploys ghcr.io",
        f'{SETUP} "$key" host'.replace("--", "--environment x --", 1): "widget production: name",
        f'rm /etc/ssh/*; {SETUP} "$key" host': "ssh-keygen -A",
    }
    tried = [f"({script}) 2>&1 && echo accepted" for script in refused]
    log = set_up(image, "\n".join([*tried, "true"]))
    assert "accepted" not in log
    assert [text for text in refused.values() if text not in log] == []


def test_dry_run_changes_nothing(image: str) -> None:
    log = set_up(
        image,
        f'{USABLE} {SETUP.replace(" ", " --dry-run ", 1)} "$key" host\necho "found: $(ls /opt)"',
    )
    assert "would run: useradd" in log
    assert "would write /var/lib/deploy/.ssh/authorized_keys: restrict,command=" in log
    assert log.splitlines()[-1].strip() == "found:"


def test_address_of_the_site_has_an_unusual_port(image: str) -> None:
    addresses = {
        "host": "http://host",
        "2001:db8::1": "http://[2001:db8::1]",
        "--http 80 host": "http://host",
        "--http 8080 host": "http://host:8080",
        "--http 443 host": "http://host:443",
        "--http 192.0.2.1:8080 2001:db8::1": "http://[2001:db8::1]:8080",
        "--https 8443 host": "http://host",
        "--http [2001:db8::2]:8080 host": "http://host:8080",
        "--domain a.example.com --https 8443 host": "https://a.example.com:8443",
        "--domain a.example.com --https 192.0.2.1:443 host": "https://a.example.com",
        "--domain a.example.com --http 8080 host": "https://a.example.com",
    }
    calls = (
        f'/source/setup_server.sh --dry-run {options} a/b "$key" {name}'
        for *words, name in map(str.split, addresses)
        for options in [" ".join(words)]
    )
    log = set_up(image, "\n".join([USABLE, *calls]))
    assert re.findall(r"set DEPLOY_URL .* '(.*)'", log) == [*addresses.values()]
