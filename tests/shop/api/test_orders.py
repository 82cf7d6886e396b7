"""`orders/`. The defects of the original's payment are in tests/defects."""

import time
from typing import Any

import pytest
import redis

from shop import clock
from shop.domain.ordering import creation
from shop.models import Account, Order
from shop.tasks import create_orders
from tests.clients import Api, answered, refused
from tests.factories import make_buyer, make_coupon, make_course, make_order, make_record, policy_of
from tests.shop.test_wakeup import messages
from tests.shopping import V1, body_of, check_out, order_of, post_order, put_in_cart
from tests.unchanged import nothing_changes

pytestmark = pytest.mark.django_db
ORDERS = f"{V1}/orders/"


@pytest.fixture
def buyer() -> Account:
    return make_buyer(beili=9)


@pytest.fixture
def api(buyer: Account) -> Api:
    return Api(buyer)


def test_it_works(api: Api, buyer: Account, broker_valkey: redis.Redis) -> None:
    course, record = make_course("99.00", name="甲"), make_record(buyer)
    body = body_of(course, alipay="80.00", balance=9, coupon_record_id=record.pk)
    placed = answered(post_order(api, body), 202)
    number = placed["order_number"]
    assert placed == {"order_number": number, "status": "pending", "url": f"{ORDERS}{number}/"}
    assert messages(broker_valkey, "orders") == [("shop.create_orders", "{}")]
    creation.create_due_orders(now=clock.now(), cause="task:1")
    seen = answered(api.get(placed["url"]))
    assert {
        name: seen[name]
        for name in ("order_number", "status", "payment_type", "amounts", "lines", "paid_at", "error", "url")
    } == {
        "order_number": number,
        "status": "awaiting_payment",
        "payment_type": 1,
        "amounts": {
            "list_total": "99.00",
            "course_discount": "0.00",
            "global_discount": "10.00",
            "beili": 9,
            "beili_amount": "9.00",
            "alipay": "80.00",
            "refunded": "0.00",
        },
        "lines": [
            {
                "course_id": course.pk,
                "course_name": "甲",
                "course_img": course.course_img,
                "policy_id": policy_of(course).pk,
                "valid_period": 30,
                "valid_period_display": "1个月",
                "list_price": "99.00",
                "coupon_record_id": None,
                "course_discount": "0.00",
                "global_discount": "10.00",
                "beili_amount": "9.00",
                "cash_amount": "80.00",
            }
        ],
        "paid_at": None,
        "error": None,
        "url": f"{ORDERS}{number}/",
    }
    assert [event["kind"] for event in seen["timeline"]] == ["placed", "coupons_reserved", "beili_held"]
    assert "/pay/" in seen["pay_url"]
    (row,) = answered(api.get(ORDERS))["results"]
    assert (row["order_number"], row["amounts"]) == (number, seen["amounts"])


@pytest.mark.parametrize("key", [None, "", " ", "a b", "x" * 101, "键"])
def test_key_is_required(api: Api, key: str | None) -> None:
    body = body_of(make_course("99.00"), alipay="99.00")
    headers = {} if key is None else {"Idempotency-Key": key.encode().decode("latin-1")}
    with nothing_changes():
        assert refused(api.post(ORDERS, body, headers=headers)) == (400, 1140, "idempotency_key_missing")


@pytest.mark.parametrize(
    "more",
    [{"checkout_id": "x y"}, {"checkout_id": 1.5}, {"coupon_record_id": "x"}, {"coupon_record_id": -1},
        {"balance": 10**13}, {"alipay": "99999999999.00"}, {"alipay": []}],
    ids=str,
)  # fmt: skip
def test_malformed_body(api: Api, more: dict[str, Any]) -> None:
    body = {**body_of(make_course("99.00"), alipay="99.00"), **more}
    with nothing_changes():
        assert refused(post_order(api, body)) == (400, 1003, "invalid_input")


def test_too_many_lines(api: Api) -> None:
    line = {"course_id": 1, "policy_id": 1}
    with nothing_changes():
        assert (
            refused(
                post_order(
                    api,
                    {"course_price_list": [{**line, "course_id": n} for n in range(1, 52)], "alipay": "1.00"},
                )
            )[0]
            == 400
        )


