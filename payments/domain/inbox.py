"""The inbox of notifications: stored before they are answered, applied by a worker, kept for good."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from psycopg.types.json import Jsonb

from payments.domain import confirming, settlement
from payments.gateways.protocol import Gateway
from payments.models import Notification, Payment
from payments.states import NotificationStatus
from shop.domain import rows, work
from shop.errors import NotificationNotQuarantined, StaleState

BATCH_SIZE = 64
# What differs between two deliveries of the same facts.
_PER_DELIVERY = frozenset({"notify_id", "notify_time", "sign", "sign_type"})


_STORE = """
    INSERT INTO payments_notification (
        provider, business_key, notify_id, out_trade_no, trade_status, form, raw_body, status, reason, received_at, available_at, attempts, last_error
    )
    VALUES (
        %(provider)s, %(business_key)s, %(notify_id)s, %(out_trade_no)s, %(trade_status)s, %(form)s, %(raw_body)s, 'received', '', %(now)s, %(now)s, 0, ''
    )
    ON CONFLICT (business_key) DO NOTHING
"""


def store_notification(*, gateway: Gateway, form: Mapping[str, str], raw_body: str, now: datetime) -> bool:
    """Verifies and stores a notification, committed when this returns; returns whether its facts are new.

    Raises:
        InvalidSignature: it isn't the gateway's; nothing is stored.
    """
    gateway.verify_notification(form)
    facts = {name: value for name, value in form.items() if name not in _PER_DELIVERY}
    parameters: dict[str, Any] = {
        "provider": gateway.name,
        "business_key": hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest(),
        "notify_id": form["notify_id"],
        "out_trade_no": form["out_trade_no"],
        "trade_status": form["trade_status"],
        "form": Jsonb(dict(form)),
        "raw_body": raw_body,
        "now": now,
    }
    with connection.cursor() as cursor:
        cursor.execute(_STORE, parameters)
        return bool(cursor.rowcount)


def apply_due_notifications(*, gateway: Gateway, now: datetime, cause: str) -> int:
    """Claims and applies due notifications, batch after batch; returns how many it claimed."""
    return work.drain(
        Notification, lambda ids: apply_notifications(ids, gateway=gateway, now=now, cause=cause), now=now, batch_size=BATCH_SIZE
    )


# Waits, as order creation does and for the same reason.
_LOCK = "SELECT id, form FROM payments_notification WHERE id = ANY(%s) AND status = 'received' ORDER BY id FOR NO KEY UPDATE"
_CLOSE = """
    UPDATE payments_notification AS notification
    SET status = new.status, reason = new.reason, payment_id = new.payment_id, handled_at = %s, available_at = NULL
    FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::bigint[]) AS new(id, status, reason, payment_id)
    WHERE notification.id = new.id AND notification.status = 'received'
"""


def apply_notifications(notification_ids: Sequence[int], *, gateway: Gateway, now: datetime, cause: str) -> None:
    """Applies the received ones of these notifications in one transaction, oldest first; the others are left alone."""
    with transaction.atomic(durable=True):
        locked = rows.read(_LOCK, [list(notification_ids)])
        if not locked:
            return
        # Verified again: what acts on money trusts the signature, not the table.
        reports = [gateway.verify_notification(json.loads(form)) for _, form in locked]
        results = settlement.apply_trades(reports, now=now, cause=cause)
        _close([pk for pk, _ in locked], results, now=now)


def _close(ids: list[int], results: Sequence[settlement.Applied], *, now: datetime) -> None:
    statuses = [_status_of(result.outcome) for result in results]
    reasons = [
        "" if status is NotificationStatus.APPLIED else result.outcome.value for status, result in zip(statuses, results, strict=True)
    ]
    payments = [result.payment and result.payment.pk for result in results]
    if rows.write(_CLOSE, [now, ids, [status.value for status in statuses], reasons, payments]) != len(ids):
        raise StaleState("a notification was dealt with although its row is locked")


def _status_of(outcome: settlement.Outcome) -> NotificationStatus:
    if outcome in settlement.APPLIED:
        return NotificationStatus.APPLIED
    return NotificationStatus.IGNORED if outcome in settlement.IGNORED else NotificationStatus.QUARANTINED


def give_up_notifications(*, now: datetime) -> int:
    """Quarantines the notifications that used all their attempts. Returns how many."""
    with transaction.atomic(durable=True):
        buried = work.bury_exhausted(Notification, now=now)
        return Notification.objects.filter(pk__in=buried, status=NotificationStatus.RECEIVED).update(
            status=NotificationStatus.QUARANTINED, reason="attempts_exhausted", handled_at=now
        )


def reapply_notification(notification_id: int, *, now: datetime) -> Notification:
    """Lets a worker apply a quarantined notification anew, after people have mended what stood in its way.

    Raises:
        NotificationNotQuarantined: it waits, or has been dealt with.
    """
    with transaction.atomic(durable=True):
        notification = Notification.objects.select_for_update(no_key=True, of=("self",)).get(pk=notification_id)
        if notification.status != NotificationStatus.QUARANTINED:
            raise NotificationNotQuarantined(status=notification.status)
        notification.status, notification.reason, notification.handled_at = NotificationStatus.RECEIVED, "", None
        notification.available_at, notification.attempts, notification.dead_at = now, 0, None
        notification.save(update_fields=["status", "reason", "handled_at", "available_at", "attempts", "dead_at"])
    return notification


def note_return(*, out_trade_no: str, now: datetime) -> str | None:
    """Notes that the payment's buyer came back, who may have paid; returns its order's number, or None if it isn't ours."""
    payment = Payment.objects.filter(out_trade_no=out_trade_no).select_related("order").first()
    if payment is None:
        return None
    confirming.note_return(payment, now=now)
    return payment.order.order_number
