"""Transfers between books.

PostgreSQL moves the buyers' cached balances with each of them. Callers hold the accounts' locks.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal

from django.db import transaction
from django.db.models import QuerySet

from shop.domain import sql
from shop.domain.locks import existing, lock_accounts
from shop.domain.pricing.refund_shares import LinePart
from shop.errors import BalanceInsufficient
from shop.models import Account, LedgerTransfer, Order
from shop.money import ZERO

Book = LedgerTransfer.Book


def grant_beili(*, account: Account, amount: int, key: str, memo: str, now: datetime) -> bool:
    """Gives a buyer 贝里 from outside (a scholarship, a demo).

    The same `key` twice is one grant; returns whether this call made it.
    """
    with transaction.atomic():
        lock_accounts([account.pk])
        if LedgerTransfer.objects.filter(key=key).exists():
            return False
        LedgerTransfer.objects.create(
            key=key,
            debit=Book.BEILI_ISSUED,
            credit=Book.BEILI_AVAILABLE,
            currency=LedgerTransfer.Currency.BEILI,
            amount=amount,
            account=account,
            memo=memo,
            created_at=now,
        )
    return True


def adjust_beili(
    *, account_id: int, amount: int, token: str, staff: Account, why: str, now: datetime
) -> bool:
    """Staff give a buyer 贝里, or with a negative `amount` take some.

    The same `token` twice is once; returns whether this call did it.

    The transfer's key names who of staff it was.

    Raises:
        NotFound: no such account.
        BalanceInsufficient: the buyer has less than is to be taken.
    """
    key = f"staff:{staff.pk}:{token}"
    debit, credit = (
        (Book.BEILI_ISSUED, Book.BEILI_AVAILABLE) if amount > 0 else (Book.BEILI_AVAILABLE, Book.BEILI_ISSUED)
    )
    with transaction.atomic(durable=True):
        balance = existing(lock_accounts([account_id]).get(account_id))
        if LedgerTransfer.objects.filter(key=key).exists():
            return False
        if balance + amount < 0:
            raise BalanceInsufficient(balance=balance, wanted=-amount)
        LedgerTransfer.objects.create(
            key=key,
            debit=debit,
            credit=credit,
            currency=LedgerTransfer.Currency.BEILI,
            amount=abs(amount),
            account_id=account_id,
            memo=why[:100],
            created_at=now,
        )
    return True


def list_beili_transfers(*, account: Account) -> QuerySet[LedgerTransfer]:
    """The buyer's transfers of 贝里, newest first."""
    return (
        LedgerTransfer.objects.filter(account=account, currency=LedgerTransfer.Currency.BEILI)
        .select_related("order")
        .order_by("-id")
    )


def hold_transfers(orders: Iterable[Order], *, now: datetime, cause: str = "hold") -> list[LedgerTransfer]:
    """The transfers that lock the orders' 贝里: available → held. An order is held once per `cause`."""
    return [
        _of_order(
            order,
            f"{cause}:{order.order_number}",
            Book.BEILI_AVAILABLE,
            Book.BEILI_HELD,
            order.beili,
            memo="下单锁定",
            now=now,
        )
        for order in orders
        if order.beili
    ]


def release_transfers(orders: Iterable[Order], *, now: datetime) -> list[LedgerTransfer]:
    """The transfers that give the orders' 贝里 back: held → available."""
    return [
        _of_order(
            order,
            f"release:{order.order_number}",
            Book.BEILI_HELD,
            Book.BEILI_AVAILABLE,
            order.beili,
            memo="订单关闭退回",
            now=now,
        )
        for order in orders
        if order.beili
    ]


# What a paid order's list price was covered by. Held 贝里 are captured; everything else is sales. The legs of
# an order are in this order.
_SETTLE = sql.statement(
    """
    INSERT INTO shop_ledgertransfer (key, debit, credit, currency, amount, account_id, order_id, memo,
        trace_id, created_at)
    SELECT leg.cause || ':' || paid.order_number, leg.debit, leg.credit, leg.currency, leg.amount,
        paid.account_id, paid.id, leg.memo,
        paid.trace_id, %s
    FROM unnest(%s::bigint[]) WITH ORDINALITY AS listed(id, place)
    JOIN shop_order AS paid ON paid.id = listed.id
    CROSS JOIN LATERAL (VALUES
        (1, 'capture', {Book.BEILI_HELD}, {Book.BEILI_SPENT}, {Currency.BEILI}, paid.beili, '支付扣除'),
        (2, 'subsidy', {Book.COUPON_SUBSIDY}, {Book.SALES}, {Currency.CNY}, paid.course_discount
        + paid.global_discount, '优惠券'),
        (3, 'redeem', {Book.BEILI_REDEEMED}, {Book.SALES}, {Currency.CNY}, paid.beili_amount, '贝里抵扣'),
        (4, 'sale', {Book.UNAPPLIED}, {Book.SALES}, {Currency.CNY}, paid.cash_due, '支付宝')
    ) AS leg(place, cause, debit, credit, currency, amount, memo)
    WHERE leg.amount <> 0 ORDER BY listed.place, leg.place
""",
    Book,
    LedgerTransfer.Currency,
)


