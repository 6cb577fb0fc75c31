import json

import pytest
from audit import report_issue
from fakes.github_api import FakeGitHub
from fakes.github_issues import Issue

RUN = "https://github.com/octo-org/widget/actions/runs/1"
A = "| a | Bad |"
B = "| a | Bad |\n| b | Bad |"


def report(text: str = "", run: str = RUN) -> str:
    """Report what a scan found; nothing is a clean one."""
    return report_issue.report(text, run, is_clean=not text)


def test_one_issue_follows_the_findings(github: FakeGitHub) -> None:
    assert report() == "Nothing was found, and no issue is open."
    assert not github.issues.labels & {"security", "automated"}
    assert report(A) == "Opened issue #1."
    (issue,) = github.issues.open
    assert issue.labels == ["security", "dependencies", "automated"]
    assert github.issues.labels >= set(issue.labels)
    assert A in issue.body
    assert RUN in issue.body
    assert report(A, RUN + "0") == "Issue #1 says so already."
    assert report(B) == "Updated issue #1: other findings."
    assert "| b |" in issue.body
    assert report() == "Updated issue #1: nothing is left."
    assert report() == "Issue #1 says so already."
    assert "| a |" not in issue.body
    assert issue.state == "open"
    issue.state = "closed"
    assert report(A) == "Opened issue #2.", "what a person closed stays closed"


def test_issue_of_somebody_else_is_left_alone(github: FakeGitHub) -> None:
    copied = f"{report_issue.MARKER} -->"
    github.issues.all = [
        Issue(1, "Of another workflow", "No marker", list(report_issue.LABELS)),
        Issue(2, "Mine", copied, list(report_issue.LABELS), author="octocat"),
    ]
    assert report(A) == "Opened issue #3."
    report()
    assert [issue.body for issue in github.issues.all[:2]] == ["No marker", copied]


def test_issue_with_other_labels_gets_no_duplicate(github: FakeGitHub) -> None:
    report(A)
    github.issues.all[0].labels = ["triaged"]
    assert report(B) == "Updated issue #1: other findings."
    assert github.issues.all[0].labels == ["triaged"]


@pytest.mark.parametrize(
    ("text", "result", "said"),
    [
        ("", "failure", "could not look"),
        ("null", "cancelled", "could not look"),
        ('""', "", "could not look"),
        (json.dumps(B), "failure", "| b |"),
        (json.dumps(B), "success", "Nothing is left"),
    ],
)
def test_what_a_job_hands_over_is_reported(
    github: FakeGitHub, monkeypatch: pytest.MonkeyPatch, text: str, result: str, said: str
) -> None:
    report(A)
    monkeypatch.setenv("REPORT", text)
    monkeypatch.setenv("RESULT", result)
    assert report_issue.main([RUN]) == 0
    assert said in github.issues.all[0].body


def test_refusal_is_an_error(
    github: FakeGitHub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    github.issues.allowed = False
    monkeypatch.setenv("REPORT", json.dumps(A))
    assert report_issue.main([RUN]) == 1
    _, _, said = capsys.readouterr().out.partition("::error title=Issue::")
    assert "HTTP 403: Resource not accessible" in said
