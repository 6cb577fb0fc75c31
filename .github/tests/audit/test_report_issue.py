import json
from collections.abc import Iterator
from threading import Barrier, Thread

import pytest
from audit import report_issue
from fakes.github_api import FakeGitHub
from lib.github import GitHubError, ask

RUN = "https://github.com/octo-org/widget/actions/runs/1"
CLEAN = {"findings": [], "more": 0, "unknown": {}}
BLIND = {"findings": [], "more": 0, "unknown": {"production": ["uv audit: offline"]}}


def vulnerable(*packages: str) -> dict[str, object]:
    findings = [
        {
            "package": name,
            "version": "1.0",
            "fixed": "",
            "ids": ["GHSA-1"],
            "text": "Bad @octocat",
            "link": "https://osv.dev/GHSA-1",
            "dependencies": "production",
        }
        for name in packages
    ]
    return {"findings": findings, "more": 0, "unknown": {}}


@pytest.fixture
def github(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGitHub]:
    with FakeGitHub() as fake:
        monkeypatch.setenv("GITHUB_API_URL", fake.url)
        monkeypatch.setenv("GITHUB_REPOSITORY", "octo-org/widget")
        monkeypatch.setenv("GITHUB_TOKEN", "token")
        yield fake
        assert not fake.unexpected


def test_one_issue_with_its_labels(github: FakeGitHub) -> None:
    assert report_issue.report(vulnerable("a"), RUN) == "Opened issue #1."
    (issue,) = github.issues.open
    assert issue.labels == ["security", "dependencies", "automated"]
    assert github.issues.labels >= set(issue.labels)
    assert "| a | 1.0 | see the advisory | [GHSA-1](https://osv.dev/GHSA-1)" in issue.body
    assert "@\u2060octocat" in issue.body
    assert report_issue.report(vulnerable("a"), RUN + "0") == "Issue #1 says so already."
    assert len(github.issues.all) == 1


def test_issue_follows_the_findings(github: FakeGitHub) -> None:
    report_issue.report(vulnerable("a"), RUN)
    assert report_issue.report(vulnerable("a", "b"), RUN) == "Updated issue #1."
    (issue,) = github.issues.open
    assert "| b |" in issue.body
    assert report_issue.report(CLEAN, RUN).startswith("Commented on issue #1")
    assert report_issue.report(CLEAN, RUN).endswith("says already.")
    assert len(issue.comments) == 1
    assert issue.state == "open"
    assert "| a |" not in issue.body
    assert report_issue.report(vulnerable("c"), RUN) == "Updated issue #1."
    assert "| c |" in issue.body


def test_scan_that_could_not_look_says_so(github: FakeGitHub) -> None:
    report_issue.report(vulnerable("a"), RUN)
    report_issue.report(BLIND, RUN)
    (issue,) = github.issues.open
    assert "could not look" in issue.body
    assert "uv audit: offline" in issue.body
    assert "| a |" not in issue.body
    assert not issue.comments


def test_nothing_found_opens_nothing(github: FakeGitHub) -> None:
    assert report_issue.report(CLEAN, RUN) == "Nothing was found, and no issue is open."
    assert not github.issues.all
    assert not github.issues.labels & {"security", "automated"}


def test_closed_issue_is_not_opened_again(github: FakeGitHub) -> None:
    report_issue.report(vulnerable("a"), RUN)
    github.issues.all[0].state = "closed"
    assert report_issue.report(vulnerable("a"), RUN) == "Opened issue #2."


def test_issue_of_somebody_else_is_left_alone(github: FakeGitHub) -> None:
    github.issues.labels |= set(report_issue.LABELS)
    new = {"title": "Mine", "body": "No marker", "labels": list(report_issue.LABELS)}
    ask("POST", "issues", new)
    assert report_issue.report(vulnerable("a"), RUN) == "Opened issue #2."
    report_issue.report(CLEAN, RUN)
    assert github.issues.all[0].body == "No marker"
    assert not github.issues.all[0].comments


@pytest.mark.parametrize("number", [2, 4])
def test_runs_that_race_leave_one_issue(
    github: FakeGitHub, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    barrier = Barrier(number)

    def patched(method: str, path: str, content: object = None) -> object:
        if (method, path) == ("POST", "issues"):
            barrier.wait(10)  # nobody saw an issue of another before making one
        return ask(method, path, content)

    monkeypatch.setattr(report_issue, "ask", patched)
    threads = [
        Thread(target=report_issue.report, args=(vulnerable("a"), RUN)) for _ in range(number)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(github.issues.all) == number
    assert [it.number for it in github.issues.open] == [1]
    assert all("Duplicate of #1" in it.comments for it in github.issues.all[1:])


def test_duplicates_of_another_day_are_closed(github: FakeGitHub) -> None:
    github.issues.labels |= set(report_issue.LABELS)
    body = report_issue.describe(vulnerable("a"), RUN)
    for _ in range(120):
        new = {"title": "x", "body": body, "labels": list(report_issue.LABELS)}
        ask("POST", "issues", new)
    report_issue.report(vulnerable("a"), RUN)
    assert [it.number for it in github.issues.open] == [1]


@pytest.mark.parametrize("text", ["", "null", "[]", "{}", "<html>", '{"findings": []}'])
def test_scan_that_said_nothing_is_unknown(text: str) -> None:
    found = report_issue.read_findings(text)
    assert found["unknown"]
    assert "could not look" in report_issue.describe(found, RUN)


def test_refusal_is_an_error(
    github: FakeGitHub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    github.issues.allowed = False
    monkeypatch.setenv("FINDINGS", json.dumps(vulnerable("a")))
    assert report_issue.main([RUN]) == 1
    assert "::error title=Issue::" in capsys.readouterr().out
    assert report_issue.main([RUN, "--dry-run"]) == 0
    assert "| a |" in capsys.readouterr().out
    with pytest.raises(GitHubError, match="HTTP 403: Resource not accessible"):
        report_issue.report(vulnerable("a"), RUN)


def test_largest_report_fits_into_an_issue() -> None:
    findings = vulnerable(*[f"{'p' * 60}{i}" for i in range(50)])
    for it in findings["findings"]:  # type: ignore[attr-defined]
        it |= {"text": "<" * 200, "ids": ["X" * 60], "link": "https://osv.dev/" + "x" * 100}
    assert len(report_issue.describe(findings, RUN)) < 65_536
