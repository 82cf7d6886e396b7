"""What all tests share."""

import socket
from collections.abc import Iterator

import pytest
from django.db import connection
from hypothesis import settings as hypothesis_settings
from pytest_django import DjangoDbBlocker, Settings

# The same examples in every run, so that a failure is found by whoever caused it; no deadline, since the machine may be busy.
hypothesis_settings.register_profile("repeatable", derandomize=True, deadline=None, max_examples=60, database=None)
hypothesis_settings.load_profile("repeatable")


# The tables that can't be emptied.
APPEND_ONLY = ("shop_ledgertransfer", "shop_orderevent")


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> None:
    """Between two tests that commit, pytest-django empties all tables; in its own database it may empty the append-only ones, too."""
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        for table in APPEND_ONLY:
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER never_emptied")


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
