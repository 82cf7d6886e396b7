"""The order's payment link."""

import pytest
from pytest_django import Settings

from shop.domain.orders.paylinks import pay_url, read_pay_token
from shop.errors import OrderNotFound


def test_link_is_stable_and_reads_back(settings: Settings) -> None:
    settings.PUBLIC_URL = "https://shop.test"
    url = pay_url("20260302ABC")
    assert url == pay_url("20260302ABC")
    prefix = "https://shop.test/pay/"
    assert url.startswith(prefix)
    assert read_pay_token(url.removeprefix(prefix).removesuffix("/")) == "20260302ABC"


@pytest.mark.parametrize("token", ["20260302ABC", "20260302ABC:", "20260302ABC:AAAA", "", ":"])
def test_foreign_token_is_refused(token: str) -> None:
    with pytest.raises(OrderNotFound):
        read_pay_token(token)


def test_another_orders_signature_is_refused() -> None:
    signature = pay_url("20260302ABC").rsplit(":", 1)[1].removesuffix("/")
    with pytest.raises(OrderNotFound):
        read_pay_token(f"20260302ABD:{signature}")
