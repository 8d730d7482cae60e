from shop.settings import Settings


def test_the_currency_is_read_from_the_environment(monkeypatch) -> None:
    monkeypatch.setenv("SHOP_CURRENCY", "CHF")
    assert Settings().currency == "CHF"
