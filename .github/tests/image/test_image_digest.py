"""What the digest of an image is made of, with a docker that says what a test wants."""

import hashlib
import os
import sys
from pathlib import Path

import pytest
from lib import processes

SCRIPTS = Path(__file__).parents[3] / ".github/scripts/image"
SCRIPT = SCRIPTS / "image.sh"
MANIFEST = '{"schemaVersion": 2}'
DIGEST = f"sha256:{hashlib.sha256(MANIFEST.encode()).hexdigest()}"
ENVIRONMENT = {"COMMIT": "1" * 40, "GITHUB_REPOSITORY": "Octo-Org/Widget", "PATIENCE": "2"}
ENVIRONMENT |= {"REGISTRY": "https://ghcr.io/ "}  # docker logs in there
FIND, ASSEMBLE, MARK = ("find", "linux/amd64"), ("assemble", "IMAGES"), ("mark", f"a@{DIGEST}", "b")
FOUND = f"printf '%s' '{MANIFEST}'"
WARNING = "echo 'WARNING: error reading the config' >&2;"
INDEX = f"""case "$*" in
  *--dry-run*) {WARNING} {FOUND} ;;
  *) echo 'ERROR: not found' >&2; exit 1 ;;
esac"""
"""A registry without an index of the platforms, which can be made."""
AWAY = """if [ -z "$(find "$0.back" 2>/dev/null)" ]; then
  touch "$0.back"; echo 'dial tcp 10.0.0.1:443: connect: connection refused' >&2; exit 1
fi
"""
"""Makes a docker that does not reach the registry the first time."""


def call(folder: Path, docker: str, *arguments: str) -> tuple[int, str, str]:
    """Run image.sh with a docker, and gh, of a test; return code, outputs, and what was said."""
    for name in ("docker", "gh"):
        (folder / name).write_text(f"#!/bin/sh\n{docker}\n")
        (folder / name).chmod(0o755)
    (folder / "images").mkdir()
    (folder / "images/amd64").write_text("sha256:1\n")
    paths = {"PATH": f"{folder}:{os.environ['PATH']}", "GITHUB_OUTPUT": str(folder / "output")}
    words = [word.replace("IMAGES", f"{folder}/images") for word in arguments]
    done = processes.run([SCRIPT, *words], 60, environment=os.environ | ENVIRONMENT | paths)
    output = folder / "output"
    return done.returncode, output.read_text() if output.exists() else "", done.stdout


@pytest.mark.parametrize(
    ("command", "docker", "outputs"),
    [
        (FIND, FOUND, f"digest={DIGEST}\n"),
        (("find", "linux/arm/v7"), FOUND, f"tag=sha-{'1' * 40}-arm-v7\narch=arm-v7\n"),
        (FIND, WARNING + FOUND, f"digest={DIGEST}\n"),
        (ASSEMBLE, WARNING + FOUND, "built=false"),
        (ASSEMBLE, INDEX, f"reference=ghcr.io/octo-org/widget@{DIGEST}\nbuilt=true"),
    ],
)
def test_warning_is_no_part_of_the_digest(
    tmp_path: Path, command: tuple[str, ...], docker: str, outputs: str
) -> None:
    code, written, said = call(tmp_path, docker, *command)
    assert code == 0, said
    assert f"digest={DIGEST}\n" in written
    assert outputs in written


@pytest.mark.parametrize("attested", [True, False])
def test_platform_is_taken_only_with_its_attestation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, attested: bool
) -> None:
    monkeypatch.setenv("VERIFY", "true")
    monkeypatch.setenv("GITHUB_SERVER_URL", "https://acme.ghe.com")
    gh = "case $0 in *gh) echo 'no attestations found' >&2; exit 1 ;; esac\n"
    host = "case $0=$GH_HOST in *gh=github.com | *gh=) echo 'HTTP 401' >&2; exit 1 ;; esac\n"
    code, written, said = call(tmp_path, host + ("" if attested else gh) + FOUND, *FIND)
    assert code == 0, said
    assert f"digest={DIGEST if attested else ''}\n" in written
    assert ("::notice title=Built again::" in said) != attested


@pytest.mark.parametrize("command", [FIND, ("publish", DIGEST, "/nowhere", "v1"), MARK])
def test_registry_that_comes_back_is_waited_for(tmp_path: Path, command: tuple[str, ...]) -> None:
    code, outputs, said = call(tmp_path, AWAY + FOUND, *command)
    assert code == 0, said
    assert said.count("Waiting for the registry: dial tcp 10.0.0.1:443") == 1
    assert command != FIND or f"digest={DIGEST}\n" in outputs


