"""The history of the last pushes: planted series, and artifacts of a fake GitHub."""

import math
import random
import re
from collections.abc import Mapping, Sequence

import pytest
from fakes.github_api import FakeGitHub
from fakes.github_artifacts import Artifact
from lib.markdown import plain
from performance import history
from performance.history import Push
from performance.results import Result

PLANTED, OTHER = (
    "tests/benchmarks/test_a.py::test_planted",
    "tests/benchmarks/test_a.py::test_other",
)

NOTHING = "There is no history: the next push to main that is measured starts it."


def push(run: int, ratio: float = 1, peak: float = 5e6, **more: float) -> Push:
    results = {
        "load": Result({"p95": 50, "memory": 9e7}),
        "api": Result({"p95": 40, "memory": 8e7}),
        "benchmark": Result(base=f"{run - 1:040x}", ratios={PLANTED: ratio} | more),
        "memory": Result({"memory": peak}, peaks={"tests/memory/test_a.py::test_hold": peak}),
    }
    return Push(run, f"{run:040x}", results)


def keep(pushes: Sequence[Push], number: int = 1, **values: object) -> Artifact:
    files = {history.FILE: history.write(pushes)}
    return Artifact(number, history.ARTIFACT, files, **values)  # type: ignore[arg-type]


def find_drifts(ratios: Sequence[float]) -> list[str]:
    return history.find_drifts([push(n, ratio) for n, ratio in enumerate(ratios, 1)])


@pytest.mark.parametrize("where", [range(5), range(6, 11), range(15, 20), range(0, 20, 4)])
def test_five_small_steps_are_named(where: range) -> None:
    noise = random.Random(1)  # noqa: S311
    pushes = [
        push(n + 1, (1.04 if n in where else 1) * math.exp(noise.gauss(0, 0.006)), **{OTHER: 1.0})
        for n in range(20)
    ]
    (drift,) = history.find_drifts(pushes)
    said = r".*test_planted grew by 2\d% in \d+ pushes since (0{7}\w+), .* --base \1"
    assert re.fullmatch(said, drift)


@pytest.mark.parametrize(
    ("ratios", "named"),
    [
        ([1.04] * 5, True),  # without any other push
        ([1.04] * 3 + [1] * 3, False),
        ([1, 1.3, 1, 1, 1.02, 1], False),  # the gate named it
        ([1.04] * 5 + [1.04**-5, 1], False),  # put right
        ([0.9, 1.1, 0.9, 1.1, 0.92], False),
    ],
)
def test_what_is_named(ratios: Sequence[float], named: bool) -> None:
    assert bool(find_drifts(ratios)) == named


def test_noise_is_seldom_named() -> None:
    """With a standard deviation of 1.3 %, at most two series of twenty pushes in a hundred."""
    noise = random.Random(7)  # noqa: S311
    series = [[math.exp(noise.gauss(0, 0.013)) for _ in range(20)] for _ in range(1000)]
    assert sum(bool(find_drifts(ratios)) for ratios in series) <= 20


def test_memory_that_grows_is_named() -> None:
    (drift,) = history.find_drifts([push(n, peak=5e6 * 1.04**n) for n in range(6)])
    assert "::test_hold grew by 22% in 5 pushes since 000000000000, " in drift
    assert history.find_drifts([push(n, peak=(5e6, 6e6)[n > 2]) for n in range(6)]), "at once"
    assert not history.find_drifts([push(n, peak=5e3 * 1.04**n) for n in range(6)])


def test_history_grows_by_one_line_a_push_and_keeps_twenty(github: FakeGitHub) -> None:
    for run in range(1, 26):
        past, problem = history.fetch("main")
        assert (len(past), problem) == (min(run - 1, 20), NOTHING if run == 1 else "")
        github.artifacts.artifacts.append(keep(history.merge(past, [push(run)]), run))
    past, problem = history.fetch("main")
    assert ([one.run for one in past], problem) == ([*range(6, 26)], "")
    assert past[-1] == push(25)


def test_runs_at_the_same_time_lose_nothing(github: FakeGitHub) -> None:
    again = [push(1), push(2, 1.1)]
    github.artifacts.artifacts = [keep([push(1, 1.2), push(3)], 8), keep(again, 9)]
    assert history.fetch("main") == ([*again, push(3)], "")


