"""The driver, with a target that a test adds: one file with five functions."""

import json
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from deployments import DRIVER, ROOT, Driver
from fakes.servers import Asked, Reply, serve

IMAGE = f"registry.example/octo-org/widget@sha256:{'a' * 64}"
OLD, NEW = "1" * 40, "2" * 40
TARGET = """
target_current() { cat "$SERVING"; }
target_deploy() { [[ ! -f $FOLDER/refuse-deploy ]] && echo "$APP_REVISION" >"$SERVING"; }
target_rollback() {
  [[ ! -f $FOLDER/refuse-rollback ]]
  echo "${1:-}" >"$SERVING"
}
target_url() { echo "$FAKE_URL"; }
target_logs() { echo "the log of the new version"; }
"""
COMMAND = "::error title=Planted::by the version"
DEPLOY = 'echo "$APP_REVISION" >"$SERVING"'
END_SECONDS = 5


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[Driver]:
    """The driver, with a target that serves the revision in a file."""
    serving = tmp_path / "serving"
    serving.write_text(f"{OLD}\n")
    (tmp_path / "targets").mkdir()
    (tmp_path / "targets/file.sh").write_text(TARGET)
    (tmp_path / "targets/broken.sh").write_text(TARGET.replace('cat "$SERVING"', "false"))

    def answer(asked: Asked) -> Reply:
        away = (tmp_path / "away").exists() and asked.path == "/ready"
        found = 200 if asked.path in {"/health", "/ready"} else 404
        revision = serving.read_text().strip()
        content = f'{{"revision": "{revision}"}}'.encode()
        return Reply(found if revision and not away else 503, content)

    with serve(answer) as address:
        yield Driver(
            tmp_path / "driver",
            {
                "DEPLOY_TARGET": "file",
                "DEPLOY_TARGETS": str(tmp_path / "targets"),
                "DEPLOY_TIMEOUT": "2",
                "FAKE_URL": address,
                "FOLDER": str(tmp_path),
                "http_proxy": "http://127.0.0.1:9",  # not for what is on this machine
                "SERVING": str(serving),
                "SMOKE_TESTS": "true",
            },
        )


@pytest.mark.parametrize("end", ["", "/"])
def test_good(driver: Driver, end: str) -> None:
    url = driver.settings["FAKE_URL"] + end
    with_password = url.replace("//", "//user:secret@")
    done = driver.run("deploy", IMAGE, version="v2", revision=NEW, FAKE_URL=with_password)
    assert done.code == 0, done.log
    assert done.outputs == {
        "url": url,
        "outcome": "deployed",
        "reason": "",
        "previous": OLD,
    }
    assert "### ✅ Deployed" in done.summary
    assert driver.run("rollback").outputs == {}, "there is nothing to put back"


def test_smoke_tests_that_fail_put_the_old_version_back(driver: Driver) -> None:
    done = driver.run("deploy", IMAGE, version="v2", revision=NEW, SMOKE_TESTS="false")
    assert done.code == 1
    assert (done.outputs["outcome"], done.outputs["reason"]) == (
        "rolled-back",
        "the smoke tests failed",
    )
    assert "the log of the new version" in done.log
    assert Path(driver.settings["SERVING"]).read_text() == f"{OLD}\n"


def test_smoke_tests_see_no_secret(driver: Driver, tmp_path: Path) -> None:
    smoke = tmp_path / "smoke"
    smoke.write_text("#!/bin/sh\n! env | grep ' of production$'\n")
    smoke.chmod(0o755)
    names = ("DATABASE_URL", "DEPLOY_SSH_KEY", "KUBE_CONFIG", "REGISTRY_TOKEN")
    secrets = {name: f"{name} of production" for name in names}
    done = driver.run(
        "deploy", IMAGE, version="v2", revision=NEW, SMOKE_TESTS=str(smoke), **secrets
    )
    assert done.code == 0, done.log


