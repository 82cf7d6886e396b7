"""The engine that `DATABASES` names."""

import select
from functools import cached_property
from types import TracebackType
from typing import Any

import psycopg
from django.db.backends.postgresql import base
from django.db.utils import DatabaseErrorWrapper, OperationalError
from psycopg.errors import ReadOnlySqlTransaction
from psycopg.pq import TransactionStatus

from project.postgres import silence
from project.postgres.address import TIMEOUTS

# Parameters that PostgreSQL reports to its clients whenever they change.
_READ_ONLY_REPORTS = (b"in_hot_standby", b"default_transaction_read_only")


class ReadOnlyAsOperational(DatabaseErrorWrapper):
    """Turns the error of a write on a read-only server into OperationalError: it is a temporary state of the
    server, not a mistake in the statement.
    """

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if exc_type is not None and issubclass(exc_type, ReadOnlySqlTransaction):
            self.wrapper.errors_occurred = True  # type: ignore[attr-defined]  # Django sets it
            raise OperationalError(str(exc_value)).with_traceback(traceback) from exc_value
        super().__exit__(exc_type, exc_value, traceback)


class DatabaseWrapper(base.DatabaseWrapper):
    """Replaces connections that can't write, checks kept ones at almost no cost, and fails at once while the
    server is known to be silent.
    """

    @cached_property
    def wrap_database_errors(self) -> DatabaseErrorWrapper:
        return ReadOnlyAsOperational(self)

    def is_usable(self) -> bool:
        """Whether a kept connection can be used and accepts writes; without a query unless something is
        suspicious.

        Django itself sends `SELECT 1` before a connection's first use in each request, which costs more than
        some requests' own work. But a server that ends a connection says so: there is something to read on
        it, while an idle connection has nothing. Only then, or after an error, is the server queried. A
        connection to a standby, or to a former primary that came back as one, is replaced before each request
        until the address leads to a server that accepts writes.
        """
        if self.connection is None or silence.is_known():
            return False
        server = self.connection.pgconn
        if server.transaction_status != TransactionStatus.IDLE or self.errors_occurred:
            return self._writes()
        if self._is_read_only():
            return False
        look = select.poll()
        look.register(self.connection.fileno(), select.POLLIN)
        return not look.poll(0) or bool(super().is_usable())

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        if silence.is_known() or silence.is_suspected():
            raise OperationalError("PostgreSQL doesn't answer")
        try:
            return super().get_new_connection(conn_params)
        except psycopg.errors.ConnectionTimeout:
            silence.suspect()
            raise

    def init_connection_state(self) -> None:
        super().init_connection_state()
        if self.settings_dict.get("POOLER") == "session":
            with self.cursor() as cursor:
                cursor.execute(";".join(f"SET {name} = '{value}'" for name, value in TIMEOUTS.items()))

    def _writes(self) -> bool:
        """Whether the server accepts writes, by a query: this also works through a pooler that doesn't pass
        on PostgreSQL's reports.
        """
        try:
            with self.connection.cursor() as cursor:
                return bool(cursor.execute("SHOW transaction_read_only").fetchone() == ("off",))
        except psycopg.Error:
            return False

    def _is_read_only(self) -> bool:
        return any(self.connection.pgconn.parameter_status(name) == b"on" for name in _READ_ONLY_REPORTS)
