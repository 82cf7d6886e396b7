"""What staff do about differences and bills: explain a difference, retry a bill that was given up."""

from datetime import datetime

from django.db import transaction

from payments.domain.locks import lock_bill, lock_difference
from payments.errors import DifferenceNotOpen
from payments.models import Bill, BillDifference
from payments.states import DifferenceStatus
from shop.domain.orders.timeline import by_staff, event, record
from shop.domain.work import due_rows
from shop.models import Account, OrderEvent


def explain_difference(
    difference_id: int, *, staff: Account, why: str, reference: str, now: datetime, cause: str
) -> BillDifference:
    """Records why a bill and the books differ, and in `reference` the evidence. Moves no money.

    Raises:
        NotFound: no such difference.
        DifferenceNotOpen: it was explained, or the books agree by now.
    """
    with transaction.atomic(durable=True):
        difference = lock_difference(difference_id)
        if difference.status != DifferenceStatus.OPEN:
            raise DifferenceNotOpen(status=difference.status)
        difference.status, difference.ended_at = DifferenceStatus.EXPLAINED, now
        difference.explained_by, difference.why, difference.reference = staff, why, reference
        difference.save(update_fields=["status", "ended_at", "explained_by", "why", "reference"])
        if difference.order is not None:
            details = {"out_trade_no": difference.out_trade_no, **by_staff(staff, why)}
            kind = OrderEvent.Kind.BILL_DIFFERENCE_EXPLAINED
            record([event(difference.order, kind, now=now, cause=cause, **details)])
    return difference


def pick_up_bill(bill_id: int, *, now: datetime) -> Bill:
    """Lets a worker retry a bill that was given up.

    Raises:
        NotFound: no such bill.
        WorkNotDead: it wasn't given up.
    """
    with transaction.atomic(durable=True):
        bill = lock_bill(bill_id)
        due_rows.pick_up(bill, now=now)
    return bill
