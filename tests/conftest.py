"""What all tests share."""

import socket
from collections.abc import Iterator

import pytest
from hypothesis import settings as hypothesis_settings
from pytest_django import Settings

# The same examples in every run, so that a failure is found by whoever caused it; no deadline, since the machine may be busy.
hypothesis_settings.register_profile("repeatable", derandomize=True, deadline=None, max_examples=60, database=None)
hypothesis_settings.load_profile("repeatable")


@pytest.fixture
def valkey_away(settings: Settings) -> Iterator[None]:
    """Nobody listens where the shop looks for Valkey."""
    from shop import valkey as shop_valkey

    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        settings.REDIS_URL = f"redis://127.0.0.1:{closed.getsockname()[1]}/0"
        shop_valkey.client.cache_clear()
        yield
        shop_valkey.client().close()
        shop_valkey.client.cache_clear()
