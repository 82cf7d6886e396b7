"""The original's order and payment (P1 to P44): one test for each defect, which its docstring names."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import redis
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from knox.models import AuthToken
from pytest_django import Settings

from payments.domain.trades import expiry
from payments.gateways import ConfiguredGateways
from payments.gateways.alipay import AlipayGateway
from payments.models import Payment
from payments.tasks import apply_notifications
from shop import clock
from shop.domain.ordering import creation
from shop.models import (
    Account,
    CouponRecord,
    Course,
    Enrolment,
    LedgerTransfer,
    Order,
    OrderRequest,
    PricePolicy,
)
from shop.numbers import mint_number
from shop.states import (
    CouponRecordStatus,
    CouponScope,
    CouponType,
    CourseStatus,
    CourseType,
    OrderRequestStatus,
)
from tests.clients import Api, answered, refused
from tests.factories import (
    NOW,
    decide,
    make_buyer,
    make_coupon,
    make_course,
    make_order,
    make_record,
    make_request,
    policy_of,
)
from tests.payments.alipay_side import encoded, gateway_server, make_gateway, notification, signed_answer
from tests.payments.settle import make_payment, notify
from tests.shopping import (
    V1,
    balances,
    body_of,
    check_out,
    order_of,
    post_order,
    put_in_cart,
    the_order,
    with_coupon,
)
from tests.unchanged import nothing_changes

pytestmark = pytest.mark.django_db
D = Decimal


def rejected(seen: dict[str, Any]) -> str:
    """The reason for an order's rejection; no order was created."""
    assert (seen["status"], Order.objects.count()) == ("rejected", 0)
    slug: str = seen["error"]["error"]
    return slug


def test_p01_numbers_do_not_clash_and_the_database_sees_to_it() -> None:
    """A number was the second and three digits: 889 a second, checked and then inserted."""
    assert len({mint_number(NOW) for _ in range(3000)}) == 3000
    assert ("order_number",) in [
        constraint.fields for constraint in OrderRequest._meta.total_unique_constraints
    ]


@pytest.mark.parametrize(
    "change",
    [{"alipay": None}, {"alipay": "x"}, {"alipay": "-0.01"}, {"alipay": "1.001"}, {"alipay": "NaN"},
        {"alipay": "Infinity"}, {"alipay": True},
     {"balance": "x"}, {"balance": 1.5}, {"balance": -1}, {"balance": None}, {"balance": True},
     {"balance": "１２"}, {"unknown": 1}],
    ids=str,
)  # fmt: skip
def test_p02_amounts_are_validated(api: Api, change: dict[str, Any]) -> None:
    """Missing amounts, texts, fractions and negative numbers were accepted."""
    body = {**body_of(make_course("99.00"), alipay="99.00"), **change}
    with nothing_changes():
        assert refused(post_order(api, body)) == (400, 1003, "invalid_input")


def test_p02_missing_amount_is_refused(api: Api) -> None:
    """A missing amount was None, and None > 0 a crash."""
    body = body_of(make_course("99.00"), alipay="99.00")
    del body["alipay"]
    with nothing_changes():
        assert refused(post_order(api, body)) == (400, 1003, "invalid_input")


def test_p03_negative_balance_mints_nothing(api: Api) -> None:
    """`balance=-100, alipay=199` on a course of ¥99 credited 100 贝里 while the order was unpaid."""
    body = body_of(make_course("99.00"), alipay="199.00", balance=-100)
    with nothing_changes():
        assert refused(post_order(api, body)) == (400, 1003, "invalid_input")


def create_at_once(requests: list[OrderRequest]) -> None:
    """Creates the orders of these requests in as many threads, each with its own connection."""

    def work(request: OrderRequest) -> None:
        creation.create_orders([request.pk], now=NOW, cause="test")
        connection.close()

    with ThreadPoolExecutor(len(requests)) as pool:
        list(pool.map(work, requests))


