"""Filling tables by set-based SQL, also those of an older or newer schema than the one that this was written for."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg

# What a column gets that must not be NULL, has no default and isn't of interest.
_EMPTY = {
    "boolean": "false",
    "bigint": "0",
    "integer": "0",
    "smallint": "0",
    "numeric": "0",
    "character varying": "''",
    "text": "''",
    "jsonb": "'{}'",
    "date": "current_date",
    "timestamp with time zone": "now()",
}


def insert(connection: psycopg.Connection[Any], table: str, values: Mapping[str, str], source: str) -> None:
    """INSERT … SELECT: `values` are SQL expressions by column over the rows of `source`. Columns that the table doesn't have are left out;
    those that it demands and that aren't given are filled with the empty value of their type."""
    columns = _columns(connection, table)
    chosen = {name: expression for name, expression in values.items() if name in columns}
    chosen |= {name: empty for name, empty in columns.items() if empty is not None and name not in chosen}
    connection.execute(f"INSERT INTO {table} ({', '.join(chosen)}) SELECT {', '.join(chosen.values())} FROM {source}")


def insert_statement(connection: psycopg.Connection[Any], table: str, values: Mapping[str, str]) -> str:
    """The INSERT of one row with `values` as SQL expressions, filled up as by `insert`."""
    columns = _columns(connection, table)
    chosen = {name: empty for name, empty in columns.items() if empty is not None} | dict(values)
    return f"INSERT INTO {table} ({', '.join(chosen)}) VALUES ({', '.join(chosen.values())})"


def last_id(connection: psycopg.Connection[Any], table: str) -> int:
    """The greatest id in use, 0 in an empty table."""
    row = connection.execute(f"SELECT coalesce(max(id), 0) FROM {table}").fetchone()
    return int(row[0]) if row else 0


def move_sequence(connection: psycopg.Connection[Any], table: str) -> None:
    """Lets the table's next id of its own follow the greatest one."""
    connection.execute(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), (SELECT coalesce(max(id), 0) + 1 FROM {table}), false)")


def _columns(connection: psycopg.Connection[Any], table: str) -> dict[str, str | None]:
    """Every column, with what it must be filled with if it isn't given, or None if it needn't be."""
    rows = connection.execute(
        """
        SELECT column_name, data_type, is_nullable = 'NO' AND column_default IS NULL AND is_identity = 'NO'
        FROM information_schema.columns WHERE table_name = %s
        """,
        [table],
    ).fetchall()
    return {name: _EMPTY[kind] if needed else None for name, kind, needed in rows}


@dataclass(frozen=True)
class _Index:
    """An index that is away for a while, with the statements that take it away and bring it back."""

    drop: str
    create: str


@contextmanager
def without_indexes(connection: psycopg.Connection[Any], table: str) -> Iterator[None]:
    """Takes away all but the primary key for the block: building an index over many rows at once is several times cheaper."""
    away = _indexes(connection, table)
    for index in away:
        connection.execute(index.drop)
    yield
    connection.execute("SET maintenance_work_mem = '512MB'")
    for index in away:
        connection.execute(index.create)


def _indexes(connection: psycopg.Connection[Any], table: str) -> list[_Index]:
    constraints = connection.execute(
        "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = %s::regclass AND contype = 'u'", [table]
    ).fetchall()
    indexes = connection.execute(
        """
        SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index
        WHERE indrelid = %s::regclass AND NOT indisprimary
          AND NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conindid = indexrelid AND contype = 'u')
        """,
        [table],
    ).fetchall()
    return [
        *(
            _Index(f"ALTER TABLE {table} DROP CONSTRAINT {name}", f"ALTER TABLE {table} ADD CONSTRAINT {name} {text}")
            for name, text in constraints
        ),
        *(_Index(f"DROP INDEX {name}", text) for name, text in indexes),
    ]
