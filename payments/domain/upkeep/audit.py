"""The books, proved in SQL: rules that hold at any moment between two transactions, each a query for the rows
that violate it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from payments.gateways.protocol import TradeStatus
from payments.states import (
    BillRowKind,
    BillStatus,
    NotificationStatus,
    PaymentStatus,
    RefundKind,
    RefundStatus,
)
from shop.domain import sql
from shop.models import LedgerTransfer
from shop.states import CouponRecordStatus, EnrolmentStatus, OrderRequestStatus, OrderStatus

# Enough to see what is wrong; the count of all of them is given beside.
SHOWN_ROWS = 20
# Leases and backoffs move a row's due time along; what stays due for so long, nobody claims.
OVERDUE_AFTER = timedelta(minutes=15)
# A rule reads whole tables. The ordinary limit of ten seconds is for statements that somebody waits for.
RULE_LIMIT_S = 300


@dataclass(frozen=True, slots=True)
class Rule:
    """What must hold, and a SELECT of the rows for which it doesn't, in the words of `_WORDS`."""

    name: str
    says: str
    broken: str
    # Holds only while workers run: a shop whose clock jumps breaks it for a moment.
    is_about_time: bool = False

    @property
    def statement(self) -> str:
        """Finds the rows that break it."""
        return sql.statement(self.broken, *_WORDS)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a rule: how many rows break it, and the first of them."""

    rule: Rule
    broken_count: int
    rows: tuple[dict[str, Any], ...]


RULES: tuple[Rule, ...] = (
    Rule(
        "transfers_balance",
        "Each transfer leaves one book and arrives in another, both of the currency that it names: so all "
        "together add up to nothing.",
        """
        SELECT transfer.key, transfer.debit, transfer.credit, transfer.currency, transfer.amount
        FROM shop_ledgertransfer AS transfer
        WHERE transfer.debit = transfer.credit OR transfer.amount <= 0 OR EXISTS (
            SELECT FROM (VALUES (transfer.debit), (transfer.credit)) AS leg(book)
            WHERE transfer.currency IS DISTINCT FROM
                CASE WHEN leg.book IN ({Book.BEILI_ISSUED}, {Book.BEILI_AVAILABLE}, {Book.BEILI_HELD},
                    {Book.BEILI_SPENT}) THEN {Currency.BEILI} ELSE {Currency.CNY} END
        )
        """,
    ),
    Rule(
        "balances_equal_the_fold",
        "A buyer's 贝里, available and held, are what their transfers add up to.",
        """
        SELECT account.id, account.username, account.balance, account.held_balance, fold.available, fold.held
        FROM shop_account AS account
        LEFT JOIN LATERAL (
            SELECT coalesce(sum(CASE WHEN credit = {Book.BEILI_AVAILABLE} THEN amount
                WHEN debit = {Book.BEILI_AVAILABLE} THEN -amount END), 0) AS available,
                   coalesce(sum(CASE WHEN credit = {Book.BEILI_HELD} THEN amount
                       WHEN debit = {Book.BEILI_HELD} THEN -amount END), 0) AS held
            FROM shop_ledgertransfer WHERE account_id = account.id
        ) AS fold ON true WHERE account.balance <> fold.available OR account.held_balance <> fold.held
        """,
    ),
    Rule(
        "held_beili_belong_to_orders",
        "What a buyer's orders hold is what is held.",
        """
        SELECT account.id, account.username, account.held_balance,
            coalesce(sum(orders.beili), 0) AS held_by_orders FROM shop_account AS account
        LEFT JOIN shop_order AS orders ON orders.account_id = account.id
            AND orders.status = {OrderStatus.AWAITING_PAYMENT}
        GROUP BY account.id HAVING account.held_balance <> coalesce(sum(orders.beili), 0)
        """,
    ),
    Rule(
        "orders_add_up",
        "List price = discounts + 贝里 + cash, on every order, and its lines add up to it in every part.",
        """
        SELECT orders.order_number, orders.list_total, orders.cash_due, line.list_price, line.cash_amount
        FROM shop_order AS orders
        LEFT JOIN LATERAL (
            SELECT sum(list_price) AS list_price, sum(course_discount) AS course_discount,
                sum(global_discount) AS global_discount,
                   sum(beili_amount) AS beili_amount, sum(cash_amount) AS cash_amount FROM shop_orderline
                   WHERE order_id = orders.id
        ) AS line ON true
        WHERE orders.list_total <> orders.course_discount + orders.global_discount + orders.beili_amount
            + orders.cash_due
           OR (orders.list_total, orders.course_discount, orders.global_discount, orders.beili_amount,
               orders.cash_due)
              IS DISTINCT FROM (line.list_price, line.course_discount, line.global_discount,
                  line.beili_amount, line.cash_amount)
        """,
    ),
    Rule(
        "coupons_once",
        "A coupon is on at most one order that is alive, and that order is the one it names.",
        """
        SELECT record.id, record.status, record.order_id, array_agg(orders.order_number) AS orders
        FROM shop_couponrecord AS record
        JOIN (
            SELECT coupon_record_id, order_id FROM shop_orderline WHERE coupon_record_id IS NOT NULL
            UNION ALL SELECT global_coupon_record_id, id FROM shop_order
            WHERE global_coupon_record_id IS NOT NULL
        ) AS use ON use.coupon_record_id = record.id
        JOIN shop_order AS orders ON orders.id = use.order_id
            AND orders.status IN ({OrderStatus.AWAITING_PAYMENT}, {OrderStatus.PAID})
        GROUP BY record.id HAVING count(*) > 1 OR record.order_id IS DISTINCT FROM min(orders.id)
            OR record.status <> CASE WHEN min(orders.status) = {OrderStatus.PAID}
                THEN {CouponRecordStatus.USED} ELSE {CouponRecordStatus.RESERVED} END
        """,
    ),
    Rule(
        "coupons_not_orphaned",
        "A coupon that is reserved or used is so for an order that was made with it and is alive (or "
        "refunded without giving it back).",
        """
        SELECT record.id, record.status, orders.order_number, orders.status AS order_status
        FROM shop_couponrecord AS record
        LEFT JOIN shop_order AS orders ON orders.id = record.order_id
        WHERE (record.status = {CouponRecordStatus.RESERVED}
            AND orders.status IS DISTINCT FROM {OrderStatus.AWAITING_PAYMENT})
           OR (record.status = {CouponRecordStatus.USED}
               AND (orders.status IS NULL
                   OR orders.status NOT IN ({OrderStatus.PAID}, {OrderStatus.REFUNDED})))
        """,
    ),
    Rule(
        "campaigns_within_quantity",
        "A campaign's count of claims is the number of its coupons, and not above its quantity.",
        """
        SELECT coupon.id, coupon.name, coupon.quantity, coupon.claimed_count, count(record.id) AS records
        FROM shop_coupon AS coupon
        LEFT JOIN shop_couponrecord AS record ON record.coupon_id = coupon.id
        GROUP BY coupon.id HAVING count(record.id) <> coupon.claimed_count
            OR coupon.claimed_count > coupon.quantity
        """,
    ),
    Rule(
        "paid_orders_delivered_once",
        "Every line of an order that was ever paid has one enrolment; no other line has any.",
        """
        SELECT orders.order_number, orders.status, line.id AS line, count(enrolment.id) AS enrolments
        FROM shop_orderline AS line
        JOIN shop_order AS orders ON orders.id = line.order_id
        LEFT JOIN shop_enrolment AS enrolment ON enrolment.order_line_id = line.id
            AND enrolment.account_id = orders.account_id AND enrolment.course_id = line.course_id
        GROUP BY orders.id, line.id HAVING count(enrolment.id) <> CASE WHEN orders.paid_at IS NOT NULL THEN 1
            ELSE 0 END
        """,
    ),
    Rule(
        "orders_paid_by_money",
        "An order that was paid and cost money has exactly one payment that paid it, of its amount; one that "
        "isn't paid has none.",
        """
        SELECT orders.order_number, orders.status, orders.cash_due, count(payment.id) AS payments,
            sum(payment.amount) AS paid FROM shop_order AS orders
        LEFT JOIN payments_payment AS payment ON payment.order_id = orders.id
            AND payment.status = {PaymentStatus.PAID} AND NOT payment.is_surplus
        GROUP BY orders.id
        HAVING coalesce(sum(payment.amount), 0) <> CASE WHEN orders.paid_at IS NOT NULL THEN orders.cash_due
            ELSE 0 END
        """,
    ),
    Rule(
        "money_has_a_place",
        "Every yuan that came in is on an order, has gone back, or is on its way back.",
        """
        SELECT book.unapplied, due.going_back FROM (
            SELECT coalesce(sum(CASE WHEN credit = {Book.UNAPPLIED} THEN amount WHEN debit = {Book.UNAPPLIED}
                THEN -amount ELSE 0 END), 0) AS unapplied
            FROM shop_ledgertransfer
        ) AS book, (
            SELECT coalesce(sum(payment.amount - coalesce(gone.amount, 0)), 0) AS going_back
            FROM payments_payment AS payment
            LEFT JOIN LATERAL (
                SELECT sum(amount) AS amount FROM payments_refund
                WHERE payment_id = payment.id
                    AND status IN ({RefundStatus.SUCCEEDED}, {RefundStatus.PAID_ELSEWHERE})
            ) AS gone ON true
            WHERE payment.paid_at IS NOT NULL
                AND (payment.is_surplus OR payment.status = {PaymentStatus.CLOSED})
        ) AS due WHERE book.unapplied <> due.going_back
        """,
    ),
    Rule(
        "payments_are_booked",
        "Each payment whose money came is booked once with its amount, and nothing else is.",
        """
        SELECT payment.out_trade_no, payment.amount, transfer.amount AS booked
        FROM payments_payment AS payment
        LEFT JOIN shop_ledgertransfer AS transfer ON transfer.key = 'cash:' || payment.out_trade_no
        WHERE (payment.paid_at IS NOT NULL) <> (transfer.id IS NOT NULL) OR transfer.amount <> payment.amount
        """,
    ),
    Rule(
        "surplus_goes_back",
        "Money that nobody owed has refunds of its whole amount (or more, while one of ours is yet to be "
        "refused), unless staff gave it up.",
        """
        SELECT payment.out_trade_no, payment.amount, refund.amount AS refunds FROM payments_payment AS payment
        LEFT JOIN LATERAL (
            SELECT coalesce(sum(amount) FILTER (WHERE status NOT IN ({RefundStatus.REJECTED},
                {RefundStatus.REPORTED})), 0) AS amount,
                bool_or(status = {RefundStatus.REJECTED} AND decided_by_id IS NOT NULL) AS is_given_up
            FROM payments_refund WHERE payment_id = payment.id
        ) AS refund ON true
        WHERE payment.is_surplus AND refund.amount < payment.amount
            AND NOT coalesce(refund.is_given_up, false)
        """,
    ),
    Rule(
        "refunds_fit_payments",
        "What is committed to our refunds, and what has gone back by ours and by others', is what the "
        "refunds say, on each payment.",
        """
        SELECT payment.out_trade_no, payment.refund_committed, payment.refunded_amount,
            payment.external_refunded,
            refund.committed, refund.done, refund.external
        FROM payments_payment AS payment
        LEFT JOIN LATERAL (
            SELECT coalesce(sum(amount) FILTER (WHERE kind <> {RefundKind.EXTERNAL}
                AND status NOT IN ({RefundStatus.REJECTED}, {RefundStatus.PAID_ELSEWHERE})), 0) AS committed,
                   coalesce(sum(amount) FILTER (WHERE status = {RefundStatus.SUCCEEDED}), 0) AS done,
                   coalesce(sum(amount) FILTER (WHERE kind = {RefundKind.EXTERNAL}
                       AND status = {RefundStatus.SUCCEEDED}), 0) AS external
            FROM payments_refund WHERE payment_id = payment.id
        ) AS refund ON true
        WHERE payment.refund_committed <> refund.committed OR payment.refunded_amount <> refund.done
            OR payment.external_refunded <> refund.external
        """,
    ),
    Rule(
        "refunds_equal_the_gateways",
        "No more has gone back than our rows say, by the last total that the gateway told; or that is being "
        "asked about, or people look at it.",
        """
        SELECT payment.out_trade_no, payment.refund_told, payment.refunded_amount
        FROM payments_payment AS payment
        WHERE payment.refund_told > payment.refunded_amount AND payment.available_at IS NULL
            AND payment.dead_at IS NULL
            AND NOT EXISTS (
                SELECT FROM payments_refund WHERE payment_id = payment.id
                    AND status IN ({RefundStatus.REPORTED}, {RefundStatus.SENT}, {RefundStatus.UNKNOWN})
            )
            AND NOT EXISTS (
                SELECT FROM payments_notification WHERE payment_id = payment.id
                    AND status IN ({NotificationStatus.RECEIVED}, {NotificationStatus.ASKED},
                        {NotificationStatus.QUARANTINED})
            )
        """,
    ),
    Rule(
        "external_refunds_are_explained",
        "What external refunds are still to be explained is what stands in their book, for each order.",
        """
        SELECT orders.order_number, coalesce(book.open, 0) AS open,
            coalesce(due.unexplained, 0) AS unexplained
        FROM (
            SELECT order_id,
                sum(CASE WHEN debit = {Book.EXTERNAL_REFUNDS} THEN amount ELSE -amount END) AS open
            FROM shop_ledgertransfer WHERE {Book.EXTERNAL_REFUNDS} IN (debit, credit) GROUP BY order_id
        ) AS book
        FULL JOIN (
            SELECT order_id, sum(amount) AS unexplained FROM payments_refund
            WHERE kind = {RefundKind.EXTERNAL} AND status = {RefundStatus.SUCCEEDED} AND explanation = ''
            GROUP BY order_id
        ) AS due USING (order_id)
        JOIN shop_order AS orders ON orders.id = order_id
        WHERE coalesce(book.open, 0) <> coalesce(due.unexplained, 0)
        """,
    ),
    Rule(
        "whole_refunds_end_orders",
        "An external refund that took the last of what an order was paid with has ended the order; only "
        "partial ones wait for staff.",
        """
        SELECT orders.order_number, refund.out_request_no, refund.amount FROM payments_refund AS refund
        JOIN payments_payment AS payment ON payment.id = refund.payment_id AND NOT payment.is_surplus
        JOIN shop_order AS orders ON orders.id = refund.order_id AND orders.status = {OrderStatus.PAID}
        WHERE refund.kind = {RefundKind.EXTERNAL} AND refund.status = {RefundStatus.SUCCEEDED}
            AND refund.explanation = ''
            AND payment.refunded_amount = payment.amount AND NOT EXISTS (
                SELECT FROM payments_refund WHERE payment_id = payment.id
                    AND status IN ({RefundStatus.REPORTED}, {RefundStatus.SENT}, {RefundStatus.UNKNOWN})
            )
        """,
    ),
    Rule(
        "paid_words_are_heard",
        "Every notification that said a trade was paid, and that was dealt with, has its payment paid; "
        "another is waiting or in quarantine.",
        """
        SELECT notification.id, notification.out_trade_no, notification.status, payment.status AS payment
        FROM payments_notification AS notification
        LEFT JOIN payments_payment AS payment ON payment.out_trade_no = notification.out_trade_no
        WHERE notification.told_status IN ({TradeStatus.PAID}, {TradeStatus.FINISHED})
            AND notification.status IN ({NotificationStatus.APPLIED}, {NotificationStatus.IGNORED})
            AND payment.paid_at IS NULL
        """,
    ),
    Rule(
        "bills_are_accounted_for",
        "What the gateway's bills say was paid or given back is so here too, to the fen, or a difference "
        "tells of it.",
        """
        SELECT entry.kind, entry.out_trade_no, entry.out_request_no, entry.amount
        FROM payments_billentry AS entry
        LEFT JOIN payments_payment AS payment ON payment.out_trade_no = entry.out_trade_no
        WHERE NOT CASE entry.kind
            WHEN {BillRowKind.TRADE} THEN payment.paid_at IS NOT NULL AND payment.amount = entry.amount
            WHEN {BillRowKind.REFUND} THEN EXISTS (
                SELECT FROM payments_refund AS refund
                WHERE refund.payment_id = payment.id AND refund.status = {RefundStatus.SUCCEEDED} AND (
                    (refund.out_request_no = entry.out_request_no AND refund.amount = entry.amount)
                    OR refund.out_request_no = payment.out_trade_no || 'E'
                )
            )
            ELSE false END
        AND NOT EXISTS (
            SELECT FROM payments_billdifference AS difference WHERE difference.subject = entry.kind
                AND difference.out_trade_no = entry.out_trade_no
                AND difference.out_request_no = entry.out_request_no
        )
        """,
    ),
    Rule(
        "refunds_fit_orders",
        "An order's refunded money and 贝里 are those of its refunds; refunded lines have lost their "
        "enrolment, and only they.",
        """
        SELECT orders.order_number, orders.status, orders.refunded_amount, orders.refunded_beili, line.cash,
            refund.beili FROM shop_order AS orders
        LEFT JOIN LATERAL (
            SELECT coalesce(sum(beili), 0) AS beili FROM payments_refund
            WHERE order_id = orders.id AND kind <> {RefundKind.SURPLUS}
                AND status IN ({RefundStatus.SUCCEEDED}, {RefundStatus.PAID_ELSEWHERE})
        ) AS refund ON true
        LEFT JOIN LATERAL (
            SELECT coalesce(sum(refund_line.cash_amount), 0) AS cash, count(refund_line.id) AS refunded,
                count(*) AS lines
            FROM shop_orderline AS line LEFT JOIN (
                payments_refundline AS refund_line JOIN payments_refund AS done
                    ON done.id = refund_line.refund_id
                    AND done.status IN ({RefundStatus.SUCCEEDED}, {RefundStatus.PAID_ELSEWHERE})
            ) ON refund_line.order_line_id = line.id
            WHERE line.order_id = orders.id
        ) AS line ON true
        WHERE orders.refunded_amount <> line.cash OR orders.refunded_beili <> refund.beili
           OR (orders.paid_at IS NOT NULL
               AND (orders.status = {OrderStatus.REFUNDED}) <> (line.refunded = line.lines))
           OR EXISTS (
               SELECT 1 FROM shop_orderline AS line
               JOIN shop_enrolment AS enrolment ON enrolment.order_line_id = line.id
               WHERE line.order_id = orders.id AND (enrolment.status = {EnrolmentStatus.REVOKED}) <> EXISTS (
                   SELECT 1 FROM payments_refundline AS refund_line
                   JOIN payments_refund AS done ON done.id = refund_line.refund_id
                   WHERE refund_line.order_line_id = line.id
                       AND done.status IN ({RefundStatus.SUCCEEDED}, {RefundStatus.PAID_ELSEWHERE})
               )
           )
        """,
    ),
    Rule(
        "sales_equal_orders",
        "What is booked as sales is the list price of paid orders, less what refunds undid of their lines.",
        """
        SELECT orders.order_number, book.sales, due.sales AS expected FROM shop_order AS orders
        LEFT JOIN LATERAL (
            SELECT coalesce(sum(CASE WHEN credit = {Book.SALES} THEN amount WHEN debit = {Book.SALES}
                THEN -amount ELSE 0 END), 0) AS sales
            FROM shop_ledgertransfer WHERE order_id = orders.id
        ) AS book ON true
        LEFT JOIN LATERAL (
            SELECT coalesce(sum(line.list_price - coalesce(
                line.course_discount + line.global_discount + refunded.cash_amount + refunded.beili_amount, 0
            )), 0) AS sales
            FROM shop_orderline AS line LEFT JOIN (
                payments_refundline AS refunded JOIN payments_refund AS done
                    ON done.id = refunded.refund_id
                    AND done.status IN ({RefundStatus.SUCCEEDED}, {RefundStatus.PAID_ELSEWHERE})
            ) ON refunded.order_line_id = line.id
            WHERE line.order_id = orders.id AND orders.paid_at IS NOT NULL
        ) AS due ON true
        WHERE book.sales <> due.sales
        """,
    ),
    Rule(
        "requests_decided_once",
        "A request that was created has its order, and no other has one.",
        """
        SELECT request.order_number, request.status, orders.id AS order_id FROM shop_orderrequest AS request
        LEFT JOIN shop_order AS orders ON orders.request_id = request.id
        WHERE (request.status = {OrderRequestStatus.CREATED}) <> (orders.id IS NOT NULL)
            OR orders.order_number <> request.order_number
        """,
    ),
    Rule(
        "work_is_not_lost",
        "Everything that isn't finished is due at some time, waits for staff, or was given up where people "
        "see it.",
        """
        SELECT 'request' AS kind, order_number AS what FROM shop_orderrequest
        WHERE status = {OrderRequestStatus.PENDING} AND available_at IS NULL AND dead_at IS NULL
        UNION ALL SELECT 'order', order_number FROM shop_order WHERE status = {OrderStatus.AWAITING_PAYMENT}
        AND available_at IS NULL AND dead_at IS NULL
        UNION ALL SELECT 'payment', out_trade_no FROM payments_payment WHERE status = {PaymentStatus.OPEN}
        AND available_at IS NULL AND dead_at IS NULL
        UNION ALL SELECT 'notification', out_trade_no FROM payments_notification
        WHERE status = {NotificationStatus.RECEIVED} AND available_at IS NULL AND dead_at IS NULL
        UNION ALL SELECT 'asked notification', notification.out_trade_no
        FROM payments_notification AS notification
            LEFT JOIN payments_payment AS payment ON payment.id = notification.payment_id
            WHERE notification.status = {NotificationStatus.ASKED} AND payment.available_at IS NULL
        UNION ALL SELECT 'refund', out_request_no FROM payments_refund
            WHERE (status = {RefundStatus.REPORTED}
                OR (status IN ({RefundStatus.REQUESTED}, {RefundStatus.SENT}, {RefundStatus.UNKNOWN})
                    AND approved_at IS NOT NULL))
                AND available_at IS NULL AND dead_at IS NULL
        UNION ALL SELECT 'bill', day::text FROM payments_bill
            WHERE status = {BillStatus.WAITING} AND available_at IS NULL AND dead_at IS NULL
        """,
    ),
    Rule(
        "work_is_done_in_time",
        "Nothing that is due has waited for a quarter of an hour: somebody claims it long before that.",
        """
        SELECT 'request' AS kind, order_number AS what, available_at FROM shop_orderrequest
        WHERE available_at < %(overdue)s
        UNION ALL SELECT 'order', order_number, available_at FROM shop_order WHERE available_at < %(overdue)s
        UNION ALL SELECT 'payment', out_trade_no, available_at FROM payments_payment
        WHERE available_at < %(overdue)s
        UNION ALL SELECT 'notification', out_trade_no, available_at FROM payments_notification
        WHERE available_at < %(overdue)s
        UNION ALL SELECT 'refund', out_request_no, available_at FROM payments_refund
        WHERE available_at < %(overdue)s
        UNION ALL SELECT 'bill', day::text, available_at FROM payments_bill WHERE available_at < %(overdue)s
        """,
        is_about_time=True,
    ),
    Rule(
        "keys_make_one_order",
        "One idempotency key of a buyer makes one order at most, and so does one checkout; an order is its "
        "request's buyer's.",
        """
        SELECT request.account_id, request.idempotency_key AS what, array_agg(orders.order_number) AS orders
        FROM shop_orderrequest AS request
        JOIN shop_order AS orders ON orders.request_id = request.id
        GROUP BY request.account_id, request.idempotency_key HAVING count(*) > 1
            OR bool_or(orders.account_id <> request.account_id)
        UNION ALL
        SELECT request.account_id, request.checkout_id, array_agg(orders.order_number)
        FROM shop_orderrequest AS request
        JOIN shop_order AS orders ON orders.request_id = request.id WHERE request.checkout_id IS NOT NULL
        GROUP BY request.account_id, request.checkout_id HAVING count(*) > 1
        """,
    ),
    Rule(
        "access_is_what_was_bought",
        "An enrolment lasts as long as its line was bought for, and ends within a hundred years.",
        """
        SELECT enrolment.id, enrolment.valid_from, enrolment.valid_until::text, line.valid_period
        FROM shop_enrolment AS enrolment
        JOIN shop_orderline AS line ON line.id = enrolment.order_line_id
        WHERE enrolment.valid_until - enrolment.valid_from <> line.valid_period * interval '24 hours'
            OR enrolment.valid_until > enrolment.created_at + interval '36500 days'
        """,
    ),
    Rule(
        "access_has_no_gaps",
        "A buyer's active periods of a course follow each other; one begins later only if it was granted, or "
        "moved up, when none was left, "
        "or on the first day of its degree.",
        """
        SELECT chain.account_id, chain.course_id, chain.ends_before, chain.valid_from FROM (
            SELECT enrolment.account_id, enrolment.course_id, created_at, valid_from,
                line.starts_on::timestamp AT TIME ZONE 'Asia/Shanghai' AS first_day,
                max(valid_until) OVER (
                    PARTITION BY enrolment.account_id, enrolment.course_id ORDER BY valid_from, enrolment.id
                    ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
                ) AS ends_before
            FROM shop_enrolment AS enrolment JOIN shop_orderline AS line ON line.id = enrolment.order_line_id
            WHERE enrolment.status = {EnrolmentStatus.ACTIVE}
        ) AS chain
        WHERE chain.valid_from < chain.ends_before OR (
            chain.valid_from > coalesce(chain.ends_before, chain.created_at)
            AND chain.valid_from <> chain.created_at
            AND chain.valid_from IS DISTINCT FROM chain.first_day AND NOT EXISTS (
                SELECT FROM shop_enrolment AS revoked WHERE revoked.account_id = chain.account_id
                    AND revoked.course_id = chain.course_id
                    AND revoked.revoked_at = chain.valid_from
            )
        )
        """,
    ),
)


def run_audit(*, now: datetime) -> Iterator[Verdict]:
    """Checks one rule after the other, each in one statement (and so at one moment), and yields its
    verdict.
    """
    for rule in RULES:
        with transaction.atomic():
            sql.write(f"SET LOCAL statement_timeout = '{RULE_LIMIT_S}s'", [])
            found = sql.read_named(_broken(rule), {"overdue": now - OVERDUE_AFTER})
        count = found[0]["broken_count"] if found else 0
        yield Verdict(
            rule,
            count,
            tuple({name: value for name, value in row.items() if name != "broken_count"} for row in found),
        )


_WORDS = (
    BillRowKind, BillStatus, CouponRecordStatus, EnrolmentStatus, OrderRequestStatus, OrderStatus,
    NotificationStatus, PaymentStatus, RefundKind, RefundStatus, TradeStatus, LedgerTransfer.Book,
    LedgerTransfer.Currency, )  # fmt: skip


def _broken(rule: Rule) -> str:
    """The first rows that break a rule, each with the count of all of them."""
    return f"SELECT *, count(*) OVER () AS broken_count FROM ({rule.statement}) AS broken LIMIT {SHOWN_ROWS}"  # noqa: S608 - ours