@pytest.mark.parametrize(
    ("comes_back", "reason"),
    [
        ("(sleep 3; rm $away) >/dev/null 2>&1 &", ""),
        ("sleep 2; rm $away;", ""),  # it is back before the tests have failed
        ("", "the smoke tests failed, and it is not ready: /ready answers 503"),
    ],
)
def test_smoke_tests_wait_for_what_the_version_needs(
    driver: Driver, tmp_path: Path, comes_back: str, reason: str
) -> None:
    """The first run of the tests takes the database away."""
    smoke, away = tmp_path / "smoke", tmp_path / "away"
    smoke.write_text(
        f"#!/bin/sh\naway={away}\n[ -e $away.once ] && exit 0\ntouch $away $away.once\n"
        f"{comes_back} exit 1"
    )
    smoke.chmod(0o755)
    outcome, patience = ("rolled-back", "1") if reason else ("deployed", "20")
    settings = {"PATIENCE": patience, "SMOKE_TESTS": str(smoke)}
    done = driver.run("deploy", IMAGE, version="v2", revision=NEW, **settings)
    assert (done.outputs["outcome"], done.outputs["reason"]) == (outcome, reason), done.log
    assert done.log.count("Waiting to run the smoke tests again: it is not ready: /ready") == 1


def test_wrong_revision_is_found_long_before_the_limit(driver: Driver, tmp_path: Path) -> None:
    wrong = TARGET.replace('echo "$APP_REVISION" >"$SERVING"', f'echo {"9" * 40} >"$SERVING"')
    (tmp_path / "targets/file.sh").write_text(wrong)
    limits = {"DEPLOY_TIMEOUT": "300", "OTHER_TIMEOUT": "2"}
    began = time.monotonic()
    done = driver.run("deploy", IMAGE, version="v2", revision=NEW, **limits)
    assert time.monotonic() - began < 60
    assert done.outputs["outcome"] == "rolled-back"
    assert done.outputs["reason"] == f"it is {'9' * 40} that answers, not {NEW}"
    assert re.search(r"This was known after \d+ s", done.log)
    assert re.search(r"It took \d+ s to find out, and \d+ s to go back", done.summary)


def test_version_before_may_answer_for_a_while(driver: Driver, tmp_path: Path) -> None:
    late = TARGET.replace(DEPLOY, f"{{ (sleep 3; {DEPLOY}) >/dev/null 2>&1 & }}")
    (tmp_path / "targets/file.sh").write_text(late)
    limits = {"DEPLOY_TIMEOUT": "60", "OTHER_TIMEOUT": "45"}
    done = driver.run("deploy", IMAGE, version="v2", revision=NEW, **limits)
    assert done.outputs["outcome"] == "deployed", done.log


def test_target_that_refuses(driver: Driver, tmp_path: Path) -> None:
    (tmp_path / "refuse-deploy").touch()
    done = driver.run("deploy", IMAGE, version="v2", revision=NEW)
    assert (done.code, done.outputs["outcome"]) == (1, "rolled-back")
    assert done.outputs["reason"] == "the new version did not start"


def test_rollback_that_fails_too_is_loud(driver: Driver, tmp_path: Path) -> None:
    (tmp_path / "refuse-rollback").touch()
    done = driver.run("deploy", IMAGE, version="v2", revision=NEW, SMOKE_TESTS="false")
    assert (done.code, done.outputs["outcome"]) == (3, "rollback-failed")
    assert "### 🔥 The rollback failed too" in done.summary
    assert "Actions → CD → Run workflow" in done.summary
    assert "gh workflow run cd.yml --ref v1.2.3" in done.summary, "production takes tags only"


def test_first_deployment_has_nothing_to_go_back_to(driver: Driver) -> None:
    Path(driver.settings["SERVING"]).write_text("")
    done = driver.run("deploy", IMAGE, version="v2", revision=NEW, SMOKE_TESTS="false")
    assert (done.code, done.outputs["outcome"]) == (1, "failed")
    assert "nothing serves now" in done.summary


def test_output_is_one_line(driver: Driver) -> None:
    Path(driver.settings["SERVING"]).write_text(f"{OLD}\r\noutcome=deployed\n")
    done = driver.run("deploy", IMAGE, version="v2", revision=NEW, SMOKE_TESTS="false")
    assert done.outputs["outcome"] != "deployed"
    assert done.outputs["previous"] == f"{OLD} outcome=deployed"


def test_target_that_does_not_answer_changes_nothing(driver: Driver) -> None:
    done = driver.run("deploy", IMAGE, revision=NEW, DEPLOY_TARGET="broken")
    assert (done.code, done.outputs["outcome"]) == (1, "failed")
    assert Path(driver.settings["SERVING"]).read_text() == f"{OLD}\n"


@pytest.mark.parametrize("name", ["nonsense", "../rehearsal", "a b", "$(id)"])
def test_unknown_target_lists_the_valid_ones(driver: Driver, name: str) -> None:
    done = driver.run("deploy", IMAGE, revision=NEW, DEPLOY_TARGET=name)
    assert done.code == 1
    assert "to one of: broken file." in done.log


