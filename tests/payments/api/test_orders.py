"""`POST orders/{n}/payments/`, `cancel/` and `refunds/`: what they answer, and that a refusal changes
nothing.
"""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from payments.api import notify, orders
from payments.gateways import ConfiguredGateways
from payments.models import Payment, Refund
from payments.states import PaymentStatus, Product, RefundStatus
from shop import clock
from shop.models import Account, Order
from shop.states import OrderStatus
from tests.clients import Api, answered, refused
from tests.factories import decide, make_buyer, make_course, make_order, make_request
from tests.payments.memorygateway import Fault, MemoryGateway
from tests.payments.order_scenario import columns, pay, reject
from tests.unchanged import nothing_changes

pytestmark = pytest.mark.django_db


@pytest.fixture
def now() -> datetime:
    return clock.now()


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> MemoryGateway:
    """Replaces the configured gateway."""
    gateway = MemoryGateway(clock.now)
    gateways = ConfiguredGateways(gateway)
    for module in (orders, notify):
        monkeypatch.setattr(module, "get_gateways", lambda: gateways)
    return gateway


@pytest.fixture
def buyer() -> Account:
    return make_buyer(beili=50)


@pytest.fixture
def api(buyer: Account) -> Api:
    return Api(buyer)


@pytest.fixture
def order(buyer: Account, now: datetime) -> Order:
    return make_order(buyer, make_course("60.00"), make_course("40.00"), beili=10, alipay="90.00", now=now)


@pytest.fixture
def paid(order: Order, gateway: MemoryGateway, now: datetime) -> Order:
    pay(order, gateway, now=now)
    return order


def url(order: Order, what: str) -> str:
    return f"/api/v1/orders/{order.order_number}/{what}/"


# --- Payments -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("product", "field"),
    [("page", "pay_url"), ("wap", "pay_url"), ("app", "order_string"), ("qr", "qr_code"), (None, "pay_url")],
)
def test_payment_is_started(
    api: Api, order: Order, gateway: MemoryGateway, product: str | None, field: str
) -> None:
    data = answered(api.post(url(order, "payments"), {"product": product} if product else {}))
    payment = Payment.objects.get()
    assert (data["out_trade_no"], data["product"], data["amount"]) == (
        payment.out_trade_no,
        product or "page",
        "90.00",
    )
    offers = {name: data[name] for name in ("pay_url", "order_string", "qr_code")}
    assert offers == {**dict.fromkeys(offers), field: f"memory://{product or 'page'}/{payment.out_trade_no}"}
    again = answered(api.post(url(order, "payments"), {"product": product} if product else {}))
    assert again == data


def test_another_product_takes_over_an_unused_attempt(api: Api, order: Order, gateway: MemoryGateway) -> None:
    first = answered(api.post(url(order, "payments"), {"product": "page"}))
    second = answered(api.post(url(order, "payments"), {"product": "qr"}))
    assert first["out_trade_no"] == second["out_trade_no"]
    assert list(Payment.objects.values_list("status", "product")) == [(PaymentStatus.OPEN, Product.QR)]


def test_another_product_replaces_the_attempt_that_a_buyer_has_shown_up_for(
    api: Api, order: Order, gateway: MemoryGateway
) -> None:
    first = answered(api.post(url(order, "payments"), {"product": "page"}))
    gateway.scan(first["out_trade_no"])
    second = answered(api.post(url(order, "payments"), {"product": "qr"}))
    assert first["out_trade_no"] != second["out_trade_no"]
    assert list(Payment.objects.order_by("id").values_list("status", "product")) == [
        (PaymentStatus.CLOSED, Product.PAGE),
        (PaymentStatus.OPEN, Product.QR),
    ]


def test_paid_order_is_not_payable(api: Api, paid: Order) -> None:
    with nothing_changes():
        assert refused(api.post(url(paid, "payments"))) == (409, 1150, "order_not_payable")


@pytest.mark.parametrize(
    "body",
    [{"product": "cash"}, {"product": ""}, {"product": None}, {"product": ["page"]}, {"colour": 1}, [], "x"],
)
def test_invalid_payment_is_refused(api: Api, order: Order, gateway: MemoryGateway, body: Any) -> None:
    with nothing_changes():
        assert refused(api.post(url(order, "payments"), body)) == (400, 1003, "invalid_input")


