"""`enrolments/` and `balance/`."""

import pytest
from pytest_django import Settings

from shop import clock
from tests.clients import Api, answered, refused
from tests.factories import make_buyer, make_course, make_order
from tests.shopping import V1

pytestmark = pytest.mark.django_db


def test_it_works() -> None:
    buyer, course = make_buyer(beili=109), make_course("99.00", period=30)
    order = make_order(buyer, course, beili=99, alipay="0.00", now=clock.now())
    api = Api(buyer)
    (enrolment,) = answered(api.get(f"{V1}/enrolments/"))["results"]
    shown = {
        name: enrolment[name] for name in ("course_id", "course_name", "order_number", "status", "is_active")
    }
    assert shown == {
        "course_id": course.pk,
        "course_name": course.name,
        "order_number": order.order_number,
        "status": "active",
        "is_active": True,
    }
    data = answered(api.get(f"{V1}/balance/"))
    assert (data["balance"], data["held_balance"], data["count"]) == (10, 0, 3)
    rows = [(row["debit"], row["credit"], row["amount"], row["order_number"]) for row in data["results"]]
    assert rows == [
        ("beili_held", "beili_spent", 99, order.order_number),
        ("beili_available", "beili_held", 99, order.order_number),
        ("beili_issued", "beili_available", 109, None),
    ]


def test_enrolment_that_is_over_is_not_active(settings: Settings) -> None:
    buyer = make_buyer()
    make_order(buyer, make_course("0.00", period=1), now=clock.now())
    api = Api(buyer)
    settings.CLOCK_OFFSET_S = 86_401
    (enrolment,) = answered(api.get(f"{V1}/enrolments/"))["results"]
    assert (enrolment["status"], enrolment["is_active"]) == ("active", False)


@pytest.mark.parametrize("path", ["enrolments/", "balance/"])
def test_login_is_required(path: str) -> None:
    assert refused(Api().get(f"{V1}/{path}")) == (401, 1101, "not_authenticated")


@pytest.mark.parametrize("path", ["enrolments/", "balance/"])
def test_other_buyers_enrolments_are_not_shown(path: str) -> None:
    make_order(make_buyer(beili=5), make_course("0.00"))
    assert answered(Api(make_buyer()).get(f"{V1}/{path}"))["results"] == []
