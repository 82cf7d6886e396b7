"""The API's representation of an order, and of a request that has no order (yet): one shape for both."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import cache
from typing import Annotated, Any, Literal

from django.urls import reverse
from msgspec import Meta

from shop.api.wire import (
    PAYMENT_S,
    WORKER_S,
    ErrorOutput,
    Moment,
    Output,
    Yuan,
    error_body,
    moment,
    moment_or_none,
    yuan,
)
from shop.domain.orders.paylinks import PaymentState, is_payable, pay_url, payment_state
from shop.domain.orders.timeline import MOMENTS, public_details
from shop.domain.polling.order_view import RequestedLine, WholeOrder
from shop.domain.purchase import Purchase
from shop.models import Order, OrderEvent, OrderLine, OrderRequest, PricePolicy
from shop.states import OrderRequestStatus, OrderStatus

# `Retry-After` in seconds for each status that isn't final.
RETRY_AFTER_BY_STATUS = {
    OrderRequestStatus.PENDING.value: WORKER_S,
    OrderStatus.AWAITING_PAYMENT.value: PAYMENT_S,
}
STATUSES = [OrderRequestStatus.PENDING.value, OrderRequestStatus.REJECTED.value, *OrderStatus.values]

Status = Annotated[str, Meta(extra_json_schema={"enum": STATUSES})]
PaymentType = Annotated[int, Meta(description="1 支付宝，2 优惠码，3 贝里")]


_EVENTS = "\n".join(f"* `{kind}` - {label}" for kind, label in OrderEvent.Kind.choices)


class PlacedOutput(Output):
    order_number: str
    status: Literal["pending"]
    url: str


class AmountsOutput(Output):
    list_total: Annotated[Yuan, Meta(description="原价合计")]
    course_discount: Annotated[Yuan, Meta(description="课程券优惠")]
    global_discount: Annotated[Yuan, Meta(description="全场券优惠")]
    beili: Annotated[int, Meta(description="使用贝里")]
    beili_amount: Annotated[Yuan, Meta(description="贝里抵扣（元）")]
    alipay: Annotated[Yuan, Meta(description="支付宝应付")]
    refunded: Yuan


class LineOutput(Output):
    course_id: int
    course_name: str
    course_img: str
    policy_id: int | None
    valid_period: Annotated[int, Meta(description="有效期（天）")]
    valid_period_display: str
    list_price: Yuan
    coupon_record_id: int | None
    course_discount: Yuan
    global_discount: Yuan
    beili_amount: Yuan
    cash_amount: Yuan


class EventOutput(Output):
    kind: Annotated[str, Meta(description=_EVENTS, extra_json_schema={"enum": OrderEvent.Kind.values})]
    text: str
    at: Moment
    details: dict[str, Any]


class RequestedLineOutput(Output):
    course_id: int
    course_name: str
    course_img: str
    policy_id: int | None
    valid_period: int | None
    valid_period_display: str | None
    list_price: Annotated[Yuan | None, Meta(description="提交时看到的价格")]
    coupon_record_id: int | None


class RequestedOutput(Output):
    """What the buyer asked for and agreed to."""

    alipay: Yuan
    beili: int
    coupon_record_id: int | None
    buy_again: Annotated[bool, Meta(description="课程在另一笔待支付订单中也要再买")]
    lines: list[RequestedLineOutput]


class OrderSummaryOutput(Output):
    """An order in a list.

    As in `OrderOutput`, `requested` takes the place of `amounts` and `lines` until there is an order.
    """

    order_number: str
    status: Status
    payment_type: PaymentType | None
    amounts: AmountsOutput | None
    lines: list[LineOutput]
    created_at: Moment
    expires_at: Moment | None
    paid_at: Moment | None
    requested: RequestedOutput | None
    error: ErrorOutput | None


class OrderOutput(Output):
    """While `status` is `pending` or `rejected` there is no order: `amounts`, `expires_at` and `paid_at` are
    null, `lines` and `timeline` are empty, and `requested` is what the buyer asked for.

    `error` is set if `status` is `rejected`; `payment_state` is set while it is `awaiting_payment`.
    """

    order_number: str
    status: Status
    url: str
    payment_type: PaymentType | None
    pay_url: Annotated[str | None, Meta(description="status 为 awaiting_payment 时可支付的链接")]
    payment_state: Annotated[PaymentState | None, Meta(description="confirming：正在确认支付，请勿重复付款")]
    amounts: AmountsOutput | None
    lines: list[LineOutput]
    created_at: Moment
    expires_at: Moment | None
    paid_at: Moment | None
    timeline: list[EventOutput]
    requested: RequestedOutput | None
    error: ErrorOutput | None


def order_url(order_number: str) -> str:
    """The order's URL in the API. `reverse` would search all URL patterns each time."""
    return f"{_orders_url()}{order_number}/"


@cache
def _orders_url() -> str:
    return reverse("orders")


def order_body(order: Order, *, now: datetime) -> OrderOutput:
    """The body for an existing order."""
    return whole_order_body(order, _in_turn(order.lines.all()), _in_turn(order.events.all()), now=now)


