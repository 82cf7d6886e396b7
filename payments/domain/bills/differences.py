"""Where bills and the shop's books differ, by number and to the fen."""

from datetime import datetime, timedelta
from typing import Any

from payments.domain.bills.planning import midnight_after
from payments.models import Bill, BillDifference
from payments.states import BillRowKind, DifferenceKind, DifferenceStatus, RefundKind, RefundStatus
from shop.domain import sql

# What our books have as paid this shortly before midnight may be in the next day's bill. It is looked up in
# both bills, when the next day's is compared.
SKEW = timedelta(minutes=5)

# `told` is what all bills together say about each number; where two apps share one account, their bills of a
# day are identical. `compared` adds what our books say, and `found` is what differs now.
_FOUND = """
    WITH told AS (
        SELECT kind, out_trade_no, out_request_no, min(trade_no) AS trade_no, sum(amount) AS amount,
            sum(sum(amount)) OVER (PARTITION BY kind, out_trade_no) AS of_trade
        FROM (
            SELECT kind, out_trade_no, out_request_no, day, min(trade_no) AS trade_no, max(amount) AS amount
            FROM (
                SELECT entry.kind, entry.out_trade_no, entry.out_request_no, bill.day,
                    min(entry.trade_no) AS trade_no, sum(entry.amount) AS amount
                FROM payments_billentry AS entry JOIN payments_bill AS bill ON bill.id = entry.bill_id
                WHERE entry.out_trade_no IN ({numbers})
                GROUP BY entry.kind, entry.out_trade_no, entry.out_request_no, bill.id
            ) AS of_bill GROUP BY kind, out_trade_no, out_request_no, day
        ) AS of_day GROUP BY kind, out_trade_no, out_request_no
    ), compared AS (
        SELECT told.*, payment.id AS payment_id, payment.order_id, payment.amount AS our_amount,
            payment.paid_at, payment.trade_no AS our_trade_no, refund.status AS refund_status,
            refund.amount AS refund_amount,
            -- All of it is booked as gone under a number that stands for the gateway's.
            coalesce(stand_in.is_there AND told.of_trade <= payment.amount, false) AS is_in_stand_in
        FROM told LEFT JOIN payments_payment AS payment ON payment.out_trade_no = told.out_trade_no
        LEFT JOIN LATERAL (
            SELECT status, amount FROM payments_refund
            WHERE payment_id = payment.id AND out_request_no = told.out_request_no
                AND told.kind = {{BillRowKind.REFUND}}
            ORDER BY status <> {{RefundStatus.SUCCEEDED}}, id LIMIT 1
        ) AS refund ON true
        LEFT JOIN LATERAL (
            SELECT true AS is_there FROM payments_refund
            WHERE payment_id = payment.id AND out_request_no = payment.out_trade_no || 'E'
                AND kind = {{RefundKind.EXTERNAL}} AND status = {{RefundStatus.SUCCEEDED}} LIMIT 1
        ) AS stand_in ON told.kind = {{BillRowKind.REFUND}}
    ), found AS (
        SELECT kind AS subject, {{DifferenceKind.MISSING_HERE}} AS kind, out_trade_no, out_request_no,
            trade_no, amount AS told_amount, NULL::numeric AS our_amount, order_id, payment_id
        FROM compared WHERE payment_id IS NULL OR kind = {{BillRowKind.OTHER}}
            OR (kind = {{BillRowKind.REFUND}} AND refund_status IS NULL AND NOT is_in_stand_in)
        UNION ALL
        SELECT kind, {{DifferenceKind.NOT_DONE_HERE}}, out_trade_no, out_request_no, trade_no, amount,
            coalesce(refund_amount, our_amount), order_id, payment_id
        FROM compared WHERE (kind = {{BillRowKind.TRADE}} AND payment_id IS NOT NULL AND paid_at IS NULL)
            OR (kind = {{BillRowKind.REFUND}} AND refund_status <> {{RefundStatus.SUCCEEDED}}
                AND NOT is_in_stand_in)
        UNION ALL
        SELECT kind, {{DifferenceKind.OTHER_AMOUNT}}, out_trade_no, out_request_no, trade_no, amount,
            coalesce(refund_amount, our_amount), order_id, payment_id
        FROM compared WHERE (kind = {{BillRowKind.TRADE}} AND amount <> our_amount)
            OR (kind = {{BillRowKind.REFUND}} AND refund_status = {{RefundStatus.SUCCEEDED}}
                AND amount <> refund_amount)
        UNION ALL
        SELECT kind, {{DifferenceKind.OTHER_TRADE}}, out_trade_no, out_request_no, trade_no, amount,
            our_amount, order_id, payment_id
        FROM compared WHERE kind = {{BillRowKind.TRADE}} AND trade_no <> our_trade_no
        UNION ALL
        SELECT {{BillRowKind.TRADE}}, {{DifferenceKind.MISSING_THERE}}, payment.out_trade_no, '',
            payment.trade_no, NULL, payment.amount, payment.order_id, payment.id
        FROM payments_payment AS payment
        WHERE payment.paid_at IS NOT NULL AND {expected_payments} AND NOT EXISTS (
            SELECT FROM payments_billentry AS entry
            WHERE entry.out_trade_no = payment.out_trade_no AND entry.kind = {{BillRowKind.TRADE}}
        )
        UNION ALL
        SELECT {{BillRowKind.REFUND}}, {{DifferenceKind.MISSING_THERE}}, payment.out_trade_no,
            refund.out_request_no, coalesce(payment.trade_no, ''), NULL, refund.amount, payment.order_id,
            payment.id
        FROM payments_refund AS refund JOIN payments_payment AS payment ON payment.id = refund.payment_id
        WHERE refund.status = {{RefundStatus.SUCCEEDED}} AND refund.finished_at IS NOT NULL
            AND refund.amount > 0 AND refund.out_request_no <> payment.out_trade_no || 'E'
            AND {expected_refunds} AND NOT EXISTS (
                SELECT FROM payments_billentry AS entry
                WHERE entry.out_trade_no = payment.out_trade_no AND entry.kind = {{BillRowKind.REFUND}}
                    AND entry.out_request_no = refund.out_request_no
            )
    )
"""
_WORDS = (BillRowKind, DifferenceKind, DifferenceStatus, RefundKind, RefundStatus)
_OF_APP = "payment.provider = %(provider)s AND payment.app_id = %(app_id)s"
_NOTE = sql.statement(
    _FOUND.format(  # noqa: S608 - statements of ours
        numbers="SELECT out_trade_no FROM payments_billentry WHERE bill_id = %(bill_id)s",
        expected_payments=f"{_OF_APP} AND payment.paid_at >= %(since)s AND payment.paid_at < %(until)s",
        expected_refunds=f"{_OF_APP} AND refund.finished_at >= %(since)s AND refund.finished_at < %(until)s",
    )
    + """
    INSERT INTO payments_billdifference (bill_id, subject, kind, out_trade_no, out_request_no, trade_no,
        told_amount, our_amount, order_id, payment_id, found_at, status, why, reference)
    SELECT %(bill_id)s, subject, kind, out_trade_no, out_request_no, trade_no, told_amount, our_amount,
        order_id, payment_id, %(now)s, {DifferenceStatus.OPEN}, '', ''
    FROM found ON CONFLICT DO NOTHING
""",
    *_WORDS,
)
# How many differences one statement checks again. With statistics that know of no open differences,
# PostgreSQL may compare each difference with each fact. For a batch of this size that still takes a fraction
# of a second.
BATCH = 1000
_LOOKED_AT = "SELECT out_trade_no FROM payments_billdifference WHERE id = ANY(%(ids)s)"
_SETTLE = sql.statement(
    _FOUND.format(  # noqa: S608 - statements of ours
        numbers=_LOOKED_AT,
        expected_payments=f"payment.out_trade_no IN ({_LOOKED_AT})",
        expected_refunds=f"payment.out_trade_no IN ({_LOOKED_AT})",
    )
    + """
    , ended AS (
        -- Not by their status: old statistics, which know of no open ones, would mislead the planner.
        SELECT difference.id FROM payments_billdifference AS difference
        WHERE difference.id = ANY(%(ids)s) AND NOT EXISTS (
            SELECT FROM found
            WHERE (found.subject, found.out_trade_no, found.out_request_no) =
                (difference.subject, difference.out_trade_no, difference.out_request_no)
                AND found.told_amount IS NOT DISTINCT FROM difference.told_amount
                AND (found.kind = difference.kind OR (
                    -- A refund that was reported since is known here, and not yet done.
                    difference.kind = {DifferenceKind.MISSING_HERE}
                    AND found.kind = {DifferenceKind.NOT_DONE_HERE}
                ))
        )
    )
    UPDATE payments_billdifference SET status = {DifferenceStatus.SETTLED}, ended_at = %(now)s
    WHERE id = ANY(ARRAY(SELECT id FROM ended)) AND status = {DifferenceStatus.OPEN}
""",
    *_WORDS,
)


def note_differences(bill: Bill, *, now: datetime) -> int:
    """Compares the bill's stored rows with the books, in the caller's transaction, and stores the differences
    that aren't stored yet; returns how many.
    """
    parameters: dict[str, Any] = {
        "bill_id": bill.pk,
        "provider": bill.provider,
        "app_id": bill.app_id,
        "since": midnight_after(bill.day, days=0) - SKEW,
        "until": midnight_after(bill.day) - SKEW,
        "now": now,
    }
    return sql.write(_NOTE, parameters)


def settle_differences(*, now: datetime) -> int:
    """Settles the open differences that have been resolved; returns how many."""
    open_ones = BillDifference.objects.filter(status=DifferenceStatus.OPEN)
    ids = list(open_ones.order_by("pk").values_list("pk", flat=True))
    return sum(
        sql.write(_SETTLE, {"now": now, "ids": ids[start : start + BATCH]})
        for start in range(0, len(ids), BATCH)
    )
