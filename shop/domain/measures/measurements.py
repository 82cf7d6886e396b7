"""The latest measurement under each name: rarely written, read by every scrape of the metrics."""

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
    """Replaces the previous measurement."""
    sql.write(_NOTE, {"name": name, "value": sql.jsonb(value), "now": now})


def note_first(name: str, value: Any, *, now: datetime) -> bool:
    """Stores this unless there is a measurement already; returns whether it was stored.

    `taken_at` then says since when the finding has held.
    """
    return sql.write(_NOTE_FIRST, {"name": name, "value": sql.jsonb(value), "now": now}) == 1


def find(name: str) -> Measurement | None:
    return Measurement.objects.filter(name=name).first()


def drop(seen: Measurement) -> None:
    """Deletes a finding that no longer holds.

    A newer one that has replaced it meanwhile stays.
    """
    Measurement.objects.filter(name=seen.name, taken_at=seen.taken_at).delete()
