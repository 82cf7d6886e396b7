"""What staff decide about refunds of ours: approve, reject, retry, give up, pay by other means."""

from datetime import datetime

from django.conf import settings
from django.db import transaction
from django.db.models import Sum

from payments.domain.locks import lock_refund
from payments.domain.refunds import booking, concluding
from payments.domain.refunds.lines import parts_of, release_lines, release_money
from payments.errors import (
    ExternalRefundUnexplained,
    RefundNeedsSecondPerson,
    RefundNotOpen,
    RefundOverPayment,
)
from payments.gateways.protocol import Gateways, GatewayUnreachable
from payments.models import Payment, Refund
from payments.states import REFUNDS_UNDER_WAY, Explanation, RefundKind, RefundStatus
from shop.domain import ledger, sql
from shop.domain.locks import existing
from shop.domain.orders import order_refunds
from shop.domain.orders.timeline import by_staff, event, record
from shop.domain.pricing.refund_shares import Share
from shop.models import Account, LedgerTransfer, OrderEvent
from shop.money import ZERO

Kind = OrderEvent.Kind
Book = LedgerTransfer.Book


def approve_refund(refund_id: int, *, staff: Account, now: datetime, cause: str) -> Refund:
    """Staff agree: the money goes.

    A failed refund can be approved again, which sends the same request once more.

    Raises:
        NotFound: no such refund.
        RefundNotOpen: it is under way, done or rejected, or was made without us.
        RefundNeedsSecondPerson: it is of their own order, or with REFUND_FOUR_EYES of their own asking.
        ExternalRefundUnexplained: somebody else has refunded money of this payment, and what for is not yet
            said.
        RefundOverPayment: less is left of the payment.
    """
    with transaction.atomic(durable=True):
        refund = _lock_undone(refund_id)
        _must_be_another(refund, staff)
        if refund.payment is not None:
            _must_be_covered(refund, refund.payment)
        if refund.status == RefundStatus.FAILED:
            refund.status, refund.sent_at, refund.finished_at = RefundStatus.SENT, refund.sent_at or now, None
        refund.approved_by, refund.approved_at, refund.available_at = staff, now, now
        refund.attempts, refund.dead_at, refund.outcome = 0, None, ""
        refund.save()
        record(
            [
                event(
                    refund.order,
                    Kind.REFUND_APPROVED,
                    now=now,
                    cause=cause,
                    out_request_no=refund.out_request_no,
                    **by_staff(staff),
                )
            ]
        )
    return refund


def reject_refund(
    refund_id: int, *, gateways: Gateways | None, staff: Account, why: str, now: datetime, cause: str
) -> Refund:
    """Staff refuse a refund that waits, or give one up that failed: its lines can be asked for again, and
    nothing has moved.

    A failed one is asked about first. If the gateway has done it after all, it is booked instead. Money that
    nobody owed stays on the books as such until a refund of it is ordered again.

    Raises:
        NotFound: no such refund.
        RefundNotOpen: it is approved or done, now or before.
        GatewayUnreachable, GatewayRejected, GatewayNotConfigured: it failed and can't be asked about; nothing
            has changed.
    """
    _must_not_be_done(refund_id, gateways=gateways, now=now, cause=cause)
    with transaction.atomic(durable=True):
        refund = _lock_undone(refund_id)
        refund.status, refund.outcome, refund.finished_at, refund.decided_by = (
            RefundStatus.REJECTED,
            why,
            now,
            staff,
        )
        refund.dead_at = None
        refund.save(update_fields=["status", "outcome", "finished_at", "decided_by", "dead_at"])
        release_lines(refund)
        release_money(refund)
        record([event(refund.order, Kind.REFUND_REJECTED, now=now, cause=cause, why=why, **by_staff(staff))])
    return refund