@pytest.mark.django_db(transaction=True)
def test_p04_two_orders_at_once_do_not_spend_the_same_beili() -> None:
    """The balance was checked on an old copy of the buyer: a double submit spent it twice."""
    buyer, course = make_buyer(beili=10), make_course("99.00")
    requests = [make_request(buyer, course, beili=10, alipay="89.00") for _ in range(4)]
    create_at_once(requests)
    assert sorted(OrderRequest.objects.values_list("error_slug", flat=True)) == [
        "",
        *["balance_insufficient"] * 3,
    ]
    assert balances(buyer) == (0, 10)


def test_p05_expired_checkout_is_refused(api: Api) -> None:
    """A missing checkout was a crash."""
    body = body_of(make_course("99.00"), alipay="99.00", checkout_id="0" * 30)
    with nothing_changes():
        assert refused(post_order(api, body)) == (409, 1130, "checkout_expired")


@pytest.mark.parametrize("kind", [str, int])
def test_p06_p13_global_coupon_is_found_as_number_and_as_text(api: Api, buyer: Account, kind: type) -> None:
    """A coupon's id was compared as a number with a text, so 5 was refused where "5" was taken, and the other
    way round.
    """
    record, course = make_record(buyer), make_course("99.00")
    seen = order_of(api, body_of(course, alipay="89.00", coupon_record_id=kind(record.pk)))
    assert (seen["status"], seen["amounts"]["global_discount"]) == ("awaiting_payment", "10.00")


def test_p07_dates_are_dates_wherever_they_come_from(api: Api, buyer: Account) -> None:
    """Dates came back from the cache as texts, and comparing them crashed."""
    today = clock.shanghai_date(clock.now())
    good, over = (
        make_record(buyer, valid_from_date=today, valid_until_date=today),
        make_record(buyer, valid_until_date=today - timedelta(days=1)),
    )
    course = make_course("99.00")
    put_in_cart(api, course)
    priced = check_out(api, course)
    assert (
        rejected(order_of(api, body_of(course, alipay="89.00", coupon_record_id=over.pk)))
        == "coupon_unavailable"
    )
    body = body_of(course, alipay="89.00", coupon_record_id=good.pk, checkout_id=priced["checkout_id"])
    assert order_of(api, body)["status"] == "awaiting_payment"


@pytest.mark.parametrize("lines", [None, [], {}, "x", [None]])
def test_p08_order_of_nothing_is_refused(api: Api, lines: Any) -> None:
    """An empty list was an order of ¥0, paid at once."""
    with nothing_changes():
        assert refused(post_order(api, {"course_price_list": lines, "alipay": "0.00"})) == (
            400,
            1003,
            "invalid_input",
        )


def test_p09_course_twice_is_refused(api: Api) -> None:
    """A course that came twice was counted twice and then broke the database's rule."""
    course = make_course("99.00")
    with nothing_changes():
        assert refused(post_order(api, body_of(course, course, alipay="198.00"))) == (
            400,
            1003,
            "invalid_input",
        )


def test_p10_order_keeps_the_courses_real_name(api: Api) -> None:
    """Every course had the same constant for a name."""
    course = make_course("99.00", name="Python 开发入门")
    assert order_of(api, body_of(course, alipay="99.00"))["lines"][0]["course_name"] == "Python 开发入门"


def test_p11_missing_policy_is_refused_and_its_price_is_pinned(api: Api) -> None:
    """A missing policy was a crash, and a price could move between summary and order."""
    course = make_course("99.00")
    body = body_of(course, alipay="99.00")
    put_in_cart(api, course)
    pinned = {**body, "checkout_id": check_out(api, course)["checkout_id"]}
    PricePolicy.objects.update(price="98.00")
    assert rejected(order_of(api, {**pinned, "alipay": "98.00"})) == "quote_changed"
    body["course_price_list"][0]["policy_id"] = 2**40
    assert rejected(order_of(api, body)) == "policy_not_found"


