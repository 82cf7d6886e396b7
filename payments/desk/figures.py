"""How many rows need a person, counted through partial indexes, and how long the shop takes to act."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from payments.states import (
    DifferenceStatus,
    NotificationStatus,
    PaymentStatus,
    RefundKind,
    RefundStatus,
)
from shop.domain import sql


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many rows need a person.

    `oldest_due_at` is the earliest time at which a row is or becomes due for the shop itself; None if none
    does.
    """

    refunds_to_approve: int
    refunds_to_explain: int
    refunds_failed: int
    notifications_quarantined: int
    orders_dead: int
    requests_dead: int
    payments_dead: int
    refunds_dead: int
    differences_open: int
    bills_dead: int
    oldest_due_at: datetime | None


_WAITING = sql.statement(
    """
    SELECT
        (SELECT count(*) FROM payments_refund WHERE status = {RefundStatus.REQUESTED}
            AND approved_at IS NULL),
        (SELECT count(*) FROM payments_refund WHERE kind = {RefundKind.EXTERNAL} AND explanation = ''
            AND status <> {RefundStatus.REJECTED}),
        (SELECT count(*) FROM payments_refund WHERE status = {RefundStatus.FAILED}),
        (SELECT count(*) FROM payments_notification WHERE status = {NotificationStatus.QUARANTINED}),
        (SELECT count(*) FROM shop_order WHERE dead_at IS NOT NULL),
        (SELECT count(*) FROM shop_orderrequest WHERE dead_at IS NOT NULL),
        (SELECT count(*) FROM payments_payment WHERE dead_at IS NOT NULL),
        (SELECT count(*) FROM payments_refund WHERE dead_at IS NOT NULL),
        (SELECT count(*) FROM payments_billdifference WHERE status = {DifferenceStatus.OPEN}),
        (SELECT count(*) FROM payments_bill WHERE dead_at IS NOT NULL),
        least(
            (SELECT min(available_at) FROM shop_order WHERE available_at IS NOT NULL),
            (SELECT min(available_at) FROM shop_orderrequest WHERE available_at IS NOT NULL),
            (SELECT min(available_at) FROM payments_payment WHERE available_at IS NOT NULL),
            (SELECT min(available_at) FROM payments_refund WHERE available_at IS NOT NULL),
            (SELECT min(available_at) FROM payments_notification WHERE available_at IS NOT NULL),
            (SELECT min(available_at) FROM payments_bill WHERE available_at IS NOT NULL)
        )
""",
    DifferenceStatus,
    NotificationStatus,
    RefundKind,
    RefundStatus,
)


def count_waiting() -> Waiting:
    """Counts in one statement, each count through its partial index."""
    (found,) = sql.read(_WAITING, [])
    return Waiting(*found)


@dataclass(frozen=True, slots=True)
class Latency:
    """The median and the 95th percentile; None without data."""

    median: timedelta | None
    p95: timedelta | None


_CREATED = """
    SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY took),
        percentile_disc(0.95) WITHIN GROUP (ORDER BY took) FROM (
        SELECT decided_at - created_at AS took
        FROM (SELECT * FROM shop_orderrequest ORDER BY id DESC LIMIT 1000) AS newest
        WHERE decided_at IS NOT NULL
    ) AS decided
"""
_OPENED = sql.statement(
    """
    SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY took),
        percentile_disc(0.95) WITHIN GROUP (ORDER BY took) FROM (
        SELECT orders.paid_at - payment.paid_at AS took
        FROM (SELECT * FROM payments_payment ORDER BY id DESC LIMIT 1000) AS payment
        -- OFFSET 0 keeps it a look by primary key for each of the thousand.
        CROSS JOIN LATERAL (SELECT paid_at FROM shop_order WHERE id = payment.order_id OFFSET 0) AS orders
        WHERE payment.status = {PaymentStatus.PAID} AND NOT payment.is_surplus AND orders.paid_at IS NOT NULL
    ) AS opened
""",
    PaymentStatus,
)


def read_latencies() -> tuple[Latency, Latency]:
    """From storing a request to deciding it, and from payment at the gateway to access; over the newest
    thousand of each.
    """
    return Latency(*sql.read(_CREATED, [])[0]), Latency(*sql.read(_OPENED, [])[0])
