"""Times have one format in every response of the API: ISO 8601, to the second, in Shanghai time."""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from pytest_django import Settings

from payments.api import notify, orders
from payments.gateways import ConfiguredGateways
from shop import clock
from shop.domain.coupons import codes
from shop.domain.orders import repair
from shop.models import Account, Coupon, CouponCode, Order, OrderEvent
from tests.clients import Api
from tests.factories import make_buyer, make_coupon, make_course, make_order, make_record, policy_of
from tests.orderlives import LIVES
from tests.payments.memorygateway import MemoryGateway
from tests.payments.order_scenario import pay
from tests.shopping import V1, body_of, check_out, post_order, put_in_cart

pytestmark = pytest.mark.django_db
FORM = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+08:00")
LOOKS_LIKE_A_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d")
# Endpoints that answer without a body, to Alipay, or with a redirect.
WITHOUT_TIMES = {"logout", "logout-everywhere", "alipay-notify", "alipay-return"}


def times_in(answer: Any) -> Iterator[str]:
    match answer:
        case dict():
            for value in answer.values():
                yield from times_in(value)
        case list():
            for value in answer:
                yield from times_in(value)
        case str() if LOOKS_LIKE_A_TIME.search(answer):
            yield answer


def names_of_api(patterns: Any = None, path: str = "") -> Iterator[str]:
    for one in get_resolver().url_patterns if patterns is None else patterns:
        where = path + str(one.pattern)
        if isinstance(one, URLResolver):
            yield from names_of_api(one.url_patterns, where)
        elif isinstance(one, URLPattern) and where.startswith("api/v1/"):
            yield str(one.name)


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> MemoryGateway:
    """Replaces the configured gateway."""
    gateway = MemoryGateway(clock.now)
    for module in (orders, notify):
        monkeypatch.setattr(module, "get_gateways", lambda: ConfiguredGateways(gateway))
    return gateway