def test_p12_policy_of_another_course_is_refused_and_text_ids_are_taken(api: Api) -> None:
    """Only the number was compared, not what it was the number of; and a client that echoed the text id was
    refused.
    """
    course, degree = make_course("99.00"), make_course("1.00", course_type=CourseType.DEGREE)
    body = body_of(course, alipay="1.00")
    body["course_price_list"][0]["policy_id"] = policy_of(degree).pk
    assert rejected(order_of(api, body)) == "policy_not_found"
    echoed = {
        "course_price_list": [{"course_id": str(course.pk), "policy_id": str(policy_of(course).pk)}],
        "alipay": "99.00",
    }
    assert order_of(api, echoed)["status"] == "awaiting_payment"


def test_p13_course_coupon_is_found_as_text(api: Api, buyer: Account) -> None:
    """A course coupon's id was compared with another type."""
    course = make_course("99.00")
    record = make_record(buyer, make_coupon(value="10", course=course))
    body = body_of(course, alipay="89.00")
    body["course_price_list"][0]["coupon_record_id"] = str(record.pk)
    assert order_of(api, body)["lines"][0]["coupon_record_id"] == record.pk


def test_p14_line_without_a_coupon_grants_its_whole_time(api: Api) -> None:
    """Without a coupon price and validity stayed 0: the buyer got a course of no days."""
    order_of(api, body_of(make_course("0.00", period=360), alipay="0.00"))
    line = the_order().lines.get()
    enrolment = Enrolment.objects.get()
    assert (line.valid_period, line.valid_period_display, enrolment.valid_until - enrolment.valid_from) == (
        360,
        "12个月",
        timedelta(days=360),
    )


def test_p15_line_with_a_coupon_has_its_policys_period(api: Api, buyer: Account) -> None:
    """The period was read from the coupon: every course coupon was a crash."""
    course = make_course("99.00", period=90)
    record = make_record(buyer, make_coupon(value="10", course=course))
    seen = order_of(api, with_coupon(body_of(course, alipay="89.00"), record))
    assert (seen["lines"][0]["valid_period"], seen["lines"][0]["list_price"]) == (90, "99.00")


@pytest.mark.parametrize("what", ["owner", "status", "date"])
def test_p16_coupon_is_read_again_when_it_is_taken(api: Api, buyer: Account, what: str) -> None:
    """What the cache said of a coupon was believed; owner, status and dates weren't read again."""
    record, course = make_record(buyer), make_course("99.00")
    put_in_cart(api, course)
    priced = check_out(api, course)
    yesterday = clock.shanghai_date(clock.now()) - timedelta(days=1)
    changes: dict[str, dict[str, Any]] = {
        "owner": {"account": make_buyer()},
        "status": {"status": CouponRecordStatus.EXPIRED},
        "date": {"valid_until_date": yesterday},
    }
    CouponRecord.objects.update(**changes[what])
    body = body_of(course, alipay="89.00", coupon_record_id=record.pk, checkout_id=priced["checkout_id"])
    assert rejected(order_of(api, body)) == "coupon_unavailable"


def test_p17_discount_never_comes_from_the_line_before(api: Api, buyer: Account) -> None:
    """A coupon of an unknown kind took the discount of the line before it.

    Now each line has its own, and an unknown kind can't exist.
    """
    first, second = make_course("99.00"), make_course("99.00")
    record = make_record(buyer, make_coupon(value="30", course=first))
    seen = order_of(api, with_coupon(body_of(first, second, alipay="168.00"), record))
    assert [line["course_discount"] for line in seen["lines"]] == ["30.00", "0.00"]


def test_p18_course_coupon_under_its_threshold_is_refused_and_kept(api: Api, buyer: Account) -> None:
    """It gave nothing, and was used up all the same."""
    course = make_course("99.00")
    record = make_record(buyer, make_coupon(CouponType.THRESHOLD, "10", minimum="1000", course=course))
    assert (
        rejected(order_of(api, with_coupon(body_of(course, alipay="99.00"), record)))
        == "coupon_not_applicable"
    )
    assert CouponRecord.objects.get().status == CouponRecordStatus.UNUSED


