import pytest

from inventory.wsgi import labels


def test_it_is_healthy(client):
    assert client.get("/healthz").json == {"status": "ok"}


@pytest.mark.parametrize("name", ["M8 bolt", "<washer>"])
def test_a_part_is_listed(client, name):
    client.post("/parts", data={"name": name})
    assert name.replace("<", "&lt;").replace(">", "&gt;") in client.get("/").text


def test_its_label_is_ordered(client):
    before = labels.count + labels.finished_job_registry.count
    client.post("/parts", data={"name": "nut"})
    assert labels.count + labels.finished_job_registry.count >= before
