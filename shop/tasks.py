"""The tasks of the shop, as thin as views.

`worker/policy.py` says in which queue each runs and how long it may take.
"""

from celery import Task, shared_task

from shop import clock
from shop.domain.accounts import tokens
from shop.domain.checkout import checkouts
from shop.domain.coupons import coupons
from shop.domain.measures import order_states, totals
from shop.domain.ordering import creation
from shop.domain.work import due_rows
from shop.models import OrderRequest
from shop.results import count, returns_counts
from shop.wakeup import wake, woken


@shared_task(name="shop.prepare_checkouts", bind=True)
@returns_counts
def prepare_checkouts(self: Task) -> None:
    woken(self)
    checkouts.prepare_due_checkouts(now=clock.database_now())


@shared_task(name="shop.create_orders", bind=True)
@returns_counts
def create_orders(self: Task) -> None:
    woken(self)
    claimed = creation.create_due_orders(now=clock.database_now(), cause=f"task:{self.request.id}")
    if claimed >= creation.BATCH_SIZE and due_rows.has_due(OrderRequest, now=clock.database_now()):
        wake(self)


@shared_task(name="shop.expire_coupons", bind=True)
@returns_counts
def expire_coupons(self: Task) -> None:
    count(expired=coupons.expire_records(now=clock.database_now(), limit=1000))


@shared_task(name="shop.purge_tokens")
@returns_counts
def purge_tokens() -> None:
    count(deleted=tokens.purge_tokens(now=clock.database_now()))
    tokens.purge_sessions()


@shared_task(name="shop.fold_totals")
def fold_totals() -> None:
    now = clock.database_now()
    for total in totals.TOTALS:
        totals.fold(total, now=now)
    order_states.fold_order_states(now=now)