def test_unreachable_gateway_is_a_503(api: Api, order: Order, gateway: MemoryGateway) -> None:
    gateway.faults = [Fault.LOST_BEFORE]
    response = api.post(url(order, "payments"), {"product": "qr"})
    assert refused(response) == (503, 1153, "gateway_unavailable")
    assert response["Retry-After"]
    assert answered(api.post(url(order, "payments"), {"product": "qr"}))["qr_code"]
    assert Payment.objects.count() == 1


def test_shop_without_a_gateway_refuses_payments(api: Api, order: Order) -> None:
    with nothing_changes():
        assert refused(api.post(url(order, "payments"))) == (503, 1152, "gateway_not_configured")


# --- Cancelling ---------------------------------------------------------------------------------------------


def test_cancel_is_noted_and_answered_202(api: Api, order: Order) -> None:
    data = answered(api.post(url(order, "cancel")), 202)
    assert data["status"] == "awaiting_payment"
    assert [event["kind"] for event in data["timeline"]][-1] == "cancel_requested"
    assert columns(order, "cancel_requested_at")[0] is not None
    version = columns(order, "version")
    answered(api.post(url(order, "cancel")), 202)
    assert columns(order, "version") == version


def test_cancelled_order_is_not_payable(api: Api, order: Order, gateway: MemoryGateway) -> None:
    answered(api.post(url(order, "cancel")), 202)
    with nothing_changes():
        assert refused(api.post(url(order, "payments"))) == (409, 1150, "order_not_payable")


def test_paid_order_is_not_cancellable(api: Api, paid: Order) -> None:
    with nothing_changes():
        assert refused(api.post(url(paid, "cancel"))) == (409, 1151, "order_not_cancellable")


# --- Refunds ------------------------------------------------------------------------------------------------


def test_refund_of_one_course_is_requested(api: Api, paid: Order) -> None:
    course_id = paid.lines.order_by("id").values_list("course_id", flat=True)[0]
    data = answered(api.post(url(paid, "refunds"), {"lines": [str(course_id)], "reason": "学不动了"}), 202)
    assert (data["status"], data["amount"], data["beili"], data["lines"], data["reason"]) == (
        "requested",
        "54.00",
        6,
        [course_id],
        "学不动了",
    )
    assert columns(paid, "status") == (OrderStatus.PAID,)
    listed = answered(api.get(url(paid, "refunds")))
    assert [refund["out_request_no"] for refund in listed] == [data["out_request_no"]]


def test_whole_order_is_requested(api: Api, paid: Order) -> None:
    data = answered(api.post(url(paid, "refunds"), {}), 202)
    assert (data["amount"], data["beili"], len(data["lines"])) == ("90.00", 10, 2)
    with nothing_changes():
        assert refused(api.post(url(paid, "refunds"), {})) == (409, 1155, "refund_line_taken")


def test_unpaid_order_is_not_refundable(api: Api, order: Order, gateway: MemoryGateway) -> None:
    with nothing_changes():
        assert refused(api.post(url(order, "refunds"), {})) == (409, 1154, "order_not_refundable")
    assert gateway.calls == []


def test_course_of_another_order_is_not_refundable(api: Api, paid: Order) -> None:
    with nothing_changes():
        assert refused(api.post(url(paid, "refunds"), {"lines": [make_course_id()]})) == (
            409,
            1154,
            "order_not_refundable",
        )


def make_course_id() -> int:
    return 2_000_000_000


@pytest.mark.parametrize(
    "body",
    [
        {"lines": []},
        {"lines": [1, 1]},
        {"lines": ["x"]},
        {"lines": 1},
        {"lines": [None]},
        {"reason": "x" * 201},
        {"lines": [-1]},
        [],
    ],
)
def test_invalid_refund_is_refused(api: Api, paid: Order, body: Any) -> None:
    with nothing_changes():
        assert refused(api.post(url(paid, "refunds"), body)) == (400, 1003, "invalid_input")


def test_refund_is_quoted_as_it_is_then_asked_for(api: Api, paid: Order) -> None:
    first, second = paid.lines.order_by("id").values_list("course_id", flat=True)
    for lines in ({"lines": [first]}, {"lines": [second]}):
        with nothing_changes():
            quoted = answered(api.post(url(paid, "refunds/quote"), lines))
        asked = answered(api.post(url(paid, "refunds"), lines), 202)
        assert quoted == {name: asked[name] for name in ("amount", "beili", "lines")}


def test_whole_refund_is_quoted(api: Api, paid: Order) -> None:
    courses = list(paid.lines.order_by("id").values_list("course_id", flat=True))
    assert answered(api.post(url(paid, "refunds/quote"), {})) == {
        "amount": "90.00",
        "beili": 10,
        "lines": courses,
    }


