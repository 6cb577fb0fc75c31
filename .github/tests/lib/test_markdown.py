import pytest
from lib.markdown import link, plain


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a | b", r"a \| b"),
        ("<img src=x>", r"\<img src=x\>"),
        ("[a](javascript:b)", r"\[a\](javascript:b)"),
        ("@octocat #1 o/r#2 gh-3 #c", "@\u2060octocat \\#\u20601 o/r\\#\u20602 gh-\u20603 \\#c"),
        ("see https://example.org", "see https\u2060://example.org"),
        ("ftp://a.example mailto:b", "ftp\u2060://a.example mailto\u2060:b"),
        ("two\nlines", "two lines"),
        ("\x1b[31m", r"\\u001b\[31m"),
    ],
)
def test_plain(text: str, shown: str) -> None:
    assert plain(text) == shown


def test_link_is_of_the_web_or_none() -> None:
    assert link("a", "https://osv.dev/x") == "[a](https://osv.dev/x)"
    assert link("a", "javascript:alert(1)") == "a"
