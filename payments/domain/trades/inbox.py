"""The inbox of notifications: stored before they are acknowledged, applied by a worker, never deleted."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction

from payments.domain.locks import lock_attempts, lock_notification, lock_received
from payments.domain.refunds.concluding import has_difference, is_unexplained
from payments.domain.trades import confirming, settlement
from payments.domain.trades.outcomes import APPLIED, IGNORED, QUARANTINED, Outcome
from payments.domain.trades.settlement import Applied
from payments.errors import NotificationNotQuarantined, NotificationOrderNotRight
from payments.gateways.protocol import Gateways, InvalidSignature, TradeReport
from payments.models import Notification, Payment
from payments.states import NotificationReason, NotificationStatus, PaymentStatus
from shop import clock
from shop.domain import sql
from shop.domain.locks import lock_order
from shop.domain.orders.timeline import by_staff, event, record
from shop.domain.work import due_rows
from shop.errors import StaleState
from shop.models import Account, OrderEvent
from shop.tracing import batch_did

Kind = OrderEvent.Kind
BATCH_SIZE = 64

_STORE = sql.statement(
    f"""
    INSERT INTO payments_notification (
        provider, business_key, notify_id, out_trade_no, trade_status, told_status, raw_body,
        verified_by, status,
        request_id, received_at, available_at
    )
    VALUES (
        %(provider)s, %(business_key)s, %(notify_id)s, %(out_trade_no)s, %(trade_status)s, %(told_status)s,
        %(raw_body)s, %(verified_by)s,
        {{NotificationStatus.RECEIVED}}, %(request_id)s, %(now)s, {clock.AT_ONCE}
    )
    ON CONFLICT (business_key) DO NOTHING
