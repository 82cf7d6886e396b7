"""The tests' own PostgreSQL and Valkey: started before Django's settings are read, and removed at the end.

Loaded by `-p tests.stack`.

One pair of servers serves a whole run. Each parallel process has a database (made by pytest-django) and two
Valkey databases of its own.
"""

import contextlib
import os
import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from project.local.postgres import PostgresServer
from project.local.valkey import ValkeyServer
from tests.run_folder import run_folder
from worker.memory import calm_collector

pytest_plugins = ["tests.nodes.fixtures"]
FIRST_WORKER_DATABASE = 2  # 0 and 1 belong to a run without parallel processes

PARALLEL_WORKER = os.environ.get("PYTEST_XDIST_WORKER")
if PARALLEL_WORKER:
    number = FIRST_WORKER_DATABASE + 2 * int(PARALLEL_WORKER.removeprefix("gw"))
    server_url = os.environ["TEST_VALKEY_URL"]
    os.environ |= {"CELERY_BROKER_URL": f"{server_url}/{number}", "REDIS_URL": f"{server_url}/{number + 1}"}


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Iterator[None]:
    """Starts the servers, in the parent process. pytest-django reads the settings in the same hook."""
    if (
        not PARALLEL_WORKER
        and not early_config.known_args_namespace.help
        and not early_config.known_args_namespace.version
    ):
        early_config.add_cleanup(start_servers().close)
    return (yield)


def pytest_collection_finish() -> None:
    """Excludes the imported modules and the tests from later searches for cycles, each of which would take a
    third of a second.
    """
    calm_collector()


@pytest.fixture(scope="session")
def _valkey_clients() -> Iterator[list[redis.Redis]]:
    clients = [redis.Redis.from_url(os.environ[name]) for name in ("REDIS_URL", "CELERY_BROKER_URL")]
    yield clients
    for client in clients:
        client.close()


@pytest.fixture(autouse=True)
def _clean_valkey(_valkey_clients: list[redis.Redis]) -> None:
    """Empties Valkey between tests, which takes a fifth of a millisecond."""
    from shop import valkey

    for client in _valkey_clients:
        client.flushdb()
    # As if this process had been connected to the server for long.
    valkey._outage_at = float("-inf")


@pytest.fixture(autouse=True)
def _no_floors() -> None:
    """Resets the floors between tests, since each test has its own times."""
    from shop.domain import floors

    floors.forget()


@pytest.fixture
def valkey(_valkey_clients: list[redis.Redis]) -> redis.Redis:
    """The Valkey database that the code under test uses (`REDIS_URL`), empty."""
    return _valkey_clients[0]


@pytest.fixture
def broker_valkey(_valkey_clients: list[redis.Redis]) -> redis.Redis:
    """The Valkey database that Celery's queues are in (`CELERY_BROKER_URL`), empty."""
    return _valkey_clients[1]


def start_servers() -> contextlib.ExitStack:
    """Starts both servers and sets the environment variables for them. Closing the result stops them."""
    stack = contextlib.ExitStack()
    folder = stack.enter_context(run_folder(Path(tempfile.gettempdir())))
    folder.chmod(0o711)  # PostgreSQL may have to run as another user
    try:
        password = secrets.token_hex(16)
        postgres = PostgresServer(folder / "postgres", password, durable=False)
        stack.callback(postgres.remove)
        stack.callback(postgres.stop)
        postgres.start()
        valkey = ValkeyServer(folder / "valkey", password, durable=False)
        stack.callback(valkey.stop)
        valkey.start()
    except BaseException:
        stack.close()
        raise
    static = folder / "static"
    static.mkdir()
    server_url = valkey.url().rsplit("/", 1)[0]
    os.environ |= {
        "TEST_FOLDER": str(folder),
        "TEST_VALKEY_URL": server_url,
        "DATABASE_URL": postgres.url(),
        "CELERY_BROKER_URL": f"{server_url}/0",
        "REDIS_URL": f"{server_url}/1",
        "DJANGO_SETTINGS_MODULE": "project.settings",
        "DJANGO_SECRET_KEY": secrets.token_urlsafe(64),
        "DEMO_PASSWORD": secrets.token_urlsafe(12),
        "LOG_LEVEL": "WARNING",
        "LOG_FORMAT": "console",
        "STATIC_ROOT": str(static),
        "WHITENOISE_USE_FINDERS": "true",
    }
    return stack
