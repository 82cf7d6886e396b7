"""The database refuses impossible rows, each by its constraint's name."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, models, transaction

from shop.models import (
    Account,
    Coupon,
    CouponRecord,
    Course,
    Enrolment,
    LedgerTransfer,
    Order,
    OrderEvent,
    OrderLine,
    OrderRequest,
    PricePolicy,
)
from shop.states import CouponType
from tests.factories import (
    NOW,
    make_buyer,
    make_coupon,
    make_course,
    make_order,
    make_policy,
    make_record,
    make_request,
)
from tests.guards import unguarded

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)
TODAY = NOW.date()


@pytest.fixture
def rows() -> dict[type[models.Model], models.Model]:
    """One valid row of each kind."""
    buyer = make_buyer(beili=10)
    course = make_course("99.00")
    coupon = make_coupon(value="10")
    order = make_order(buyer, course, beili=9, alipay="90.00")
    free = make_order(buyer, make_course("0.00"))
    return {
        Account: buyer,
        Course: course,
        PricePolicy: course.price_policies.get(),
        Coupon: coupon,
        CouponRecord: make_record(buyer, coupon),
        OrderRequest: make_request(buyer, course),
        Order: order,
        OrderLine: order.lines.get(),
        Enrolment: Enrolment.objects.get(order_line__order=free),
    }


IMPOSSIBLE: list[tuple[type[models.Model], dict[str, Any], str]] = [
    (Account, {"balance": -1}, "account_balances_not_negative|balance_check"),
    (Account, {"held_balance": -1}, "account_balances_not_negative|balance_check"),
    (Course, {"status": 3}, "course_status_known"),
    (Course, {"course_type": 4}, "course_type_known"),
    (PricePolicy, {"price": "-0.01"}, "price_policy_price_not_negative"),
    (PricePolicy, {"price": "100000000.01"}, "price_policy_price_payable"),
    (PricePolicy, {"valid_period": 210}, "price_policy_period_known"),
    (PricePolicy, {"valid_period": 0}, "price_policy_period_known"),
    (Coupon, {"money_equivalent_value": "0"}, "coupon_type_has_its_fields"),
    (Coupon, {"off_percent": 79}, "coupon_type_has_its_fields"),
    (
        Coupon,
        {"coupon_type": CouponType.PERCENT, "money_equivalent_value": "0"},
        "coupon_type_has_its_fields",
    ),
    (
        Coupon,
        {"coupon_type": CouponType.PERCENT, "money_equivalent_value": "0", "off_percent": 100},
        "coupon_type_has_its_fields",
    ),
    (
        Coupon,
        {"coupon_type": CouponType.PERCENT, "money_equivalent_value": "0", "off_percent": 0},
        "coupon_type_has_its_fields",
    ),
    (Coupon, {"coupon_type": CouponType.THRESHOLD}, "coupon_type_has_its_fields"),
    (Coupon, {"coupon_type": 3}, "coupon_type_has_its_fields"),
    (Coupon, {"money_equivalent_value": "-1"}, "coupon_type_has_its_fields|coupon_amounts_not_negative"),
    (Coupon, {"scope": "course"}, "coupon_scope_matches_course"),
    (Coupon, {"scope": "elsewhere"}, "coupon_scope_matches_course"),
    (Coupon, {"claimed_count": 101}, "coupon_claims_within_quantity"),
    (Coupon, {"close_date": TODAY, "open_date": TODAY + DAY}, "coupon_claim_window_in_order"),
    (Coupon, {"valid_begin_date": TODAY, "valid_end_date": TODAY - DAY}, "coupon_validity_defined"),
    (Coupon, {"valid_begin_date": None, "valid_end_date": None}, "coupon_validity_defined"),
    (Coupon, {"valid_end_date": None, "coupon_valid_days": 1}, "coupon_validity_defined"),
    (Coupon, {"coupon_valid_days": 0}, "coupon_valid_days_positive"),
    (Coupon, {"coupon_valid_days": 36501}, "coupon_valid_days_bounded"),
    (CouponRecord, {"status": "used"}, "coupon_record_status_matches_order"),
    (CouponRecord, {"status": "reserved"}, "coupon_record_status_matches_order"),
    (CouponRecord, {"status": "lost"}, "coupon_record_status_matches_order"),
    (CouponRecord, {"used_at": NOW}, "coupon_record_status_matches_order"),
    (
        CouponRecord,
        {"valid_from_date": TODAY, "valid_until_date": TODAY - DAY},
        "coupon_record_dates_in_order",
    ),
    (OrderRequest, {"status": "created"}, "order_request_status_matches_decision"),
    (
        OrderRequest,
        {"status": "rejected", "decided_at": NOW, "available_at": None},
        "order_request_status_matches_decision",
    ),
    (OrderRequest, {"error_slug": "quote_changed"}, "order_request_status_matches_decision"),
    (OrderRequest, {"decided_at": NOW}, "order_request_status_matches_decision"),
    (OrderRequest, {"dead_at": NOW}, "order_request_dead_is_not_due"),
    (Order, {"cash_due": "89.99"}, "order_amounts_add_up"),
    (Order, {"global_discount": "-90.00", "cash_due": "180.00"}, "order_amounts_not_negative"),
    (Order, {"refunded_amount": "90.01"}, "order_refunds_within_payment"),
    (Order, {"refunded_beili": 10}, "order_refunds_within_payment"),
    (Order, {"beili_per_yuan": 10}, "order_beili_worth_their_rate"),
    (Order, {"paid_at": NOW}, "order_status_matches_times"),
    (Order, {"status": "paid"}, "order_status_matches_times"),
    (Order, {"status": "cancelled"}, "order_status_matches_times"),
    (Order, {"status": "expired"}, "order_status_matches_times"),
    (Order, {"status": "refunded", "paid_at": NOW}, "order_status_matches_times"),
    (Order, {"status": "shipped"}, "order_status_matches_times"),
    (Order, {"closes_at": NOW}, "order_closes_after_shown_deadline"),
    (Order, {"dead_at": NOW}, "order_dead_is_not_due"),
    (OrderLine, {"cash_amount": "89.99"}, "order_line_amounts_add_up"),
    (OrderLine, {"global_discount": "-1.00", "cash_amount": "91.00"}, "order_line_amounts_not_negative"),
    (OrderLine, {"valid_period": 0}, "order_line_grants_time"),
    (Enrolment, {"valid_until": NOW}, "enrolment_grants_time"),
    (Enrolment, {"valid_until": NOW + 36501 * DAY}, "enrolment_ends_in_sight"),
    (Enrolment, {"status": "revoked"}, "enrolment_status_matches_times"),
    (Enrolment, {"revoked_at": NOW}, "enrolment_status_matches_times"),
]


@pytest.mark.parametrize(
    ("model", "change", "names"), IMPOSSIBLE, ids=lambda value: getattr(value, "__name__", None)
)
def test_impossible_row_is_refused(
    rows: dict[Any, Any], model: type[models.Model], change: dict[str, Any], names: str
) -> None:
    with unguarded(model._meta.db_table), pytest.raises(IntegrityError) as refusal, transaction.atomic():
        model.objects.filter(pk=rows[model].pk).update(**change)  # type: ignore[attr-defined] # every model has objects
    assert any(
        f'"{name}"' in str(refusal.value)
        or (name == "balance_check" and "balance_check" in str(refusal.value))
        for name in names.split("|")
    )


def _copy(row: models.Model, **changes: Any) -> models.Model:
    fields = {
        field.attname: getattr(row, field.attname)
        for field in row._meta.concrete_fields
        if not field.primary_key
    }
    return type(row)(**{**fields, **changes})


TWINS: list[tuple[type[models.Model], dict[str, Any], str]] = [
    (Course, {}, "shop_course_name_key"),
    (PricePolicy, {}, "price_policy_one_per_period"),
    (CouponRecord, {"number": "other"}, "coupon_record_one_per_buyer"),
    (OrderRequest, {"idempotency_key": "other"}, "order_request_number"),
    (OrderRequest, {"order_number": "other"}, "order_request_idempotency_key"),
    (Order, {"order_number": "other"}, "shop_order_request_id_key"),
    (OrderLine, {}, "order_line_one_per_course"),
    (Enrolment, {}, "shop_enrolment_order_line_id_key"),
]


@pytest.mark.parametrize(("model", "changes", "name"), TWINS)
def test_twin_is_refused(
    rows: dict[Any, Any], model: type[models.Model], changes: dict[str, Any], name: str
) -> None:
    with pytest.raises(IntegrityError, match=name), transaction.atomic():
        _copy(rows[model], **changes).save()


def test_two_buyers_never_have_coupons_of_one_number(rows: dict[Any, Any]) -> None:
    with pytest.raises(IntegrityError, match="coupon_record_number"), transaction.atomic():
        _copy(rows[CouponRecord], account_id=make_buyer().pk).save()


def test_second_request_of_one_checkout_is_refused(rows: dict[Any, Any]) -> None:
    request = rows[OrderRequest]
    OrderRequest.objects.filter(pk=request.pk).update(checkout_id="C1")
    with pytest.raises(IntegrityError, match="order_request_one_per_checkout"), transaction.atomic():
        _copy(request, idempotency_key="other", order_number="other", checkout_id="C1").save()


def test_two_policies_of_one_course_differ_in_period(rows: dict[Any, Any]) -> None:
    make_policy(rows[Course], "99.00", period=360)


TRANSFERS: list[tuple[dict[str, Any], str]] = [
    ({"amount": 0}, "transfer_amount_positive"),
    ({"amount": -1}, "transfer_amount_positive"),
    ({"credit": "beili_issued"}, "transfer_between_two_books"),
    ({"credit": "sales"}, "transfer_within_one_currency"),
    ({"account": None}, "transfer_within_one_currency"),
    ({"debit": "alipay_cash"}, "transfer_within_one_currency"),
    ({"debit": "pocket"}, "transfer_within_one_currency"),
    ({"currency": "CNY"}, "transfer_within_one_currency"),
    ({"currency": "USD"}, "transfer_within_one_currency"),
    ({"debit": "alipay_cash", "credit": "unapplied"}, "transfer_within_one_currency"),
    ({"amount": "0.50"}, "transfer_whole_beili"),
]


@pytest.mark.parametrize(("change", "name"), TRANSFERS)
def test_impossible_transfer_is_refused(change: dict[str, Any], name: str) -> None:
    good = {
        "key": "k",
        "debit": "beili_issued",
        "credit": "beili_available",
        "currency": "BEILI",
        "amount": 1,
        "account": make_buyer(),
        "created_at": NOW,
    }
    with pytest.raises(IntegrityError, match=name), transaction.atomic():
        LedgerTransfer.objects.create(**{**good, **change})
    LedgerTransfer.objects.create(**good)
    with pytest.raises(IntegrityError, match="transfer_key"), transaction.atomic():
        LedgerTransfer.objects.create(**good)


@pytest.mark.parametrize(
    "edit", [lambda rows: rows.update(memo="x"), lambda rows: rows.delete()], ids=["update", "delete"]
)
def test_ledger_is_append_only(edit: Callable[[Any], Any]) -> None:
    make_buyer(beili=5)
    before = list(LedgerTransfer.objects.values())
    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
        edit(LedgerTransfer.objects.all())
    assert list(LedgerTransfer.objects.values()) == before


@pytest.mark.parametrize(
    "edit", [lambda rows: rows.update(cause="x"), lambda rows: rows.delete()], ids=["update", "delete"]
)
def test_timeline_is_append_only(edit: Callable[[Any], Any]) -> None:
    make_order(make_buyer(), make_course())
    before = list(OrderEvent.objects.values())
    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
        edit(OrderEvent.objects.all())
    assert list(OrderEvent.objects.values()) == before


def test_every_rule_is_in_the_database() -> None:
    """A constraint that no migration has created would have no effect."""
    every = {constraint.name for model in (Account, Coupon, CouponRecord, Course, Enrolment, LedgerTransfer,
            Order, OrderLine, OrderRequest,
            PricePolicy) for constraint in model._meta.constraints}  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT conname FROM pg_constraint UNION SELECT indexname FROM pg_indexes WHERE schemaname = "
            "'public'"
        )
        assert every <= {name for (name,) in cursor.fetchall()}


def test_rows_say_what_they_are(rows: dict[Any, Any]) -> None:
    order = rows[Order]
    texts = [str(rows[model]) for model in (Course, PricePolicy, Coupon, Order, OrderLine)]
    assert texts == [
        rows[Course].name,
        "1个月 ¥99.00",
        rows[Coupon].name,
        order.order_number,
        f"{rows[Course].name} 1个月",
    ]
