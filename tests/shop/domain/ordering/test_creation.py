"""Creating orders from requests."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pytest_django import Settings

from shop.domain.ordering import creation
from shop.domain.ordering.intake import place_order
from shop.domain.purchase import LineChoice, Purchase
from shop.domain.work import due_rows
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
from shop.states import (
    CouponRecordStatus,
    CouponScope,
    CouponType,
    CourseStatus,
    OrderRequestStatus,
    OrderStatus,
    PaymentType,
)
from tests.factories import (
    FAR_AHEAD,
    NOW,
    decide,
    make_buyer,
    make_coupon,
    make_course,
    make_order,
    make_policy,
    make_record,
    make_request,
    policy_of,
)
from tests.shop.domain.checkout.test_cart import add
from tests.shop.domain.ordering.test_intake import checked_out
from tests.unchanged import everything

pytestmark = pytest.mark.django_db
D = Decimal


def refusal_of(request: OrderRequest) -> tuple[str, dict[str, Any]]:
    """Decides a request that must be rejected, and checks that only the request itself has changed."""
    before = everything()
    decide(request)
    after = everything()
    row = OrderRequest.objects.get(pk=request.pk)
    assert (row.status, row.decided_at, row.available_at) == ("rejected", NOW, None)
    after["OrderRequest"] = before["OrderRequest"]
    assert after == before
    return request.error_slug, request.error_details


def test_worked_example() -> None:
    buyer, a, b = (
        make_buyer(beili=18),
        make_course("99.00", name="A", period=30),
        make_course("59.90", name="B", period=360),
    )
    percent = make_record(buyer, make_coupon(CouponType.PERCENT, off_percent=79, course=a))
    minus_20 = make_record(buyer, make_coupon(CouponType.THRESHOLD, "20", minimum="100"))
    order = make_order(
        buyer, a, b, coupons={a.pk: percent}, global_coupon=minus_20, beili=18, alipay="100.11"
    )
    amounts = (
        order.list_total,
        order.course_discount,
        order.global_discount,
        order.beili,
        order.beili_amount,
        order.cash_due,
    )
    assert amounts == (D("158.90"), D("20.79"), D("20.00"), 18, D("18.00"), D("100.11"))
    assert (order.status, order.payment_type, order.beili_per_yuan) == (
        OrderStatus.AWAITING_PAYMENT,
        PaymentType.ALIPAY,
        1,
    )
    lines = list(order.lines.order_by("pk").values_list("course_name", "valid_period", "valid_period_display",
            "list_price", "course_discount", "global_discount", "beili_amount", "cash_amount",
            "coupon_record"))  # fmt: skip
    assert lines == [
        ("A", 30, "1个月", D("99.00"), D("20.79"), D("11.33"), D("10.19"), D("56.69"), percent.pk),
        ("B", 360, "12个月", D("59.90"), D("0.00"), D("8.67"), D("7.81"), D("43.42"), None),
    ]
    for record in (percent, minus_20):
        record.refresh_from_db()
        assert (record.status, record.order, record.used_at) == (CouponRecordStatus.RESERVED, order, None)
    buyer.refresh_from_db()
    assert (buyer.balance, buyer.held_balance) == (0, 18)
    events = list(order.events.values_list("kind", "at", "cause", "details"))
    assert events == [
        ("placed", NOW, "test", {"list_total": "158.90", "alipay": "100.11"}),
        ("coupons_reserved", NOW, "test", {"coupons": 2, "saved": "40.79"}),
        ("beili_held", NOW, "test", {"beili": 18}),
    ]
    assert not Enrolment.objects.exists()


def test_worked_example_at_ten_beili_a_yuan(settings: Settings) -> None:
    settings.BEILI_PER_YUAN = 10
    buyer, a, b = make_buyer(beili=100), make_course("99.00"), make_course("59.90")
    percent = make_record(buyer, make_coupon(CouponType.PERCENT, off_percent=79, course=a))
    minus_20 = make_record(buyer, make_coupon(CouponType.THRESHOLD, "20", minimum="100"))
    order = make_order(
        buyer, a, b, coupons={a.pk: percent}, global_coupon=minus_20, beili=100, alipay="108.11"
    )
    assert (order.beili, order.beili_per_yuan, order.beili_amount, order.cash_due) == (
        100,
        10,
        D("10.00"),
        D("108.11"),
    )


def test_deadlines(settings: Settings) -> None:
    order = make_order(make_buyer(), make_course())
    expires_at = NOW + timedelta(seconds=settings.ORDER_TTL_S)
    closes_at = expires_at + timedelta(seconds=settings.ORDER_GRACE_S)
    assert (order.created_at, order.expires_at, order.closes_at, order.available_at) == (
        NOW,
        expires_at,
        closes_at,
        closes_at,
    )


@pytest.mark.parametrize(("beili", "payment_type"), [(99, PaymentType.BEILI), (0, PaymentType.COUPON)])
def test_order_without_cash_is_paid_at_once(beili: int, payment_type: PaymentType) -> None:
    buyer, course = make_buyer(beili=beili), make_course("99.00")
    record = None if beili else make_record(buyer, make_coupon(value="99"))
    order = make_order(buyer, course, beili=beili, global_coupon=record, alipay="0.00")
    assert (order.status, order.paid_at, order.available_at, order.payment_type) == (
        OrderStatus.PAID,
        NOW,
        None,
        payment_type,
    )
    assert [event.kind for event in order.events.all()][-2:] == ["paid", "enrolled"]
    enrolment = Enrolment.objects.get(order_line__order=order)
    assert (enrolment.account, enrolment.course, enrolment.valid_until) == (
        buyer,
        course,
        NOW + timedelta(days=30),
    )
    if record:
        record.refresh_from_db()
        assert (record.status, record.used_at) == (CouponRecordStatus.USED, NOW)


def test_bought_courses_leave_the_cart_and_others_stay() -> None:
    from shop.domain.checkout import cart

    buyer, bought, kept = make_buyer(), make_course(), make_course()
    add(buyer, bought)
    add(buyer, kept)
    make_order(buyer, bought)
    assert list(cart.read_choices(account_id=buyer.pk)) == [kept.pk]


def test_decided_request_is_left_alone() -> None:
    order = make_order(make_buyer(), make_course())
    before = everything()
    creation.create_orders([order.request_id], now=NOW + timedelta(days=1), cause="again")
    assert everything() == before


def test_rising_price_needs_a_new_consent() -> None:
    buyer, course = make_buyer(), make_course("99.00")
    request = make_request(buyer, course)
    PricePolicy.objects.filter(course=course).update(price="100.00")
    slug, details = refusal_of(request)
    assert (slug, details["quote"]["alipay"]) == ("quote_changed", "100.00")


def test_moved_price_is_refused_even_when_the_total_is_the_same() -> None:
    buyer, course, other = make_buyer(), make_course("60.00"), make_course("40.00")
    request = make_request(buyer, course, other, checkout_id=checked_out(buyer, course, other))
    PricePolicy.objects.filter(course=course).update(price="40.00")
    PricePolicy.objects.filter(course=other).update(price="60.00")
    assert refusal_of(request)[0] == "quote_changed"


def test_moved_period_is_refused_with_the_new_one() -> None:
    buyer, course = make_buyer(), make_course("429.00", period=360)
    request = make_request(buyer, course, checkout_id=checked_out(buyer, course))
    PricePolicy.objects.filter(course=course).update(valid_period=14)
    slug, details = refusal_of(request)
    assert (slug, [line["valid_period"] for line in details["quote"]["lines"]]) == ("quote_changed", [14])


def test_period_that_the_request_names_is_held_to_without_a_checkout() -> None:
    buyer, course = make_buyer(), make_course("429.00", period=360)
    policy = policy_of(course)
    line = LineChoice(course.pk, policy.pk, None, valid_period=360)
    purchase = Purchase([line], None, 0, policy.price, None)
    good, bad = (
        place_order(account=buyer, purchase=purchase, idempotency_key=key, request_id="test", now=NOW)[0]
        for key in ("good", "bad")
    )
    decide(good)
    assert good.status == "created"
    Order.objects.get().events.all()
    PricePolicy.objects.filter(course=course).update(valid_period=14)
    OrderRequest.objects.filter(pk=bad.pk).update(body={**bad.body, "buy_again": True})
    assert refusal_of(bad)[0] == "quote_changed"


def test_renamed_course_is_the_same_course() -> None:
    buyer, course = make_buyer(), make_course("9.00")
    request = make_request(buyer, course, checkout_id=checked_out(buyer, course))
    Course.objects.update(name="新名")
    decide(request)
    assert request.status == "created"


COUPONS: dict[str, tuple[dict[str, Any], dict[str, Any], str, str]] = {
    "value": ({"value": "10"}, {"money_equivalent_value": "20"}, "90.00", "80.00"),
    "percent": ({"kind": CouponType.PERCENT, "off_percent": 90}, {"off_percent": 80}, "90.00", "80.00"),
    "minimum": (
        {"kind": CouponType.THRESHOLD, "value": "10", "minimum": "50"},
        {"minimum_consume": "101"},
        "90.00",
        "100.00",
    ),
    "type": (
        {"value": "10"},
        {"coupon_type": CouponType.PERCENT, "money_equivalent_value": "0", "off_percent": 50},
        "90.00",
        "50.00",
    ),
}


@pytest.mark.parametrize("is_global", [True, False])
@pytest.mark.parametrize("case", COUPONS)
def test_coupon_whose_terms_moved_is_refused_with_the_new_quote(case: str, is_global: bool) -> None:
    made, edit, agreed, new = COUPONS[case]
    buyer, course = make_buyer(), make_course("100.00")
    record = make_record(buyer, make_coupon(course=None if is_global else course, **made))
    choice: dict[str, Any] = {"global_coupon": record} if is_global else {"coupons": {course.pk: record}}
    request = make_request(buyer, course, checkout_id=checked_out(buyer, course), alipay=agreed, **choice)
    Coupon.objects.update(**edit)
    slug, details = refusal_of(request)
    assert (slug, details["quote"]["alipay"]) == ("quote_changed", new)


@pytest.mark.parametrize("is_global", [True, False])
def test_coupon_that_is_for_other_courses_now_is_refused_with_the_new_quote(is_global: bool) -> None:
    buyer, course, other = make_buyer(), make_course("100.00"), make_course()
    record = make_record(buyer, make_coupon(value="10", course=None if is_global else course))
    choice: dict[str, Any] = {"global_coupon": record} if is_global else {"coupons": {course.pk: record}}
    request = make_request(buyer, course, checkout_id=checked_out(buyer, course), alipay="90.00", **choice)
    Coupon.objects.update(scope=CouponScope.COURSE, course=other)
    slug, details = refusal_of(request)
    quote = details["quote"]
    assert (slug, quote["alipay"], quote["coupon_record_id"], quote["lines"][0]["coupon_record_id"]) == (
        "quote_changed",
        "100.00",
        0,
        0,
    )


def test_coupons_that_moved_against_each_other_are_refused_although_the_total_is_the_same() -> None:
    buyer, course = make_buyer(), make_course("100.00")
    on_course, on_order = (
        make_record(buyer, make_coupon(value="10", course=course)),
        make_record(buyer, make_coupon(value="20")),
    )
    choice: dict[str, Any] = {"coupons": {course.pk: on_course}, "global_coupon": on_order}
    request = make_request(buyer, course, checkout_id=checked_out(buyer, course), alipay="70.00", **choice)
    Coupon.objects.filter(pk=on_course.coupon_id).update(money_equivalent_value="20")
    Coupon.objects.filter(pk=on_order.coupon_id).update(money_equivalent_value="10")
    assert refusal_of(request)[0] == "quote_changed"


def test_changed_terms_with_the_same_discount_are_accepted() -> None:
    buyer, course = make_buyer(), make_course("100.00")
    record = make_record(buyer, make_coupon(CouponType.THRESHOLD, "10", minimum="50"))
    request = make_request(
        buyer, course, checkout_id=checked_out(buyer, course), alipay="90.00", global_coupon=record
    )
    Coupon.objects.update(minimum_consume="60", name="新名")
    decide(request)
    assert request.status == "created"


def test_coupon_that_the_checkout_did_not_know_is_taken_as_it_is() -> None:
    buyer, course = make_buyer(), make_course("100.00")
    checkout_id = checked_out(buyer, course)
    request = make_request(
        buyer, course, checkout_id=checkout_id, alipay="90.00", global_coupon=make_record(buyer)
    )
    decide(request)
    assert request.status == "created"


def test_more_than_alipay_takes_is_refused() -> None:
    buyer, course, other = make_buyer(beili=1), make_course("100000000.00"), make_course("0.01")
    details = {"alipay": "100000000.01", "limit": "100000000.00"}
    assert refusal_of(make_request(buyer, course, other, alipay="100000000.01")) == (
        "amount_too_large",
        details,
    )
    decide(request := make_request(buyer, course, make_course("1.00"), beili=1, alipay="100000000.00"))
    assert request.status == "created"


@pytest.mark.parametrize("alipay", ["98.99", "99.01", "0.00", "0.01"])
def test_other_amount_than_the_servers_is_refused(alipay: str) -> None:
    request = make_request(make_buyer(), make_course("99.00"), alipay=alipay)
    slug, details = refusal_of(request)
    assert (slug, details["quote"]["alipay"]) == ("quote_changed", "99.00")


def test_more_beili_than_the_price_are_refused() -> None:
    request = make_request(make_buyer(beili=200), make_course("99.00"), beili=100, alipay="0.00")
    slug, details = refusal_of(request)
    assert (slug, details["quote"]["beili_max"]) == ("quote_changed", 99)


def test_more_beili_than_the_balance_are_refused() -> None:
    request = make_request(make_buyer(beili=9), make_course("99.00"), beili=10, alipay="89.00")
    assert refusal_of(request) == ("balance_insufficient", {"balance": 9, "wanted": 10})


def test_course_that_went_offline_is_refused() -> None:
    course = make_course()
    request = make_request(make_buyer(), course)
    Course.objects.update(status=CourseStatus.OFFLINE)
    assert refusal_of(request) == ("course_not_on_sale", {"course_id": course.pk})


def test_policy_that_is_gone_is_refused() -> None:
    course = make_course()
    policy_id = policy_of(course).pk
    request = make_request(make_buyer(), course)
    policy_of(course).delete()
    assert refusal_of(request) == ("policy_not_found", {"course_id": course.pk, "policy_id": policy_id})


def test_policy_of_another_course_is_refused() -> None:
    course, other = make_course(), make_course()
    request = make_request(make_buyer(), course)
    PricePolicy.objects.filter(course=course).update(course=other, valid_period=90)
    assert refusal_of(request)[0] == "policy_not_found"


@pytest.mark.parametrize(
    "fields",
    [
        {"status": CouponRecordStatus.EXPIRED},
        {"valid_until_date": NOW.date() - timedelta(days=1)},
        {"valid_from_date": NOW.date() + timedelta(days=1)},
    ],
    ids=["expired", "over", "not yet"],
)
def test_coupon_that_cannot_be_used_now_is_refused(fields: dict[str, Any]) -> None:
    buyer = make_buyer()
    record = make_record(buyer, **fields)
    request = make_request(buyer, make_course("99.00"), global_coupon=record, alipay="89.00")
    assert refusal_of(request) == ("coupon_unavailable", {"coupon_record_id": record.pk})


def test_another_buyers_coupon_is_refused() -> None:
    record = make_record(make_buyer())
    request = make_request(make_buyer(), make_course("99.00"), global_coupon=record, alipay="89.00")
    assert refusal_of(request)[0] == "coupon_unavailable"


def test_coupon_that_does_not_exist_is_refused() -> None:
    request = make_request(
        make_buyer(), make_course("99.00"), global_coupon=CouponRecord(pk=2**62), alipay="89.00"
    )
    assert refusal_of(request)[0] == "coupon_unavailable"


def test_coupon_reserved_for_another_order_is_refused() -> None:
    buyer = make_buyer()
    record = make_record(buyer)
    make_order(buyer, make_course("99.00"), global_coupon=record, alipay="89.00")
    request = make_request(buyer, make_course("99.00"), global_coupon=record, alipay="89.00")
    assert refusal_of(request)[0] == "coupon_unavailable"


def test_coupon_twice_in_one_order_is_refused() -> None:
    buyer, course, other = make_buyer(), make_course("99.00"), make_course("99.00")
    record = make_record(buyer, make_coupon(value="10", scope=CouponScope.ANY_COURSE))
    request = make_request(
        buyer, course, other, coupons={course.pk: record, other.pk: record}, alipay="178.00"
    )
    assert refusal_of(request) == ("coupon_unavailable", {"reason": "twice_in_one_order"})


def test_other_courses_coupon_is_refused() -> None:
    buyer, course = make_buyer(), make_course("99.00")
    record = make_record(buyer, make_coupon(value="10", course=make_course()))
    request = make_request(buyer, course, coupons={course.pk: record}, alipay="89.00")
    slug, details = refusal_of(request)
    assert (slug, details["reason"]) == ("coupon_not_applicable", "other_course")


def test_global_coupon_on_a_course_is_refused() -> None:
    buyer, course = make_buyer(), make_course("99.00")
    request = make_request(buyer, course, coupons={course.pk: make_record(buyer)}, alipay="89.00")
    assert refusal_of(request)[1]["reason"] == "other_course"


def test_course_coupon_on_the_whole_order_is_refused() -> None:
    buyer, course = make_buyer(), make_course("99.00")
    record = make_record(buyer, make_coupon(value="10", course=course))
    request = make_request(buyer, course, global_coupon=record, alipay="89.00")
    assert refusal_of(request)[1]["reason"] == "not_a_global_coupon"


@pytest.mark.parametrize("is_global", [True, False])
def test_coupon_below_its_threshold_is_refused(is_global: bool) -> None:
    buyer, course = make_buyer(), make_course("99.00")
    record = make_record(
        buyer, make_coupon(CouponType.THRESHOLD, "10", minimum="99.01", course=None if is_global else course)
    )
    choice: dict[str, Any] = {"global_coupon": record} if is_global else {"coupons": {course.pk: record}}
    request = make_request(buyer, course, alipay="99.00", **choice)
    assert refusal_of(request)[1]["reason"] == "below_minimum"


def test_order_keeps_what_was_bought_when_the_course_changes() -> None:
    course = make_course("99.00", name="旧名")
    order = make_order(make_buyer(), course)
    Course.objects.update(name="新名")
    PricePolicy.objects.update(price="1.00")
    policy_of(course).delete()
    line = order.lines.get()
    assert (line.course_name, line.list_price, line.policy) == ("旧名", D("99.00"), None)


def test_create_due_orders_takes_batch_after_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(creation, "BATCH_SIZE", 2)
    buyer, course = make_buyer(), make_course()
    for _ in range(5):
        make_request(buyer, course)
    assert creation.create_due_orders(now=NOW, cause="test") == 5
    assert Order.objects.count() == 5
    assert creation.create_due_orders(now=NOW, cause="test") == 0


def test_create_due_orders_stops_after_the_batch_in_which_its_time_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(due_rows, "DRAIN_S", 0)
    monkeypatch.setattr(creation, "BATCH_SIZE", 2)
    buyer, course = make_buyer(), make_course()
    for _ in range(3):
        make_request(buyer, course)
    assert creation.create_due_orders(now=NOW, cause="test") == 2
    assert Order.objects.count() == 2


def test_row_that_raises_is_put_back_alone() -> None:
    buyer, course = make_buyer(), make_course()
    good, bad, also_good = (make_request(buyer, course) for _ in range(3))
    OrderRequest.objects.filter(pk=bad.pk).update(body={"lines": "nonsense"})
    creation.create_due_orders(now=NOW, cause="test")
    assert set(Order.objects.values_list("request_id", flat=True)) == {good.pk, also_good.pk}
    bad.refresh_from_db()
    assert (bad.status, bad.attempts, bad.available_at) == ("pending", 1, NOW + timedelta(seconds=2))
    assert bad.last_error


def test_requests_that_used_all_attempts_are_rejected_and_take_nothing() -> None:
    buyer = make_buyer(beili=5)
    request = make_request(buyer, make_course(), beili=5, alipay="94.00")
    OrderRequest.objects.update(attempts=OrderRequest.MAX_ATTEMPTS)
    assert creation.give_up_requests(now=NOW) == 1
    request.refresh_from_db()
    assert (request.status, request.error_slug, request.dead_at) == ("rejected", "order_failed", NOW)
    buyer.refresh_from_db()
    assert (buyer.balance, Order.objects.count()) == (5, 0)


@pytest.mark.usefixtures("valkey_away")
def test_order_stands_although_its_cart_could_not_be_emptied() -> None:
    assert make_order(make_buyer(), make_course()).status == OrderStatus.AWAITING_PAYMENT


WISHES = st.lists(
    st.tuples(
        st.integers(0, 1),  # buyer
        st.lists(st.integers(0, 2), min_size=1, max_size=3, unique=True),  # courses
        st.none() | st.integers(0, 2),  # a coupon on the first course
        st.none() | st.integers(3, 4),  # a global coupon
        st.integers(0, 40),  # 贝里
        st.sampled_from([0, 0, 0, 0, 1]),  # fen that the buyer's figure is off by
    ),
    min_size=1,
    max_size=6,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(wishes=WISHES)
def test_a_batch_gives_what_one_by_one_gives(
    db: None, wishes: list[tuple[int, list[int], int | None, int | None, int, int]]
) -> None:
    results = []
    for in_one_batch in (True, False):
        start = transaction.savepoint()
        requests = _wished(wishes)
        for part in [requests] if in_one_batch else [[request] for request in requests]:
            creation.create_orders([request.pk for request in part], now=NOW, cause="test")
        results.append(_outcome(requests))
        transaction.savepoint_rollback(start)
    assert results[0] == results[1]
    assert len(results[0]["requests"]) == len(wishes)


def _wished(wishes: list[tuple[int, list[int], int | None, int | None, int, int]]) -> list[OrderRequest]:
    """The same buyers, courses and coupons in each run; both buyers request coupons that only the first of
    them has.
    """
    from shop.domain.coupons.coupons import terms_of
    from shop.domain.pricing.rules import LineInput, price_order
    from shop.errors import CouponNotApplicable

    buyers = [make_buyer(beili=50), make_buyer(beili=20)]
    courses = [make_course("30.00"), make_course("45.50"), make_course("0.00")]
    campaigns = [
        make_coupon(value="12", course=courses[0]),
        make_coupon(CouponType.PERCENT, off_percent=79, scope=CouponScope.ANY_COURSE),
        make_coupon(CouponType.THRESHOLD, "10", minimum="40", scope=CouponScope.ANY_COURSE),
        make_coupon(CouponType.THRESHOLD, "20", minimum="60"),
        make_coupon(value="5", valid_end_date=FAR_AHEAD),
    ]
    records = [make_record(buyers[0], campaign) for campaign in campaigns]
    requests = []
    for who, which, on_first, on_all, beili, off_by in wishes:
        chosen = [courses[index] for index in which]
        lines = [
            LineInput(
                course.pk,
                policy_of(course).price,
                terms_of(campaigns[on_first]) if on_first is not None and index == 0 else None,
            )
            for index, course in enumerate(chosen)
        ]
        try:
            quote = price_order(
                lines,
                terms_of(campaigns[on_all]) if on_all is not None else None,
                beili=beili,
                beili_per_yuan=1,
            )
            cash = quote.cash_due
        except CouponNotApplicable:
            cash = D("0.00")
        requests.append(
            make_request(
                buyers[who],
                *chosen,
                coupons={} if on_first is None else {chosen[0].pk: records[on_first]},
                global_coupon=None if on_all is None else records[on_all],
                beili=beili,
                alipay=str(cash + D(off_by).scaleb(-2)),
            )
        )
    return requests


def _outcome(requests: list[OrderRequest]) -> dict[str, Any]:
    """The results of the requests, with ids replaced by ranks so that two runs can be compared."""
    account_rank = {
        pk: rank for rank, pk in enumerate(Account.objects.order_by("pk").values_list("pk", flat=True))
    }
    request_rank = {request.pk: rank for rank, request in enumerate(requests)}
    order_of = dict(Order.objects.values_list("pk", "request_id"))
    rank_of_order: dict[int | None, int | None] = {None: None}
    rank_of_order |= {pk: request_rank[request] for pk, request in order_of.items()}
    rows = OrderRequest.objects.order_by("pk").values_list("status", "error_slug")
    orders = Order.objects.order_by("pk").values_list(
        "pk", "status", "cash_due", "beili", "course_discount", "global_discount", "version"
    )
    lines = OrderLine.objects.order_by("pk").values_list(
        "order", "list_price", "course_discount", "global_discount", "beili_amount", "cash_amount"
    )
    coupons = CouponRecord.objects.order_by("pk").values_list("status", "order")
    enrolments = Enrolment.objects.values_list("account", "order_line__order", "valid_from", "valid_until")
    transfers = LedgerTransfer.objects.exclude(order=None).values_list(
        "order", "debit", "credit", "amount", "account"
    )
    events = OrderEvent.objects.values_list("order", "kind")
    return {
        "requests": list(rows),
        "orders": [(rank_of_order[pk], *rest) for pk, *rest in orders],
        "lines": [(rank_of_order[pk], *rest) for pk, *rest in lines],
        "coupons": [(status, rank_of_order[pk]) for status, pk in coupons],
        "balances": list(Account.objects.order_by("pk").values_list("balance", "held_balance")),
        "enrolments": sorted(
            (rank_of_order[order], account_rank[account], *rest) for account, order, *rest in enrolments
        ),
        "transfers": sorted(
            (rank_of_order[order], *rest, account_rank[account]) for order, *rest, account in transfers
        ),
        "events": sorted((rank_of_order[order], kind) for order, kind in events),
        "campaigns": Coupon.objects.count(),
    }


def test_second_use_of_the_same_coupon_in_a_batch_is_refused() -> None:
    buyer, course = make_buyer(), make_course("99.00")
    record = make_record(buyer)
    requests = [make_request(buyer, course, global_coupon=record, alipay="89.00") for _ in range(2)]
    decide(*requests)
    assert [request.status for request in requests] == [
        OrderRequestStatus.CREATED,
        OrderRequestStatus.REJECTED,
    ]
    assert requests[1].error_slug == "coupon_unavailable"


def test_second_use_of_the_same_beili_in_a_batch_is_refused() -> None:
    buyer, course = make_buyer(beili=10), make_course("99.00")
    requests = [make_request(buyer, course, beili=6, alipay="93.00") for _ in range(2)]
    decide(*requests)
    assert [request.error_slug for request in requests] == ["", "balance_insufficient"]
    buyer.refresh_from_db()
    assert (buyer.balance, buyer.held_balance) == (4, 6)


def test_two_free_orders_of_one_course_in_a_batch_extend_each_other() -> None:
    buyer, course = make_buyer(), make_course("0.00", period=30)
    make_policy(course, "5.00", period=90)
    requests = [make_request(buyer, course) for _ in range(2)]
    decide(*requests)
    spans = list(Enrolment.objects.order_by("pk").values_list("valid_from", "valid_until"))
    day = timedelta(days=1)
    assert spans == [(NOW, NOW + 30 * day), (NOW + 30 * day, NOW + 60 * day)]
