"""Frees requests that wait for a PostgreSQL that doesn't answer, and keeps others from starting to wait.

A statement may take ten seconds, but a server that doesn't let a new client in within three is silent. Then
the connections that wait are shut down, which ends their requests with a 503, and every request that needs
the database is answered 503 at once, until the server answers again. As soon as one connection attempt times
out, no other is made until this watch has checked the server.
"""

import contextlib
import os
import socket
import threading
import time

import structlog
from psycopg.pq import TransactionStatus

from project.postgres import silence
from project.web.places import Place, Places

log = structlog.get_logger(__name__)

TICK_S = 0.5
# A statement that takes this long makes the watch check the server; nearly all take a hundredth of it.
SUSPICION_S = 1.5
ANSWER_S = 3.0


class DatabaseWatch(threading.Thread):
    """Looks after the database connections of one web process. Costs nothing while statements are short."""

    def __init__(self, places: Places) -> None:
        super().__init__(name="database-watch", daemon=True)
        self._places = places
        self._asked_at = 0.0

    def run(self) -> None:
        silence.watch()
        while True:
            time.sleep(TICK_S)
            try:
                self.look(time.monotonic())
            except Exception:  # the next look may succeed, and nobody else watches
                log.exception("database_watch_failed")

    def look(self, now: float) -> None:
        """Checks the server if a statement is overdue or an attempt to connect has timed out; while the
        server is silent, ends what waits for it.
        """
        if silence.is_known():
            self._shut(self._places.taken_before(now))
            if silence.answers(self._places.all[0].connection.get_connection_params(), timeout_s=ANSWER_S):
                silence.end()
                log.warning("database_answers_again")
            return
        overdue = [place for place in self._places.taken_before(now - SUSPICION_S) if is_in_statement(place)]
        if not (overdue or silence.is_suspected()) or now - self._asked_at < SUSPICION_S:
            return
        self._asked_at = now
        params = _params_of(overdue[0]) if overdue else self._places.all[0].connection.get_connection_params()
        if silence.answers(params, timeout_s=ANSWER_S):
            silence.end()
        else:
            silence.begin()
            log.error("database_silent", waiting=len(overdue), alert=True)
            self._shut(self._places.taken_before(now))

    def _shut(self, places: list[Place]) -> None:
        for place in places:
            if is_in_statement(place):
                _shut_socket(place)


def is_in_statement(place: Place) -> bool:
    """Whether the place's connection is waiting for an answer of the server right now."""
    connection = place.connection.connection
    return connection is not None and connection.pgconn.transaction_status == TransactionStatus.ACTIVE


def _params_of(place: Place) -> dict[str, object]:
    """How to connect to the very server that the place is connected to, in case an address names several."""
    params: dict[str, object] = place.connection.get_connection_params()
    connection = place.connection.connection
    if connection is not None:
        with contextlib.suppress(Exception):  # closed meanwhile: then any of them will do
            params |= {
                "host": connection.info.host,
                "port": connection.info.port,
                "target_session_attrs": "any",
            }
    return params


def _shut_socket(place: Place) -> None:
    """Shuts down the connection that a thread is waiting on, which then gets an OperationalError."""
    with contextlib.suppress(Exception):  # closed meanwhile, which is what was wanted
        copy = os.dup(place.connection.connection.pgconn.socket)
        with socket.socket(fileno=copy) as opened:
            opened.shutdown(socket.SHUT_RDWR)
