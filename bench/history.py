"""A long history from a short one: rows that the shop itself wrote, copied within the database with ids and
numbers of their own.

The schema says what a copy has to change, so this knows no table's columns and works on any version of them.
"""

from collections.abc import Mapping
from typing import Any, LiteralString, NamedTuple

import psycopg
from psycopg import sql

# All copies sell the same courses by the same campaigns.
SHARED = ("shop_course", "shop_pricepolicy", "shop_coupon")
# An order's number, which other numbers and keys contain: a time, then what nobody can guess.
NUMBER = r"\d{14}(\d{3}[0-9A-Z]{13})"
# How much a copy is younger than the one before; the last is so much older than the original.
APART = "10 minutes"
SERIAL_DIGITS = 7

Connection = psycopg.Connection[Any]


class Column(NamedTuple):
    """`target`: the table that it points to.

    `length`: of a text, 0 if unlimited. `is_unique`: no two rows may have the same text.
    """

    table: str
    name: str
    kind: str
    length: int
    is_unique: bool
    target: str | None


_COLUMNS: LiteralString = """
    SELECT t.relname, a.attname, format_type(a.atttypid, NULL), greatest(a.atttypmod - 4, 0),
        EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = t.oid AND i.indisunique
            AND i.indkey[0] = a.attnum),
        (SELECT confrelid::regclass::text FROM pg_constraint c WHERE c.conrelid = t.oid AND c.contype = 'f'
            AND c.conkey = ARRAY[a.attnum])
    FROM pg_class t JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
        AND a.attgenerated = ''
    WHERE t.relkind = 'r' AND t.relname ~ '^(shop|payments)_' AND t.relname <> ALL(%s)
        AND pg_get_serial_sequence(t.relname, 'id') IS NOT NULL
    ORDER BY t.relname, a.attnum
"""

_COPY = sql.SQL(
    """
    INSERT INTO {table} ({names})
    SELECT {values}
    FROM {table}, generate_series(1, {copies}) AS copy,
        LATERAL (SELECT ({copies} + 1 - copy) * interval {apart}) AS a (age)
    ORDER BY copy, {table}.id
    """
)
_COUNT_CLAIMS: LiteralString = """
    UPDATE shop_coupon SET claimed_count = records.count, quantity = quantity + records.count
    FROM (SELECT coupon_id, count(*) FROM shop_couponrecord GROUP BY 1) AS records
    WHERE records.coupon_id = shop_coupon.id
"""


def multiply(connection: Connection, copies: int) -> None:
    """Copies all rows of the shop and of payments but for the catalogue.

    `connection` is a superuser's: no trigger and no foreign key is asked.
    """
    columns: dict[str, list[Column]] = {}
    for row in connection.execute(_COLUMNS, [list(SHARED)]).fetchall():
        columns.setdefault(row[0], []).append(Column(*row))
    steps = {table: _span(connection, table) for table in columns}
    with connection.transaction():  # now() is the same for all tables
        connection.execute("SET LOCAL session_replication_role = replica")
        for table in filter(steps.get, columns):
            names = sql.SQL(", ").join(sql.Identifier(column.name) for column in columns[table])
            values = sql.SQL(", ").join(_copied(column, steps) for column in columns[table])
            parts = {
                "table": sql.Identifier(table),
                "names": names,
                "values": values,
                "copies": copies,
                "apart": APART,
            }
            connection.execute(_COPY.format(**parts))
            move_sequence(connection, table)
        connection.execute(_COUNT_CLAIMS)


def _copied(column: Column, steps: Mapping[str, int]) -> sql.Composable:
    """What a copy has in this column."""
    name = sql.Identifier(column.name)
    table = column.table if column.name == "id" else column.target
    if table is not None and table in steps:
        return sql.SQL("{} + copy * {}").format(name, steps[table])
    if column.kind == "timestamp with time zone":  # what is put off for years stays
        return sql.SQL("CASE WHEN {0} > now() + interval '1 year' THEN {0} ELSE {0} - age END").format(name)
    if column.kind not in ("character varying", "text"):
        return name
    other = sql.SQL("left({}, {}) || lpad(copy::text, {}, '0')").format(
        name, (column.length or 1000) - SERIAL_DIGITS, SERIAL_DIGITS
    )
    return sql.SQL(
        """
        CASE WHEN {0} ~ {1}
            THEN regexp_replace({0}, {1}, to_char(
                (now() - age) AT TIME ZONE 'Asia/Shanghai', 'YYYYMMDDHH24MISS') || '\\1')
        ELSE {2} END
        """
    ).format(name, NUMBER, other if column.is_unique else name)


def _span(connection: Connection, table: str) -> int:
    """By how much the ids of a copy differ from those before; 0 where there is nothing to copy."""
    row = connection.execute(
        sql.SQL("SELECT coalesce(max(id) - min(id) + 1, 0) FROM {}").format(sql.Identifier(table))
    ).fetchone()
    return int(row[0]) if row else 0


def move_sequence(connection: Connection, table: str) -> None:
    """Lets the table's next id of its own follow the greatest one."""
    query = sql.SQL(
        "SELECT setval(pg_get_serial_sequence({}, 'id'), (SELECT coalesce(max(id), 0) + 1 FROM {}), false)"
    )
    connection.execute(query.format(table, sql.Identifier(table)))