def test_not_json(api: Api) -> None:
    with nothing_changes():
        answer = api.post(
            ORDERS, b"a=1", content_type="application/x-www-form-urlencoded", headers={"Idempotency-Key": "K"}
        )
        assert refused(answer) == (415, 1106, "unsupported_media_type")


@pytest.mark.parametrize(
    "body", [b"", b"{", b"nan", b"[]", b'"x"', b"\xff", b'{"alipay": NaN}', b"[" * 20_000]
)
def test_broken_json(api: Api, body: bytes) -> None:
    with nothing_changes():
        answer = api.post(ORDERS, body, content_type="application/json", headers={"Idempotency-Key": "K"})
        assert refused(answer) == (400, 1003, "invalid_input")


def test_too_large_a_body(api: Api) -> None:
    with nothing_changes():
        answer = api.post(
            ORDERS, b" " * 70_000, content_type="application/json", headers={"Idempotency-Key": "K"}
        )
        assert refused(answer) == (413, 1105, "body_too_large")


def test_fraction_as_a_number_is_refused(api: Api) -> None:
    body = body_of(make_course("99.90"), alipay=99.9)
    with nothing_changes():
        assert refused(post_order(api, body)) == (400, 1003, "invalid_input")


def test_rejected_request_has_its_reason(api: Api) -> None:
    seen = order_of(api, body_of(make_course("99.00"), alipay="99.00", balance=9))
    assert (seen["status"], seen["error"]["code"], seen["error"]["error"]) == (
        "rejected",
        1142,
        "quote_changed",
    )
    assert seen["error"]["details"]["quote"]["alipay"] == "90.00"
    assert (seen["amounts"], seen["lines"], seen["pay_url"]) == (None, [], None)


def test_coupon_zero_is_none(api: Api) -> None:
    body = body_of(make_course("99.00"), alipay="99.00", coupon_record_id=0)
    assert order_of(api, body)["status"] == "awaiting_payment"


def test_paid_order_has_no_pay_url(api: Api, buyer: Account) -> None:
    seen = order_of(api, body_of(make_course("9.00"), alipay="0.00", balance=9))
    assert (seen["status"], seen["payment_type"], seen["pay_url"]) == ("paid", 3, None)
    assert seen["paid_at"]


def test_order_by_coupon_alone(api: Api, buyer: Account) -> None:
    record = make_record(buyer, make_coupon(value="99"))
    assert (
        order_of(api, body_of(make_course("99.00"), alipay="0.00", coupon_record_id=record.pk))[
            "payment_type"
        ]
        == 2
    )


def test_list_by_status(api: Api, buyer: Account) -> None:
    waiting = make_order(buyer, make_course("99.00"))
    paid = make_order(buyer, make_course("0.00"))
    make_order(make_buyer(), make_course("99.00"))
    assert [row["order_number"] for row in answered(api.get(ORDERS))["results"]] == [
        paid.order_number,
        waiting.order_number,
    ]
    assert [row["order_number"] for row in answered(api.get(f"{ORDERS}?status=paid"))["results"]] == [
        paid.order_number
    ]


@pytest.mark.parametrize("query", ["status=waiting", "status=x", "page=0", "size=3"])
def test_invalid_list_filter(api: Api, query: str) -> None:
    assert refused(api.get(f"{ORDERS}?{query}")) == (400, 1003, "invalid_input")


def test_list_takes_the_same_statements_for_one_and_for_many(
    api: Api, buyer: Account, django_assert_num_queries: Any
) -> None:
    for _ in range(3):
        make_order(buyer, make_course("1.00"), make_course("1.00"))
    with django_assert_num_queries(3):
        api.get(ORDERS)


def test_accepted_order_is_listed_at_once_with_courses_and_amount(api: Api, buyer: Account) -> None:
    course = make_course("99.00", name="Redis 从用到懂")
    number = answered(post_order(api, body_of(course, alipay="90.00", balance=9)), 202)["order_number"]
    [row] = answered(api.get(ORDERS))["results"]
    assert (row["order_number"], row["status"], row["amounts"], row["error"]) == (
        number,
        "pending",
        None,
        None,
    )
    assert row["requested"] == {
        "alipay": "90.00",
        "beili": 9,
        "coupon_record_id": None,
        "buy_again": False,
        "lines": [
            {
                "course_id": course.pk,
                "course_name": "Redis 从用到懂",
                "course_img": course.course_img,
                "policy_id": policy_of(course).pk,
                "valid_period": 30,
                "valid_period_display": "1个月",
                "list_price": "99.00",
                "coupon_record_id": None,
            }
        ],
    }
    assert answered(api.get(f"{ORDERS}{number}/"))["requested"] == row["requested"]
    assert [
        listed["order_number"] for listed in answered(api.get(f"{ORDERS}?status=pending"))["results"]
    ] == [number]
    create_orders()
    [row] = answered(api.get(ORDERS))["results"]
    assert (row["order_number"], row["requested"], row["amounts"]["alipay"]) == (number, None, "90.00")
    assert answered(api.get(f"{ORDERS}?status=pending"))["count"] == 0