def settle_orders(order_ids: list[int], *, now: datetime) -> None:
    """Books paid orders: held 贝里 captured, and the list price as sales from what covered it."""
    sql.write(_SETTLE, [now, order_ids])


def refund_transfers(
    order: Order,
    parts: Iterable[LinePart],
    beili: int,
    *,
    cash_book: LedgerTransfer.Book,
    key: str,
    now: datetime,
) -> list[LedgerTransfer]:
    """The transfers of a refund that has happened: sales undone by what covered the lines, and the buyer's
    贝里 back.

    `cash_book` is where the cash went: REFUNDS through the gateway, OTHER_MEANS past it, EXTERNAL_REFUNDS if
    it had left already. What a used part of a line keeps stays in sales.
    """
    parts = list(parts)
    discount = sum((part.line.course_discount + part.line.global_discount for part in parts), ZERO)
    legs = (
        ("refund", Book.SALES, cash_book, sum((part.cash for part in parts), ZERO), "课程退款"),
        ("unsubsidy", Book.SALES, Book.COUPON_SUBSIDY, discount, "优惠券冲回"),
        (
            "unredeem",
            Book.SALES,
            Book.BEILI_REDEEMED,
            sum((part.beili_amount for part in parts), ZERO),
            "贝里抵扣冲回",
        ),
        ("return", Book.BEILI_SPENT, Book.BEILI_AVAILABLE, beili, "退款退回"),
    )
    return [
        _of_order(order, f"{cause}:{key}", debit, credit, amount, memo=memo, now=now)
        for cause, debit, credit, amount, memo in legs
        if amount
    ]


_CASH_IN = sql.statement(
    """
    INSERT INTO shop_ledgertransfer (key, debit, credit, currency, amount, account_id, order_id, memo,
        trace_id, created_at)
    SELECT 'cash:' || coming.out_trade_no, {Book.ALIPAY_CASH}, {Book.UNAPPLIED}, {Currency.CNY},
        coming.amount, paid.account_id, paid.id,
        '支付宝收款', paid.trace_id, %s
    FROM unnest(%s::text[], %s::numeric[], %s::bigint[]) WITH ORDINALITY AS coming(out_trade_no, amount,
        order_id, place)
    JOIN shop_order AS paid ON paid.id = coming.order_id ORDER BY coming.place
""",
    Book,
    LedgerTransfer.Currency,
)


def cash_in(incomes: Sequence[tuple[str, Decimal, int]], *, now: datetime) -> None:
    """Books money that has come in through Alipay, not yet applied to anything: (`out_trade_no`, yuan, the
    order's id) each.
    """
    sql.write(_CASH_IN, [now, *map(list, zip(*incomes, strict=True))])


def surplus_out(
    order: Order, amount: Decimal, *, cash_book: LedgerTransfer.Book, key: str, now: datetime
) -> LedgerTransfer:
    """Money that nobody owed has gone back. `cash_book` as in `refund_transfers`."""
    return _of_order(order, f"surplus:{key}", Book.UNAPPLIED, cash_book, amount, memo="多付退回", now=now)


def external_out(order: Order, amount: Decimal, *, key: str, now: datetime) -> LedgerTransfer:
    """The gateway has given money back without us; what for is still to be said."""
    return _of_order(
        order, f"external:{key}", Book.EXTERNAL_REFUNDS, Book.REFUNDS, amount, memo="渠道侧退款", now=now
    )


def goodwill_out(order: Order, amount: Decimal, *, key: str, now: datetime) -> LedgerTransfer:
    """Money that the gateway gave back was a gift: it undoes no sale."""
    return _of_order(
        order, f"goodwill:{key}", Book.GOODWILL, Book.EXTERNAL_REFUNDS, amount, memo="善意补偿", now=now
    )


def _of_order(
    order: Order,
    key: str,
    debit: LedgerTransfer.Book,
    credit: LedgerTransfer.Book,
    amount: Decimal | int,
    *,
    memo: str,
    now: datetime,
) -> LedgerTransfer:
    return LedgerTransfer(
        key=key,
        debit=debit,
        credit=credit,
        currency=debit.currency,
        amount=amount,
        account_id=order.account_id,
        order=order,
        memo=memo,
        trace_id=order.trace_id,
        created_at=now,
    )