@pytest.mark.parametrize(
    ("command", "error", "says"),
    [
        (ASSEMBLE, "ERROR: not found", "title=The images of the platforms cannot be put together"),
        (MARK, "denied", "title=The tag b was not moved::The deployment stands."),
        (FIND, "dial tcp: timeout\n::error::x", "title=The registry did not answer::dial tcp: tim"),
        (
            FIND,
            "x509: certificate signed by unknown authority",
            "title=The registry did not answer::x",
        ),
        (ASSEMBLE, "docker: command not found", "title=The registry did not answer::docker: comm"),
        (
            ("verify", f"a@{DIGEST}"),
            'Post "https://api.github.com/": dial tcp: i/o timeout',
            "title=GitHub does not say who made the image::Run the job again.",
        ),
        (("verify", f"a@{DIGEST}"), "gh: command not found", "title=GitHub does not say who made"),
        (("verify", f"a@{DIGEST}"), "HTTP 401: Bad credentials", "title=GitHub does not say who"),
    ],
)
def test_what_fails_is_told_and_has_no_digest(
    tmp_path: Path, command: tuple[str, ...], error: str, says: str
) -> None:
    (tmp_path / "error").write_text(error)
    code, outputs, said = call(tmp_path, f"cat {tmp_path}/error >&2; exit 1", *command)
    assert code == 1
    assert "digest=" not in outputs
    assert f"::error {says}" in said
    assert "\n::error::x" not in said
    assert "not attested" not in said


def test_image_is_tried_as_it_is_deployed_and_its_own_health_check_says_for_how_long(
    tmp_path: Path,
) -> None:
    asked = tmp_path / "asked"
    (tmp_path / "docker").write_text(f'#!/bin/sh\n(echo "$@"; cat) >>{asked}; exit 1\n')
    (tmp_path / "docker").chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = processes.run([SCRIPTS / "image_smoke.sh", "IMAGE", "1"], 60, environment=environment)
    assert done.returncode == 1
    assert " up --wait\n" in asked.read_text()
    for line in ("read_only: true", "tmpfs: /tmp", "cap_drop: [ALL]", "stop_grace_period: 30s"):
        assert f"    {line}\n" in asked.read_text()


def test_registry_that_hangs_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    code, outputs, said = call(tmp_path, "exec sleep 30", *FIND)
    assert (code, outputs) == (1, "")
    assert "::error title=The registry did not answer::timeout: sending signal TERM" in said


TRIVY = """[ "$1" != version ] || { echo '{}'; exit; }
for word in "$@"; do printf '[%s]' "$word"; done >>"$0.asked"
for word in "$@"; do [ "$last" != --output ] || echo "$SARIF" >"$word"; last=$word; done
"""
SARIF = '{"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "Trivy"}}, "results": []}]}'


@pytest.mark.parametrize("accepted", ["", "# nothing\n\n", "# why\nCVE-1 exp:2030-01-01\nCVE-2\n"])
def test_no_file_turns_the_scan_off_and_what_is_accepted_is_told(
    tmp_path: Path, accepted: str
) -> None:
    root = SCRIPTS.parents[2]
    (tmp_path / ".github").symlink_to(root / ".github")
    if accepted:
        (tmp_path / ".trivyignore").write_text(accepted)
    for name, text in (("trivy", TRIVY), ("docker", "echo '{}'")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    summary = tmp_path / "summary"
    variables = {"GITHUB_STEP_SUMMARY": str(summary), "SARIF": SARIF}
    variables |= {"PATH": f"{tmp_path}:{os.environ['PATH']}", "UV_PYTHON": sys.executable}
    command = [".github/scripts/image/image_scan.sh", "IMAGE", "results"]
    done = processes.run(command, 60, folder=tmp_path, environment=os.environ | variables)
    assert done.returncode == 0, done.stdout
    everything, gate = (tmp_path / "trivy.asked").read_text().split("[IMAGE]")[:2]
    assert "[--ignorefile][]" in everything
    assert "[--config][]" in everything
    assert "[--config][]" in gate
    told = "Accepted in .trivyignore\n\nCVE-1 exp:2030-01-01 CVE-2"
    assert (told in summary.read_text()) == ("CVE" in accepted)
    assert ("::notice title=Accepted" in done.stdout) == ("CVE" in accepted)