def test_refund_of_nothing_is_not_quoted(api: Api, paid: Order) -> None:
    answered(api.post(url(paid, "refunds"), {}), 202)
    with nothing_changes():
        assert refused(api.post(url(paid, "refunds/quote"), {})) == (409, 1155, "refund_line_taken")
        assert refused(api.post(url(paid, "refunds/quote"), {"reason": "x"}))[0] == 400


def test_refund_in_progress_has_retry_after(api: Api, paid: Order) -> None:
    assert "Retry-After" not in api.get(url(paid, "refunds"))
    asked = api.post(url(paid, "refunds"), {})
    assert (asked["Retry-After"], api.get(url(paid, "refunds"))["Retry-After"]) == ("5", "5")
    reject(Refund.objects.get())
    settled = api.get(url(paid, "refunds"))
    assert "Retry-After" not in settled
    assert [(refund["status"], refund["outcome"]) for refund in answered(settled)] == [
        ("rejected", "超过期限")
    ]


# --- A number that isn't an order (yet) ---------------------------------------------------------------------

CALLS: dict[str, Callable[[Api, Any], Any]] = {
    "pay": lambda api, order: api.post(url(order, "payments"), {"product": "page"}),
    "cancel": lambda api, order: api.post(url(order, "cancel")),
    "refund": lambda api, order: api.post(url(order, "refunds"), {}),
    "quote": lambda api, order: api.post(url(order, "refunds/quote"), {}),
    "list": lambda api, order: api.get(url(order, "refunds")),
}


@pytest.mark.parametrize("call", CALLS)
def test_pending_order_number_is_refused_as_pending(
    api: Api, buyer: Account, gateway: MemoryGateway, call: str
) -> None:
    request, stranger = make_request(buyer, make_course("60.00"), now=clock.now()), Api(make_buyer())
    with nothing_changes():
        response = CALLS[call](api, request)
        assert refused(response) == (409, 1180, "order_pending")
        assert response["Retry-After"] == "1"
        assert refused(CALLS[call](stranger, request)) == (404, 1001, "order_not_found")


@pytest.mark.parametrize("call", CALLS)
def test_rejected_order_number_is_refused_with_the_reason(
    api: Api, buyer: Account, gateway: MemoryGateway, call: str
) -> None:
    request = make_request(buyer, make_course("60.00"), alipay="1.00", now=clock.now())
    decide(request, now=clock.now())
    with nothing_changes():
        response = CALLS[call](api, request)
        assert refused(response) == (409, 1181, "order_rejected")
        assert response.json()["details"] == {
            "reason": "quote_changed",
            "why": "价格、有效期或优惠有变化，请确认新的报价后重新提交。",
        }


# --- Paid already, and only Alipay knows --------------------------------------------------------------------


def test_earlier_attempt_is_queried_before_another_is_made(
    api: Api, order: Order, gateway: MemoryGateway
) -> None:
    answered(api.post(url(order, "payments"), {}))
    gateway.pay(Payment.objects.get().out_trade_no)
    assert refused(api.post(url(order, "payments"), {})) == (409, 1150, "order_not_payable")
    assert columns(order, "status") == (OrderStatus.PAID,)


def test_payment_is_not_started_while_the_gateway_is_silent(
    api: Api, order: Order, gateway: MemoryGateway
) -> None:
    answered(api.post(url(order, "payments"), {}))
    gateway.pay(Payment.objects.get().out_trade_no)
    gateway.faults = [Fault.LOST_BEFORE]
    with nothing_changes():
        response = api.post(url(order, "payments"), {})
        assert refused(response) == (409, 1182, "payment_confirming")
        assert response["Retry-After"] == "5"


# --- Owners -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call",
    [
        lambda api, order: api.post(url(order, "payments"), {"product": "page"}),
        lambda api, order: api.post(url(order, "cancel")),
        lambda api, order: api.post(url(order, "refunds"), {}),
        lambda api, order: api.get(url(order, "refunds")),
    ],
    ids=["pay", "cancel", "refund", "list"],
)
def test_another_buyers_order_is_a_404(paid: Order, call: Callable[[Api, Order], Any]) -> None:
    stranger = Api(make_buyer())
    with nothing_changes():
        assert refused(call(stranger, paid)) == (404, 1001, "order_not_found")
        assert refused(call(Api(), paid))[0] == 401
    assert Refund.objects.filter(status=RefundStatus.REQUESTED).count() == 0
    assert columns(paid.payments.get(), "refund_committed") == (Decimal("0.00"),)
