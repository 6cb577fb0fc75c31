"""What the digest of an image is made of, with a docker that says what a test wants."""

import hashlib
import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / ".github/scripts/image/image.sh"
COMMIT = "1" * 40
MANIFEST = '{"schemaVersion": 2}'
DIGEST = f"sha256:{hashlib.sha256(MANIFEST.encode()).hexdigest()}"


def call(folder: Path, docker: str, *arguments: str) -> tuple[int, str, str]:
    """Run image.sh with a docker, and gh, of a test; return code, outputs, and what was said."""
    for name in ("docker", "gh"):
        (folder / name).write_text(f"#!/bin/sh\n{docker}\n")
        (folder / name).chmod(0o755)
    output = folder / "output"
    output.write_text("")
    done = subprocess.run(
        [SCRIPT, *arguments],
        env=os.environ
        | {
            "PATH": f"{folder}:{os.environ['PATH']}",
            "COMMIT": COMMIT,
            "GITHUB_OUTPUT": str(output),
            "GITHUB_REPOSITORY": "Octo-Org/Widget",
            "GITHUB_STEP_SUMMARY": str(folder / "summary"),
            "PATIENCE": "2",
        },
        check=False,
        text=True,
        capture_output=True,
    )
    return done.returncode, output.read_text(), done.stdout + done.stderr


@pytest.mark.parametrize("warning", ["", "echo 'WARNING: error reading the config' >&2;"])
@pytest.mark.parametrize("command", [("find", "linux/amd64"), ("assemble", "/nowhere")])
def test_warning_is_no_part_of_the_digest(
    tmp_path: Path, command: tuple[str, str], warning: str
) -> None:
    code, outputs, said = call(tmp_path, f"{warning} printf '%s' '{MANIFEST}'", *command)
    assert code == 0, said
    assert f"digest={DIGEST}\n" in outputs


def test_warning_while_the_index_is_computed(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images/amd64").write_text("sha256:1\n")
    docker = f"""case "$*" in
      *--dry-run*) echo WARNING >&2; printf '%s' '{MANIFEST}' ;;
      *) echo 'ERROR: not found' >&2; exit 1 ;;
    esac"""
    code, outputs, said = call(tmp_path, docker, "assemble", str(tmp_path / "images"))
    assert code == 0, said
    assert f"digest={DIGEST}\nreference=ghcr.io/octo-org/widget@{DIGEST}\nbuilt=true" in outputs


def test_images_that_cannot_be_put_together_have_no_digest(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images/amd64").write_text("sha256:1\n")
    code, outputs, said = call(
        tmp_path, "echo 'ERROR: not found' >&2; exit 1", "assemble", str(tmp_path / "images")
    )
    assert code == 1
    assert "digest=" not in outputs
    assert "::error title=The images of the platforms cannot be put together::" in said


AWAY = """if [ -z "$(find "$0.back" 2>/dev/null)" ]; then
  touch "$0.back"; echo 'dial tcp 10.0.0.1:443: connect: connection refused' >&2; exit 1
fi
"""
"""Makes a docker that does not reach the registry the first time."""


@pytest.mark.parametrize(
    "command",
    [("find", "linux/amd64"), ("publish", DIGEST, "/nowhere", "v1"), ("mark", f"a@{DIGEST}", "b")],
)
def test_registry_that_comes_back_is_waited_for(tmp_path: Path, command: tuple[str, ...]) -> None:
    code, outputs, said = call(tmp_path, f"{AWAY} printf %s '{MANIFEST}'", *command)
    assert code == 0, said
    assert said.count("Waiting for the registry: dial tcp 10.0.0.1:443") == 1
    assert command[0] != "find" or f"digest={DIGEST}\n" in outputs


def test_tag_that_cannot_be_moved_is_no_failed_deployment(tmp_path: Path) -> None:
    code, _, said = call(tmp_path, "echo denied >&2; exit 1", "mark", f"a@{DIGEST}", "staging")
    assert code == 1
    assert "::error title=The tag staging was not moved::The deployment stands." in said


def test_registry_that_does_not_answer_is_no_missing_image(tmp_path: Path) -> None:
    docker = "printf 'dial tcp: timeout\\n::error::planted\\n' >&2; exit 1"
    code, outputs, said = call(tmp_path, docker, "find", "linux/amd64")
    assert code == 1
    assert "digest=" not in outputs
    assert "::error title=The registry did not answer::dial tcp: timeout" in said
    assert "\n::error::planted" not in said


def test_github_that_does_not_answer_is_no_missing_attestation(tmp_path: Path) -> None:
    docker = "echo 'Post \"https://api.github.com/\": dial tcp: i/o timeout' >&2; exit 1"
    code, _, said = call(tmp_path, docker, "verify", f"a@{DIGEST}")
    assert code == 1
    assert "Waiting for GitHub: Post" in said
    assert "::error title=GitHub does not say who made the image::Run the job again." in said
    assert "not attested" not in said
