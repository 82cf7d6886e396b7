"""Checks that a refusal has changed nothing, and undoes what a block has changed."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import redis
from django.apps import apps
from django.conf import settings
from django.db import connection, transaction

from shop.models import Measurement
from shop.wakeup import settle

# All tables except that of measurements, which are derived from the others.
MODELS = [
    model
    for name in ("shop", "payments")
    for model in apps.get_app_config(name).get_models()
    if model is not Measurement
]

# One statement for all tables: this runs a thousand times.
ALL_ROWS = " UNION ALL ".join(
    f"SELECT '{model.__name__}', array_agg(to_jsonb(t)::text ORDER BY t.{model._meta.pk.column}) FROM "
    f"{model._meta.db_table} t"
    for model in MODELS
)


def everything() -> dict[str, Any]:
    """All rows of the shop and of payments, and all keys of both Valkey databases, once all pending wake-ups
    are sent.

    Excluded are the counters of limits, which count refusals, too; the marks of watched orders, which a
    thread writes later; and the flags of wake-ups, which expire after a second, while their messages are
    included.
    """
    assert settle()
    with connection.cursor() as cursor:
        cursor.execute(ALL_ROWS)
        state: dict[str, Any] = dict(cursor.fetchall())
    for name in ("REDIS_URL", "CELERY_BROKER_URL"):
        client = _open_client(getattr(settings, name))
        state[name] = {
            key: client.dump(key)
            for key in sorted(client.keys())
            if not key.startswith((b"limit:", b"wake:", b"orders:watched"))
        }
    return state


# Kept open, since connecting costs more than the query.
_open_client: Callable[[str], Any] = cache(redis.Redis.from_url)


@contextmanager
def nothing_changes() -> Iterator[None]:
    """Fails if the block changes anything in the database or in Valkey."""
    before = everything()
    yield
    assert everything() == before


@contextmanager
def undone() -> Iterator[None]:
    """Rolls the block back. Durable transactions inside are accepted, as in a test's own transaction."""
    block = transaction.atomic()
    block._from_testcase = True  # type: ignore[attr-defined]
    with block:
        yield
        transaction.set_rollback(True)