def whole_order_body(
    order: Order, lines: Sequence[OrderLine], events: Sequence[OrderEvent], *, now: datetime
) -> OrderOutput:
    """As `order_body`, from lines and events that are loaded already, each in order of creation."""
    return OrderOutput(
        order_number=order.order_number,
        status=order.status,
        url=order_url(order.order_number),
        payment_type=order.payment_type,
        pay_url=pay_url(order.order_number) if is_payable(order, now=now) else None,
        payment_state=payment_state(order, now=now),
        amounts=_amounts(order),
        lines=[_line(line) for line in lines],
        created_at=moment(order.created_at),
        expires_at=moment(order.expires_at),
        paid_at=moment_or_none(order.paid_at),
        timeline=[_event(event) for event in events],
        requested=None,
        error=None,
    )


def request_body(request: OrderRequest, purchase: Purchase, lines: Sequence[RequestedLine]) -> OrderOutput:
    """The body for a request that is pending or was rejected."""
    return OrderOutput(
        order_number=request.order_number,
        status=request.status,
        url=order_url(request.order_number),
        payment_type=None,
        pay_url=None,
        payment_state=None,
        amounts=None,
        lines=[],
        created_at=moment(request.created_at),
        expires_at=None,
        paid_at=None,
        timeline=[],
        requested=_requested(purchase, lines),
        error=_error(request),
    )


def summary(listed: WholeOrder) -> OrderSummaryOutput:
    """A list's entry for an order, or for a request that is pending or was rejected."""
    if listed.order is not None:
        return order_summary(listed.order, listed.lines)
    request = listed.request
    return OrderSummaryOutput(
        order_number=request.order_number,
        status=request.status,
        payment_type=None,
        amounts=None,
        lines=[],
        created_at=moment(request.created_at),
        expires_at=None,
        paid_at=None,
        requested=_requested(listed.purchase, listed.requested) if listed.purchase else None,
        error=_error(request),
    )


def order_summary(order: Order, lines: Sequence[OrderLine]) -> OrderSummaryOutput:
    """A list's entry for an existing order, with its lines in the order of creation."""
    return OrderSummaryOutput(
        order_number=order.order_number,
        status=order.status,
        payment_type=order.payment_type,
        amounts=_amounts(order),
        lines=[_line(line) for line in lines],
        created_at=moment(order.created_at),
        expires_at=moment(order.expires_at),
        paid_at=moment_or_none(order.paid_at),
        requested=None,
        error=None,
    )


def _error(request: OrderRequest) -> ErrorOutput | None:
    if request.status != OrderRequestStatus.REJECTED:
        return None
    return error_body(request.error_slug, request.error_message, request.error_details)


def _requested(purchase: Purchase, lines: Sequence[RequestedLine]) -> RequestedOutput:
    return RequestedOutput(
        alipay=yuan(purchase.alipay),
        beili=purchase.beili,
        coupon_record_id=purchase.coupon_record_id,
        buy_again=purchase.buy_again,
        lines=[
            RequestedLineOutput(
                course_id=line.course_id,
                course_name=line.course_name,
                course_img=line.course_img,
                policy_id=line.policy_id,
                valid_period=line.valid_period,
                valid_period_display=_PERIODS.get(line.valid_period) if line.valid_period else None,
                list_price=None if line.price is None else yuan(line.price),
                coupon_record_id=line.coupon_record_id,
            )
            for line in lines
        ],
    )


def _amounts(order: Order) -> AmountsOutput:
    return AmountsOutput(
        list_total=yuan(order.list_total),
        course_discount=yuan(order.course_discount),
        global_discount=yuan(order.global_discount),
        beili=order.beili,
        beili_amount=yuan(order.beili_amount),
        alipay=yuan(order.cash_due),
        refunded=yuan(order.refunded_amount),
    )


def _line(line: OrderLine) -> LineOutput:
    return LineOutput(
        course_id=line.course_id,
        course_name=line.course_name,
        course_img=line.course_img,
        policy_id=line.policy_id,
        valid_period=line.valid_period,
        valid_period_display=line.valid_period_display,
        list_price=yuan(line.list_price),
        coupon_record_id=line.coupon_record_id,
        course_discount=yuan(line.course_discount),
        global_discount=yuan(line.global_discount),
        beili_amount=yuan(line.beili_amount),
        cash_amount=yuan(line.cash_amount),
    )


_KINDS = dict(OrderEvent.Kind.choices)
_PERIODS = dict(PricePolicy.Period.choices)


def _event(event: OrderEvent) -> EventOutput:
    return EventOutput(
        kind=event.kind, text=_KINDS.get(event.kind, event.kind), at=moment(event.at), details=_details(event)
    )


def _details(event: OrderEvent) -> dict[str, Any]:
    details = public_details(event.details)
    if MOMENTS.isdisjoint(details):
        return details
    return {
        name: moment(datetime.fromisoformat(value)) if name in MOMENTS else value
        for name, value in details.items()
    }


def _in_turn(made: Iterable[Any]) -> list[Any]:
    return sorted(made, key=lambda row: row.pk)
