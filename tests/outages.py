"""A database that goes away in the middle of a request, and what the limits have counted meanwhile."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import redis
from django.db import OperationalError, connection


@contextmanager
def database_away(*, for_statements: str = "") -> Iterator[None]:
    """Statements that contain this text fail as if nobody listened."""

    def fail(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        if for_statements in sql:
            raise OperationalError("connection refused")
        return execute(sql, params, many, context)

    with connection.execute_wrapper(fail):
        yield


def counted(valkey: redis.Redis) -> dict[str, int]:
    """Limit → uses that are counted at the moment, of all subjects together."""
    uses: dict[str, int] = {}
    for key in valkey.scan_iter("limit:*"):
        limit = key.decode().split(":")[1]
        uses[limit] = uses.get(limit, 0) + int(valkey.get(key) or 0)
    return {limit: count for limit, count in uses.items() if count}
