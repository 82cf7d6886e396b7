"""Retries of work that the shop has given up: one for each kind of work that the sweep buries."""

from datetime import datetime

from django.db import transaction

from payments.domain.locks import lock_payment, lock_refund
from payments.models import Payment, Refund
from payments.states import RefundStatus
from shop.domain.orders.timeline import by_staff, event, record
from shop.domain.work import due_rows
from shop.errors import WorkNotDead
from shop.models import Account, OrderEvent

Kind = OrderEvent.Kind


def pick_up_payment(payment_id: int, *, staff: Account, why: str, now: datetime, cause: str) -> Payment:
    """Lets a worker ask about a payment again that was given up.

    Raises:
        NotFound: no such payment.
        WorkNotDead: it wasn't given up.
    """
    with transaction.atomic(durable=True):
        payment = lock_payment(payment_id)
        due_rows.pick_up(payment, now=now)
        details = {"what": "payment", "out_trade_no": payment.out_trade_no, **by_staff(staff, why)}
        record([event(payment.order, Kind.PICKED_UP, now=now, cause=cause, **details)])
    return payment


def pick_up_refund(refund_id: int, *, staff: Account, why: str, now: datetime, cause: str) -> Refund:
    """Lets a worker prove a refund again that somebody else made and that couldn't be proven.

    One of ours is approved again instead.

    Raises:
        NotFound: no such refund.
        WorkNotDead: it wasn't given up, or it is one of ours.
    """
    with transaction.atomic(durable=True):
        refund = lock_refund(refund_id)
        if refund.status != RefundStatus.REPORTED:
            raise WorkNotDead
        due_rows.pick_up(refund, now=now)
        details = {"what": "refund", "out_request_no": refund.out_request_no, **by_staff(staff, why)}
        record([event(refund.order, Kind.PICKED_UP, now=now, cause=cause, **details)])
    return refund
