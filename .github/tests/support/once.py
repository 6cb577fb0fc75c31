"""What one of the workers of a run makes for all of them."""

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

SHARED = "PYTEST_SHARED_FOLDER"
"""Variable with the folder of what all workers of a run use, on a disk: some of it is linked."""


def make_once(name: str, make: Callable[[Path], object]) -> Path:
    """Make a folder for all workers of this run: the others wait for the one that comes first.

    Args:
        name: Its name in the shared folder.
        make: Makes it.
    """
    folder = Path(os.environ[SHARED]) / name
    done = folder.with_name(f"{name}.done")
    with folder.with_name(f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            make(folder)
            done.touch()
    return folder