@pytest.mark.parametrize(
    "image", ["name:tag", "name@sha256:abc", f"NAME@sha256:{'a' * 64}", "; id"]
)
def test_image_must_be_named_by_its_digest(driver: Driver, image: str) -> None:
    done = driver.run("deploy", image, revision=NEW)
    assert (done.code, done.outputs["outcome"]) == (1, "failed")
    assert "NAME@sha256" in done.outputs["reason"]


def test_settings_come_as_json_and_are_only_text(driver: Driver, tmp_path: Path) -> None:
    hostile = f'x$(touch {tmp_path}/planted)"`id`'
    (tmp_path / "targets/file.sh").write_text(
        TARGET + f'printf "%s" "$KUBE_NAMESPACE$DEPLOY_S3" >{tmp_path}/seen\n'
    )
    settings = {"KUBE_NAMESPACE": hostile, "PATH": "/nowhere", "DEPLOY_TARGET": "other"}
    settings["DEPLOY_S3"] = "bucket"
    done = driver.run("deploy", IMAGE, revision=NEW, SETTINGS=json.dumps(settings))
    assert done.code == 0, done.log
    assert (tmp_path / "seen").read_text() == f"{hostile}bucket"
    assert not (tmp_path / "planted").exists()


def test_every_target_has_the_five_functions() -> None:
    for target in (ROOT / "deploy/targets").glob("*.sh"):
        script = f"ROOT={ROOT} TARGET_FILE={target}; source {target}; declare -F"
        text = subprocess.run(["bash", "-c", script], check=True, capture_output=True, text=True)
        functions = {line.split()[-1] for line in text.stdout.splitlines()}
        wanted = {f"target_{name}" for name in ("current", "deploy", "rollback", "url", "logs")}
        assert wanted <= functions, target


def change_target(driver: Driver, old: str, new: str) -> None:
    assert TARGET.count(old) == 1
    (Path(driver.settings["DEPLOY_TARGETS"]) / "file.sh").write_text(TARGET.replace(old, new))


def find_commands(log: str) -> list[str]:
    """Return the commands that GitHub would obey: not those where it was told to stop."""
    obeyed, token = [], ""
    for line in map(str.strip, log.splitlines()):
        if token:
            token = "" if line == f"::{token}::" else token
        elif line.startswith("::stop-commands::"):
            token = line.removeprefix("::stop-commands::")
        elif line.startswith("::"):
            obeyed.append(line)
    assert not token, "GitHub was never told to go on"
    return obeyed


def test_log_of_a_version_gives_no_commands(driver: Driver) -> None:
    change_target(driver, "the log of the new version", COMMAND)
    done = driver.run("deploy", IMAGE, version="v2", revision=NEW, SMOKE_TESTS="false")
    assert COMMAND in done.log
    assert COMMAND not in find_commands(done.log)
    assert any(
        command.startswith("::error title=Not deployed") for command in find_commands(done.log)
    )


def test_answer_of_a_version_gives_no_commands(driver: Driver) -> None:
    change_target(driver, DEPLOY, rf"echo 'x\n{COMMAND}' >\"$SERVING\"".replace('\\"', '"'))
    done = driver.run("deploy", IMAGE, version="v2", revision=NEW)
    assert done.outputs["outcome"] == "rolled-back"
    assert "Planted" not in done.log


def test_target_without_address_is_the_reason(driver: Driver) -> None:
    change_target(driver, 'echo "$FAKE_URL"', "return 1")
    done = driver.run("deploy", IMAGE, version="v2", revision=NEW)
    assert done.outputs["reason"] == "the target does not say where it answers"


def test_service_that_was_down_is_not_said_to_serve_again(driver: Driver) -> None:
    done = driver.run("deploy", IMAGE, version="v2", revision=NEW, FAKE_URL="http://127.0.0.1:1")
    assert done.outputs["outcome"] == "rolled-back"
    assert "It did not answer before either" in done.summary
    why = "nothing answers at http://127.0.0.1:1: Failed to connect to 127.0.0.1 port 1"
    assert done.outputs["reason"].startswith(why), "such as that a certificate is not trusted"
    assert "serves again" not in done.summary


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_cancelled_deployment_is_put_back_at_once(driver: Driver, number: signal.Signals) -> None:
    change_target(driver, DEPLOY, f"{DEPLOY} && sleep 30")
    serving = Path(driver.settings["SERVING"])
    with driver.begin(IMAGE, "v2", NEW) as running:
        while serving.read_text() != f"{NEW}\n":
            assert running.poll() is None
            time.sleep(0.05)
        begin = time.monotonic()
        running.send_signal(number)
        code = running.wait(60)
    assert time.monotonic() - begin < END_SECONDS
    assert code == 1
    assert serving.read_text() == f"{OLD}\n"
    output = (driver.folder / "output").read_text()
    assert "outcome=rolled-back\nreason=the deployment was cancelled\n" in output


