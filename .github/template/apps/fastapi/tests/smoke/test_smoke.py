from urllib.request import Request, urlopen

import pytest


@pytest.mark.skipif("not config.getoption('--base-url')")
def test_greeting(request: pytest.FixtureRequest) -> None:
    address = f"{request.config.getoption('--base-url')}/greetings/Ada"
    header = request.config.getoption("--header")
    headers = dict([header.split(": ", 1)]) if header else {}
    with urlopen(Request(address, headers=headers), timeout=10) as answer:  # noqa: S310
        assert b"Hello, Ada!" in answer.read()
