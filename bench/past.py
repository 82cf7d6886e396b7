"""Orders that are there before anything is measured: a history of paid ones, or open ones that wait for their money."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from bench.tables import insert, last_id, move_sequence, without_indexes
from bench.world import APP_ID, BEILI, SELLER_ID, Buyer, Connection, count_claims, insert_accounts, unit_quote

# The past: so long ago, an order every second.
PAST = timedelta(days=400)
MS_BETWEEN = 1000
# From so many rows on it pays to build indexes afterwards.
BULK_FROM = 50_000
_TABLES = (
    "shop_account", "shop_course", "shop_pricepolicy", "shop_coupon", "shop_couponrecord", "shop_orderrequest", "shop_order", "shop_orderline",
    "shop_orderevent", "shop_ledgertransfer", "shop_enrolment", "payments_payment", "payments_notification",
)  # fmt: skip


@dataclass(frozen=True)
class PlacedOrder:
    """An order that is in the database, with its buyer and its payment's number."""

    order_number: str
    buyer: Buyer
    out_trade_no: str


def add_orders(connect: Callable[[], Connection], count: int, *, is_paid: bool, per_buyer: int = 1) -> list[PlacedOrder]:
    """Orders with all that belongs to them, `per_buyer` (1 to 5) for each of new buyers.

    Paid ones are delivered and lie in the past; the others wait for the notification of their open payment. `connect` makes a
    superuser's connection: two work side by side, without checks of foreign keys. Returns them, but no more than 100,000.
    """
    with connect() as connection:
        bases = {table: last_id(connection, table) for table in _TABLES}
        buyers = count // per_buyer
        spent, held = (BEILI * per_buyer, 0) if is_paid else (0, BEILI * per_buyer)
        connection.execute("SET session_replication_role = replica")
        insert_accounts(connection, bases["shop_account"], buyers, granted=BEILI * per_buyer, spent=spent, held=held)
        bases["shop_ledgertransfer"] += buyers
        count_claims(connection, buyers, pairs=per_buyer)
    began = (datetime.now(UTC) - PAST) if is_paid else datetime.now(UTC)
    loads = _order_rows(bases, per_buyer=per_buyer, is_paid=is_paid, began=began)

    def load(table: str) -> None:
        with connect() as own:
            own.execute("SET session_replication_role = replica")
            with without_indexes(own, table) if count >= BULK_FROM else nullcontext():
                for values in loads[table]:
                    insert(own, table, values, f"generate_series(0, {count - 1}) AS i")
            move_sequence(own, table)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(load, loads))
    with connect() as connection:
        move_sequence(connection, "shop_account")
        return list(_read_placed(connection, bases, count=min(count, 100_000), per_buyer=per_buyer))


def _read_placed(connection: Connection, bases: dict[str, int], *, count: int, per_buyer: int) -> Iterator[PlacedOrder]:
    first = bases["shop_order"] + 1
    rows = connection.execute(
        "SELECT id, order_number, account_id FROM shop_order WHERE id BETWEEN %s AND %s ORDER BY id", [first, first + count - 1]
    )
    for pk, number, account_id in rows:
        record = bases["shop_couponrecord"] + 2 * (pk - first)
        yield PlacedOrder(number, Buyer(account_id, record + 1, record + 2), f"{number}P1")


