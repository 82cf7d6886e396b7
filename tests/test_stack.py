"""The tests' own servers."""

import os

import pytest
import redis


def test_database_is_postgresql_18() -> None:
    import psycopg

    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        row = connection.execute(
            "SELECT current_setting('server_version_num')::int / 10000, current_user"
        ).fetchone()
    assert row == (18, "shop")


def test_valkey_is_empty_at_the_start_of_a_test(valkey: redis.Redis, broker_valkey: redis.Redis) -> None:
    assert (valkey.dbsize(), broker_valkey.dbsize()) == (0, 0)
    valkey.set("left", "behind")
    broker_valkey.set("left", "behind")


def test_valkey_is_empty_in_the_next_test(valkey: redis.Redis, broker_valkey: redis.Redis) -> None:
    assert (valkey.dbsize(), broker_valkey.dbsize()) == (0, 0)
    valkey.set("left", "behind")
    broker_valkey.set("left", "behind")


def test_code_under_test_uses_the_database_of_this_process(valkey: redis.Redis, worker_id: str) -> None:
    number = 1 if worker_id == "master" else 3 + 2 * int(worker_id.removeprefix("gw"))
    assert os.environ["REDIS_URL"].endswith(f"/{number}")
    assert valkey.connection_pool.connection_kwargs["db"] == number


@pytest.mark.xdist_group("stack")
def test_groups_are_known_by_their_names(request: pytest.FixtureRequest, worker_id: str) -> None:
    """Tests that share servers form a group, so that one process starts them.

    pytest-xdist recognises groups by suffixes of the tests' names; with a pytest that drops these, it
    silently distributes the tests.
    """
    is_grouped = worker_id != "master" and request.config.getoption("loadgroup", default=False)
    assert request.node.nodeid.endswith("@stack") == is_grouped
