"""Transfers between books, and the cached balances that they must add up to. Callers hold the accounts' locks."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from django.db import connection, transaction

from shop.models import Account, LedgerTransfer, Order

Book = LedgerTransfer.Book


def grant_beili(*, account: Account, amount: int, key: str, memo: str, now: datetime) -> bool:
    """Gives a buyer 贝里 from outside (a scholarship, a demo). The same `key` twice is one grant; returns whether this call made it."""
    with transaction.atomic():
        Account.objects.select_for_update(no_key=True).get(pk=account.pk)
        if LedgerTransfer.objects.filter(key=key).exists():
            return False
        LedgerTransfer.objects.create(
            key=key, debit=Book.BEILI_ISSUED, credit=Book.BEILI_AVAILABLE, amount=amount, account=account, memo=memo, created_at=now
        )
        move_balances({account.pk: (amount, 0)})
    return True


def hold_transfers(orders: Iterable[Order], *, now: datetime) -> list[LedgerTransfer]:
    """The transfers that lock the orders' 贝里: available → held."""
    return [
        LedgerTransfer(
            key=f"hold:{order.order_number}",
            debit=Book.BEILI_AVAILABLE,
            credit=Book.BEILI_HELD,
            amount=order.beili,
            account_id=order.account_id,
            order=order,
            memo="下单锁定",
            created_at=now,
        )
        for order in orders
        if order.beili
    ]


def settlement_transfers(orders: Iterable[Order], *, now: datetime) -> list[LedgerTransfer]:
    """The transfers of paid orders: held 贝里 captured, and the list price booked as sales from what covered it."""
    transfers = []
    for order in orders:
        legs = (
            ("capture", Book.BEILI_HELD, Book.BEILI_SPENT, order.beili, "支付扣除"),
            ("subsidy", Book.COUPON_SUBSIDY, Book.SALES, order.course_discount + order.global_discount, "优惠券"),
            ("redeem", Book.BEILI_REDEEMED, Book.SALES, order.beili_amount, "贝里抵扣"),
            ("cash", Book.ALIPAY_CASH, Book.SALES, order.cash_due, "支付宝"),
        )
        transfers += [
            LedgerTransfer(
                key=f"{cause}:{order.order_number}",
                debit=debit,
                credit=credit,
                amount=amount,
                account_id=order.account_id,
                order=order,
                memo=memo,
                created_at=now,
            )
            for cause, debit, credit, amount, memo in legs
            if amount
        ]
    return transfers


def move_balances(changes: Mapping[int, tuple[int, int]]) -> None:
    """Adds (available, held) 贝里 to each account's cached balances. A CHECK refuses to go below zero."""
    if not changes:
        return
    ids = sorted(changes)
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE shop_account AS account SET balance = balance + change.available, held_balance = held_balance + change.held
            FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[]) AS change(id, available, held) WHERE account.id = change.id
            """,
            [ids, [changes[pk][0] for pk in ids], [changes[pk][1] for pk in ids]],
        )
