"""The sweep: finds rows that were left behind (by a lost message, a killed worker or a flushed broker) and
wakes their tasks.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import structlog
from celery import Task, shared_task
from django.db import transaction

from payments import tasks as payment_tasks
from payments.domain.bills import comparing
from payments.domain.refunds import sending
from payments.domain.trades import expiry, inbox, polling
from payments.models import Bill, Notification, Payment, Refund
from shop import clock
from shop import tasks as shop_tasks
from shop.domain import floors
from shop.domain.locks import try_sweep_lock
from shop.domain.ordering import creation
from shop.domain.work import due_rows
from shop.models import Order, OrderRequest, Work
from shop.wakeup import wake, woken

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Swept:
    """One kind of work row, the task that processes it, and what happens to rows that used all their
    attempts.
    """

    model: type[Work]
    task: Task
    give_up: Callable[..., object]


SWEPT = (
    Swept(OrderRequest, shop_tasks.create_orders, creation.give_up_requests),
    Swept(Notification, payment_tasks.apply_notifications, inbox.give_up_notifications),
    Swept(Payment, payment_tasks.query_payments, polling.give_up_payments),
    Swept(Order, payment_tasks.close_orders, expiry.give_up_orders),
    Swept(Refund, payment_tasks.send_refunds, sending.give_up_refunds),
    Swept(Bill, payment_tasks.compare_bills, comparing.give_up_bills),
)


@shared_task(name="worker.sweep", bind=True, send_events=False)
def sweep(self: Task) -> None:
    """Does nothing if another sweep is running. It runs every two seconds, so it isn't reported to Flower;
    the tasks that it wakes are.
    """
    woken(self)
    now: datetime = clock.database_now()
    try:
        polling.hasten_watched_payments(now=now)
    except Exception:
        log.exception("watched_payments_not_hastened")
    with transaction.atomic(durable=True):
        found = [(swept, _look(swept, now=now)) for swept in SWEPT] if try_sweep_lock() else []
    names = []
    for swept, due in found:
        if due.is_claimed_due:
            swept.give_up(now=now)
        if due.is_fresh_due or (due.is_claimed_due and due_rows.has_due(swept.model, now=now)):
            wake(swept.task)
            names.append(swept.task.name)
    if names:
        log.info("swept", woken=names)


def _look(swept: Swept, *, now: datetime) -> due_rows.Due:
    floors.check_floor(swept.model, now=now)
    return due_rows.look(swept.model, now=now)
