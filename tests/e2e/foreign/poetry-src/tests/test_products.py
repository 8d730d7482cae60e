import httpx
import pytest


@pytest.mark.parametrize(
    ("name", "cents", "price"), [("Tea", 450, "4.50 EUR"), ("Käse", 1299, "12.99 EUR")]
)
async def test_a_product_has_a_price(
    client: httpx.AsyncClient, name: str, cents: int, price: str
) -> None:
    done = await client.put("/products", json={"name": name, "cents": cents})
    assert done.status_code == 201
    assert {"name": name, "price": price} in (await client.get("/products")).json()


async def test_a_price_is_changed(client: httpx.AsyncClient) -> None:
    for cents in (100, 200):
        await client.put("/products", json={"name": "Salt", "cents": cents})
    found = (await client.get("/products")).json()
    assert [each["price"] for each in found if each["name"] == "Salt"] == ["2.00 EUR"]


async def test_a_negative_price_is_refused(client: httpx.AsyncClient) -> None:
    done = await client.put("/products", json={"name": "Air", "cents": -1})
    assert done.status_code == 422
