"""Titles of pull requests: whatever one is, the example that is shown instead is right."""

from checks.pr_title import find_fault, suggest


def check(data: bytes) -> None:
    """Judge a title and suggest it."""
    title = data.decode("utf-8", "surrogateescape")
    if find_fault(title):
        assert not find_fault(suggest(title)), title
