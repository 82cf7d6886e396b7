"""The answer to a buyer when Alipay refuses for good: the reason, never "try again in two seconds"."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from payments.api import orders
from payments.gateways import ConfiguredGateways
from shop import clock
from shop.models import Account, Order
from tests.clients import Api, answered
from tests.factories import make_buyer, make_course, make_order
from tests.payments.alipay_side import gateway_server, make_gateway, signed_answer
from tests.unchanged import nothing_changes

pytestmark = pytest.mark.django_db


@pytest.fixture
def buyer() -> Account:
    return make_buyer()


@pytest.fixture
def order(buyer: Account) -> Order:
    return make_order(buyer, make_course("60.00"), now=clock.now())


Answer = Callable[[dict[str, str]], bytes]
Alipay = Callable[[Answer], AbstractContextManager[None]]


@pytest.fixture
def alipay(monkeypatch: pytest.MonkeyPatch) -> Alipay:
    """Replaces the configured gateway with one that gives these answers."""

    @contextmanager
    def answering(answer: Answer) -> Iterator[None]:
        with gateway_server(answer) as told:
            gateways = ConfiguredGateways(make_gateway(told.url))
            monkeypatch.setattr(orders, "get_gateways", lambda: gateways)
            yield

    return answering


def precreate_says(sub_code: str, code: str = "40004") -> Answer:
    def answer(asked: dict[str, str]) -> bytes:
        if asked["method"] == "alipay.trade.precreate":
            return signed_answer(
                asked["method"], {"code": code, "sub_code": sub_code, "sub_msg": "buyer 159****1825"}
            )
        return signed_answer(asked["method"], {"code": "40004", "sub_code": "ACQ.TRADE_NOT_EXIST"})

    return answer


@pytest.mark.parametrize(
    ("sub_code", "slug"),
    [
        ("ACQ.TOTAL_FEE_EXCEED", "payment_over_limit"),
        ("ACQ.BEYOND_PAY_RESTRICTION", "payment_over_limit"),
        ("ACQ.BUYER_PAYMENT_AMOUNT_MONTH_LIMIT_ERROR", "payment_account_refused"),
        ("ACQ.ACCESS_FORBIDDEN", "payment_not_permitted"),
        ("ACQ.SELLER_BEEN_BLOCKED", "payment_not_permitted"),
        ("ACQ.CONTEXT_INCONSISTENT", "payment_refused"),
        ("ACQ.NEVER_HEARD_OF", "payment_refused"),
    ],
)
def test_proven_refusal_is_answered_as_such(
    alipay: Alipay, buyer: Account, order: Order, sub_code: str, slug: str
) -> None:
    url = f"/api/v1/orders/{order.order_number}/payments/"
    with alipay(precreate_says(sub_code)):
        for _ in range(2):
            response = Api(buyer).post(url, {"product": "qr"})
            assert (response.status_code, response.json()["error"], "Retry-After" in response) == (
                409,
                slug,
                False,
            )
            assert response.json()["details"]["gateway_code"] == sub_code
            assert "159" not in response.content.decode()
        with nothing_changes():
            Api(buyer).post(url, {"product": "qr"})


def test_product_that_the_merchant_has_no_contract_for(alipay: Alipay, buyer: Account, order: Order) -> None:
    with alipay(precreate_says("isv.insufficient-isv-permissions", code="40006")):
        response = Api(buyer).post(f"/api/v1/orders/{order.order_number}/payments/", {"product": "qr"})
    assert (response.status_code, response.json()["error"], "Retry-After" in response) == (
        409,
        "payment_not_permitted",
        False,
    )


def test_refused_product_leaves_the_others_open(alipay: Alipay, buyer: Account, order: Order) -> None:
    url = f"/api/v1/orders/{order.order_number}/payments/"
    with alipay(precreate_says("ACQ.ACCESS_FORBIDDEN")):
        assert Api(buyer).post(url, {"product": "qr"}).status_code == 409
        assert answered(Api(buyer).post(url, {"product": "page"}))["product"] == "page"


def test_outage_is_still_one(alipay: Alipay, buyer: Account, order: Order) -> None:
    for answer in (precreate_says("ACQ.SYSTEM_ERROR"), precreate_says("isp.unknow-error", code="20000")):
        with alipay(answer):
            response = Api(buyer).post(f"/api/v1/orders/{order.order_number}/payments/", {"product": "qr"})
            assert (response.status_code, response.json()["error"], response["Retry-After"]) == (
                503,
                "gateway_unavailable",
                "2",
            )
