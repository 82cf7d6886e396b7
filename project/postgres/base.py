"""The engine that `DATABASES` names."""

import select

from django.db.backends.postgresql import base
from psycopg.pq import TransactionStatus


class DatabaseWrapper(base.DatabaseWrapper):
    """Django asks a kept connection for `SELECT 1` before its first use in each request, which costs more than some requests' own work.

    A server that ended the connection has said so: there is something to read where an idle connection has nothing. Only then is it asked.
    """

    def is_usable(self) -> bool:
        if self.connection is None or self.connection.info.transaction_status != TransactionStatus.IDLE:
            return bool(super().is_usable())
        look = select.poll()
        look.register(self.connection.fileno(), select.POLLIN)
        return not look.poll(0) or bool(super().is_usable())
