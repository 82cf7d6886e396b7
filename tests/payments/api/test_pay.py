"""`/pay/<token>/`: the order's stable link."""

from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from django.test import Client
from pytest_django import Settings

from payments.gateways import get_gateways
from payments.models import Payment
from shop import clock
from shop.domain.paylinks import pay_url
from shop.models import Order
from tests.factories import make_buyer, make_course, make_order
from tests.payments.settle import make_payment, pay
from tests.unchanged import nothing_changes

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("alipay_settings")]


@pytest.fixture
def order() -> Order:
    return make_order(make_buyer(), make_course("80.00"), now=clock.now())


def path_of(order: Order) -> str:
    return urlsplit(pay_url(order.order_number)).path


def test_it_works(client: Client, order: Order) -> None:
    answer = client.get(path_of(order))
    payment = Payment.objects.get()
    assert answer.status_code == 302
    assert answer["Location"].startswith("http://127.0.0.1:9/gateway.do?")
    assert payment.out_trade_no in answer["Location"]
    assert "no-store" in answer["Cache-Control"]


def test_opened_twice_it_is_the_same_attempt(client: Client, order: Order) -> None:
    client.get(path_of(order))
    with nothing_changes():
        assert client.get(path_of(order)).status_code == 302


def test_paid_order_shows_its_page(client: Client, order: Order) -> None:
    gateway = get_gateways().current
    pay(make_payment(order, gateway, now=clock.now()), gateway)
    with nothing_changes():
        answer = client.get(path_of(order))
    assert (answer.status_code, answer["Location"]) == (302, f"/orders/{order.order_number}/")


def test_order_whose_time_is_over_shows_its_page(client: Client, order: Order, settings: Settings) -> None:
    settings.CLOCK_OFFSET_S = int(timedelta(seconds=settings.ORDER_TTL_S).total_seconds()) + 1
    with nothing_changes():
        assert client.get(path_of(order))["Location"] == f"/orders/{order.order_number}/"


@pytest.mark.parametrize(
    "change", [lambda path: f"{path[:-2]}{'B' if path[-2] == 'A' else 'A'}/", lambda path: path.replace(":", "", 1), lambda path: "/pay/x/"]
)
def test_forged_link_is_not_found(client: Client, order: Order, change: object) -> None:
    with nothing_changes():
        assert client.get(change(path_of(order))).status_code == 404  # type: ignore[operator]


def test_link_of_an_order_that_does_not_exist_is_not_found(client: Client) -> None:
    with nothing_changes():
        assert client.get(urlsplit(pay_url("20260302NONE")).path).status_code == 404


def test_without_a_configuration_nothing_is_opened(client: Client, order: Order, alipay_settings: Settings) -> None:
    alipay_settings.ALIPAY = {**alipay_settings.ALIPAY, "APP_ID": ""}
    get_gateways.cache_clear()
    with nothing_changes():
        assert client.get(path_of(order)).status_code == 503
