from app.main import app
from fastapi.testclient import TestClient


def test_greeting() -> None:
    assert TestClient(app).get("/greetings/Ada").json() == {"greeting": "Hello, Ada!"}
