"""The rehearsal, with real containers: whatever is wrong with a version, nobody gets to see it."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from containers import docker
from deployments import (
    BROKEN,
    CAUSES,
    FAULTS,
    IMPATIENT,
    ONE,
    SLOW_START,
    TWO,
    Client,
    Driver,
    Releases,
    fail_network,
    host,
)


@pytest.fixture(scope="module")
def driver(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    """The driver, for the target of a copy of this repository that suits the engine here."""
    folder = tmp_path_factory.mktemp("rehearsal")
    settings = {
        "DEPLOY_TARGETS": str(tree / "deploy/targets"),
        "HOST_FOLDER": str(folder / "state"),
        "SMOKE_TESTS": "true",
    }
    yield Driver(folder, settings)
    host(tree, folder / "state", "remove")


@pytest.fixture
def client(driver: Driver, tree: Path, releases: Releases) -> Client:
    """A client of version v1, which serves."""
    folder = Path(driver.settings["HOST_FOLDER"])
    if not host(tree, folder, "current"):
        done = driver.run("deploy", releases(ONE), version="v1", revision=ONE)
        assert done.code == 0, done.log
    host(tree, folder, "rollback", releases(ONE), "v1")  # which is quick: it is still there
    serving = Client(host(tree, folder, "url"))
    assert serving.ask() == f"v1 {ONE}"
    return serving


def test_new_version_takes_over_without_a_gap(
    driver: Driver, client: Client, releases: Releases
) -> None:
    with client.asking():
        smoke = {"SMOKE_TESTS": driver.write_smoke_tests()}
        done = driver.run("deploy", releases(TWO), version="v2", revision=TWO, **smoke)
    assert done.code == 0, done.log
    assert done.log.splitlines().count("passed") == 2, "before it gets traffic, and after"
    assert done.outputs["outcome"] == "deployed"
    assert done.outputs["previous"] == f"{releases(ONE)} v1"
    assert client.answers.keys() == {f"v1 {ONE}", f"v2 {TWO}"}
    with client.asking():
        again = driver.run("deploy", releases(TWO), version="v2", revision=TWO)
    assert again.code == 0, again.log
    assert client.answers.keys() == {f"v2 {TWO}"}


@pytest.mark.parametrize("fault", FAULTS)
def test_broken_version_is_never_seen(
    driver: Driver, client: Client, releases: Releases, fault: str
) -> None:
    settings = {"SMOKE_TESTS": driver.write_smoke_tests()} if "smoke" in fault else {}
    settings |= IMPATIENT.get(fault, {})
    image = releases(BROKEN, FAULTS[fault])
    with client.asking():
        done = driver.run("deploy", image, version="v3", revision=BROKEN, **settings)
    assert (done.code, done.outputs["outcome"]) == (1, "rolled-back"), done.log
    assert done.outputs["reason"] == CAUSES[fault], done.log
    assert done.outputs["previous"] == f"{releases(ONE)} v1"
    assert "### ❌ Rolled back" in done.summary
    assert client.answers.keys() == {f"v1 {ONE}"}


def test_nothing_that_a_version_prints_is_obeyed(
    driver: Driver, client: Client, releases: Releases
) -> None:
    text = "::error title=Made up::x\\na ##[error]x\\n500 rows reset; timeout not known, refused\\n"
    image = releases(BROKEN, f"""ENTRYPOINT ["sh", "-c", "printf '{text}'; exit 1"]""")
    done = driver.run("deploy", image, version="v3", revision=BROKEN)
    assert done.outputs["reason"] == "The migrations of v3 failed"
    assert "| ::error title=Made up::x\n| a ## [error]x\n" in done.log
    assert "Waiting for" not in done.log, "it is run once"
    assert client.ask() == f"v1 {ONE}"


AWAY = "connection to server at 10.0.0.5 failed: Connection refused"


@pytest.mark.parametrize(
    ("patience", "ended"),
    [
        pytest.param("60", "deployed", id="for a while"),
        pytest.param("8", "rolled-back", id="longer"),
    ],
)
def test_database_that_is_away_is_waited_for(
    driver: Driver, client: Client, releases: Releases, patience: str, ended: str
) -> None:
    comes_back = ended == "deployed"
    folder, mark = "/usr/local/bin", f"/data/{comes_back}"
    note = f"touch {mark}; " if comes_back else ""
    lines = f"[ ! -e {mark} ] || exit 0; {note}echo {AWAY} >&2; exit 1"
    write = rf"printf '%s\n' '#!/bin/sh' '{lines}' >{folder}/migrate"
    change = f"rm {folder}/migrate && {write} && chmod +x {folder}/migrate"
    image = releases(BROKEN, f"USER 0\nRUN {change}\nUSER 10001:10001")
    with client.asking():
        done = driver.run("deploy", image, version="v3", revision=BROKEN, PATIENCE=patience)
    assert done.outputs["outcome"] == ended, done.log
    assert done.log.count(f"Waiting for the database: | {AWAY}") == 1
    assert client.answers.keys() <= {f"v1 {ONE}", f"v3 {BROKEN}"}
    assert comes_back or done.outputs["reason"] == "The database does not answer"


def test_missing_image_changes_nothing(driver: Driver, client: Client, releases: Releases) -> None:
    image = f"{releases(ONE).partition('@')[0]}@sha256:{'0' * 64}"
    with client.asking():
        done = driver.run("deploy", image, version="v3", revision=BROKEN)
    assert done.code == 1
    assert "cannot be pulled" in done.outputs["reason"]
    assert client.answers.keys() == {f"v1 {ONE}"}


@pytest.mark.parametrize(("seconds", "outcome"), [(2, "deployed"), (300, "rolled-back")])
def test_registry_that_is_away(  # noqa: PLR0913, PLR0917
    driver: Driver, client: Client, releases: Releases, tmp_path: Path, seconds: int, outcome: str
) -> None:
    docker("image", "rm", "--force", releases(TWO))
    network = fail_network(tmp_path / "network", "docker", pull=("away", seconds))
    network["PATIENCE"] = "20" if outcome == "deployed" else "2"
    with client.asking():
        done = driver.run("deploy", releases(TWO), version="v2", revision=TWO, **network)
    assert done.outputs["outcome"] == outcome, done.log
    assert done.log.count("Waiting for the registry: ") == 1
    if outcome == "rolled-back":
        assert done.outputs["reason"] == "The registry does not answer"
    assert client.answers.keys() <= {f"v1 {ONE}", f"v2 {TWO}"}


def test_version_before_is_not_forgotten_while_the_registry_is_away(
    driver: Driver, tree: Path, tmp_path: Path
) -> None:
    state = tmp_path / "another"
    previous = {"HOST_FOLDER": str(state), "REHEARSAL_PREVIOUS": "registry.example/app:staging"}
    network = fail_network(tmp_path / "network", "docker", pull=("away", 300))
    settings = driver.settings | previous | network | {"PATIENCE": "1"}
    image = f"registry.example/app@sha256:{'0' * 64}"
    done = Driver(tmp_path / "driver", settings).run("deploy", image, version="v2", revision=TWO)
    assert (done.code, done.outputs["outcome"]) == (1, "failed")
    assert done.outputs["reason"].startswith("The registry does not answer")
    assert host(tree, state, "current") == ""
    host(tree, state, "remove")


def test_deployment_that_was_killed_is_put_back_and_can_be_run_again(
    driver: Driver, client: Client, releases: Releases
) -> None:
    with client.asking():
        for seconds in (0.5, 3):
            driver.kill(releases(TWO, SLOW_START), "v2", TWO, after=seconds)
            done = driver.run("rollback", version="v2", revision=TWO)
            assert done.code == 0, done.log
            assert done.outputs.get("outcome", "rolled-back") == "rolled-back"
            assert client.ask() == f"v1 {ONE}"
    assert client.answers.keys() <= {f"v1 {ONE}", f"v2 {TWO}"}
    assert driver.run("deploy", releases(ONE), version="v1", revision=ONE).code == 0


def test_copy_that_somebody_removed_does_not_stop_the_next_version(
    driver: Driver, client: Client, releases: Releases
) -> None:
    ours = releases(ONE).partition("@")[0]
    running = [line.split() for line in docker("ps", "--format={{.Image}} {{.ID}}").splitlines()]
    docker("rm", "--force", *(name for image, name in running if image.startswith(ours)))
    done = driver.run("deploy", releases(TWO), version="v2", revision=TWO)
    assert done.outputs["outcome"] == "deployed", done.log
    assert client.ask() == f"v2 {TWO}"


def test_rollback_that_its_own_deployment_holds_up_is_none(
    driver: Driver, client: Client, releases: Releases, tmp_path: Path
) -> None:
    smoke, lock = tmp_path / "smoke", Path(driver.settings["HOST_FOLDER"]) / "lock"
    hold = f"flock {lock} sleep 6 >/dev/null 2>&1 &"
    smoke.write_text(f"#!/bin/sh\n{hold} sleep 1; exit 1\n")
    smoke.chmod(0o755)
    settings = {"SMOKE_TESTS": str(smoke), "PATIENCE": "1"}
    done = driver.run("deploy", releases(TWO), version="v2", revision=TWO, **settings)
    assert (done.code, done.outputs["outcome"]) == (3, "rollback-failed"), done.log
    done = driver.run("rollback", version="v2", revision=TWO, PATIENCE="60")
    assert (done.code, done.outputs["outcome"]) == (0, "rolled-back"), done.log
    assert client.ask() == f"v1 {ONE}"


def test_two_at_once_wait_for_each_other(
    driver: Driver, client: Client, releases: Releases, tmp_path: Path
) -> None:
    other = Driver(tmp_path / "other", driver.settings)
    with (
        client.asking(),
        other.begin(releases(ONE), "v1", ONE) as first,
    ):
        second = driver.run("deploy", releases(ONE), version="v1", revision=ONE)
        assert first.wait(120) in {0, 1}
    assert second.code in {0, 1}
    assert client.answers.keys() == {f"v1 {ONE}"}
    assert client.ask() == f"v1 {ONE}"


def ask(url: str, path: str, preview: str = "") -> tuple[int, str]:
    """Return the status and the revision that answer; with a header that may lead to a preview."""
    try:
        with urlopen(Request(url + path, headers={"X-Preview": preview})) as answer:  # noqa: S310
            return answer.status, json.load(answer)["revision"]
    except HTTPError as error:
        with error:
            return error.code, ""


def test_traffic_goes_to_nothing_that_another_deployment_staged(
    driver: Driver, client: Client, tree: Path, releases: Releases
) -> None:
    folder = Path(driver.settings["HOST_FOLDER"])
    mine = host(tree, folder, "stage", releases(TWO), "v2", TWO)
    for guess in ("/../green", "/../blue", "x/../../green", "0" * 32):
        assert ask(client.url, "/health", guess) == (200, ONE), "the one that serves"
    assert ask(client.url, "/health", mine) == (200, TWO)
    assert ask(client.url, "/metrics", mine) == (200, TWO)
    for path in ("/metrics", "/metrics/", "/metrics%2f"):
        assert ask(client.url, path)[0] == 404, "nobody else may ask for them"
    copy = host(tree, folder, "current") and docker("ps", "--quiet", f"--filter=name={folder.name}")
    rotation = "--format={{json .HostConfig.LogConfig.Config}}"
    assert '"max-size":"10m"' in docker("inspect", rotation, *copy.split())
    unproven = releases(BROKEN, FAULTS["fails the smoke tests"])
    host(tree, folder, "stage", unproven, "v3", BROKEN)
    with client.asking(), pytest.raises(subprocess.CalledProcessError):
        host(tree, folder, "switch", mine)
    assert client.answers.keys() == {f"v1 {ONE}"}


def test_previous_image_serves_first_where_nothing_serves(
    driver: Driver, tree: Path, releases: Releases, tmp_path: Path
) -> None:
    state = tmp_path / "another"
    tag = f"{releases(ONE).partition('@')[0]}:staging"
    docker("tag", releases(ONE), tag)
    docker("push", tag)
    settings = driver.settings | {"HOST_FOLDER": str(state), "REHEARSAL_PREVIOUS": tag}
    fresh = Driver(tmp_path / "driver", settings)
    image = releases(BROKEN, FAULTS["ends at once"])
    try:
        done = fresh.run("deploy", image, version="v3", revision=BROKEN)
        assert done.outputs["outcome"] == "rolled-back", done.log
        assert done.outputs["previous"] == f"{releases(ONE)} previous"
        assert Client(host(tree, state, "url")).ask() == f"previous {ONE}"
    finally:
        host(tree, state, "remove")
