"""Refunds: asked for, approved, sent to the gateway under our own number, settled only when the gateway proves it."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import F, QuerySet, Sum

from payments.gateways.protocol import Gateway, GatewayRejected, GatewayUnreachable, RefundIntent
from payments.models import Payment, Refund, RefundLine
from payments.states import PaymentStatus, RefundKind, RefundStatus
from shop.domain import ledger, refunding, rows, work
from shop.domain.orders import get_order, missing_order
from shop.domain.refunding import Share
from shop.domain.timeline import event, record
from shop.errors import OrderNotRefundable, RefundLineTaken, RefundNotOpen, StaleState
from shop.models import Account, Order, OrderEvent, OrderLine
from shop.states import OrderStatus

log = structlog.get_logger(__name__)

Kind = OrderEvent.Kind
# Alipay's answers that stay as they are however often we ask; anything else may be different next time.
DEFINITE_REFUSALS = frozenset(
    {
        "ACQ.TRADE_NOT_EXIST", "ACQ.TRADE_STATUS_ERROR", "ACQ.TRADE_HAS_FINISHED", "ACQ.TRADE_HAS_CLOSE", "ACQ.INVALID_PARAMETER",
        "ACQ.DISCORDANT_REPEAT_REQUEST", "ACQ.REASON_TRADE_REFUND_FEE_ERR", "ACQ.REFUND_AMT_NOT_EQUAL_TOTAL", "ACQ.TRADE_NOT_ALLOW_REFUND",
        "ACQ.REFUND_FEE_ERROR", "ACQ.REASON_TRADE_STATUS_INVALID", "ACQ.REASON_ILLEGAL_STATUS", "ACQ.TRADE_REFUND_FEE_ERR",
    }
)  # fmt: skip
# Alipay wants ten seconds before a refund is queried. What was taken is asked about until it is proven, or the attempts are used up.
ASK_AGAIN_AFTER = timedelta(seconds=12)


def request_refund(
    *, account_id: int, order_number: str, course_ids: Collection[int] | None, reason: str, now: datetime, cause: str
) -> Refund:
    """Asks for the whole order, or for some of its courses, back. Within REFUND_AUTO_DAYS of the payment it is approved at once.

    Raises:
        OrderNotFound, OrderPending, OrderRejected: as `orders.get_order`.
        OrderNotRefundable: it isn't paid, or a course isn't one of its lines.
        RefundLineTaken: a course has gone back, is about to, or nothing is left.
    """
    with transaction.atomic(durable=True):
        order = Order.objects.select_for_update(no_key=True).filter(account_id=account_id, order_number=order_number).first()
        if order is None:
            raise missing_order(account_id=account_id, order_number=order_number)
        lines, share = _priced(order, course_ids)
        payment = _commit_money(order, share.cash)
        within = timedelta(days=settings.REFUND_AUTO_DAYS)
        is_automatic = order.paid_at is not None and bool(within) and now < order.paid_at + within
        refund = Refund.objects.create(
            kind=RefundKind.ORDER,
            order=order,
            payment=payment,
            out_request_no=f"{order.order_number}R{Refund.objects.filter(order=order).count() + 1}",
            amount=share.cash,
            beili=share.beili,
            reason=reason,
            requested_at=now,
            approved_at=now if is_automatic else None,
            available_at=now if is_automatic else None,
        )
        rows.insert([RefundLine(refund=refund, order_line=line) for line in lines])
        record([event(order, Kind.REFUND_REQUESTED, now=now, cause=cause, alipay=str(share.cash), beili=share.beili)])
        _touch(order)
    return refund


def quote_refund(*, account_id: int, order_number: str, course_ids: Collection[int] | None) -> tuple[list[OrderLine], Share]:
    """The lines that `request_refund` would take back now, and what would go back for them. Nothing is written.

    Raises:
        As `request_refund`.
    """
    return _priced(get_order(account_id=account_id, order_number=order_number), course_ids)


def _priced(order: Order, course_ids: Collection[int] | None) -> tuple[list[OrderLine], Share]:
    if order.status != OrderStatus.PAID:
        raise OrderNotRefundable(status=order.status)
    all_lines = list(OrderLine.objects.filter(order=order).order_by("id"))
    lines, earlier = _pick(all_lines, course_ids)
    return lines, refunding.share_of(order, lines, earlier=earlier, line_count=len(all_lines), beili_gone=_committed_beili(order))


def order_surplus_refund(payment: Payment, *, now: datetime, cause: str) -> Refund:
    """Orders money that nobody owed back, in the caller's transaction, which holds the payment's lock. Needs nobody's approval."""
    payment.refund_committed = payment.amount
    payment.save(update_fields=["refund_committed"])
    refund = Refund.objects.create(
        kind=RefundKind.SURPLUS,
        order=payment.order,
        payment=payment,
        out_request_no=f"{payment.out_trade_no}S",
        amount=payment.amount,
        reason="多付退回",
        requested_at=now,
        approved_at=now,
        available_at=now,
    )
    record([event(payment.order, Kind.REFUND_APPROVED, now=now, cause=cause, alipay=str(payment.amount))])
    _touch(payment.order)
    return refund


