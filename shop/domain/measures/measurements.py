"""What was measured last, under a name: written seldom, read by every scrape of the metrics."""

from datetime import datetime
from typing import Any

from shop.domain import sql
from shop.models import Measurement

_NOTE = """
    INSERT INTO shop_measurement (name, value, taken_at) VALUES (%(name)s, %(value)s, %(now)s)
    ON CONFLICT (name) DO UPDATE SET value = excluded.value, taken_at = excluded.taken_at
"""
_NOTE_FIRST = """
    INSERT INTO shop_measurement (name, value, taken_at) VALUES (%(name)s, %(value)s, %(now)s)
        ON CONFLICT (name) DO NOTHING
"""


def note(name: str, value: Any, *, now: datetime) -> None:
    """Keeps this instead of what was measured before."""
    sql.write(_NOTE, {"name": name, "value": sql.jsonb(value), "now": now})


def note_first(name: str, value: Any, *, now: datetime) -> bool:
    """Keeps this unless there is something already; returns whether it was kept.

    `taken_at` then says since when it has been so.
    """
    return sql.write(_NOTE_FIRST, {"name": name, "value": sql.jsonb(value), "now": now}) == 1


def find(name: str) -> Measurement | None:
    return Measurement.objects.filter(name=name).first()


def drop(seen: Measurement) -> None:
    """What was found is no longer so.

    If somebody has replaced it meanwhile, that is newer and stays.
    """
    Measurement.objects.filter(name=seen.name, taken_at=seen.taken_at).delete()
