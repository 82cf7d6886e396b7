"""Tests whether a pooler in front of PostgreSQL does what the shop needs."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
from django.db import transaction

from project.postgres.address import TIMEOUTS


@dataclass(frozen=True)
class Problem:
    """What is missing, and how to fix it."""

    text: str
    hint: str


def find_problems(connection: Any) -> Iterator[Problem]:
    """The problems of the connection's pooler; none without a pooler.

    Raises:
        DatabaseError: it doesn't answer.
    """
    if not connection.settings_dict.get("POOLER"):
        return
    if missing := _missing_timeouts(connection):
        wanted = " ".join(
            f"ALTER ROLE {connection.settings_dict['USER']} SET {name} = '{TIMEOUTS[name]}';"
            for name in missing
        )
        yield Problem(
            f"Statements through the pooler have no {', '.join(missing)}: in a pooler's transaction mode "
            f"they come from the role.",
            f"As a superuser of PostgreSQL: {wanted} Then RECONNECT in the pooler's console.",
        )
    if connection.settings_dict["POOLER"] == "transaction" and not _follows_prepared_statements(connection):
        yield Problem(
            'DATABASE_POOLER is "transaction", and what is there doesn\'t follow prepared statements from '
            "one server's connection to the next.",
            "PgBouncer must be 1.21 or newer with max_prepared_statements above 0. Without any pooler leave "
            "DATABASE_POOLER empty.",
        )


def _missing_timeouts(connection: Any) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT name FROM pg_settings WHERE name = ANY(%s) AND setting = '0' ORDER BY name",
            [list(TIMEOUTS)],
        )
        return [name for (name,) in cursor.fetchall()]


def _follows_prepared_statements(connection: Any) -> bool:
    """Whether the pooler tracks prepared statements: then they have names of its own; otherwise the server
    has the name that psycopg chose.
    """
    if not psycopg.capabilities.has_send_close_prepared():
        return False
    with transaction.atomic(using=connection.alias), connection.connection.cursor() as cursor:
        cursor.execute("SELECT 'a statement that is prepared'", prepare=True)
        names = cursor.execute(
            "SELECT name FROM pg_prepared_statements WHERE statement LIKE '%a statement that is prepared%'"
        ).fetchall()
    return bool(names) and not any(str(name).startswith("_pg3_") for (name,) in names)