def _order_rows(bases: dict[str, int], *, per_buyer: int, is_paid: bool, began: datetime) -> dict[str, list[dict[str, str]]]:
    """What goes into each table, as SQL expressions over i = 0, 1, …; the largest tables first."""
    quote = unit_quote()
    order_id = f"{bases['shop_order']} + 1 + i"
    account_id = f"{bases['shop_account']} + 1 + i / {per_buyer}"
    pair = f"i % {per_buyer}"
    at = f"timestamptz '{began.isoformat()}' + i * interval '1 millisecond' * {MS_BETWEEN if is_paid else 0}"
    # Sortable by time, as the numbers that the shop makes.
    number = (
        f"to_char(timestamptz '{began.isoformat()}' + i * interval '1 millisecond', 'YYYYMMDDHH24MISSMS')"
        f" || upper(substr(md5(({order_id})::text), 1, 13))"
    )
    due = "NULL" if is_paid else "now() + interval '1 hour'"
    paid_at = at if is_paid else "NULL"

    def ids(table: str, per_order: int, which: int) -> str:
        return f"{bases[table]} + {per_order} * i + {which + 1}"

    def transfer(which: int, key: str, debit: str, credit: str, amount: object, currency: str = "CNY") -> dict[str, str]:
        return {
            "id": ids("shop_ledgertransfer", 6 if is_paid else 1, which),
            "key": f"'{key}:' || {number}",
            "debit": f"'{debit}'",
            "credit": f"'{credit}'",
            "currency": f"'{currency}'",
            "amount": str(amount),
            "account_id": account_id,
            "order_id": order_id,
            "created_at": at,
        }

    transfers = [transfer(0, "hold", "beili_available", "beili_held", BEILI, "BEILI")]
    if is_paid:
        discounts = quote.course_discount + quote.global_discount
        transfers += [
            transfer(1, "capture", "beili_held", "beili_spent", BEILI, "BEILI"),
            transfer(2, "subsidy", "coupon_subsidy", "sales", discounts),
            transfer(3, "redeem", "beili_redeemed", "sales", quote.beili_amount),
            transfer(4, "sale", "unapplied", "sales", quote.cash_due),
            transfer(5, "cash", "alipay_cash", "unapplied", quote.cash_due) | {"key": f"'cash:' || {number} || 'P1'"},
        ]
    kinds = ["placed", "coupons_reserved", "beili_held", "payment_started", *(["paid"] if is_paid else [])]
    rows = {
        "shop_ledgertransfer": transfers,
        "shop_orderevent": [
            {"id": ids("shop_orderevent", len(kinds), which), "order_id": order_id, "kind": f"'{kind}'", "at": at}
            for which, kind in enumerate(kinds)
        ],
        "shop_couponrecord": [
            {
                "id": ids("shop_couponrecord", 2, which),
                "coupon_id": f"2 * ({pair}) + {which + 1}",
                "account_id": account_id,
                "number": f"'B' || ({ids('shop_couponrecord', 2, which)})",
                "status": "'used'" if is_paid else "'reserved'",
                "order_id": order_id,
                "used_at": paid_at,
                "valid_until_date": "current_date + 365",
            }
            for which in (0, 1)
        ],
        "shop_orderline": [
            {
                "id": ids("shop_orderline", 2, which),
                "order_id": order_id,
                "course_id": f"2 * ({pair}) + {which + 1}",
                "policy_id": f"2 * ({pair}) + {which + 1}",
                "course_name": f"'课程 ' || (2 * ({pair}) + {which + 1})",
                "course_img": "'/static/shop/covers/01.svg'",
                "valid_period": "30",
                "valid_period_display": "'1个月'",
                "list_price": str(line.list_price),
                "coupon_record_id": ids("shop_couponrecord", 2, 0) if which == 0 else "NULL",
                "course_discount": str(line.course_discount),
                "global_discount": str(line.global_discount),
                "beili_amount": str(line.beili_amount),
                "cash_amount": str(line.cash_amount),
            }
            for which, line in enumerate(quote.lines)
        ],
        "shop_orderrequest": [
            {
                "id": f"{bases['shop_orderrequest']} + 1 + i",
                "account_id": account_id,
                "order_number": number,
                "idempotency_key": "'bench-history-' || i",
                "fingerprint": "repeat('0', 64)",
                "body": """'{"lines": [[1, 1, 1], [2, 2, null]], "coupon_record_id": 2, "beili": 30, "alipay": "310.20", "checkout_id": null}'""",
                "status": "'created'",
                "created_at": at,
                "decided_at": at,
                "available_at": "NULL",
            }
        ],
        "shop_order": [
            {
                "id": order_id,
                "request_id": f"{bases['shop_orderrequest']} + 1 + i",
                "account_id": account_id,
                "order_number": number,
                "status": "'paid'" if is_paid else "'awaiting_payment'",
                "payment_type": "1",
                "list_total": str(quote.list_total),
                "course_discount": str(quote.course_discount),
                "global_discount": str(quote.global_discount),
                "global_coupon_record_id": ids("shop_couponrecord", 2, 1),
                "beili": str(BEILI),
                "beili_per_yuan": "1",
                "beili_amount": str(quote.beili_amount),
                "cash_due": str(quote.cash_due),
                "created_at": at,
                "expires_at": f"{at} + interval '30 minutes'",
                "closes_at": f"{at} + interval '32 minutes'",
                "available_at": due,
                "paid_at": paid_at,
                "version": "3",
            }
        ],
        "payments_payment": [
            {
                "id": f"{bases['payments_payment']} + 1 + i",
                "order_id": order_id,
                "provider": "'alipay'",
                "product": "'page'",
                "out_trade_no": f"{number} || 'P1'",
                "amount": str(quote.cash_due),
                "app_id": f"'{APP_ID}'",
                "seller_id": f"'{SELLER_ID}'",
                "status": "'paid'" if is_paid else "'open'",
                "trade_no": f"'T' || ({order_id})" if is_paid else "NULL",
                "created_at": at,
                "expires_at": f"{at} + interval '30 minutes'",
                "paid_at": paid_at,
                "available_at": due,
            }
        ],
    }
    if not is_paid:
        return rows
    rows["shop_enrolment"] = [
        {
            "id": ids("shop_enrolment", 2, which),
            "account_id": account_id,
            "course_id": f"2 * ({pair}) + {which + 1}",
            "order_line_id": ids("shop_orderline", 2, which),
            "status": "'active'",
            "valid_from": at,
            "valid_until": f"{at} + interval '30 days'",
        }
        for which in (0, 1)
    ]
    rows["payments_notification"] = [
        {
            "id": f"{bases['payments_notification']} + 1 + i",
            "provider": "'alipay'",
            "business_key": f"encode(sha256(convert_to(({order_id})::text, 'UTF8')), 'hex')",
            "notify_id": f"'N' || ({order_id})",
            "out_trade_no": f"{number} || 'P1'",
            "trade_status": "'TRADE_SUCCESS'",
            "raw_body": "repeat('x', 200)",
            "status": "'applied'",
            "payment_id": f"{bases['payments_payment']} + 1 + i",
            "received_at": at,
            "handled_at": at,
            "available_at": "NULL",
        }
    ]
    return rows


def postpone_deadlines(connection: Connection) -> None:
    """Moves the deadlines of orders that earlier runs left unpaid far away, so that nothing closes them while something is measured."""
    connection.execute(
        """
        UPDATE shop_order SET expires_at = expires_at + interval '10 years', closes_at = closes_at + interval '10 years',
            available_at = available_at + interval '10 years' WHERE status = 'awaiting_payment' AND expires_at < now() + interval '1 hour'
        """
    )
    connection.execute("UPDATE payments_payment SET available_at = available_at + interval '10 years' WHERE status = 'open'")
