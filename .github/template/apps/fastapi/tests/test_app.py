from fastapi.testclient import TestClient
from shop.app import app


def test_greeting() -> None:
    client = TestClient(app)
    assert client.get("/greetings/Ada").json() == {"greeting": "Hello, Ada!"}
    assert client.get("/health").json() == {"status": "ok"}
