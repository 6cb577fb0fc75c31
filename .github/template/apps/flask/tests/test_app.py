from shop import app


def test_home() -> None:
    client = app.test_client()
    assert client.get("/").text == "Hello!"
    assert client.get("/health").text == "fine"
