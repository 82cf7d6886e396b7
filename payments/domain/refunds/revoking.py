"""Staff revoke access without giving money back.

On the books it is a refund of nothing: the line is returned, and stays paid.
"""

from datetime import datetime

from django.db import transaction

from payments.domain.refunds.lines import attach_lines, pick_lines
from payments.errors import AccessNotRevocable
from payments.models import Refund
from payments.states import RefundKind, RefundStatus
from shop.domain.locks import existing, lock_order
from shop.domain.orders import order_refunds
from shop.domain.orders.timeline import by_staff, event, record
from shop.domain.pricing.refund_shares import LinePart, Share
from shop.models import Account, Enrolment, OrderEvent
from shop.money import ZERO
from shop.states import EnrolmentStatus, OrderStatus


def revoke_access(enrolment_id: int, *, staff: Account, why: str, now: datetime, cause: str) -> Refund:
    """Ends one period of a buyer's access; later periods of the course move up.

    Raises:
        NotFound: no such enrolment.
        AccessNotRevocable: it is over, or was taken back.
        RefundLineTaken: a refund of it is asked for: decide on that.
    """
    found = existing(Enrolment.objects.select_related("order_line").filter(pk=enrolment_id).first())
    with transaction.atomic(durable=True):
        order = lock_order(found.order_line.order_id)
        running = Enrolment.objects.filter(
            pk=enrolment_id, status=EnrolmentStatus.ACTIVE, valid_until__gt=now
        )
        if order.status != OrderStatus.PAID or not running.exists():
            raise AccessNotRevocable
        lines = pick_lines(order, [found.course_id])
        refund = Refund.objects.create(
            kind=RefundKind.ORDER,
            order=order,
            out_request_no=f"{order.order_number}R{Refund.objects.filter(order=order).count() + 1}",
            amount=ZERO,
            status=RefundStatus.SUCCEEDED,
            reason=why,
            requested_by=staff,
            approved_by=staff,
            requested_at=now,
            approved_at=now,
            finished_at=now,
        )
        parts = [LinePart(line, ZERO, ZERO) for line in lines]
        attach_lines(refund, parts)
        details = {
            "course_id": found.course_id,
            "course_name": found.order_line.course_name,
            **by_staff(staff, why),
        }
        record([event(order, OrderEvent.Kind.ACCESS_TAKEN_BACK, now=now, cause=cause, **details)])
        order_refunds.apply_refund(
            order, parts, Share(ZERO, 0), key=refund.out_request_no, now=now, cause=cause, tells_refund=False
        )
    return refund
