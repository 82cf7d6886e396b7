"""What no statement may change: balances and counts directly, agreed terms, values that only grow,
append-only rows.
"""

from typing import Any

import pytest
from django.db import IntegrityError, connection, models, transaction

from shop.models import (
    Account,
    Coupon,
    CouponRecord,
    Enrolment,
    LedgerTransfer,
    Order,
    OrderLine,
    OrderRequest,
)
from tests.factories import NOW, make_buyer, make_coupon, make_course, make_order, make_record
from tests.guards import unguarded
from tests.unchanged import nothing_changes

pytestmark = pytest.mark.django_db

REFUSED: list[tuple[type[models.Model], dict[str, Any], str]] = [
    (Account, {"balance": 1000}, "derived"),
    (Account, {"held_balance": 1}, "derived"),
    (Coupon, {"claimed_count": 0}, "derived"),
    (CouponRecord, {"number": "other"}, "frozen"),
    (OrderRequest, {"account_id": 1}, "frozen"),
    (OrderRequest, {"idempotency_key": "other"}, "frozen"),
    (Order, {"cash_due": 1}, "frozen"),
    (Order, {"beili": 1}, "frozen"),
    (Order, {"account_id": 1}, "frozen"),
    (Order, {"order_number": "other"}, "frozen"),
    (Order, {"version": 0}, "only_rise"),
    (OrderLine, {"list_price": 1}, "frozen"),
    (OrderLine, {"valid_period": 1}, "frozen"),
    (Enrolment, {"account_id": 1}, "frozen"),
]


@pytest.fixture
def shop() -> None:
    """A buyer with 10 贝里 and a coupon, who ordered one course with 3 of them and another one for
    nothing.
    """
    buyer = make_buyer(beili=10)
    make_record(buyer, make_coupon(value="5"))
    make_order(buyer, make_course("0.00"))
    make_order(buyer, make_course("9.00"), beili=3, alipay="6.00")


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize(("model", "change", "guard"), REFUSED)
def test_change_is_refused_by_name(model: type[models.Model], change: dict[str, Any], guard: str) -> None:
    with nothing_changes():
        with pytest.raises(IntegrityError) as refusal, transaction.atomic():
            model._default_manager.update(**change)
        cause: Any = refusal.value.__cause__
        assert (cause.diag.table_name, cause.diag.constraint_name) == (model._meta.db_table, guard)


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize(("model", "change", "guard"), REFUSED[:3])
def test_control_without_its_guard_the_change_is_made(
    model: type[models.Model], change: dict[str, Any], guard: str
) -> None:
    with unguarded(model._meta.db_table, guard):
        assert model._default_manager.update(**change) >= 1
    assert model._default_manager.filter(**change).exists()


@pytest.mark.usefixtures("shop")
def test_bulk_update_moves_no_balance() -> None:
    stale = list(Account.objects.all())
    for account in stale:
        account.balance += 1
    with (
        nothing_changes(),
        pytest.raises(IntegrityError, match="moves balance, held_balance only with"),
        transaction.atomic(),
    ):
        Account.objects.bulk_update(stale, ["balance"])


def test_account_begins_with_nothing() -> None:
    with pytest.raises(IntegrityError, match="only with shop_ledgertransfer"), transaction.atomic():
        Account.objects.create(username="rich", balance=100)


def test_campaign_begins_with_no_claims() -> None:
    with pytest.raises(IntegrityError, match="only with shop_couponrecord"), transaction.atomic():
        make_coupon(value="1", claimed_count=1)


def test_transfers_of_one_statement_move_every_balance_once() -> None:
    first, second = make_buyer(beili=10), make_buyer(beili=10)
    LedgerTransfer.objects.bulk_create(
        LedgerTransfer(
            key=key,
            debit=debit,
            credit=credit,
            currency="BEILI",
            amount=amount,
            account=account,
            created_at=NOW,
        )
        for key, debit, credit, amount, account in (
            ("a", "beili_available", "beili_held", 4, first),
            ("b", "beili_held", "beili_spent", 3, first),
            ("c", "beili_issued", "beili_available", 7, second),
            ("d", "beili_available", "beili_issued", 1, second),
        )
    )
    balances = list(Account.objects.order_by("pk").values_list("pk", "balance", "held_balance"))
    assert balances == [(first.pk, 6, 1), (second.pk, 16, 0)]


def test_transfer_below_zero_is_refused_with_all_of_its_statement() -> None:
    buyer = make_buyer(beili=2)
    with nothing_changes(), pytest.raises(IntegrityError, match="balance"), transaction.atomic():
        LedgerTransfer.objects.create(
            key="k",
            debit="beili_available",
            credit="beili_held",
            currency="BEILI",
            amount=3,
            account=buyer,
            created_at=NOW,
        )


def test_coupons_of_one_statement_are_counted_by_campaign() -> None:
    full, other = make_coupon(value="1"), make_coupon(value="1")
    fields = {"claimed_at": NOW, "valid_from_date": NOW.date(), "valid_until_date": NOW.date()}
    CouponRecord.objects.bulk_create(
        CouponRecord(coupon=coupon, account=make_buyer(), number=f"N{number}", **fields)
        for number, coupon in enumerate((full, other, full))
    )
    assert [Coupon.objects.get(pk=coupon.pk).claimed_count for coupon in (full, other)] == [2, 1]


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize("table", ["shop_ledgertransfer", "shop_orderevent"])
def test_append_only_tables_cannot_be_truncated(table: str) -> None:
    with connection.cursor() as cursor, nothing_changes():
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        # Disabled only in the tests' database, where pytest-django empties all tables.
        cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER never_emptied")
        with pytest.raises(IntegrityError, match=f"{table} is append-only"), transaction.atomic():
            cursor.execute(f"TRUNCATE {table} CASCADE")