@pytest.mark.parametrize(
    "values", [{"branch": "feature"}, {"repository": 2}, {"name": "other"}, {"expired": True}]
)
def test_artifacts_of_others_do_not_count(github: FakeGitHub, values: Mapping[str, object]) -> None:
    past, size = keep([push(1)], 1), scan(2, '{"bytes": 1}', 2)
    for artifact in (past, size):
        vars(artifact).update(values)
    github.artifacts.artifacts = [past, size]
    assert history.fetch("main") == ([], NOTHING)
    github.artifacts.artifacts = [size, keep([push(2)], 3)]
    assert history.fetch("main") == ([push(2)], "")


def scan(run: int, size: str, number: int, **values: object) -> Artifact:
    """Return what the Docker pipeline keeps of the image of a commit."""
    files = {"size.json": size, "trivy.sarif": "{}"}
    return Artifact(number, history.SCAN, files, commit=f"{run:040x}", **values)  # type: ignore[arg-type]


def test_image_that_grows_in_small_steps_is_named(github: FakeGitHub) -> None:
    sizes = [200_000_000 * 1.04**n for n in range(6)]
    github.artifacts.artifacts = [keep([push(n) for n in range(6)])]
    for _ in range(2):  # not more than a few are read at a time
        for n, size in enumerate(sizes):
            github.artifacts.artifacts.append(scan(n, f'{{"bytes": {size:.0f}}}', 10 + n))
        past, problem = history.fetch("main")
        assert not problem
        github.artifacts.artifacts = [keep(past)]
    (drift,) = history.find_drifts(past)
    assert drift.startswith("image grew by 22% in 5 pushes since ")
    text = history.describe(past)
    assert "Image, MB" in text
    assert "bar [200.0, 208.0, 216.3, 225.0, 234.0, 243.3]" in text


@pytest.mark.parametrize("value", ["{}", "[]", '{"bytes": "x"}', '{"bytes": -1}', "NaN", "\x00"])
def test_damaged_size_is_said(github: FakeGitHub, value: str) -> None:
    github.artifacts.artifacts = [keep([push(1)]), scan(1, value, 2)]
    past, problem = history.fetch("main")
    assert past == [push(1)]
    assert "The size of an image could not be read" in problem


@pytest.mark.parametrize(
    "content",
    ["[]", "{}", "x", "1", '{"run": 1}', "\x00"]
    + [history.write([push(1)]).replace("50", value) for value in ("NaN", "-1", '"x"', "[]")],
)
@pytest.mark.parametrize("file", [history.FILE, "other"])
def test_damaged_history_is_said(github: FakeGitHub, content: str, file: str) -> None:
    good = keep([push(1)], 1)
    github.artifacts.artifacts = [good, Artifact(2, history.ARTIFACT, {file: content})]
    past, problem = history.fetch("main")
    assert [one.run for one in past] == [1]
    assert "A part of the history could not be read: " in problem


def test_charts_are_ones_that_github_draws() -> None:
    text = history.describe([push(n, 1.04) for n in range(1, 6)])
    charts = re.findall(r"^```mermaid\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert len(charts) == 4
    for chart in charts:
        head, title, axis, *series = chart.splitlines()
        assert head == "xychart-beta"
        assert re.fullmatch(r'  title "[\w ():,.%]+"', title)
        assert re.fullmatch(r'  x-axis \[("[0-9a-f]{7}", ){4}"[0-9a-f]{7}"\]', axis)
        for line, kind in zip(series, ("bar", "line"), strict=True):
            assert re.fullmatch(rf"  {kind} \[([\d.]+, ){{4}}[\d.]+\]", line)
    assert "bar [104.0, 108.2, 112.5, 117.0, 121.7]" in charts[0]
    assert "bar [45.0, 45.0, 45.0, 45.0, 45.0]\n  line [50.0" in charts[1]


def test_what_some_pushes_lack_is_left_out_of_a_chart() -> None:
    second = Push(2, "2" * 40, {"memory": Result(peaks={"a": 1e6})})
    text = history.describe([push(1), second, push(3)])
    assert text.count('x-axis ["0000000", "0000000"]') == 3
    assert not history.describe([push(1)])


def test_names_of_others_do_nothing() -> None:
    name = '"]\n```\n</details>@octocat [x](http://evil.example)::test_"] \n::error::x'
    result = {"benchmark": Result(base="@octocat", ratios={name: 1.04})}
    pushes = [Push(n, '"]`@evil', result) for n in range(6)]
    (drift,) = history.find_drifts(pushes)
    assert "\n" not in drift
    text = history.describe(pushes) + plain(drift, 1000)
    assert "@octocat" not in text
    assert "@evil" not in text
    assert "http://evil" not in text
    assert text.count("```") == 2
    assert "\n::error" not in text
