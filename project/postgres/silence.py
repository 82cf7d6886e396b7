"""Whether PostgreSQL's machine is known to be silent: connections to it hang without an error.

The kernel notices a machine that is gone within `tcp_user_timeout`. It doesn't notice a server that is frozen
while its kernel goes on. So whoever watches (`project/web/database_watch.py`) asks, and until there is an
answer nobody else waits.
"""

import select
import threading
import time
from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg.pq import ConnStatus

_known, _suspected, _watched = threading.Event(), threading.Event(), threading.Event()
is_known, is_suspected = _known.is_set, _suspected.is_set
begin = _known.set
# Whoever watches says so once, since a suspicion must be looked into.
watch = _watched.set


def end() -> None:
    """The server answers."""
    _known.clear()
    _suspected.clear()


def suspect() -> None:
    """A new client was let wait for too long: no other tries until the watch has asked."""
    if _watched.is_set():
        _suspected.set()


# What belongs to Django's use of a connection and not to where it leads.
_USE = ("cursor_factory", "context", "prepare_threshold")


def answers(conn_params: Mapping[str, Any], *, timeout_s: float) -> bool:
    """Whether somebody is there who answers in time, be it with an error."""
    params = {name: value for name, value in conn_params.items() if name not in _USE}
    deadline = time.monotonic() + timeout_s
    try:
        with psycopg.connect(
            **{**params, "connect_timeout": max(2, int(timeout_s))}, autocommit=True
        ) as connection:
            return _answers_a_statement(connection.pgconn, deadline)
    except psycopg.errors.ConnectionTimeout:
        return False
    except psycopg.Error:
        return True


def _answers_a_statement(server: Any, deadline: float) -> bool:
    """A pooler lets clients in while the server behind it hangs. psycopg itself would wait for an answer
    without an end.
    """
    server.send_query(b"SELECT 1")
    while server.is_busy():
        left_s = deadline - time.monotonic()
        if left_s <= 0 or not select.select([server.socket], [], [], left_s)[0]:
            return False
        server.consume_input()
        if server.status != ConnStatus.OK:
            return True
    return True