class Visits:
    """Requests endpoints by name and collects the times in their responses."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.times: dict[str, list[str]] = {}

    def note(self, name: str, response: Any) -> Any:
        assert response.status_code < 400, (name, response.content)
        self.times.setdefault(name, []).extend(times_in(response.json()))
        return response.json()["data"]

    def get(self, name: str, path: str) -> Any:
        return self.note(name, self.api.get(f"{V1}/{path}"))

    def post(self, name: str, path: str, body: Any = None) -> Any:
        return self.note(name, self.api.post(f"{V1}/{path}", body))


def visit_accounts(visits: Visits, buyer: Account) -> None:
    person = {"username": "somebody-new", "password": "a-long-password-of-9"}
    visits.note("register", Client().post(f"{V1}/auth/register/", person, content_type="application/json"))
    visits.note("login", Client().post(f"{V1}/auth/login/", person, content_type="application/json"))
    visits.get("profile", "auth/profile/")
    change = {"old_password": "the-old-password-1", "password": "another-long-password-1"}
    visits.post("password", "auth/password/", change)


def visit_shop(visits: Visits, buyer: Account, campaign: Coupon, code: str) -> None:
    owned, other = make_course("60.00"), make_course("40.00")
    make_order(
        buyer,
        owned,
        alipay="0.00",
        global_coupon=make_record(buyer, make_coupon(value="500")),
        now=clock.now(),
    )
    visits.get("categories", "categories/")
    visits.get("courses", "courses/")
    visits.get("course", f"courses/{owned.pk}/")
    visits.get("coupons", "coupons/")
    visits.post("claim-coupon", f"coupons/{campaign.pk}/claim/")
    visits.post("redeem-code", "coupons/redeem/", {"code": code})
    visits.get("my-coupons", "coupons/mine/")
    put_in_cart(visits.api, other)
    visits.get("cart", "cart/")
    visits.note("cart-line", visits.api.put(f"{V1}/cart/{other.pk}/", {"policy_id": policy_of(other).pk}))
    checkout_id = check_out(visits.api, other)["checkout_id"]
    visits.get("checkouts", "checkout/")
    visits.get("checkout", f"checkout/{checkout_id}/")
    visits.post(
        "checkout-quote", f"checkout/{checkout_id}/quote/", {"course_price_list": [{"course_id": other.pk}]}
    )
    visits.get("enrolments", "enrolments/")
    visits.get("balance", "balance/")
    visits.note("orders", post_order(visits.api, body_of(make_course("9.00"), alipay="9.00")))


def visit_orders(visits: Visits, buyer: Account, gateway: MemoryGateway) -> None:
    """An order in each state: in the list, on its own, and with its payments and refunds."""
    now = clock.now()
    for life in LIVES.values():
        visits.get("order", f"orders/{life(buyer)}/")
    moved = make_order(buyer, make_course("9.00"), now=now)
    repair.move_deadline(
        moved.pk, expires_at=now + timedelta(hours=2), staff=make_buyer(), why="asked", now=now, cause="test"
    )
    # The format in older timelines.
    before = {"before": "2026-03-02T04:30:00+00:00", "expires_at": "2026-03-02T06:00:00+00:00"}
    OrderEvent.objects.create(order=moved, kind=OrderEvent.Kind.DEADLINE_MOVED, at=now, details=before)
    visits.get("order", f"orders/{moved.order_number}/")
    paid = make_order(buyer, make_course("60.00"), now=now)
    visits.post("order-payments", f"orders/{paid.order_number}/payments/", {"product": "qr"})
    pay(Order.objects.get(pk=paid.pk), gateway, now=now)
    visits.post("order-refund-quote", f"orders/{paid.order_number}/refunds/quote/", {})
    visits.post("order-refunds", f"orders/{paid.order_number}/refunds/", {"reason": "x"})
    visits.get("order-refunds", f"orders/{paid.order_number}/refunds/")
    visits.get("order", f"orders/{paid.order_number}/")
    visits.get("order", f"orders/{paid.order_number}/?wait=0")
    visits.post("order-cancel", f"orders/{moved.order_number}/cancel/")
    visits.post("buy-again", f"orders/{paid.order_number}/again/")
    visits.get("orders", "orders/?page_size=100")


def test_every_time_in_every_answer_has_one_form(gateway: MemoryGateway, settings: Settings) -> None:
    settings.REGISTRATION_OPEN = True
    buyer = make_buyer(beili=50, password="the-old-password-1")
    buyer.refresh_from_db()
    visits = Visits(Api(buyer))
    campaign, by_code = make_coupon(value="5"), make_coupon(value="6", is_code_only=True)
    codes.make_codes(coupon_id=by_code.pk, count=1, staff=make_buyer(), now=clock.now())
    code = CouponCode.objects.get().code
    visit_shop(visits, buyer, campaign, code)
    visit_orders(visits, buyer, gateway)
    visit_accounts(visits, buyer)
    wrong = {
        name: sorted({time for time in times if not FORM.fullmatch(time)})
        for name, times in visits.times.items()
    }
    assert {name: times for name, times in wrong.items() if times} == {}
    assert set(visits.times) == set(names_of_api()) - WITHOUT_TIMES
    with_times = {
        "login",
        "password",
        "course",
        "my-coupons",
        "checkout",
        "enrolments",
        "balance",
        "order",
        "orders",
        "order-payments",
        "order-refunds",
    }
    assert with_times <= {name for name, times in visits.times.items() if times}


@pytest.mark.parametrize(
    "odd",
    [
        "2026-03-02T12:00:00.5+08:00",
        "2026-03-02T04:00:00+00:00",
        "2026-03-02T04:00:00Z",
        "2026-03-02 12:00:00",
    ],
)
def test_the_check_finds_other_forms(odd: str) -> None:
    (found,) = times_in({"results": [{"at": odd, "name": "甲"}]})
    assert not FORM.fullmatch(found)
    assert datetime.fromisoformat(odd)
