"""Other ways to tell a worker that there is something to do."""

from typing import Any

from payments import tasks as payment_tasks
from payments.domain import inbox
from shop import tasks as shop_tasks
from shop import wakeup
from shop.domain import creation, work


def flag_in_request() -> None:
    """Wake-ups are coalesced, but the request sends them itself, without the thread."""
    _ring_by(wakeup.wake)


def message_per_row() -> None:
    """Every request sends a message of its own before it answers, as `.delay()` after the commit would; tasks still take all that is due."""
    _ring_by(wakeup._send)


def task_per_row() -> None:
    """What is done the usual way: a message, a task and a transaction for each row, and no task does more than its one row."""
    message_per_row()
    creation.BATCH_SIZE = inbox.BATCH_SIZE = 1
    work.DRAIN_S = 0
    shop_tasks.wake = payment_tasks.wake = _say_nothing


def _ring_by(send: Any) -> None:
    def ring(bell: object, task: Any) -> None:
        send(task)

    wakeup._Bell.ring = ring


def _say_nothing(task: Any) -> None:
    """The next row has a message of its own."""