""",  # noqa: S608 - statements of ours
    NotificationStatus,
)


def store_notification(
    *,
    gateways: Gateways,
    provider: str,
    headers: Mapping[str, str],
    body: bytes,
    now: datetime,
    request_id: str = "",
) -> bool:
    """Verifies and stores a notification, committed when this returns; returns whether its facts are new.

    Raises:
        InvalidSignature: it isn't the gateway's; nothing is stored.
    """
    notice = gateways.verify_notification(provider, headers, body)
    parameters: dict[str, Any] = {
        "provider": notice.provider,
        "business_key": notice.facts_key,
        "notify_id": notice.notice_id,
        "out_trade_no": notice.report.out_trade_no,
        "trade_status": notice.status_text,
        "told_status": notice.report.status.value,
        "raw_body": body.decode(),
        "verified_by": notice.verified_by,
        "request_id": request_id,
        **clock.sql_present(now),
    }
    return bool(sql.write(_STORE, parameters))


def apply_due_notifications(*, gateways: Gateways, now: datetime, cause: str) -> int:
    """Claims and applies due notifications, batch after batch; returns how many it claimed."""
    return due_rows.drain(
        Notification,
        lambda ids: apply_notifications(ids, gateways=gateways, now=now, cause=cause),
        now=now,
        batch_size=BATCH_SIZE,
    )


def apply_notifications(
    notification_ids: Sequence[int], *, gateways: Gateways, now: datetime, cause: str
) -> None:
    """Applies the received ones of these notifications in one transaction, oldest first; the others are left
    alone.

    One that can't be proven any more, since its key has been removed, isn't believed: its trade is made due
    for a query.

    Raises:
        InvalidSignature: one of several can't be proven any more; apply it alone.
    """
    with transaction.atomic(durable=True):
        locked = lock_received(notification_ids)
        if not locked:
            return
        try:
            # Verified again: what acts on money trusts the signature, not the table.
            reports = [_verified(gateways, provider, body) for _, provider, body, *_ in locked]
        except InvalidSignature:
            if len(locked) > 1:
                raise
            [(pk, _, _, out_trade_no, _)] = locked
            _ask_instead(pk, out_trade_no, now=now)
            return
        results = settlement.apply_trades(reports, now=now, cause=cause)
        _close([pk for pk, *_ in locked], results, now=now)
    batch_did(
        "notifications_handled",
        [request_id for *_, request_id in locked],
        {"handled": len(locked)},
        ids_of="request_ids",
    )


def answer_asked(answers: Mapping[int, Applied | None], *, now: datetime) -> None:
    """Closes the notifications that waited for a query with what its answer came to, by payment id (None: no
    such trade).

    In the transaction that applied the answers. One that says nothing of money leaves them waiting while the
    payment is due again.
    """
    asked = Notification.objects.filter(payment__in=answers, status=NotificationStatus.ASKED)
    for payment_id in sorted(set(asked.values_list("payment_id", flat=True)) - {None}):
        _answer_asked(payment_id, answers[payment_id], now=now)


def _answer_asked(payment_id: int, applied: Applied | None, *, now: datetime) -> None:
    if applied is None or applied.outcome is Outcome.WAITING:
        if Payment.objects.filter(pk=payment_id, available_at__isnull=True).exists():
            quarantine_asked(payment_id, Outcome.CONTRADICTED, now=now)
        return
    outcome = applied.outcome
    if outcome not in QUARANTINED and applied.payment is not None and has_difference(applied.payment):
        outcome = Outcome.REFUNDED_ELSEWHERE
    if outcome in QUARANTINED:
        quarantine_asked(payment_id, outcome, now=now)
        return
    status, reason = _status_of(outcome), "" if outcome in APPLIED else outcome.value
    asked = Notification.objects.filter(payment=payment_id, status=NotificationStatus.ASKED)
    asked.update(status=status, reason=reason, handled_at=now)


def quarantine_asked(payment_id: int, outcome: Outcome, *, now: datetime) -> None:
    """The query didn't bear out what the payment's notifications had said: people look."""
    asked = Notification.objects.filter(payment=payment_id, status=NotificationStatus.ASKED)
    asked.filter(first_reason="").update(first_reason=outcome.value)
    asked.update(status=NotificationStatus.QUARANTINED, reason=outcome.value, handled_at=now)


def give_up_notifications(*, now: datetime) -> int:
    """Quarantines the notifications that used all their attempts. Returns how many."""
    with transaction.atomic(durable=True):
        buried = Notification.objects.filter(
            pk__in=due_rows.bury_exhausted(Notification, now=now), status=NotificationStatus.RECEIVED
        )
        buried.filter(first_reason="").update(first_reason=NotificationReason.ATTEMPTS_EXHAUSTED)
        return buried.update(
            status=NotificationStatus.QUARANTINED,
            reason=NotificationReason.ATTEMPTS_EXHAUSTED,
            handled_at=now,
        )


def reapply_notification(
    notification_id: int, *, now: datetime, staff: Account | None = None, why: str = "", cause: str = ""
) -> Notification:
    """Lets a worker apply a quarantined notification again, after people have mended what stood in its way.

    `first_reason` stays.

    Raises:
        NotificationNotQuarantined: it waits, or has been dealt with.
    """
    with transaction.atomic(durable=True):
        notification = lock_notification(notification_id)
        if notification.status != NotificationStatus.QUARANTINED:
            raise NotificationNotQuarantined(status=notification.status)
        notification.status, notification.reason, notification.handled_at = (
            NotificationStatus.RECEIVED,
            "",
            None,
        )
        notification.available_at, notification.attempts, notification.dead_at = now, 0, None
        notification.save(
            update_fields=["status", "reason", "handled_at", "available_at", "attempts", "dead_at"]
        )
        _tell(notification, Kind.NOTIFICATION_REAPPLIED, staff, why, now=now, cause=cause)
    return notification


def dismiss_notification(
    notification_id: int, *, staff: Account, why: str, now: datetime, cause: str
) -> Notification:
    """Staff close a quarantined notification without applying it, once what it is about is right.

    That of a payment of ours is: nothing about it is waiting to be asked or given up, and no refund is
    unexplained. What names none of ours is for people alone to judge.

    Raises:
        NotificationNotQuarantined: it waits, or has been dealt with.
        NotificationOrderNotRight: something about its payment is still open.
    """
    with transaction.atomic(durable=True):
        notification = lock_notification(notification_id)
        if notification.status != NotificationStatus.QUARANTINED:
            raise NotificationNotQuarantined(status=notification.status)
        payment = lock_attempts([notification.out_trade_no]).get(notification.out_trade_no)
        if payment is not None and (
            payment.status == PaymentStatus.OPEN or payment.dead_at is not None or is_unexplained(payment)
        ):
            raise NotificationOrderNotRight(out_trade_no=notification.out_trade_no)
        notification.status, notification.dismissed_by, notification.note = (
            NotificationStatus.IGNORED,
            staff,
            why,
        )
        notification.handled_at, notification.dead_at = now, None
        notification.save(update_fields=["status", "dismissed_by", "note", "handled_at", "dead_at"])
        _tell(notification, Kind.NOTIFICATION_DISMISSED, staff, why, now=now, cause=cause)
    return notification


def _tell(
    notification: Notification,
    kind: OrderEvent.Kind,
    staff: Account | None,
    why: str,
    *,
    now: datetime,
    cause: str,
) -> None:
    payment = Payment.objects.filter(out_trade_no=notification.out_trade_no).select_related("order").first()
    if payment is not None and staff is not None:
        details = {"out_trade_no": notification.out_trade_no, **by_staff(staff, why)}
        record([event(lock_order(payment.order_id), kind, now=now, cause=cause, **details)])


def note_return(*, out_trade_no: str, now: datetime) -> str | None:
    """Notes that the payment's buyer came back, who may have paid; returns its order's number, or None if it
    isn't ours.
    """
    payment = Payment.objects.filter(out_trade_no=out_trade_no).select_related("order").first()
    if payment is None:
        return None
    confirming.note_return(payment, now=now)
    return payment.order.order_number


def _verified(gateways: Gateways, provider: str, body: str) -> TradeReport:
    return gateways.verify_notification(provider, {}, body.encode()).report


def _ask_instead(notification_id: int, out_trade_no: str, *, now: datetime) -> None:
    unproven = NotificationReason.UNPROVEN.value
    payment = lock_attempts([out_trade_no]).get(out_trade_no)
    if payment is None:
        _close_as([(notification_id, NotificationStatus.QUARANTINED, unproven, None)], now=now)
        return
    settlement.ask_again(payment, at=now)
    _close_as([(notification_id, NotificationStatus.ASKED, unproven, payment.pk)], now=now)


def _close(ids: Sequence[int], results: Sequence[Applied], *, now: datetime) -> None:
    verdicts: list[tuple[int, NotificationStatus, str, int | None]] = []
    for pk, result in zip(ids, results, strict=True):
        reason = "" if result.outcome in APPLIED else result.outcome.value
        verdicts.append(
            (pk, _status_of(result.outcome), reason, result.payment.pk if result.payment else None)
        )
    _close_as(verdicts, now=now)


_CLOSE = sql.statement(
    """
    UPDATE payments_notification AS notification
    SET status = new.status, reason = new.reason, payment_id = new.payment_id, available_at = NULL,
        first_reason = CASE WHEN new.status = {NotificationStatus.QUARANTINED}
        AND notification.first_reason = '' THEN new.reason
            ELSE notification.first_reason END,
        handled_at = CASE WHEN new.status = {NotificationStatus.ASKED} THEN NULL ELSE %s::timestamptz END
    FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::bigint[]) AS new(id, status, reason, payment_id)
    WHERE notification.id = new.id AND notification.status = {NotificationStatus.RECEIVED}
""",
    NotificationStatus,
)


def _close_as(verdicts: Sequence[tuple[int, NotificationStatus, str, int | None]], *, now: datetime) -> None:
    ids, statuses, reasons, payments = (list(column) for column in zip(*verdicts, strict=True))
    if sql.write(_CLOSE, [now, ids, [status.value for status in statuses], reasons, payments]) != len(ids):
        raise StaleState("a notification was dealt with although its row is locked")


def _status_of(outcome: Outcome) -> NotificationStatus:
    if outcome is Outcome.ASKED:
        return NotificationStatus.ASKED
    if outcome in APPLIED:
        return NotificationStatus.APPLIED
    return NotificationStatus.IGNORED if outcome in IGNORED else NotificationStatus.QUARANTINED
