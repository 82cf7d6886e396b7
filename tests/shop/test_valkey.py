"""The client for Valkey."""

import time

import pytest
import redis

from shop import valkey as shop_valkey


def test_client_reads_and_writes_text(valkey: redis.Redis) -> None:
    client = shop_valkey.client()
    client.set("price", "九十九")
    assert client.get("price") == "九十九"
    assert valkey.get("price") == "九十九".encode()


def test_keys() -> None:
    keys = [
        shop_valkey.cart_key(7),
        shop_valkey.checkout_key("C"),
        shop_valkey.checkout_result_key("C"),
        shop_valkey.checkouts_of_key(7),
        shop_valkey.wake_key("shop.create_orders"),
    ]
    assert keys == ["cart:7", "checkout:C", "checkout:C:priced", "checkouts:7", "wake:shop.create_orders"]


@pytest.mark.usefixtures("valkey_away")
def test_refused_connection_fails_at_once() -> None:
    started = time.monotonic()
    with pytest.raises(shop_valkey.Unreachable):
        shop_valkey.client().ping()
    assert time.monotonic() - started < 1