def test_p19_seventy_nine_means_that_79_percent_are_paid(api: Api, buyer: Account) -> None:
    """The discount was 79 times the price."""
    course = make_course("99.00")
    record = make_record(buyer, make_coupon(CouponType.PERCENT, off_percent=79, course=course))
    seen = order_of(api, with_coupon(body_of(course, alipay="78.21"), record))
    assert (seen["amounts"]["course_discount"], seen["amounts"]["alipay"]) == ("20.79", "78.21")


def test_p20_coupon_above_the_price_takes_the_price_and_no_more(api: Api, buyer: Account) -> None:
    """A line went below zero, and the surplus made other courses cheaper."""
    cheap, dear = make_course("10.00"), make_course("99.00")
    record = make_record(buyer, make_coupon(value="50", course=cheap))
    seen = order_of(api, with_coupon(body_of(cheap, dear, alipay="99.00"), record))
    assert [line["cash_amount"] for line in seen["lines"]] == ["0.00", "99.00"]


def test_p21_global_coupon_under_its_threshold_is_refused_and_kept(api: Api, buyer: Account) -> None:
    """It gave nothing, and was used up all the same."""
    record = make_record(buyer, make_coupon(CouponType.THRESHOLD, "20", minimum="100"))
    assert (
        rejected(order_of(api, body_of(make_course("99.00"), alipay="99.00", coupon_record_id=record.pk)))
        == "coupon_not_applicable"
    )
    assert CouponRecord.objects.get().status == CouponRecordStatus.UNUSED


def test_p22_global_discount_is_spread_over_the_lines(api: Api, buyer: Account) -> None:
    """It stood nowhere, and the lines didn't add up to the order."""
    a, b = make_course("78.21"), make_course("59.90")
    record = make_record(buyer, make_coupon(CouponType.THRESHOLD, "20", minimum="100"))
    seen = order_of(api, body_of(a, b, alipay="118.11", coupon_record_id=record.pk))
    assert [line["global_discount"] for line in seen["lines"]] == ["11.33", "8.67"]
    assert sum(D(line["cash_amount"]) for line in seen["lines"]) == D("118.11")


