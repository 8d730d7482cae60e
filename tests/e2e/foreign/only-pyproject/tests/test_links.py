import pytest


def test_health(client):
    assert client.get("/health").text == "ok"


@pytest.mark.parametrize("url", ["https://example.com/?a=1&b=%20", "/elsewhere"])
def test_a_link_is_followed(client, url):
    assert client.post("/links", data={"name": "there", "url": url}).json()["there"] == url
    assert client.get("/there").headers["location"] == url


def test_an_unknown_link(client):
    assert client.get("/nowhere").status_code == 404
