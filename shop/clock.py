"""The shop's clocks. Entry points read one and hand `now` down; domain code never looks at a clock itself.

PostgreSQL's clock is the one that all machines share. What one machine makes due and another one does,
leases, backoffs and the ends of tokens go by it, so the machines' own clocks may differ. A machine's own
clock is for what it does alone: what a page shows, a log, a poll.
"""

from datetime import date, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection
from django.utils import timezone

# Statements that no other statement may be added to take the present from PostgreSQL themselves. Parameters:
# `sql_present(now)`. A `now` that is an hour away isn't a clock that goes wrong but another time that is
# meant, and is kept.
_POSTGRESQL = "(statement_timestamp() + %(clock_offset)s::interval)"
PRESENT = f"""
    CASE WHEN %(now)s::timestamptz BETWEEN {_POSTGRESQL} - interval '1 hour' AND {_POSTGRESQL}
        + interval '1 hour'
        THEN {_POSTGRESQL} ELSE %(now)s::timestamptz END
"""
# When a row is due that is due at once: never in the future of those who look for it.
AT_ONCE = f"LEAST({PRESENT}, {_POSTGRESQL})"


def now() -> datetime:
    """The present moment by this machine's clock (aware, UTC), moved by `CLOCK_OFFSET_S` seconds."""
    return timezone.now() + timedelta(seconds=settings.CLOCK_OFFSET_S)


def database_now() -> datetime:
    """The present moment by PostgreSQL's clock, moved like `now()`.

    For whoever claims rows, or makes them due for others; one statement.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        moment: datetime = cursor.fetchone()[0]
    return moment + timedelta(seconds=settings.CLOCK_OFFSET_S)


def sql_present(now: datetime) -> dict[str, Any]:
    """The parameters of `PRESENT` and `AT_ONCE`."""
    return {"now": now, "clock_offset": timedelta(seconds=settings.CLOCK_OFFSET_S)}


def shanghai_date(moment: datetime) -> date:
    """The calendar day of `moment` in the shop's time zone, by which coupons and campaigns are judged."""
    return timezone.localtime(moment).date()
