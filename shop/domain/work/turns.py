"""Turns: a periodic job runs once per interval, however many processes ask for it."""

from datetime import datetime

from shop.domain import sql
from shop.models import Turn

# A turn in the future was taken by a clock that has gone back since.
_TAKE = """
    INSERT INTO shop_turn (name, taken_at) VALUES (%(name)s, %(now)s)
    ON CONFLICT (name) DO UPDATE SET taken_at = excluded.taken_at WHERE shop_turn.taken_at < %(since)s
    OR shop_turn.taken_at > excluded.taken_at
"""


def take_turn(name: str, *, since: datetime, now: datetime) -> bool:
    """Takes the turn unless somebody took it at or after `since`. `now` is PostgreSQL's."""
    return sql.write(_TAKE, {"name": name, "since": since, "now": now}) == 1


def give_back_turn(name: str) -> None:
    """Releases a turn that came to nothing, so that the next process to ask takes it."""
    Turn.objects.filter(name=name).delete()
