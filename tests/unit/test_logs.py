"""Log lines."""

import json
import logging.config
from datetime import datetime

import pytest

from python_web_template import logs


@pytest.fixture
def lines(capfd: pytest.CaptureFixture[str]) -> "Lines":
    return Lines(capfd)


class Lines:
    """The lines written so far."""

    def __init__(self, capfd: pytest.CaptureFixture[str]) -> None:
        self._capfd = capfd

    def read(self) -> list[dict[str, object]]:
        """Return the lines since the last call."""
        return [json.loads(line) for line in self._capfd.readouterr().out.splitlines()]


def test_line_has_time_level_and_values(lines: Lines) -> None:
    logs.configure("INFO")

    logs.get_logger().info("something", count=1, other=object)

    (line,) = lines.read()
    assert (line["event"], line["level"], line["count"]) == ("something", "info", 1)
    assert datetime.fromisoformat(str(line["timestamp"])).utcoffset() is not None
    assert "request_id" not in line


def test_lower_levels_are_left_out(lines: Lines) -> None:
    logs.configure("WARNING")

    logs.get_logger().info("little")
    logs.access_logger()({"event": "request"})
    logs.get_logger().warning("much")

    assert [line["event"] for line in lines.read()] == ["much"]


@pytest.mark.parametrize("text", ["line\nbreak", '"quoted"', "茶", "\ud800", "\0"])
def test_any_text_stays_on_its_line(lines: Lines, text: str) -> None:
    logs.configure("INFO")

    logs.access_logger()({"event": "request", "path": text})

    assert [line["path"] for line in lines.read()] == [text]


def test_exception_is_one_line(lines: Lines) -> None:
    logs.configure("INFO")

    try:
        json.loads("{}")["missing"]
    except KeyError:
        logs.get_logger().exception("failed")

    (line,) = lines.read()
    assert (line["event"], line["level"]) == ("failed", "error")
    assert str(line["exception"]).endswith("KeyError: 'missing'")


def test_other_libraries_log_in_the_same_shape(capsys: pytest.CaptureFixture[str]) -> None:
    config = logs.standard_library("INFO")
    library = logging.getLogger("some.library")
    handler = logging.StreamHandler()
    handler.setFormatter(logs.json_formatter())
    library.addHandler(handler)
    library.propagate = False
    token = logs.request_id.set("the-id")

    library.warning("%s of %s", 1, 2)

    logs.request_id.reset(token)
    library.removeHandler(handler)
    line = json.loads(capsys.readouterr().err)
    assert (
        line.items()
        >= {
            "event": "1 of 2",
            "level": "warning",
            "logger": "some.library",
            "request_id": "the-id",
        }.items()
    )
    assert config["root"]["level"] == "INFO"