def mark_refund_paid_elsewhere(
    refund_id: int, *, gateways: Gateways | None, reference: str, staff: Account, now: datetime, cause: str
) -> Refund:
    """Staff have given the money back by other means, told by `reference`: a bank transfer's number, say.

    The books follow.

    If `reference` is the number of an unexplained external refund of the same payment and amount, that is
    what paid it.

    Raises:
        NotFound: no such refund.
        RefundNotOpen: it neither waits nor failed, or the gateway has done it after all (it is booked then).
        RefundNeedsSecondPerson: as `approve_refund`.
        GatewayUnreachable, GatewayRejected, GatewayNotConfigured: it failed and can't be asked about; nothing
            has changed.
    """
    _must_not_be_done(refund_id, gateways=gateways, now=now, cause=cause)
    with transaction.atomic(durable=True):
        refund = _lock_undone(refund_id)
        _must_be_another(refund, staff)
        paid_by = _find_external(refund, reference)
        refund.status, refund.reference, refund.decided_by = RefundStatus.PAID_ELSEWHERE, reference, staff
        refund.finished_at, refund.available_at, refund.dead_at = now, None, None
        refund.save(
            update_fields=["status", "reference", "decided_by", "finished_at", "available_at", "dead_at"]
        )
        release_money(refund)
        details = {"reference": reference, "alipay": str(refund.amount), **by_staff(staff)}
        record([event(refund.order, Kind.REFUND_PAID_ELSEWHERE, now=now, cause=cause, **details)])
        _book(refund, Book.EXTERNAL_REFUNDS if paid_by else Book.OTHER_MEANS, now=now, cause=cause)
        if paid_by is not None:
            concluding.mark_explained(paid_by, Explanation.REQUEST, now=now)
        if refund.payment is not None:
            concluding.conclude(refund.payment, now=now, cause=cause)
            concluding.wake_held_back(refund.payment, now=now)
    return refund


def _lock_undone(refund_id: int) -> Refund:
    """The refund, locked as by `lock_refund`, if it waits for staff or has failed.

    Raises:
        RefundNotOpen: it is approved or done.
    """
    refund = lock_refund(refund_id)
    if not _is_waiting(refund) and refund.status != RefundStatus.FAILED:
        raise RefundNotOpen(status=refund.status)
    return refund


def _must_be_another(refund: Refund, staff: Account) -> None:
    """Nobody decides on their own order, and with REFUND_FOUR_EYES nobody on what they asked for."""
    asked_for_it = settings.REFUND_FOUR_EYES and refund.requested_by_id == staff.pk
    if asked_for_it or refund.order.account_id == staff.pk:
        raise RefundNeedsSecondPerson


def _is_waiting(refund: Refund) -> bool:
    return refund.status == RefundStatus.REQUESTED and refund.approved_at is None


def _must_be_covered(refund: Refund, payment: Payment) -> None:
    if concluding.is_unexplained(payment):
        raise ExternalRefundUnexplained(out_trade_no=payment.out_trade_no)
    under_way = (
        Refund.objects.filter(payment=payment, status__in=REFUNDS_UNDER_WAY).aggregate(total=Sum("amount"))[
            "total"
        ]
        or ZERO
    )
    left = payment.amount - payment.refunded_amount - under_way
    if refund.amount > left:
        raise RefundOverPayment(amount=str(refund.amount), left=str(left))


def _must_not_be_done(refund_id: int, *, gateways: Gateways | None, now: datetime, cause: str) -> None:
    """A refund that failed after it was sent may have been done all the same: the answer got lost."""
    refund = existing(Refund.objects.select_related("payment").filter(pk=refund_id).first())
    if refund.status != RefundStatus.FAILED or refund.sent_at is None or refund.payment is None:
        return
    if gateways is None:
        raise GatewayUnreachable("the gateway isn't configured")
    movement = gateways.gateway_for(refund.payment).find_refund(
        refund.payment.out_trade_no, refund.out_request_no
    )
    if movement is None or movement.amount != refund.amount:
        return
    Refund.objects.filter(pk=refund_id, status=RefundStatus.FAILED).update(
        status=RefundStatus.UNKNOWN, finished_at=None, dead_at=None, outcome=""
    )
    booking.succeed(refund_id, now=now, cause=cause)
    raise RefundNotOpen(status=RefundStatus.SUCCEEDED)


def _find_external(refund: Refund, reference: str) -> Refund | None:
    booked = Refund.objects.filter(
        payment=refund.payment,
        kind=RefundKind.EXTERNAL,
        status=RefundStatus.SUCCEEDED,
        explanation="",
        out_request_no=reference,
    )
    return booked.filter(amount=refund.amount).first() if refund.payment_id else None


def _book(refund: Refund, cash_book: LedgerTransfer.Book, *, now: datetime, cause: str) -> None:
    if refund.kind == RefundKind.SURPLUS:
        key = refund.out_request_no
        sql.insert([ledger.surplus_out(refund.order, refund.amount, cash_book=cash_book, key=key, now=now)])
        return
    share = Share(refund.amount, refund.beili)
    order_refunds.apply_refund(
        refund.order,
        parts_of(refund),
        share,
        key=refund.out_request_no,
        now=now,
        cause=cause,
        cash_book=cash_book,
    )
