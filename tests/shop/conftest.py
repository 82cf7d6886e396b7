"""Valkey and the broker, away."""

import socket
from collections.abc import Iterator

import pytest
from pytest_django import Settings

from shop import valkey as shop_valkey


@pytest.fixture
def valkey_away(settings: Settings) -> Iterator[None]:
    """Nobody listens where the shop looks for Valkey."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        settings.REDIS_URL = f"redis://127.0.0.1:{closed.getsockname()[1]}/0"
        shop_valkey.client.cache_clear()
        yield
        shop_valkey.client().close()
        shop_valkey.client.cache_clear()
