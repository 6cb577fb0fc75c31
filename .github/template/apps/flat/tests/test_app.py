from app.main import app
from fastapi.testclient import TestClient


def test_greeting() -> None:
    client = TestClient(app)
    assert client.get("/greetings/Ada").json() == {"greeting": "Hello, Ada!"}
    assert client.get("/health").json() == {"status": "ok"}