def test_p23_nothing_is_printed(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    """What buyers did was printed."""
    order_of(api, body_of(make_course("99.00"), alipay="99.00"))
    assert capsys.readouterr().out == ""


def test_p24_rate_is_a_setting_and_beili_stop_at_the_price(api: Api, settings: Settings) -> None:
    """The rate of 1:1 stood in the arithmetic, and more 贝里 than the price could be given."""
    settings.BEILI_PER_YUAN = 10
    course = make_course("9.90")
    assert rejected(order_of(api, body_of(course, alipay="0.00", balance=100))) == "quote_changed"
    assert order_of(api, body_of(course, alipay="0.00", balance=99))["amounts"]["beili_amount"] == "9.90"


def test_p25_money_is_compared_to_the_fen(api: Api, buyer: Account) -> None:
    """99.9 × 0.79 was compared as floats with what the client had computed."""
    course = make_course("99.90")
    record = make_record(buyer, make_coupon(CouponType.PERCENT, off_percent=79))
    seen = order_of(api, body_of(course, alipay="78.93", coupon_record_id=record.pk))
    assert (rejected(seen), seen["error"]["details"]["quote"]["alipay"]) == ("quote_changed", "78.92")
    assert (
        order_of(api, body_of(course, alipay="78.92", coupon_record_id=record.pk))["status"]
        == "awaiting_payment"
    )


def test_p26_server_says_what_is_paid(api: Api) -> None:
    """What the client sent was what Alipay was asked for, also ¥-50."""
    course = make_course("99.00")
    seen = order_of(api, body_of(course, alipay="0.01"))
    assert (rejected(seen), seen["error"]["details"]["quote"]["alipay"]) == ("quote_changed", "99.00")
    with nothing_changes():
        assert refused(post_order(api, body_of(course, alipay="-50.00", balance=149)))[0] == 400


def test_p27_every_leg_of_the_payment_is_kept(api: Api, buyer: Account) -> None:
    """A mixed payment was "支付宝"; list price, discount and 贝里 stood nowhere."""
    record = make_record(buyer)
    order_of(api, body_of(make_course("99.00"), alipay="80.00", balance=9, coupon_record_id=record.pk))
    order = the_order()
    assert (order.list_total, order.global_discount, order.beili, order.cash_due) == (
        D("99.00"),
        D("10.00"),
        9,
        D("80.00"),
    )


@pytest.mark.django_db(transaction=True)
def test_p28_one_coupon_goes_on_one_of_two_orders_at_once() -> None:
    """Nothing was locked."""
    buyer, course = make_buyer(), make_course("99.00")
    record = make_record(buyer)
    requests = [make_request(buyer, course, global_coupon=record, alipay="89.00") for _ in range(4)]
    create_at_once(requests)
    assert sorted(OrderRequest.objects.values_list("error_slug", flat=True)) == [
        "",
        *["coupon_unavailable"] * 3,
    ]


def test_p29_free_order_delivers_like_a_paid_one(api: Api, buyer: Account) -> None:
    """An order of ¥0 was done at once, but nothing was delivered and its coupon stayed good."""
    record = make_record(buyer, make_coupon(value="99"))
    seen = order_of(api, body_of(make_course("99.00"), alipay="0.00", coupon_record_id=record.pk))
    assert (seen["status"], seen["payment_type"], seen["pay_url"]) == ("paid", 2, None)
    assert (Enrolment.objects.count(), CouponRecord.objects.get().status) == (1, "used")


def test_p30_statements_do_not_grow_with_the_lines(buyer: Account) -> None:
    """There was a statement for each line."""
    counts = []
    for size in (1, 5):
        request = make_request(buyer, *[make_course("1.00") for _ in range(size)])
        with CaptureQueriesContext(connection) as counted:
            decide(request)
        counts.append(len(counted))
    assert counts[0] == counts[1]


def test_p31_too_little_beili_is_a_refusal_and_no_crash(api: Api, buyer: Account) -> None:
    """The subtraction had no guard: an error of the database here, a balance below zero there."""
    seen = order_of(api, body_of(make_course("199.00"), alipay="98.00", balance=101))
    assert (rejected(seen), balances(buyer)) == ("balance_insufficient", (100, 0))


def test_p32_record_says_what_was_spent(api: Api, buyer: Account) -> None:
    """The record held the whole balance as the amount, and one was written for nothing too."""
    order_of(api, body_of(make_course("99.00"), alipay="90.00", balance=9))
    order_of(api, body_of(make_course("99.00"), alipay="99.00"))
    held = LedgerTransfer.objects.filter(debit="beili_available").values_list("amount", flat=True)
    assert (list(held), balances(buyer)) == ([D("9.00")], (91, 9))


def test_p33_beili_are_held_and_only_spent_when_the_order_is_paid(
    buyer: Account, gateway: AlipayGateway
) -> None:
    """They were spent while the order was unpaid, and never came back."""
    paid = make_order(buyer, make_course("99.00"), beili=9, alipay="90.00")
    given_up = make_order(buyer, make_course("99.00"), beili=20, alipay="79.00")
    assert balances(buyer) == (71, 29)
    notify(gateway, make_payment(paid, gateway))
    assert balances(buyer) == (71, 20)
    expiry.close_due_order(
        given_up.pk, gateways=ConfiguredGateways(gateway), now=given_up.closes_at, cause="test"
    )
    assert balances(buyer) == (91, 0)


def test_p34_coupon_is_reserved_and_used_when_the_order_is_paid(
    buyer: Account, gateway: AlipayGateway
) -> None:
    """Its status never changed: it was good for ever and for several orders at once."""
    record, course = make_record(buyer), make_course("99.00")
    order = make_order(buyer, course, global_coupon=record, alipay="89.00")
    record.refresh_from_db()
    assert (record.status, record.order, record.used_at) == ("reserved", order, None)
    notify(gateway, make_payment(order, gateway), now=NOW)
    record.refresh_from_db()
    assert (record.status, record.order, record.used_at) == ("used", order, NOW)


def test_p35_used_coupon_does_not_count_as_taken(buyer: Account) -> None:
    """The count of rows was satisfied by coupons that were used already."""
    used, fresh = (
        make_record(buyer),
        make_record(buyer, make_coupon(value="10", scope=CouponScope.ANY_COURSE)),
    )
    make_order(buyer, make_course("10.00"), global_coupon=used, alipay="0.00")
    course = make_course("99.00")
    request = make_request(buyer, course, coupons={course.pk: fresh}, global_coupon=used, alipay="79.00")
    decide(request)
    fresh.refresh_from_db()
    assert (request.error_slug, fresh.status) == ("coupon_unavailable", "unused")


def test_p36_replay_makes_no_second_order_and_cart_and_checkout_are_consumed(api: Api) -> None:
    """Sending the same order again made another one, as often as one liked."""
    course = make_course("99.00")
    put_in_cart(api, course)
    body = body_of(course, alipay="99.00", checkout_id=check_out(api, course)["checkout_id"])
    first = order_of(api, body, "K1")
    replay = post_order(api, body, "K1")
    assert (answered(replay, 202)["order_number"], replay["Idempotent-Replayed"]) == (
        first["order_number"],
        "true",
    )
    assert refused(post_order(api, body, "K2")) == (409, 1132, "checkout_used")
    assert refused(post_order(api, {**body, "balance": 1}, "K1")) == (422, 1141, "idempotency_key_reused")
    assert (Order.objects.count(), answered(api.get(f"{V1}/cart/"))) == (1, {})


def test_p37_no_key_is_read_and_nothing_signed_in_the_transaction(api: Api, settings: Settings) -> None:
    """Key files were read and signatures made inside the transaction, for a sandbox whose address stood in
    the code.
    """
    settings.ALIPAY = dict.fromkeys(settings.ALIPAY, "")
    seen = order_of(api, body_of(make_course("99.00"), alipay="99.00"))
    assert seen["status"] == "awaiting_payment"
    assert urlsplit(seen["pay_url"]).netloc == urlsplit(settings.PUBLIC_URL).netloc


def cashier(client: Client, order: Order) -> dict[str, Any]:
    """What the cashier is told."""
    import json

    answer = client.get(
        urlsplit(
            answered(Api(order.account).get(reverse("order", args=[order.order_number])))["pay_url"]
        ).path
    )
    content: dict[str, Any] = json.loads(parse_qs(urlsplit(answer["Location"]).query)["biz_content"][0])
    return content


@pytest.mark.usefixtures("alipay_settings")
def test_p38_amount_travels_with_two_decimals(client: Client, buyer: Account) -> None:
    """The amount was a float."""
    assert (
        cashier(client, make_order(buyer, make_course("99.90"), now=clock.now()))["total_amount"] == "99.90"
    )


@pytest.mark.usefixtures("alipay_settings")
def test_p39_cashier_stops_when_the_order_does(client: Client, buyer: Account) -> None:
    """No time limit was sent: an order that had expired here could still be paid there."""
    from django.utils import timezone

    order = make_order(buyer, make_course("99.00"), now=clock.now())
    assert cashier(client, order)["time_expire"] == timezone.localtime(order.expires_at).strftime(
        "%Y-%m-%d %H:%M:%S"
    )


def test_p40_business_error_is_no_500(api: Api) -> None:
    """`except IndentationError` caught nothing: every refusal was a crash."""
    seen = order_of(api, body_of(make_course("99.00"), alipay="1.00"))
    assert (seen["error"]["code"], seen["error"]["error"]) == (1142, "quote_changed")
    assert seen["error"]["msg"]


@pytest.mark.django_db(transaction=True)
def test_p41_order_can_be_followed(api: Api) -> None:
    """No order number, no deadline and no address were answered."""
    answer = post_order(api, body_of(make_course("99.00"), alipay="99.00"))
    placed = answered(answer, 202)
    assert (answer["Location"], answer["Retry-After"], placed["status"]) == (placed["url"], "1", "pending")
    pending = api.get(placed["url"])
    assert (answered(pending)["status"], pending["Retry-After"]) == ("pending", "1")
    creation.create_due_orders(now=clock.now(), cause="test")
    seen = api.get(placed["url"], headers={"If-None-Match": pending["ETag"]})
    assert answered(seen)["expires_at"]
    assert api.get(placed["url"], headers={"If-None-Match": seen["ETag"]}).status_code == 304


@pytest.mark.usefixtures("alipay_settings")
def test_p42_notification_pays_the_order(client: Client, buyer: Account, gateway: AlipayGateway) -> None:
    """There was no view for notifications.

    (Expiry, cancelling, refunds and reconciliation have tests of their own.)
    """
    order = make_order(buyer, make_course("99.00"))
    form = encoded(notification(make_payment(order, gateway)))
    answer = client.generic(
        "POST",
        f"{V1}/payments/alipay/notify/",
        form,
        content_type="application/x-www-form-urlencoded; text/html; charset=UTF-8",
    )
    apply_notifications()
    order.refresh_from_db()
    assert (answer.content, order.status, Enrolment.objects.count()) == (b"success", "paid", 1)


def test_p42_unpaid_order_is_queried_and_closed(buyer: Account) -> None:
    """There was no query, no closing and no expiry: coupon and 贝里 were gone."""
    record = make_record(buyer)
    order = make_order(buyer, make_course("99.00"), beili=9, global_coupon=record, alipay="80.00")

    def answer(asked: dict[str, str]) -> bytes:
        trade = {
            "code": "10000",
            "out_trade_no": f"{order}P1",
            "trade_no": "1",
            "trade_status": "WAIT_BUYER_PAY",
            "total_amount": "80.00",
        }
        return signed_answer(asked["method"], trade)

    with gateway_server(answer) as told:
        gateway = make_gateway(told.url)
        make_payment(order, gateway)
        expiry.close_due_order(
            order.pk, gateways=ConfiguredGateways(gateway), now=order.closes_at, cause="test"
        )
    order.refresh_from_db()
    record.refresh_from_db()
    assert [asked["method"] for asked in told.asked] == ["alipay.trade.query", "alipay.trade.close"]
    assert (order.status, Payment.objects.get().status, record.status, balances(buyer)) == (
        "expired",
        "closed",
        "unused",
        (100, 0),
    )


def test_p43_token_is_in_the_header_hashed_and_ends(buyer: Account, settings: Settings) -> None:
    """The token stood in the address and never ended; the permission answered None."""
    row, token = AuthToken.objects.create(user=buyer)
    assert token not in row.digest
    assert refused(Api().get(f"{V1}/cart/?token={token}")) == (401, 1101, "not_authenticated")
    client = Api()
    client.credentials(HTTP_AUTHORIZATION=f"Token {token}")
    answered(client.get(f"{V1}/cart/"))
    settings.CLOCK_OFFSET_S = int(settings.REST_KNOX["TOKEN_TTL"].total_seconds()) + 1
    assert refused(client.get(f"{V1}/cart/")) == (401, 1101, "not_authenticated")


def test_p44_request_only_stores_and_the_worker_decides_once(
    api: Api, buyer: Account, broker_valkey: redis.Redis
) -> None:
    """Everything happened in the request."""
    answered(post_order(api, body_of(make_course("99.00"), alipay="99.00")), 202)
    assert (Order.objects.count(), OrderRequest.objects.get().status, broker_valkey.llen("orders")) == (
        0,
        OrderRequestStatus.PENDING,
        1,
    )
    for _ in range(2):
        creation.create_due_orders(now=clock.now(), cause="test")
    assert Order.objects.count() == 1


def test_seed_course_that_went_offline_between_summary_and_order(api: Api) -> None:
    """P11 and P12 together: the course is read again under the lock."""
    course = make_course("99.00")
    body = body_of(course, alipay="99.00")
    Course.objects.update(status=CourseStatus.OFFLINE)
    assert rejected(order_of(api, body)) == "course_not_on_sale"
