"""Disables a guard of the database temporarily, for controls: without it, what it prevents happens."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection


@contextmanager
def unguarded(table: str, *triggers: str) -> Iterator[None]:
    """Runs the block without these triggers of the table, or without any."""
    for trigger in triggers or ("USER",):
        _switch(table, trigger, "DISABLE")
    try:
        yield
    finally:
        for trigger in triggers or ("USER",):
            _switch(table, trigger, "ENABLE")


def _switch(table: str, trigger: str, to: str) -> None:
    with connection.cursor() as cursor:
        # pending checks would forbid ALTER TABLE
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(f"ALTER TABLE {table} {to} TRIGGER {trigger}")
