"""Whether PostgreSQL is known to be silent: connections to it hang without an error.

The kernel detects a dead machine within `tcp_user_timeout`, but not a frozen server whose kernel still runs.
So the watch (`project/web/database_watch.py`) queries the server, and until it answers, nobody else waits for
it.
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
# Called once by the watch: without one, nobody would look into a suspicion.
watch = _watched.set


def end() -> None:
    """Notes that the server answers."""
    _known.clear()
    _suspected.clear()


def suspect() -> None:
    """Notes that an attempt to connect timed out: no other is made until the watch has checked the server.
    Does nothing without a watch.
    """
    if _watched.is_set():
        _suspected.set()


# Parameters about how Django uses a connection, not about where it leads.
_USE = ("cursor_factory", "context", "prepare_threshold")


def answers(conn_params: Mapping[str, Any], *, timeout_s: float) -> bool:
    """Whether the server answers within `timeout_s`, if only with an error."""
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
    """Whether a statement is answered, too: a pooler lets clients in while the server behind it hangs.

    psycopg itself would wait for ever.
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
