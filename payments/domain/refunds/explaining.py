"""What staff say of refunds that were made without us."""

from collections.abc import Collection
from datetime import datetime

from django.db import transaction

from payments.domain.locks import lock_payment, lock_refund
from payments.domain.refunds import concluding, external
from payments.domain.refunds.lines import pick_lines
from payments.errors import OrderNotRefundable, RefundNotOpen
from payments.gateways.protocol import Gateways
from payments.models import Payment, Refund
from payments.states import Explanation, RefundKind, RefundStatus
from shop.domain import ledger, sql
from shop.domain.locks import existing
from shop.domain.orders.timeline import by_staff, event, record
from shop.models import Account, OrderEvent
from shop.states import OrderStatus

Kind = OrderEvent.Kind


def explain_external_refund(
    refund_id: int, *, course_ids: Collection[int] | None, staff: Account, why: str, now: datetime, cause: str
) -> Refund:
    """Staff say which courses a booked external refund was for, or with `course_ids` None that it was a gift.

    The courses go back as with a refund of ours; what the refund is above their price is a gift. Refunds that
    were held back meanwhile become due.

    Raises:
        NotFound: no such refund.
        RefundNotOpen: it isn't proven yet, or explained already.
        OrderNotRefundable: the order isn't paid, or a course isn't one of its lines.
        RefundLineTaken: a course has gone back, or a refund of it is asked for: reject that first, or have it
            paid by this one.
    """
    with transaction.atomic(durable=True):
        refund = lock_refund(refund_id)
        payment = _explainable(refund)
        if course_ids is None:
            sql.insert(
                [ledger.goodwill_out(refund.order, refund.amount, key=f"external:{refund.pk}", now=now)]
            )
            concluding.mark_explained(refund, Explanation.GOODWILL, now=now)
            details = {
                "explanation": Explanation.GOODWILL.value,
                "alipay": str(refund.amount),
                **by_staff(staff, why),
            }
            record([event(refund.order, Kind.EXTERNAL_REFUND_EXPLAINED, now=now, cause=cause, **details)])
        else:
            if refund.order.status != OrderStatus.PAID:
                raise OrderNotRefundable(status=refund.order.status)
            lines = pick_lines(refund.order, course_ids)
            concluding.return_lines(
                payment, [refund], lines, Explanation.LINES, now=now, cause=cause, **by_staff(staff, why)
            )
        Refund.objects.filter(pk=refund.pk).update(decided_by=staff, outcome=why)
        concluding.conclude(payment, now=now, cause=cause)
        concluding.wake_held_back(payment, now=now)
    refund.refresh_from_db()
    return refund


def report_external_refund(payment_id: int, *, number: str, staff: Account, now: datetime) -> Refund:
    """Staff enter a refund that was made at the gateway and that no notice told of; a worker proves and books
    it.

    Raises:
        NotFound: no such payment.
        RefundNotOpen: the number is known.
        OrderNotRefundable: the payment never received money.
    """
    with transaction.atomic(durable=True):
        payment = lock_payment(payment_id)
        if payment.paid_at is None:
            raise OrderNotRefundable(status=payment.status)
        refund = external.report_external(payment, number, now=now)
        if refund is None:
            raise RefundNotOpen(out_request_no=number)
        Refund.objects.filter(pk=refund.pk).update(decided_by=staff)
    return refund


def dismiss_external_refund(
    refund_id: int, *, gateways: Gateways, staff: Account, why: str, now: datetime, cause: str
) -> Refund:
    """Staff dismiss a reported refund that the gateway, asked once more, doesn't know.

    If it does know it, it is booked instead.

    Raises:
        NotFound: no such refund.
        RefundNotOpen: it is booked, now or before, or was dismissed.
        GatewayUnreachable: it can't be asked, or it knows the refund and the payment itself isn't booked yet;
            nothing has changed.
        GatewayRejected, GatewayNotConfigured: it can't be asked; nothing has changed.
    """
    refund = existing(Refund.objects.select_related("payment").filter(pk=refund_id).first())
    if refund.kind != RefundKind.EXTERNAL or refund.status != RefundStatus.REPORTED or refund.payment is None:
        raise RefundNotOpen(status=refund.status)
    if (
        gateways.gateway_for(refund.payment).find_refund(refund.payment.out_trade_no, refund.out_request_no)
        is not None
    ):
        external.prove_external(refund_id, gateways=gateways, now=now, cause=cause)
        raise RefundNotOpen(status=RefundStatus.SUCCEEDED)
    with transaction.atomic(durable=True):
        refund = lock_refund(refund_id)
        if refund.status != RefundStatus.REPORTED:
            raise RefundNotOpen(status=refund.status)
        refund.status, refund.outcome, refund.decided_by = RefundStatus.REJECTED, why, staff
        refund.finished_at, refund.available_at, refund.dead_at = now, None, None
        refund.save(
            update_fields=["status", "outcome", "decided_by", "finished_at", "available_at", "dead_at"]
        )
        details = {"out_request_no": refund.out_request_no, "why": why, **by_staff(staff)}
        record([event(refund.order, Kind.EXTERNAL_REFUND_DISMISSED, now=now, cause=cause, **details)])
        assert refund.payment is not None
        concluding.conclude(refund.payment, now=now, cause=cause)
        concluding.wake_held_back(refund.payment, now=now)
    return refund


def _explainable(refund: Refund) -> Payment:
    if (
        refund.kind != RefundKind.EXTERNAL
        or refund.status != RefundStatus.SUCCEEDED
        or refund.explanation
        or refund.payment is None
    ):
        raise RefundNotOpen(status=refund.status)
    return refund.payment
