"""What all tests share."""

import functools
import os
import secrets
import socket
from collections.abc import Iterator
from types import ModuleType

import httpx._transports.default as transport
import pytest
import redis
from Cryptodome.PublicKey import RSA
from django.conf import settings
from django.contrib import auth
from django.core.management import call_command
from django.http import HttpRequest
from django.test import testcases
from hypothesis import settings as hypothesis_settings
from pytest_django import DjangoDbBlocker, Settings

from payments.gateways.alipay import keys
from project.local.valkey import ValkeyServer
from tests.databases import make_tables
from tests.emptying import Emptying
from tests.mixing import mix

# The same examples in every run, so that a failure is found by whoever caused it; no deadline, since the
# machine may be busy.
hypothesis_settings.register_profile(
    "repeatable", derandomize=True, deadline=None, max_examples=60, database=None
)
hypothesis_settings.load_profile("repeatable")


def pytest_configure() -> None:
    """Static files are looked for when one is asked for.

    WhiteNoise would list them all for each client that a test makes: 20 ms each time.
    """
    settings.WHITENOISE_AUTOREFRESH = True
    # The SDK and OpenSSL prove that a key's factors are prime whenever they read one, 30 ms each time; tests
    # read the same few keys again and again.
    _keep_answers(RSA, "importKey")
    _keep_answers(keys, "load_pem_private_key")
    # httpx reads all known authorities for each client, 13 ms each time.
    _keep_answers(transport, "create_ssl_context")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Parallel processes take the tests in a better order than the files' one."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        items[:] = mix(items)


def _keep_answers(module: ModuleType, function: str) -> None:
    setattr(module, function, functools.cache(getattr(module, function)))


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix: None) -> None:
    """The database of each test process is a copy: migrations take ten seconds, and run once."""
    settings.DATABASES["default"].setdefault("TEST", {}).update(TEMPLATE=make_tables(), MIGRATE=False)


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Between two tests that commit, only what was written is emptied; in its own database pytest-django may
    empty append-only tables, too.
    """
    with pytest.MonkeyPatch.context() as patch:
        with django_db_blocker.unblock():
            patch.setattr(testcases, "call_command", Emptying(call_command))
        yield


@pytest.fixture
def quick_sessions(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sessions are in this process's memory, and each session's user is looked up once.

    For tests that ask for thousands of pages of the desk: saves a quarter of their time.
    """
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.cache"
    users: dict[str | None, object] = {}
    look_up = auth.get_user

    def get_user(request: HttpRequest) -> object:
        key = request.session.session_key
        if key not in users:
            users[key] = look_up(request)
        return users[key]

    monkeypatch.setattr(auth, "get_user", get_user)


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


@pytest.fixture(scope="session")
def _spare_valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    server = ValkeyServer(tmp_path_factory.mktemp("valkey"), secrets.token_hex(16), durable=False)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def own_valkey(_spare_valkey: ValkeyServer, settings: Settings) -> Iterator[redis.Redis]:
    """A server that the shop uses instead of the one it shares with parallel tests, for whoever changes how
    it is set.
    """
    from shop import valkey as shop_valkey

    settings.REDIS_URL = _spare_valkey.url()
    shop_valkey.client.cache_clear()
    with redis.Redis.from_url(_spare_valkey.url()) as client:
        yield client
        client.config_set("maxmemory", 0)
        client.flushall()
    shop_valkey.client().close()
    shop_valkey.client.cache_clear()
