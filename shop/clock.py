"""The shop's clocks. Entry points read one and pass `now` down; domain code never reads a clock itself.

PostgreSQL's clock is shared by all machines. Times that one machine writes and another one acts on (due work,
leases, backoffs, the expiry of tokens) use it, so the machines' own clocks may differ. The local clock is for
everything else: what a page shows, a log line, a poll.
"""

from datetime import date, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection
from django.utils import timezone

# The present as an SQL expression, for statements that must not cost an extra round trip for the time.
# Parameters: `sql_present(now)`. A `now` that is over an hour away isn't clock drift but deliberate, and is
# kept.
_POSTGRESQL = "(statement_timestamp() + %(clock_offset)s::interval)"
PRESENT = f"""
    CASE WHEN %(now)s::timestamptz BETWEEN {_POSTGRESQL} - interval '1 hour' AND {_POSTGRESQL}
        + interval '1 hour'
        THEN {_POSTGRESQL} ELSE %(now)s::timestamptz END
"""
# `available_at` for a row that is due at once: never in the future by the clock of those who claim it.
AT_ONCE = f"LEAST({PRESENT}, {_POSTGRESQL})"


def now() -> datetime:
    """The present by this machine's clock (aware, UTC), shifted by `CLOCK_OFFSET_S` seconds."""
    return timezone.now() + timedelta(seconds=settings.CLOCK_OFFSET_S)


def database_now() -> datetime:
    """The present by PostgreSQL's clock, shifted like `now()`; costs one statement.

    For code that claims rows, or makes them due for other processes.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        moment: datetime = cursor.fetchone()[0]
    return moment + timedelta(seconds=settings.CLOCK_OFFSET_S)


def sql_present(now: datetime) -> dict[str, Any]:
    """The parameters of `PRESENT` and `AT_ONCE`."""
    return {"now": now, "clock_offset": timedelta(seconds=settings.CLOCK_OFFSET_S)}


def shanghai_date(moment: datetime) -> date:
    """The calendar day of `moment` in Shanghai, by which the dates of coupons and campaigns are checked."""
    return timezone.localtime(moment).date()
