"""Ordinary order requests are read by the decoder, which never reads another purchase than the serializer,
nor one that it refuses.
"""

import copy
import json
from typing import Any

import msgspec
import pytest
from django.test import Client, RequestFactory
from hypothesis import given
from hypothesis import strategies as st
from rest_framework.exceptions import ValidationError

from shop.api import orders as views
from shop.api import reader
from shop.api.fields import Input, TextField
from shop.domain.purchase import Purchase
from shop.models import OrderRequest
from tests.clients import Api, answered, refused
from tests.factories import make_buyer, make_course
from tests.shopping import body_of, post_order
from tests.unchanged import nothing_changes

ORDINARY = {
    "checkout_id": None,
    "course_price_list": [
        {"course_id": 1, "policy_id": 2, "coupon_record_id": 0},
        {"course_id": 3, "policy_id": 4, "valid_period": 30},
    ],
    "coupon_record_id": 5,
    "balance": 30,
    "alipay": "310.20",
    "buy_again": True,
}
# Mutations of a value: neighbours of the bounds, similar values of other types, and nonsense.
ODD = st.sampled_from([
    None, True, False, 0, 1, -1, 10**18 - 1, 10**18, 10**12, 10**12 - 1, 1.0, 0.5, "", "0", "1", "01", "1.5",
    "310.2", "310.20", "9999999999.99",
    "99999999999.99", "0.00", "-0.00", "+1.00", "1.00\n", " 1.00", "１.00", "1e2", "NaN", "A" * 64, "A" * 65,
    "a", "A\n", [], {}, [1], {"a": 1}, "None", 9999, 10000, "true",
])  # fmt: skip
FIELDS = [
    ("buy_again",),
    ("checkout_id",),
    ("coupon_record_id",),
    ("balance",),
    ("alipay",),
    ("course_price_list",),
    ("unknown",),
]
LINE_FIELDS = [
    ("course_price_list", n, name)
    for n in (0, 1)
    for name in ("course_id", "policy_id", "coupon_record_id", "valid_period", "unknown")
]
PLACES = st.sampled_from([*FIELDS, *LINE_FIELDS, ("course_price_list", 0)])
DROP = object()


def changed(body: dict[str, Any], place: tuple[Any, ...], value: Any) -> dict[str, Any]:
    made = copy.deepcopy(body)
    try:
        inner: Any = made
        for step in place[:-1]:
            inner = inner[step]
        if value is DROP:
            del inner[place[-1]]
        else:
            inner[place[-1]] = value
    except (KeyError, IndexError, TypeError):
        pass  # an earlier change has removed this place
    return made


def by_serializer(body: Any) -> Purchase | None:
    try:
        return views.by_serializer(body)
    except ValidationError:
        return None


def by_reader(raw: Any, content_type: str = "application/json") -> Purchase | None:
    return views.by_reader(RequestFactory().post("/", raw, content_type=content_type))


def as_ordinary(body: Any) -> Purchase | None:
    return by_reader(json.dumps(body))


def test_ordinary_body_is_read() -> None:
    assert as_ordinary(ORDINARY) is not None
    assert as_ordinary(ORDINARY) == by_serializer(ORDINARY)


@given(st.lists(st.tuples(PLACES, ODD | st.just(DROP)), min_size=1, max_size=3))
def test_what_is_read_is_what_the_serializers_read(changes: list[tuple[Any, Any]]) -> None:
    body = ORDINARY
    for place, value in changes:
        body = changed(body, place, value)
    read = as_ordinary(body)
    assert read is None or read == by_serializer(body)


@given(
    st.recursive(
        ODD,
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from([*ORDINARY, "course_id"]), inner, max_size=4)
        ),
    )
)
def test_anything_else_is_left_alone(body: Any) -> None:
    read = as_ordinary(body)
    assert read is None or read == by_serializer(body)


def test_two_lines_of_one_course_are_left_alone() -> None:
    line = ORDINARY["course_price_list"][0]  # type: ignore[index]
    assert as_ordinary({**ORDINARY, "course_price_list": [line, line]}) is None


@pytest.mark.parametrize(
    ("content_type", "raw"),
    [
        ("text/plain", json.dumps(ORDINARY)),
        ("application/json", ""),
        ("application/json", "{"),
        ("application/json", json.dumps(ORDINARY).replace("30", "NaN")),
        ("application/json", "[" * 20_000),
        ("application/json", json.dumps(ORDINARY) + " " * 65_536),
        ("application/json", b"\xff\xfe\x00"),
    ],
)
def test_odd_requests_are_left_alone(content_type: str, raw: str | bytes) -> None:
    assert by_reader(raw, content_type) is None


def test_every_field_of_the_body_is_read_as_the_serializer_describes_it() -> None:
    """The decoder derives its fields from the serializer; a new field of an unknown kind stops the
    program.
    """
    assert {field.name for field in msgspec.structs.fields(reader._struct(views.PurchaseInput()))} == set(
        views.PurchaseInput().fields
    )

    class WithText(Input):
        text = TextField()

    with pytest.raises(TypeError, match="TextField"):
        reader.Reader(WithText)


@pytest.mark.django_db
def test_both_ways_store_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    api, course = Api(make_buyer()), make_course("99.00")
    first = post_order(api, body_of(course, alipay="99.00"), key="a")
    monkeypatch.setattr(views, "by_reader", lambda request: None)
    second = post_order(api, body_of(course, alipay="99.00"), key="b")
    assert set(second.headers) - set(first.headers) == {"Allow"}  # DRF's own
    assert answered(first, 202).keys() == answered(second, 202).keys()
    one, two = OrderRequest.objects.order_by("id")
    assert one.request_id
    assert two.request_id
    own = {"id", "order_number", "idempotency_key", "request_id", "created_at", "available_at"}
    columns = [field.attname for field in OrderRequest._meta.concrete_fields if field.attname not in own]
    assert [getattr(one, name) for name in columns] == [getattr(two, name) for name in columns]


@pytest.mark.django_db
@pytest.mark.parametrize("header", [None, "Token", "Token nonsense", "Bearer x", "Token a b", "Token \xff"])
def test_ordinary_request_of_a_stranger_is_refused(header: str | None) -> None:
    course = make_course("99.00")
    with nothing_changes():
        answer = Client().post(
            "/api/v1/orders/",
            json.dumps(body_of(course, alipay="99.00")),
            content_type="application/json",
            headers={"Idempotency-Key": "k", **({"Authorization": header} if header else {})},
        )
        assert refused(answer) == (401, 1101, "not_authenticated")
        assert answer["WWW-Authenticate"] == "Token"
