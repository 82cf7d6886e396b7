"""What a worker pool loses when its processes are killed."""

import contextlib
import os
import signal

from project.local.waiting import wait_until
from tests.journeys.shopping import Buyer, account_locked, simple_body

_WAITING = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%%shop_account%%'
"""


def kill_pool_in_the_middle_of_an_order(buyer: Buyer) -> None:
    """The buyer's order is created later, by the replacement processes."""
    stack = buyer.stack
    with account_locked(buyer):
        buyer.place(simple_body(stack))
        assert wait_until(lambda: bool(stack.value(_WAITING)), timeout_s=40)
        for child in stack.worker.get_pool_pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
