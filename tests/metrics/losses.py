"""What a pool of workers loses when somebody kills its processes."""

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
    """The buyer's order is made later, by the processes that take their places."""
    stack = buyer.stack
    with account_locked(buyer):
        buyer.place(simple_body(stack))
        assert wait_until(lambda: bool(stack.value(_WAITING)), timeout_s=40)
        for child in stack.worker.get_pool_pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
