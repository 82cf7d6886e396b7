"""Finds the position of a moment in a table whose rows are added in chronological order: by a binary search
over ids, without an index on the time.
"""

from datetime import datetime, timedelta

from django.db import connection
from django.db.models import Model

from shop.domain import sql

# Concurrent transactions may commit ids and times in different orders; no transaction lasts longer than this.
SLACK = timedelta(minutes=2)
# Halves the range of ids until its ends meet: some twenty lookups by primary key.
_FIND = """
    WITH RECURSIVE search(low, high) AS (
        SELECT coalesce(min(id), 1)::bigint, coalesce(max(id), 0)::bigint + 1 FROM {table}
        UNION ALL
        SELECT CASE WHEN probe.at < %(at)s THEN middle.id + 1 ELSE search.low END,
            CASE WHEN probe.at < %(at)s THEN search.high ELSE middle.id END
        FROM search CROSS JOIN LATERAL (SELECT (search.low + search.high) / 2 AS id) AS middle
        CROSS JOIN LATERAL (SELECT {column} AS at FROM {table} WHERE id >= middle.id
            ORDER BY id LIMIT 1) AS probe
        WHERE search.low < search.high
    )
    SELECT low FROM search ORDER BY high - low LIMIT 1
"""


def find_first_id(model: type[Model], column: str, *, since: datetime) -> int:
    """The lowest id whose row may be of `since` or later; higher than every id if there is none.

    `column` is the time at which rows are added. The caller must still compare it, since rows near the
    boundary may be slightly earlier.
    """
    quote = connection.ops.quote_name
    statement = _FIND.format(table=quote(model._meta.db_table), column=quote(column))
    ((found,),) = sql.read(statement, {"at": since - SLACK})
    return int(found)