def approve_refund(refund_id: int, *, staff: Account, now: datetime, cause: str) -> Refund:
    """Staff agree: the money goes. A failed refund can be approved again, which sends the same request once more.

    Raises:
        RefundNotOpen: it is on its way, done or rejected.
    """
    with transaction.atomic(durable=True):
        refund = _locked(refund_id)
        is_waiting = refund.status == RefundStatus.REQUESTED and refund.approved_at is None
        if not is_waiting and refund.status != RefundStatus.FAILED:
            raise RefundNotOpen(status=refund.status)
        if refund.status == RefundStatus.FAILED:
            refund.status, refund.sent_at, refund.finished_at = RefundStatus.SENT, refund.sent_at or now, None
        refund.approved_by, refund.approved_at, refund.available_at = staff, now, now
        refund.attempts, refund.dead_at, refund.outcome = 0, None, ""
        refund.save()
        record([event(refund.order, Kind.REFUND_APPROVED, now=now, cause=cause, out_request_no=refund.out_request_no)])
        _touch(refund.order)
    return refund


def reject_refund(refund_id: int, *, staff: Account, why: str, now: datetime, cause: str) -> Refund:
    """Staff refuse: the lines can be asked for again, and nothing has moved.

    Raises:
        RefundNotOpen: it was approved or rejected before.
    """
    with transaction.atomic(durable=True):
        refund = _locked(refund_id)
        if refund.status != RefundStatus.REQUESTED or refund.approved_at is not None:
            raise RefundNotOpen(status=refund.status)
        refund.status, refund.outcome, refund.finished_at, refund.approved_by = RefundStatus.REJECTED, why, now, staff
        refund.save()
        RefundLine.objects.filter(refund=refund).update(is_live=False)
        if refund.payment_id is not None:
            Payment.objects.filter(pk=refund.payment_id).update(refund_committed=F("refund_committed") - refund.amount)
        record([event(refund.order, Kind.REFUND_REJECTED, now=now, cause=cause, why=why)])
        _touch(refund.order)
    return refund


def send_due_refunds(*, gateway: Gateway, now: datetime, cause: str) -> int:
    """Claims and sends due refunds, one after the other; returns how many it claimed."""
    return work.drain(Refund, lambda ids: send_refund(ids[0], gateway=gateway, now=now, cause=cause), now=now, batch_size=1)


def send_refund(refund_id: int, *, gateway: Gateway, now: datetime, cause: str) -> None:
    """Takes one approved refund as far as it goes: notes that it is sent, sends it, books it once the gateway proves it.

    Running it again sends the identical request, which Alipay takes for the same refund.

    Raises:
        GatewayUnreachable: the outcome is unknown and noted so; the same request goes out again later.
    """
    marked = _mark_sent(refund_id, now=now, cause=cause)
    if marked is None:
        return
    refund, is_first = marked
    if refund.payment is None:
        _succeed(refund_id, now=now, cause=cause)
        return
    try:
        is_done = _ask(refund, gateway, is_first=is_first)
    except GatewayRejected as refusal:
        _refuse(refund_id, refusal, now=now, cause=cause)
        return
    except GatewayUnreachable:
        _on_its_way(refund_id).update(status=RefundStatus.UNKNOWN)
        raise
    if is_done:
        _succeed(refund_id, now=now, cause=cause)
    else:
        # Taken, not yet proven.
        wait = max(ASK_AGAIN_AFTER, work.backoff(refund.attempts))
        _on_its_way(refund_id).update(status=RefundStatus.UNKNOWN, available_at=now + wait)


