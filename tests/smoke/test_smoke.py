"""Does a deployment do its work? Nothing is left behind.

Against a real one: `pytest tests/smoke --base-url https://… [--expect-revision COMMIT]`.
"""

from uuid import uuid4

import httpx2
import pytest


def ask(
    client: httpx2.Client, method: str, path: str, expected: int, **content: object
) -> httpx2.Response:
    """Send a request; fail with a text that says what came instead of the expected status."""
    where = f"{method} {client.base_url.join(path)}"
    try:
        answer = client.request(method, path, json=content or None)
    except httpx2.HTTPError as error:
        pytest.fail(f"{where} failed: {type(error).__name__}: {error}", pytrace=False)
    if answer.status_code != expected:
        pytest.fail(
            f"{where} answered {answer.status_code} instead of {expected}: {answer.text[:500]}",
            pytrace=False,
        )
    return answer


def test_health(client: httpx2.Client, request: pytest.FixtureRequest) -> None:
    health = ask(client, "GET", "/health", 200).json()

    assert health["status"] == "ok"
    for name in ("revision", "version"):
        expected = request.config.getoption(f"--expect-{name}")
        assert expected in {None, health[name]}, f"{name} {health[name]} answers, not {expected}"


def test_ready(client: httpx2.Client) -> None:
    checks = ask(client, "GET", "/ready", 200).json()["checks"]

    assert set(checks.values()) == {"ok"}


def test_metrics(client: httpx2.Client) -> None:
    answer = client.get("/metrics")
    if answer.status_code in {403, 404} and "not public" in answer.text:
        pytest.skip("The proxy does not publish them, as it should be.")
    text = ask(client, "GET", "/metrics", 200).text

    assert "# TYPE http_request_duration_seconds histogram" in text


def test_life_of_an_item(client: httpx2.Client) -> None:
    name = f"smoke test {uuid4()}"

    item = ask(client, "POST", "/items", 201, name=name, price_cents=1).json()
    path = f"/items/{item['id']}"
    try:
        assert ask(client, "GET", path, 200).json() == item
        changed = ask(client, "PUT", path, 200, name=name, price_cents=2).json()
        assert changed["price_cents"] == 2
        assert ask(client, "GET", "/items?limit=1", 200).json()["items"]
    finally:
        ask(client, "DELETE", path, 204)
    ask(client, "GET", path, 404)


def test_errors_are_problems(client: httpx2.Client) -> None:
    answer = ask(client, "POST", "/items", 422, name="", price_cents=-1)

    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["request_id"] == answer.headers["x-request-id"]
