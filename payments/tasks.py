"""The tasks of payments, as thin as views.

`worker/policy.py` says in which queue each runs and how long it may take.
"""

import structlog
from celery import Task, shared_task

from payments.domain.bills import comparing, planning
from payments.domain.calling import get_callers
from payments.domain.refunds import sending
from payments.domain.trades import expiry, inbox, polling
from payments.domain.upkeep import retention, silence
from payments.domain.upkeep.audit.run import run_audit
from payments.domain.upkeep.verdicts import note_verdicts
from payments.gateways import find_gateways, get_gateways
from payments.gateways.protocol import Gateways
from payments.models import Bill, Notification, Payment, Refund
from shop import clock
from shop.domain.work import due_rows
from shop.models import Order, Work
from shop.results import count, returns_counts
from shop.wakeup import wake, woken

# About a second of work; the next batch is another task.
PURGE_BATCH = 1000

log = structlog.get_logger(__name__)


@shared_task(name="payments.apply_notifications", bind=True)
@returns_counts
def apply_notifications(self: Task) -> None:
    woken(self)
    claimed = inbox.apply_due_notifications(
        gateways=get_gateways(), now=clock.database_now(), cause=f"task:{self.request.id}"
    )
    if claimed >= inbox.BATCH_SIZE and due_rows.has_due(Notification, now=clock.database_now()):
        wake(self)


@shared_task(name="payments.query_payments", bind=True)
@returns_counts
def query_payments(self: Task) -> None:
    woken(self)
    gateways, cause = get_gateways(), f"task:{self.request.id}"
    count(
        looked_at=polling.query_due_payments(
            gateways=gateways, now=clock.database_now(), cause=cause, callers=get_callers()
        )
    )
    _go_on(self, Payment, gateways)


@shared_task(name="payments.close_orders", bind=True)
@returns_counts
def close_orders(self: Task) -> None:
    woken(self)
    gateways, cause = find_gateways(), f"task:{self.request.id}"
    count(
        looked_at=expiry.close_due_orders(
            gateways=gateways, now=clock.database_now(), cause=cause, callers=get_callers()
        )
    )
    _go_on(self, Order, gateways)


@shared_task(name="payments.send_refunds", bind=True)
@returns_counts
def send_refunds(self: Task) -> None:
    woken(self)
    gateways, cause = get_gateways(), f"task:{self.request.id}"
    count(
        looked_at=sending.send_due_refunds(
            gateways=gateways, now=clock.database_now(), cause=cause, callers=get_callers()
        )
    )
    _go_on(self, Refund, gateways)


@shared_task(name="payments.plan_bills")
@returns_counts
def plan_bills() -> None:
    gateways = find_gateways()
    if gateways is not None:
        count(planned=planning.plan_bills(gateways=gateways, now=clock.database_now()))


@shared_task(name="payments.compare_bills", bind=True)
@returns_counts
def compare_bills(self: Task) -> None:
    woken(self)
    gateways = get_gateways()
    count(
        looked_at=comparing.compare_due_bills(
            gateways=gateways, now=clock.database_now(), callers=get_callers()
        )
    )
    _go_on(self, Bill, gateways)


def _go_on(task: Task, model: type[Work], gateways: Gateways | None) -> None:
    """Starts another run if rows of `model` are left.

    While the gateway is silent, waiting for the sweep's next wake-up is soon enough.
    """
    now = clock.database_now()
    if gateways is not None:
        silence.note_silence(gateways=gateways, now=now)
    if (gateways is None or gateways.free(2) == 2) and due_rows.has_due(model, now=now):
        wake(task)


@shared_task(name="payments.audit")
@returns_counts
def audit() -> None:
    now = clock.database_now()
    verdicts = list(run_audit(now=now))
    note_verdicts(verdicts, now=now)
    for verdict in verdicts:
        count(rules_checked=1)
        if verdict.broken_count:
            count(rules_broken=1)
            log.error(
                "audit_broken",
                rule=verdict.rule.name,
                rows=verdict.broken_count,
                first=[str(row) for row in verdict.rows[:3]],
                alert=True,
            )


@shared_task(name="payments.purge_personal_data", bind=True)
@returns_counts
def purge_personal_data(self: Task) -> None:
    purged = retention.purge_personal_data(now=clock.database_now(), limit=PURGE_BATCH)
    count(purged=purged)
    if purged == PURGE_BATCH:
        wake(self)
