"""The one door to row locks of the shop.

Everybody locks in one order, each table by id: accounts, coupon records, orders. `payments.domain.locks` goes
on with payments and refunds. Work rows (order requests) come before all of them. FOR NO KEY UPDATE
throughout: inserts that refer to a locked row don't wait for it.
"""

from collections.abc import Collection
from datetime import date
from typing import Any, TypeVar

from shop.domain import floors, sql
from shop.errors import DomainError, NotFound, OrderNotFound
from shop.models import Account, Coupon, CouponCode, CouponRecord, Order, OrderRequest
from shop.states import CouponRecordStatus, OrderRequestStatus

Row = TypeVar("Row")
# The number of the sweep's advisory lock.
_SWEEP = 1

_LOCK_REQUESTS = sql.statement(
    """
    SELECT id, account_id, order_number, request_id, body FROM shop_orderrequest
    WHERE id = ANY(%s) AND status = {OrderRequestStatus.PENDING} ORDER BY id FOR NO KEY UPDATE
""",
    OrderRequestStatus,
)
_LOCK_BALANCES = "SELECT id, balance FROM shop_account WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE"
_LOCK_COUPON_RECORDS = """
    SELECT record.id, record.account_id, record.status, record.valid_from_date, record.valid_until_date,
        coupon.id, coupon.coupon_type, coupon.scope, coupon.course_id, coupon.money_equivalent_value,
        coupon.off_percent,
        coupon.minimum_consume
    FROM shop_couponrecord AS record JOIN shop_coupon AS coupon ON coupon.id = record.coupon_id
    WHERE record.id = ANY(%s) ORDER BY record.id FOR NO KEY UPDATE OF record
"""


def existing(row: Row | None, missing: type[DomainError] = NotFound) -> Row:
    """The row that a query has found.

    Raises:
        NotFound, or `missing`: it has found none. Ids come from people, whose page may be out of date.
    """
    if row is None:
        raise missing
    return row


def lock_accounts(account_ids: Collection[int]) -> dict[int, int]:
    """Locks these accounts by id, in the caller's transaction; answers their available 贝里 by id."""
    return dict(sql.read(_LOCK_BALANCES, [list(account_ids)]))


def lock_account(account_id: int) -> Account:
    """The account, locked, for callers that change its permissions rather than its 贝里.

    Raises:
        NotFound
    """
    return existing(Account.objects.select_for_update(no_key=True).filter(pk=account_id).first())


def lock_order(order_id: int) -> Order:
    """The order, with its account and itself locked.

    Raises:
        OrderNotFound
    """
    account_id = Order.objects.filter(pk=order_id).values_list("account_id", flat=True).first()
    lock_accounts([existing(account_id, OrderNotFound)])
    return Order.objects.select_for_update(no_key=True, of=("self",)).get(pk=order_id)


def lock_orders(order_ids: Collection[int]) -> list[Order]:
    """The orders by id, with their accounts and themselves locked."""
    lock_accounts(Order.objects.filter(pk__in=order_ids).values_list("account_id", flat=True))
    return list(
        Order.objects.select_for_update(no_key=True, of=("self",)).filter(pk__in=order_ids).order_by("pk")
    )


def lock_own_order(*, account_id: int, order_number: str) -> Order | None:
    """The buyer's order, locked without its account: enough for a change that moves neither 贝里 nor coupons.

    None if they have no such order.
    """
    return (
        Order.objects.select_for_update(no_key=True)
        .filter(account_id=account_id, order_number=order_number)
        .first()
    )


def lock_pending_requests(request_ids: Collection[int]) -> list[Any]:
    """The requests among these that wait for a decision, locked by id: (id, account id, order number, HTTP
    request id, body as JSON) each.

    Waits for others. Another worker's claim locks for a moment even rows that it then passes over; skipped
    here, they would lie until their lease ends.
    """
    return sql.read(_LOCK_REQUESTS, [list(request_ids)])


def lock_request(request_id: int) -> OrderRequest:
    """The order request, locked.

    Raises:
        NotFound
    """
    return existing(
        OrderRequest.objects.select_for_update(no_key=True, of=("self",)).filter(pk=request_id).first()
    )


def lock_coupon_records(record_ids: Collection[int]) -> list[Any]:
    """These coupons, locked by id, each with the terms of its campaign, which is not locked: the columns of
    `order_batch` in their order.
    """
    return sql.read(_LOCK_COUPON_RECORDS, [list(record_ids)])


def lock_unused_coupons(record_ids: Collection[int]) -> list[CouponRecord]:
    """The unused ones among these coupons, locked by id. The caller holds their account's lock."""
    unused = CouponRecord.objects.filter(pk__in=record_ids, status=CouponRecordStatus.UNUSED)
    return list(unused.select_for_update(no_key=True).order_by("pk"))


def lock_unused_of_campaign(coupon_id: int) -> list[int]:
    """The campaign's unused coupons, locked by id; passes over those that an order is just taking."""
    unused = CouponRecord.objects.filter(coupon_id=coupon_id, status=CouponRecordStatus.UNUSED)
    return list(
        unused.select_for_update(skip_locked=True, no_key=True).order_by("id").values_list("pk", flat=True)
    )


def lock_coupon(coupon_id: int) -> Coupon | None:
    """The campaign, locked; None if there is none. It comes after coupons: a claim's trigger takes it
    last.
    """
    return Coupon.objects.select_for_update(no_key=True).filter(pk=coupon_id).first()


def lock_code(code: str) -> CouponCode | None:
    """The code, locked, with its campaign, which is not. It comes before coupons."""
    return (
        CouponCode.objects.select_for_update(no_key=True, of=("self",))
        .select_related("coupon")
        .filter(code=code)
        .first()
    )


def lock_expired_coupons(*, before: date, limit: int) -> list[int]:
    """Up to `limit` unused coupons whose last day is before `before`, locked; passes over those that somebody
    else holds.
    """
    over = CouponRecord.objects.filter(status=CouponRecordStatus.UNUSED, valid_until_date__lt=before)
    return list(
        over.select_for_update(skip_locked=True, no_key=True)
        .order_by("id")
        .values_list("pk", flat=True)[:limit]
    )


def try_sweep_lock() -> bool:
    """Keeps other sweeps out until the end of the transaction; False if one is running."""
    return bool(sql.read("SELECT pg_try_advisory_xact_lock(%s)", [_SWEEP])[0][0])


def due_rows(table: str, kind: int, condition: str) -> str:
    """The part of a claim that locks: up to a limit of due rows of one kind that nobody else is just
    claiming.

    Parameters: limit, and those of `floors.parameters`.
    """
    return f"""
        SELECT id FROM {table} WHERE {floors.due_rows(kind)} AND {condition}
        ORDER BY available_at, id LIMIT %(limit)s FOR UPDATE SKIP LOCKED
    """  # noqa: S608 - table and condition are ours, never input


def leased_rows(table: str) -> str:
    """The part of a renewal that locks: claimed rows that are neither done nor claimed by others since, but
    for those that somebody is just writing. Parameters: ids, attempts (of the claims, in their order).
    """
    return f"""
        SELECT work.id FROM {table} AS work
        JOIN unnest(%(ids)s::bigint[], %(attempts)s::int[]) AS lease(id, attempts) ON lease.id = work.id
            AND lease.attempts = work.attempts
        WHERE work.available_at IS NOT NULL FOR UPDATE OF work SKIP LOCKED
    """  # noqa: S608 - the table is ours, never input
