"""The life of items, and lists of them."""

from datetime import UTC, datetime, timedelta

import pytest
from fastapi.testclient import TestClient

CONTENT = {"name": "Tea", "description": "Green", "price_cents": 350}


def create(client: TestClient, name: str = "Tea") -> int:
    answer = client.post("/items", json=CONTENT | {"name": name})
    assert answer.status_code == 201
    return int(answer.json()["id"])


def names(client: TestClient, **parameters: str | int) -> tuple[list[str], str | None]:
    page = client.get("/items", params=parameters).json()
    return [item["name"] for item in page["items"]], page["next"]


def test_created_item_can_be_read_where_location_says(client: TestClient) -> None:
    created = client.post("/items", json=CONTENT)

    assert created.status_code == 201
    assert created.json().items() >= CONTENT.items()
    assert client.get(created.headers["location"]).json() == created.json()


def test_times_are_in_utc(client: TestClient) -> None:
    item = client.get(f"/items/{create(client)}").json()

    assert item["created_at"] == item["updated_at"]
    assert item["created_at"].endswith("Z")
    age = datetime.now(UTC) - datetime.fromisoformat(item["created_at"])
    assert timedelta(0) <= age < timedelta(minutes=1)


def test_description_is_optional_and_name_is_stripped(client: TestClient) -> None:
    item = client.post("/items", json={"name": "  Tea ", "price_cents": 0}).json()

    assert (item["name"], item["description"], item["price_cents"]) == ("Tea", "", 0)


def test_replaced_item_keeps_id_and_creation_time(client: TestClient) -> None:
    before = client.get(f"/items/{create(client)}").json()

    answer = client.put(f"/items/{before['id']}", json={"name": "Coffee", "price_cents": 1})

    after = answer.json()
    assert answer.status_code == 200
    assert (after["name"], after["description"], after["price_cents"]) == ("Coffee", "", 1)
    assert (after["id"], after["created_at"]) == (before["id"], before["created_at"])
    assert after["updated_at"] > before["updated_at"]
    assert client.get(f"/items/{before['id']}").json() == after


def test_deleted_item_is_gone(client: TestClient) -> None:
    path = f"/items/{create(client)}"

    answer = client.delete(path)

    assert (answer.status_code, answer.content) == (204, b"")
    assert client.get(path).status_code == 404


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_unknown_item_is_not_found(client: TestClient, method: str) -> None:
    answer = client.request(method, "/items/1000000", json=CONTENT if method == "PUT" else None)

    assert answer.status_code == 404
    assert answer.json()["detail"] == "There is no item with this id"


def test_empty_list(client: TestClient) -> None:
    assert client.get("/items").json() == {"items": [], "next": None}


def test_pages_follow_each_other(client: TestClient) -> None:
    for name in "ABCDE":
        create(client, name)

    first, cursor = names(client, limit=2)
    second, cursor = names(client, limit=2, cursor=cursor or "")
    third, end = names(client, limit=2, cursor=cursor or "")

    assert (first, second, third, end) == (["A", "B"], ["C", "D"], ["E"], None)


def test_a_full_last_page_has_no_next(client: TestClient) -> None:
    create(client, "A")
    create(client, "B")

    assert names(client, limit=2) == (["A", "B"], None)


def test_pages_are_stable_while_items_come_and_go(client: TestClient) -> None:
    ids = {name: create(client, name) for name in "ABCD"}
    _, cursor = names(client, limit=2)

    client.delete(f"/items/{ids['A']}")
    client.delete(f"/items/{ids['B']}")  # the very item that the cursor points at
    create(client, "E")

    assert names(client, cursor=cursor or "") == (["C", "D", "E"], None)


def test_item_created_after_the_last_was_deleted_is_still_on_the_next_page(
    client: TestClient,
) -> None:
    create(client, "A")
    last = create(client, "B")
    create(client, "C")
    _, cursor = names(client, limit=2)
    client.delete(f"/items/{last}")
    client.delete(f"/items/{last + 1}")

    create(client, "D")

    assert names(client, cursor=cursor or "") == (["D"], None)


@pytest.mark.parametrize("limit", ["0", "101", "-1", "x", "1e3", "9" * 5000])
def test_limit_is_bounded(client: TestClient, limit: str) -> None:
    answer = client.get("/items", params={"limit": limit})

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["location"] == ["query", "limit"]
