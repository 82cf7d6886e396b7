"""Invariants of a shop's database when no work is left: a second opinion on `manage.py audit`.

They are written from the documentation rather than from the audit's code, and in SQL only, so that a bug in
the audit doesn't hide what it should find. They also check that no work is left, which the audit can't. Every
query returns the rows that violate its rule.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

Rows = Sequence[Mapping[str, Any]]

RULES = {
    "an order's list price is covered by discounts, 贝里 and cash": """
        SELECT order_number, list_total, course_discount, global_discount, beili_amount, cash_due
        FROM shop_order
        WHERE list_total <> course_discount + global_discount + beili_amount + cash_due
            OR beili <> beili_amount * beili_per_yuan
    """,
    "an order's lines add up to it": """
        SELECT o.order_number, o.list_total, sum(l.list_price) AS lines FROM shop_order o
        LEFT JOIN shop_orderline l ON l.order_id = o.id
        GROUP BY o.id HAVING count(l.id) = 0
            OR (sum(l.list_price), sum(l.course_discount), sum(l.global_discount), sum(l.beili_amount),
                sum(l.cash_amount))
                IS DISTINCT FROM (o.list_total, o.course_discount, o.global_discount, o.beili_amount,
                    o.cash_due)
    """,
    "a request is created exactly when it has its order": """
        SELECT r.order_number, r.status, o.id FROM shop_orderrequest r
        LEFT JOIN shop_order o ON o.request_id = r.id
        WHERE (r.status = 'created') <> (o.id IS NOT NULL)
            OR o.order_number <> r.order_number OR o.account_id <> r.account_id
    """,
    "a buyer's cached balances are the fold of the ledger": """
        SELECT a.username, a.balance, a.held_balance, f.available, f.held FROM shop_account a CROSS
        JOIN LATERAL (
            SELECT coalesce(sum(CASE 'beili_available' WHEN credit THEN amount WHEN debit
                THEN -amount END), 0) AS available,
                   coalesce(sum(CASE 'beili_held' WHEN credit THEN amount WHEN debit
                       THEN -amount END), 0) AS held
            FROM shop_ledgertransfer t WHERE t.account_id = a.id
        ) f WHERE (a.balance, a.held_balance) IS DISTINCT FROM (f.available, f.held) OR a.balance < 0
        OR a.held_balance < 0
    """,
    "贝里 are held for the orders that await payment, and for nothing else": """
        SELECT a.username, a.held_balance, coalesce(sum(o.beili), 0) AS of_orders
        FROM shop_account a LEFT JOIN shop_order o ON o.account_id = a.id AND o.status = 'awaiting_payment'
        GROUP BY a.id HAVING a.held_balance <> coalesce(sum(o.beili), 0)
    """,
    "a paid order's sales are its list price, once, from what covered it": """
        SELECT o.order_number, o.list_total, t.sales, o.cash_due, t.cash, o.beili, t.captured
        FROM shop_order o CROSS JOIN LATERAL (
            SELECT coalesce(sum(amount) FILTER (WHERE credit = 'sales'), 0) AS sales,
                   coalesce(sum(amount) FILTER (WHERE credit = 'sales' AND debit = 'unapplied'), 0) AS cash,
                   coalesce(sum(amount) FILTER (WHERE debit = 'beili_held'
                       AND credit = 'beili_spent'), 0) AS captured
            FROM shop_ledgertransfer WHERE order_id = o.id
        ) t WHERE (t.sales, t.cash, t.captured) IS DISTINCT FROM CASE WHEN o.status IN ('paid', 'refunded')
            THEN (o.list_total, o.cash_due, o.beili::numeric) ELSE (0::numeric, 0::numeric, 0::numeric) END
    """,
    "a coupon is on at most one live order": """
        SELECT l.coupon_record_id, count(*) FROM shop_orderline l JOIN shop_order o ON o.id = l.order_id
        WHERE l.coupon_record_id IS NOT NULL AND o.status IN ('awaiting_payment', 'paid')
        GROUP BY 1 HAVING count(*) > 1
    """,
    "a coupon's discount was given for a coupon that is on the order": """
        SELECT o.order_number, o.global_discount, o.course_discount FROM shop_order o
        WHERE o.status IN ('awaiting_payment', 'paid') AND (
            (o.global_discount > 0 AND NOT EXISTS (
                SELECT 1 FROM shop_couponrecord r JOIN shop_coupon c ON c.id = r.coupon_id
                WHERE r.order_id = o.id AND c.scope = 'order'))
            OR EXISTS (SELECT 1 FROM shop_orderline l WHERE l.order_id = o.id AND l.course_discount > 0
                AND l.coupon_record_id IS NULL)
        )
    """,
    "a coupon's state is that of its order": """
        SELECT r.id, r.status, o.order_number, o.status AS order_status FROM shop_couponrecord r
        LEFT JOIN shop_order o ON o.id = r.order_id
        WHERE (r.status = 'reserved') <> (o.status IS NOT DISTINCT FROM 'awaiting_payment')
            OR (r.status = 'used' AND o.status NOT IN ('paid', 'refunded'))
    """,
    "a line's coupon belongs to the line's buyer and, while the order lives, to the order": """
        SELECT l.id, r.id AS record FROM shop_orderline l JOIN shop_order o ON o.id = l.order_id
        JOIN shop_couponrecord r ON r.id = l.coupon_record_id
        WHERE r.account_id <> o.account_id
            OR (o.status IN ('awaiting_payment', 'paid') AND r.order_id IS DISTINCT FROM o.id)
    """,
    "a campaign has given out what it counts, and no more than it has": """
        SELECT c.name, c.quantity, c.claimed_count, count(r.id) AS records FROM shop_coupon c
        LEFT JOIN shop_couponrecord r ON r.coupon_id = c.id
        GROUP BY c.id HAVING c.claimed_count <> count(r.id) OR count(r.id) > c.quantity
    """,
    "a paid order has one enrolment for each line, another order has none": """
        SELECT o.order_number, o.status, count(l.id) AS lines, count(e.id) AS enrolments
        FROM shop_order o JOIN shop_orderline l ON l.order_id = o.id
        LEFT JOIN shop_enrolment e ON e.order_line_id = l.id
        GROUP BY o.id HAVING count(e.id) <> CASE WHEN o.status IN ('paid', 'refunded') THEN count(l.id)
            ELSE 0 END
            OR bool_or(e.account_id <> o.account_id OR e.course_id <> l.course_id)
    """,
    "an order that cost money was paid by one payment of that amount": """
        SELECT o.order_number, o.status, o.cash_due, count(p.id) AS payments, sum(p.amount) AS paid
        FROM shop_order o LEFT JOIN payments_payment p ON p.order_id = o.id AND p.status = 'paid'
        WHERE o.status IN ('awaiting_payment', 'paid')
        GROUP BY o.id HAVING coalesce(sum(p.amount), 0) <> CASE o.status WHEN 'paid' THEN o.cash_due
            ELSE 0 END OR count(p.id) > 1
    """,
}

LEFT_TO_DO = {
    "money that came in is neither applied nor given back": """
        SELECT o.order_number, o.status, sum(CASE 'unapplied' WHEN t.credit THEN t.amount
            ELSE -t.amount END) AS unapplied
        FROM shop_ledgertransfer t JOIN shop_order o ON o.id = t.order_id
        WHERE 'unapplied' IN (t.debit, t.credit)
        GROUP BY o.id HAVING sum(CASE 'unapplied' WHEN t.credit THEN t.amount ELSE -t.amount END) <> 0
    """,
    "a refund waits": (
        "SELECT id, status, attempts, available_at, last_error FROM payments_refund "
        "WHERE available_at IS NOT NULL OR dead_at IS NOT NULL"
    ),
    "an order that is over waits to be closed": """
        SELECT order_number, status, available_at, last_error FROM shop_order
        WHERE (status <> 'awaiting_payment' AND available_at IS NOT NULL) OR dead_at IS NOT NULL
    """,
    "an order request waits or was given up": """
        SELECT order_number, status, attempts, available_at, last_error FROM shop_orderrequest
        WHERE status = 'pending' OR available_at IS NOT NULL OR dead_at IS NOT NULL
    """,
    "a notification waits, was given up or needs people": """
        SELECT out_trade_no, status, reason, attempts, available_at, last_error FROM payments_notification
        WHERE status NOT IN ('applied', 'ignored') OR available_at IS NOT NULL OR dead_at IS NOT NULL
    """,
    "a payment that is over waits to be queried (but for a closed one's last time), or one was given up": """
        SELECT out_trade_no, status, attempts, available_at, last_error FROM payments_payment
        WHERE (status NOT IN ('open', 'closed') AND available_at IS NOT NULL) OR dead_at IS NOT NULL
    """,
}


class InvariantBrokenError(AssertionError):
    """Lists each violated rule with the offending rows."""


def find_broken(query: Callable[[str], Rows], *, rules: Mapping[str, str]) -> dict[str, Rows]:
    """Rule → the offending rows, for each violated rule."""
    found = {rule: query(statement) for rule, statement in rules.items()}
    return {rule: rows for rule, rows in found.items() if rows}


def check_invariants(
    query: Callable[[str], Rows], *, except_for: Iterable[str] = (), is_idle: bool = True
) -> None:
    """Checks all rules. `query` runs SQL and returns dictionaries.

    With `is_idle`, no work may be left either. `except_for` names rules to skip.

    Raises:
        InvariantBrokenError: a rule is violated.
    """
    rules = {
        rule: sql
        for rule, sql in (RULES | (LEFT_TO_DO if is_idle else {})).items()
        if rule not in set(except_for)
    }
    broken = find_broken(query, rules=rules)
    if broken:
        raise InvariantBrokenError(
            "\n".join(
                f"broken: {rule}\n" + "\n".join(f"    {dict(row)}" for row in rows[:5])
                for rule, rows in broken.items()
            )
        )


def query_django(statement: str) -> Rows:
    """For tests inside Django: runs SQL on the default connection."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(statement)
        names = [column.name for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
