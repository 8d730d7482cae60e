import pytest
from fastapi.testclient import TestClient

from app.core.config import settings


@pytest.mark.parametrize("title", ["Foo", "Bär & Söhne"])
def test_create_item(
    client: TestClient, superuser: tuple[str, str], title: str
) -> None:
    response = client.post(
        f"{settings.API_V1_STR}/items/", json={"title": title}, auth=superuser
    )
    assert response.status_code == 200
    response = client.get(f"{settings.API_V1_STR}/items/", auth=superuser)
    assert title in response.json()


def test_incorrect_password(client: TestClient, superuser: tuple[str, str]) -> None:
    response = client.get(
        f"{settings.API_V1_STR}/items/", auth=(superuser[0], "incorrect")
    )
    assert response.status_code == 401