def _ask(refund: Refund, gateway: Gateway, *, is_first: bool) -> bool:
    """Whether the gateway proves the refund. A first call sends it; a later one looks first and repeats it only if it isn't there.

    A repeat may be refused because the first was done (the trade is over then), so a refusal counts only if a query agrees.
    """
    assert refund.payment is not None
    intent = RefundIntent(
        out_trade_no=refund.payment.out_trade_no, out_request_no=refund.out_request_no, amount=refund.amount, reason=refund.reason or "退款"
    )
    if is_first:
        return gateway.refund(intent) or gateway.query_refund(intent)
    if gateway.query_refund(intent):
        return True
    try:
        return gateway.refund(intent) or gateway.query_refund(intent)
    except GatewayRejected:
        if gateway.query_refund(intent):
            return True
        raise


def _mark_sent(refund_id: int, *, now: datetime, cause: str) -> tuple[Refund, bool] | None:
    """Notes the intent before the call. From here until the answer the outcome is unknown, also if this process dies.

    Answers the refund and whether it is sent for the first time; None when it isn't to be sent.
    """
    with transaction.atomic(durable=True):
        refund = _locked(refund_id)
        if refund.approved_at is None or refund.status not in {RefundStatus.REQUESTED, RefundStatus.SENT, RefundStatus.UNKNOWN}:
            Refund.objects.filter(pk=refund_id).update(available_at=None)
            return None
        is_first = refund.status == RefundStatus.REQUESTED
        if is_first:
            record([event(refund.order, Kind.REFUND_SENT, now=now, cause=cause, out_request_no=refund.out_request_no)])
            _touch(refund.order)
            refund.status, refund.sent_at = RefundStatus.SENT, now
            refund.save(update_fields=["status", "sent_at"])
    return refund, is_first


def _succeed(refund_id: int, *, now: datetime, cause: str) -> None:
    with transaction.atomic(durable=True):
        refund = _locked(refund_id)
        if refund.status not in {RefundStatus.SENT, RefundStatus.UNKNOWN}:
            return
        refund.status, refund.finished_at, refund.available_at = RefundStatus.SUCCEEDED, now, None
        refund.save(update_fields=["status", "finished_at", "available_at"])
        if refund.payment_id is not None:
            moved = Payment.objects.filter(pk=refund.payment_id, refunded_amount__lte=F("refund_committed") - refund.amount).update(
                refunded_amount=F("refunded_amount") + refund.amount
            )
            if moved != 1:
                raise StaleState(f"payment {refund.payment_id} has no such refund committed")
        if refund.kind == RefundKind.SURPLUS:
            transfer = ledger.surplus_out(refund.order, refund.amount, key=refund.out_request_no, now=now)
            rows.insert([transfer])
            record([event(refund.order, Kind.REFUND_SUCCEEDED, now=now, cause=cause, alipay=str(refund.amount), beili=0)])
            _touch(refund.order)
        else:
            lines = list(OrderLine.objects.filter(refund_lines__refund=refund).order_by("id"))
            refunding.apply_refund(refund.order, lines, Share(refund.amount, refund.beili), key=refund.out_request_no, now=now, cause=cause)
    log.info("refund_succeeded", out_request_no=refund.out_request_no)


def _refuse(refund_id: int, refusal: GatewayRejected, *, now: datetime, cause: str) -> None:
    """A definite no fails the refund for people to look at; another no (an empty merchant balance) is asked again later."""
    if refusal.reason not in DEFINITE_REFUSALS:
        raise refusal
    with transaction.atomic(durable=True):
        _fail(_locked(refund_id), refusal.reason, now=now, cause=cause)


