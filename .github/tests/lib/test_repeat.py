"""What a script in bash takes for an outage, and asks again."""

import subprocess

import pytest
from engine import ROOT


@pytest.mark.parametrize(
    ("said", "goes_by_itself"),
    [
        ("received unexpected HTTP status: 503 Service Unavailable", True),
        ("Error from daemon: toomanyrequests: You have reached your pull rate limit.", True),
        ("write tcp 10.0.0.2:4: write: broken pipe", True),
        ("http2: server sent GOAWAY and closed the connection", True),
        ("denied: installation not allowed to Create organization package", False),
        ("manifest unknown", False),
    ],
)
def test_outage(said: str, *, goes_by_itself: bool) -> None:
    script = f'. {ROOT}/.github/scripts/lib/repeat.sh; is_outage "$1"'
    done = subprocess.run(["bash", "-c", script, "bash", said], check=False)
    assert (done.returncode == 0) == goes_by_itself
