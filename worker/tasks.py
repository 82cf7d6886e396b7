"""The sweep: finds rows that were left behind (a lost message, a killed worker, a flushed broker) and wakes whoever does them."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from celery import Task, shared_task

from payments import tasks as payment_tasks
from payments.domain import expiry, inbox, polling
from payments.domain.refunds import sending
from payments.models import Notification, Payment, Refund
from shop import clock
from shop import tasks as shop_tasks
from shop.domain import creation, work
from shop.models import Order, OrderRequest, Work
from shop.wakeup import wake


@dataclass(frozen=True, slots=True)
class Swept:
    """One kind of work row, the task that does it, and what happens to rows that used all their attempts."""

    model: type[Work]
    task: Task
    give_up: Callable[..., object]


SWEPT = (
    Swept(OrderRequest, shop_tasks.create_orders, creation.give_up_requests),
    Swept(Notification, payment_tasks.apply_notifications, inbox.give_up_notifications),
    Swept(Payment, payment_tasks.query_payments, polling.give_up_payments),
    Swept(Order, payment_tasks.close_orders, expiry.give_up_orders),
    Swept(Refund, payment_tasks.send_refunds, sending.give_up_refunds),
)


@shared_task(name="worker.sweep")
def sweep() -> None:
    now: datetime = clock.now()
    polling.hasten_watched_payments(now=now)
    for swept in SWEPT:
        swept.give_up(now=now)
        if work.has_due(swept.model, now=now):
            wake(swept.task)
