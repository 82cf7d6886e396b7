"""A long history from a short one: rows that the shop itself wrote, copied within the database with ids and
numbers of their own.

The schema says what a copy has to change, so this knows no table's columns and works on any version of them.
"""

from collections.abc import Mapping
from itertools import groupby
from typing import Any, LiteralString, NamedTuple

import psycopg
from psycopg import sql

# An order's number, which other numbers and keys contain: a time, then what nobody can guess.
NUMBER = r"\d{14}(\d{3}[0-9A-Z]{13})"
SERIAL_DIGITS = 7

Connection = psycopg.Connection[Any]


class Column(NamedTuple):
    """`length`: of a text, 0 if unlimited. `is_unique`: no two rows may have the same text.

    `target`: the table that it points to.
    """

    table: str
    name: str
    kind: str
    length: int
    is_unique: bool
    target: str | None


# But for the catalogue: all copies sell the same courses by the same campaigns.
_COLUMNS: LiteralString = """
    SELECT t.relname, a.attname, format_type(a.atttypid, NULL), greatest(a.atttypmod - 4, 0),
        EXISTS (SELECT FROM pg_index i WHERE i.indrelid = t.oid AND i.indisunique AND i.indkey[0] = a.attnum),
        (SELECT confrelid::regclass::text FROM pg_constraint c WHERE c.conrelid = t.oid AND c.contype = 'f'
            AND c.conkey = ARRAY[a.attnum])
    FROM pg_class t JOIN pg_attribute a ON a.attrelid = t.oid
    WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
        AND t.relkind = 'r' AND t.relname ~ '^(shop|payments)_'
        AND t.relname NOT IN ('shop_course', 'shop_pricepolicy', 'shop_coupon')
        AND pg_get_serial_sequence(t.relname, 'id') IS NOT NULL
    ORDER BY t.relname, a.attnum
"""
_SPAN: LiteralString = "SELECT coalesce(max(id) - min(id) + 1, 0) FROM {}"
# Each copy is ten minutes younger than the one before; the last is that much older than the original.
_COPY: LiteralString = """
    INSERT INTO {table} ({names})
    SELECT {values}
    FROM {table}, generate_series(1, {copies}) AS copy,
        LATERAL (SELECT ({copies} + 1 - copy) * interval '10 minutes') AS a (age)
    ORDER BY copy, {table}.id
"""
# What is put off for years stays so.
_TIME: LiteralString = "CASE WHEN {0} > now() + interval '1 year' THEN {0} ELSE {0} - age END"
_TEXT: LiteralString = """
    CASE WHEN {0} ~ {1} THEN regexp_replace({0}, {1},
        to_char((now() - age) AT TIME ZONE 'Asia/Shanghai', 'YYYYMMDDHH24MISS') || '\\1') ELSE {2} END
"""
_UNIQUE: LiteralString = "left({}, {}) || lpad(copy::text, {}, '0')"
_NEXT_ID: LiteralString = "SELECT setval(pg_get_serial_sequence({}, 'id'), (SELECT max(id) FROM {}))"
_COUNT_CLAIMS: LiteralString = """
    UPDATE shop_coupon SET claimed_count = records.count, quantity = quantity + records.count
    FROM (SELECT coupon_id, count(*) FROM shop_couponrecord GROUP BY 1) AS records
    WHERE records.coupon_id = shop_coupon.id
"""


def multiply(connection: Connection, copies: int) -> None:
    """Copies all rows of the shop and of payments but for the catalogue.

    `connection` is a superuser's: no trigger and no foreign key is asked.
    """
    columns = map(Column._make, connection.execute(_COLUMNS).fetchall())
    tables = {table: list(group) for table, group in groupby(columns, lambda column: column.table)}
    steps: dict[str, int] = {}  # by how much the ids of a copy differ from those before
    for table in tables:
        ((span,),) = connection.execute(sql.SQL(_SPAN).format(sql.Identifier(table))).fetchall()
        steps |= {table: span} if span else {}
    with connection.transaction():  # now() is the same for all tables
        connection.execute("SET LOCAL session_replication_role = replica")
        for table in steps:
            names = sql.SQL(", ").join(sql.Identifier(column.name) for column in tables[table])
            values = sql.SQL(", ").join([_copied(column, steps) for column in tables[table]])
            place = sql.Identifier(table)
            copy = sql.SQL(_COPY).format(table=place, names=names, values=values, copies=copies)
            connection.execute(copy)
            connection.execute(sql.SQL(_NEXT_ID).format(table, place))
        connection.execute(_COUNT_CLAIMS)


def _copied(column: Column, steps: Mapping[str, int]) -> sql.Composable:
    """What a copy has in this column."""
    name = sql.Identifier(column.name)
    table = column.table if column.name == "id" else column.target
    if table is not None and table in steps:
        return sql.SQL("{} + copy * {}").format(name, steps[table])
    if column.kind == "timestamp with time zone":
        return sql.SQL(_TIME).format(name)
    if column.kind not in ("character varying", "text"):
        return name
    unique = sql.SQL(_UNIQUE).format(name, (column.length or 1000) - SERIAL_DIGITS, SERIAL_DIGITS)
    return sql.SQL(_TEXT).format(name, NUMBER, unique if column.is_unique else name)