def test_refused_order_is_listed_with_its_reason(api: Api) -> None:
    seen = order_of(api, body_of(make_course("99.00"), alipay="1.00"))
    [row] = answered(api.get(f"{ORDERS}?status=rejected"))["results"]
    assert (row["order_number"], row["status"], row["error"]) == (
        seen["order_number"],
        "rejected",
        seen["error"],
    )
    assert (row["requested"]["alipay"], len(row["requested"]["lines"])) == ("1.00", 1)
    assert answered(Api(make_buyer()).get(ORDERS))["results"] == []


@pytest.mark.parametrize("number", ["0" * 30, "x" * 65])
def test_missing_order(api: Api, number: str) -> None:
    assert refused(api.get(f"{ORDERS}{number}/"))[0] == 404


@pytest.mark.parametrize("wait", ["-1", "26", "x", ""])
def test_invalid_wait(api: Api, buyer: Account, wait: str) -> None:
    order = make_order(buyer, make_course())
    assert refused(api.get(f"{ORDERS}{order}/?wait={wait}")) == (400, 1003, "invalid_input")


def test_wait_answers_at_once_what_is_news(api: Api, buyer: Account) -> None:
    order = make_order(buyer, make_course())
    started = time.monotonic()
    assert answered(api.get(f"{ORDERS}{order}/?wait=20"))["status"] == "awaiting_payment"
    assert (
        answered(api.get(f"{ORDERS}{order}/?wait=20", headers={"If-None-Match": '"other-1"'}))["status"]
        == "awaiting_payment"
    )
    assert time.monotonic() - started < 10


def test_wait_holds_while_nothing_changes(api: Api) -> None:
    placed = answered(post_order(api, body_of(make_course("99.00"), alipay="99.00")), 202)
    started = time.monotonic()
    assert answered(api.get(f"{placed['url']}?wait=1"))["status"] == "pending"
    assert time.monotonic() - started >= 1


def test_login_is_required(buyer: Account) -> None:
    order = make_order(buyer, make_course())
    with nothing_changes():
        for answer in (Api().get(ORDERS), Api().get(f"{ORDERS}{order}/"), post_order(Api(), {})):
            assert refused(answer) == (401, 1101, "not_authenticated")
    assert Order.objects.count() == 1


def test_course_in_an_unpaid_order_is_refused_unless_it_is_meant(api: Api) -> None:
    course = make_course("9.00")
    first = order_of(api, body_of(course, alipay="9.00"))
    put_in_cart(api, course)
    line = answered(api.get(f"{V1}/cart/"))[str(course.pk)]
    assert (line["flags"], line["unpaid_order_number"]) == (["in_unpaid_order"], first["order_number"])
    entry = check_out(api, course)["payment_list"]["policy_course_dict"][str(course.pk)]
    assert entry["unpaid_order_number"] == first["order_number"]
    refused_order = order_of(api, body_of(course, alipay="9.00"))
    assert (refused_order["status"], refused_order["error"]["error"]) == (
        "rejected",
        "course_in_unpaid_order",
    )
    assert refused_order["error"]["details"] == {
        "course_id": course.pk,
        "order_number": first["order_number"],
    }
    assert order_of(api, body_of(course, alipay="9.00", buy_again=True))["status"] == "awaiting_payment"


def test_new_quote_names_the_periods(api: Api) -> None:
    course = make_course("9.00", period=30)
    body = body_of(course, alipay="9.00")
    body["course_price_list"][0]["valid_period"] = 90
    error = order_of(api, body)["error"]
    assert (error["error"], error["details"]["quote"]["lines"][0]["valid_period"]) == ("quote_changed", 30)
