"""Transfers and the cached balances."""

from decimal import Decimal

import pytest
from django.db import IntegrityError

from shop.domain import ledger
from shop.errors import BalanceInsufficient
from shop.models import Account, LedgerTransfer
from tests.factories import NOW, make_buyer, make_course, make_order
from tests.unchanged import nothing_changes

pytestmark = pytest.mark.django_db


def test_grant_adds_to_the_balance_and_writes_a_transfer() -> None:
    buyer = make_buyer()
    assert ledger.grant_beili(account=buyer, amount=50, key="scholarship:1", memo="奖学金", now=NOW) is True
    buyer.refresh_from_db()
    (transfer,) = LedgerTransfer.objects.all()
    assert (buyer.balance, buyer.held_balance) == (50, 0)
    assert (transfer.debit, transfer.credit, transfer.amount, transfer.account) == (
        "beili_issued",
        "beili_available",
        Decimal(50),
        buyer,
    )


def test_grant_with_the_same_key_is_one_grant() -> None:
    buyer = make_buyer()
    ledger.grant_beili(account=buyer, amount=50, key="scholarship:1", memo="", now=NOW)
    with nothing_changes():
        assert ledger.grant_beili(account=buyer, amount=50, key="scholarship:1", memo="", now=NOW) is False


def test_balance_cannot_go_below_zero() -> None:
    buyer = make_buyer(beili=5)
    with pytest.raises(IntegrityError, match="balance"):
        LedgerTransfer.objects.create(
            key="k",
            debit="beili_available",
            credit="beili_held",
            currency="BEILI",
            amount=6,
            account=buyer,
            created_at=NOW,
        )


def test_paid_order_books_its_list_price_as_sales() -> None:
    buyer, course = make_buyer(beili=99), make_course("99.00")
    order = make_order(buyer, course, beili=99, alipay="0.00")
    transfers = [
        (row.key, row.debit, row.credit, row.amount) for row in LedgerTransfer.objects.filter(order=order)
    ]
    assert transfers == [
        (f"hold:{order}", "beili_available", "beili_held", Decimal("99.00")),
        (f"capture:{order}", "beili_held", "beili_spent", Decimal("99.00")),
        (f"redeem:{order}", "beili_redeemed", "sales", Decimal("99.00")),
    ]
    assert Account.objects.filter(pk=buyer.pk).values_list("balance", "held_balance").get() == (0, 0)


def test_balances_are_the_fold_of_the_transfers() -> None:
    buyer = make_buyer(beili=300)
    make_order(buyer, make_course("99.00"), beili=99, alipay="0.00")
    make_order(buyer, make_course("99.00"), beili=10, alipay="89.00")
    books = {"beili_available": 0, "beili_held": 0}
    for row in LedgerTransfer.objects.filter(account=buyer, debit__in=["beili_issued", *books]):
        books[row.credit] = books.get(row.credit, 0) + int(row.amount)
        books[row.debit] = books.get(row.debit, 0) - int(row.amount)
    buyer.refresh_from_db()
    assert (buyer.balance, buyer.held_balance) == (books["beili_available"], books["beili_held"]) == (191, 10)


def adjust(buyer: Account, amount: int, staff: Account, *, token: str = "t1") -> bool:
    return ledger.adjust_beili(
        account_id=buyer.pk, amount=amount, token=token, staff=staff, why="致歉", now=NOW
    )


def test_staff_give_and_take_beili_through_the_ledger() -> None:
    buyer, staff = make_buyer(beili=10), make_buyer()
    assert adjust(buyer, 20, staff)
    with nothing_changes():
        assert not adjust(buyer, 20, staff)
    assert adjust(buyer, -25, staff, token="t2")
    given = LedgerTransfer.objects.get(key=f"staff:{staff.pk}:t1")
    assert (given.debit, given.credit, given.amount, given.memo) == (
        "beili_issued",
        "beili_available",
        20,
        "致歉",
    )
    buyer.refresh_from_db()
    assert buyer.balance == 5
    with nothing_changes(), pytest.raises(BalanceInsufficient):
        adjust(buyer, -6, staff, token="t3")