def _fail(refund: Refund, why: str, *, now: datetime, cause: str) -> None:
    if refund.status not in {RefundStatus.SENT, RefundStatus.UNKNOWN, RefundStatus.REQUESTED}:
        return
    refund.status, refund.outcome, refund.finished_at, refund.available_at = RefundStatus.FAILED, why, now, None
    refund.save(update_fields=["status", "outcome", "finished_at", "available_at"])
    record([event(refund.order, Kind.REFUND_FAILED, now=now, cause=cause, why=why)])
    _touch(refund.order)
    log.error("refund_failed", out_request_no=refund.out_request_no, why=why, alert=True)


def give_up_refunds(*, now: datetime) -> int:
    """Fails the refunds that used all their attempts, for people to look at; the money is still owed. Returns how many."""
    exhausted = Refund.objects.filter(available_at__lte=now, attempts__gte=Refund.MAX_ATTEMPTS).order_by("pk")
    count = 0
    for pk in list(exhausted.values_list("pk", flat=True)[:1000]):
        with transaction.atomic(durable=True):
            refund = _locked(pk)
            if exhausted.filter(pk=pk).update(available_at=None, dead_at=now):
                _fail(refund, "attempts_exhausted", now=now, cause="sweep")
                count += 1
    return count


def list_refunds(*, account_id: int, order_number: str) -> QuerySet[Refund]:
    """The refunds of the buyer's order, oldest first.

    Raises:
        OrderNotFound, OrderPending, OrderRejected: as `orders.get_order`.
    """
    get_order(account_id=account_id, order_number=order_number)
    return Refund.objects.filter(order__order_number=order_number).prefetch_related("lines__order_line").order_by("id")


def _pick(all_lines: Sequence[OrderLine], course_ids: Collection[int] | None) -> tuple[list[OrderLine], list[OrderLine]]:
    """The lines that are meant, and those that are gone or going. Without a choice, all that are left."""
    taken = set(RefundLine.objects.filter(order_line__in=all_lines, is_live=True).values_list("order_line_id", flat=True))
    earlier = [line for line in all_lines if line.pk in taken]
    if course_ids is None:
        lines = [line for line in all_lines if line.pk not in taken]
    else:
        lines = [line for line in all_lines if line.course_id in course_ids]
        if len(lines) != len(course_ids):
            raise OrderNotRefundable(reason="course_not_in_order")
    if not lines or any(line.pk in taken for line in lines):
        raise RefundLineTaken
    return lines, earlier


def _committed_beili(order: Order) -> int:
    """The 贝里 that have gone back or are about to."""
    total = Refund.objects.filter(order=order).exclude(status=RefundStatus.REJECTED).aggregate(total=Sum("beili"))["total"]
    return int(total or 0)


def _commit_money(order: Order, amount: Decimal) -> Payment | None:
    """Sets the amount aside on the payment that paid the order; None when nothing was paid in money."""
    if not amount:
        return None
    payment = Payment.objects.select_for_update(no_key=True).get(order=order, status=PaymentStatus.PAID, is_surplus=False)
    payment.refund_committed += amount
    payment.save(update_fields=["refund_committed"])
    return payment


def _locked(refund_id: int) -> Refund:
    """The refund with its account, order, payment and itself locked, in that order."""
    refund = Refund.objects.select_related("order").get(pk=refund_id)
    list(Account.objects.filter(pk=refund.order.account_id).select_for_update(no_key=True).values_list("pk"))
    list(Order.objects.filter(pk=refund.order_id).select_for_update(no_key=True).values_list("pk"))
    list(Payment.objects.filter(refunds=refund).select_for_update(no_key=True).values_list("pk"))
    return Refund.objects.select_for_update(no_key=True, of=("self",)).select_related("order", "payment").get(pk=refund_id)


def _on_its_way(refund_id: int) -> QuerySet[Refund]:
    return Refund.objects.filter(pk=refund_id, status__in=[RefundStatus.SENT, RefundStatus.UNKNOWN])


def _touch(order: Order) -> None:
    Order.objects.filter(pk=order.pk).update(version=F("version") + 1)
