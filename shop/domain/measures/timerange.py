"""Where a moment lies in a table whose rows are added in the order of time: found by their ids, without an
index on the time.
"""

from datetime import datetime, timedelta

from django.db import connection
from django.db.models import Model

from shop.domain import sql

# Rows that were written at once may have their ids and their times in different orders; no transaction lasts
# longer than this.
SLACK = timedelta(minutes=2)
# Halves the ids between the two ends until they meet: some twenty looks by primary key.
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
    """The id from which on the table's rows are of `since` or later, and a little earlier; above all ids if
    none is.

    `column` is the time at which rows are added. The caller still compares it: the rows around the edge are
    of both sides.
    """
    quote = connection.ops.quote_name
    statement = _FIND.format(table=quote(model._meta.db_table), column=quote(column))
    ((found,),) = sql.read(statement, {"at": since - SLACK})
    return int(found)