SLOW_TO_NOTE = 'echo() { [[ ${1:-} != "$$ "* ]] || sleep 1; builtin echo "$@"; }'
"""Makes the driver take a while until it has noted which processes a deployment is."""


def test_deployment_that_is_cancelled_as_it_begins_is_ended(driver: Driver, tmp_path: Path) -> None:
    (tmp_path / "slow.sh").write_text(SLOW_TO_NOTE)
    change_target(driver, DEPLOY, f"{DEPLOY} && sleep 4 && {DEPLOY}")
    serving = Path(driver.settings["SERVING"])
    with driver.begin(IMAGE, "v2", NEW, BASH_ENV=str(tmp_path / "slow.sh")) as running:
        while serving.read_text() != f"{NEW}\n":
            time.sleep(0.05)
        begin = time.monotonic()
        running.send_signal(signal.SIGTERM)
        assert running.wait(60) == 1
    time.sleep(max(0, begin + 5 - time.monotonic()))
    assert serving.read_text() == f"{OLD}\n", "it went on after the rollback"


@pytest.mark.parametrize("revision", ["", "main", "x" * 40])
def test_revision_must_be_a_commit(driver: Driver, revision: str) -> None:
    """Without one, a service that does not answer would be what was waited for."""
    url = "http://127.0.0.1:1"
    done = driver.run("deploy", IMAGE, version="v2", revision=revision, FAKE_URL=url)
    assert (done.code, done.outputs["outcome"]) == (1, "failed")
    assert "APP_REVISION" in done.outputs["reason"]
    assert Path(driver.settings["SERVING"]).read_text() == f"{OLD}\n"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [("DEPLOY_TIMEOUT", "5m", "is no number of seconds"), ("DEPLOY_TIMEOUT", "", ""),
     ("DEPLOY_TIMEOUT", "a[$(id)]", "is no number of seconds"),
     ("DEPLOY_URL", "shop.example.com", "is no address"),
     ("DEPLOY_URL", "https://shop.example.com ", "is no address")],
)  # fmt: skip
def test_wrong_setting_changes_nothing(driver: Driver, name: str, value: str, said: str) -> None:
    settings = {"DEPLOY_TIMEOUT": "", "SETTINGS": json.dumps({name: value})}
    done = driver.run("deploy", IMAGE, version="v2", revision=NEW, **settings)
    assert done.outputs["outcome"] == ("failed" if said else "deployed"), done.log
    assert not said or done.outputs["reason"].startswith(f"{name} {said}")
    assert not said or Path(driver.settings["SERVING"]).read_text() == f"{OLD}\n"


def test_version_without_a_name_is_put_back_too(driver: Driver) -> None:
    done = driver.run("deploy", IMAGE, version="", revision=NEW, SMOKE_TESTS="false")
    assert (done.code, done.outputs["outcome"]) == (1, "rolled-back")
    environment = driver.environment("", NEW, SMOKE_TESTS="false")
    del environment["APP_VERSION"]
    code = subprocess.run([DRIVER, "deploy", IMAGE], env=environment, check=False).returncode
    assert code == 1
    assert "outcome=rolled-back\n" in (driver.folder / "output").read_text()


def test_rollback_ends_what_a_killed_deployment_left_running(driver: Driver) -> None:
    """Nobody kills the children of a step that is killed: they would change the target later."""
    change_target(driver, DEPLOY, f"touch $FOLDER/begun; sleep 3; {DEPLOY}; touch $FOLDER/late")
    folder = Path(driver.settings["FOLDER"])
    with driver.begin(IMAGE, "v2", NEW) as running:
        while not (folder / "begun").exists():
            assert running.poll() is None
            time.sleep(0.05)
        running.kill()
    done = driver.run("rollback", version="v2", revision=NEW)
    assert (done.code, done.outputs["outcome"]) == (0, "rolled-back")
    time.sleep(4)
    assert not (folder / "late").exists()
    assert Path(driver.settings["SERVING"]).read_text() == f"{OLD}\n"
