"""What the app answers."""

from fastapi.testclient import TestClient

from app.main import app

client = TestClient(app)


def test_it_is_up() -> None:
    assert client.get("/health").json() == {"status": "ok"}


def test_it_greets_whoever_is_named() -> None:
    assert client.get("/", params={"name": "Ada"}).json() == {"hello": "Ada"}
