"""Fuzzing finds what is planted, and what was found once is tried each time."""

import os
import runpy
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from checks import fuzz
from checks.fuzz import ROOT, find_targets
from hypothesis import given, settings
from hypothesis import strategies as st

REPLAY = """import runpy, sys
check = runpy.run_path(sys.argv[1])["check"]
for name in sys.argv[2:]:
    check(open(name, "rb").read())
"""
PLANTED = """def check(data):
    if data[:1] == b"b" and data[1:2] == b"u" and data[2:3] == b"g":
        raise ValueError("planted")
"""
OURS = [target for target in find_targets(ROOT) if ".github" in target.parts]
"""But for the app's."""
atheris = pytest.mark.skipif(
    not find_spec("atheris"), reason="there is no Atheris for this machine"
)


@pytest.mark.parametrize("target", find_targets(ROOT), ids=lambda path: path.stem)
def test_known_inputs_break_nothing(target: Path) -> None:
    folder = target.parent / "corpus" / target.stem.removeprefix("fuzz_")
    inputs = sorted(folder.iterdir())
    assert inputs, f"{folder} has nothing to start from"
    paths = os.pathsep.join([str(ROOT / ".github/scripts"), str(ROOT)])
    subprocess.run(
        [sys.executable, "-c", REPLAY, target, *inputs],
        env=os.environ | {"PYTHONPATH": paths},
        check=True,
    )


@pytest.mark.parametrize("target", OURS, ids=lambda path: path.stem)
def test_made_up_texts_break_nothing(target: Path) -> None:
    check = runpy.run_path(str(target))["check"]

    @settings(deadline=None)  # a machine may be busy
    @given(st.text())
    def feed(text: str) -> None:
        check(text.encode("utf-8", "surrogatepass"))

    feed()


@atheris
def test_planted_fault_is_found_and_its_input_kept(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "fuzz_planted.py").write_text(PLANTED)
    (tmp_path / "fuzz_sound.py").write_text("def check(data):\n    data.decode('latin-1')\n")
    (tmp_path / "fuzz_gone.py").write_text("import no_such_module\n")
    targets = [str(tmp_path / f"fuzz_{name}.py") for name in ("planted", "sound", "gone")]
    assert fuzz.main([*targets, "--seconds=3", f"--output={tmp_path / 'out'}"]) == 1
    (found,) = (tmp_path / "out").glob("planted-crash-*")
    assert found.read_bytes()[:3] == b"bug"
    said, log = capfd.readouterr()
    assert "An input breaks fuzz_planted, fuzz_gone: " in said.splitlines()[-1]
    assert "ValueError: planted" in said + log
    assert fuzz.main([targets[1], "--seconds=1", f"--output={tmp_path / 'out'}"]) == 0
    assert "nothing broke" in capfd.readouterr().out


def test_missing_atheris_breaks_no_target(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "atheris", None)
    assert fuzz.main([str(tmp_path / "fuzz_any.py")]) == 1
    assert capsys.readouterr().out.startswith("Atheris is not installed")


@atheris
def test_target_that_is_not_there_is_no_broken_one(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        fuzz.main(["nonsense"])

    assert caught.value.code == 2
    assert "there is no file" in capsys.readouterr().err
