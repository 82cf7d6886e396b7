"""An order, and a request that isn't one (yet), as the API shows them: one shape for both.

The serializers describe it for the schema. What is answered is made by the plain functions below them, for a fifth of the price.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from functools import cache
from typing import Any

from django.urls import reverse
from django.utils import timezone
from rest_framework import serializers

from shop import errors
from shop.api.fields import LabelField, YuanField
from shop.domain.checkout import shown_time
from shop.domain.paylinks import pay_url
from shop.domain.timeline import public_details
from shop.domain.wholeorder import RequestedLine, WholeOrder
from shop.models import Order, OrderEvent, OrderLine, OrderRequest, PricePolicy
from shop.money import ZERO
from shop.states import OrderRequestStatus, OrderStatus

# How soon to ask again for what isn't final, in seconds.
RETRY_AFTER_S = "1"
RETRY_AFTER_BY_STATUS = {OrderRequestStatus.PENDING.value: RETRY_AFTER_S, OrderStatus.AWAITING_PAYMENT.value: "2"}
STATUSES = [OrderRequestStatus.PENDING.value, OrderRequestStatus.REJECTED.value, *OrderStatus.values]


class PlacedOutput(serializers.Serializer[Any]):
    order_number = serializers.CharField()
    status = serializers.ChoiceField(choices=["pending"])
    url = serializers.CharField()


class AmountsOutput(serializers.Serializer[Any]):
    list_total = YuanField(help_text="原价合计")
    course_discount = YuanField(help_text="课程券优惠")
    global_discount = YuanField(help_text="全场券优惠")
    beili = serializers.IntegerField(help_text="使用贝里")
    beili_amount = YuanField(help_text="贝里抵扣（元）")
    alipay = YuanField(source="cash_due", help_text="支付宝应付")
    refunded = YuanField(source="refunded_amount")


class LineOutput(serializers.ModelSerializer[OrderLine]):
    course_id = serializers.IntegerField()
    policy_id = serializers.IntegerField(allow_null=True)
    coupon_record_id = serializers.IntegerField(allow_null=True)

    class Meta:
        model = OrderLine
        fields = [
            "course_id", "course_name", "course_img", "policy_id", "valid_period", "valid_period_display", "list_price", "coupon_record_id",
            "course_discount", "global_discount", "beili_amount", "cash_amount",
        ]  # fmt: skip


class EventOutput(serializers.ModelSerializer[OrderEvent]):
    text = LabelField(OrderEvent.Kind, source="kind")
    details = serializers.DictField()

    class Meta:
        model = OrderEvent
        fields = ["kind", "text", "at", "details"]


class ErrorOutput(serializers.Serializer[Any]):
    code = serializers.IntegerField()
    error = serializers.CharField()
    msg = serializers.CharField()
    details = serializers.DictField()


class RequestedLineOutput(serializers.Serializer[Any]):
    course_id = serializers.IntegerField()
    course_name = serializers.CharField()
    course_img = serializers.CharField()
    policy_id = serializers.IntegerField(allow_null=True)
    valid_period = serializers.IntegerField(allow_null=True)
    valid_period_display = serializers.CharField(allow_null=True)
    list_price = YuanField(allow_null=True, help_text="提交时看到的价格")
    coupon_record_id = serializers.IntegerField(allow_null=True)


class RequestedOutput(serializers.Serializer[Any]):
    """What the buyer asked for and agreed to."""

    alipay = YuanField()
    beili = serializers.IntegerField()
    coupon_record_id = serializers.IntegerField(allow_null=True)
    buy_again = serializers.BooleanField(help_text="课程在另一笔待支付订单中也要再买")
    lines = RequestedLineOutput(many=True)


class OrderSummaryOutput(serializers.Serializer[Any]):
    """An order in a list. As in `OrderOutput`, `requested` stands in for `amounts` and `lines` until there is an order."""

    order_number = serializers.CharField()
    status = serializers.ChoiceField(choices=STATUSES)
    payment_type = serializers.IntegerField(allow_null=True, help_text="1 支付宝，2 优惠码，3 贝里")
    amounts = AmountsOutput(allow_null=True)
    lines = LineOutput(many=True)
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField(allow_null=True)
    paid_at = serializers.DateTimeField(allow_null=True)
    requested = RequestedOutput(allow_null=True)
    error = ErrorOutput(allow_null=True)


class PaymentState(StrEnum):
    """Where an order that awaits its payment stands."""

    PAYABLE = "payable"
    # The buyer came back from the cashier, and the gateway hasn't yet said whether they paid.
    CONFIRMING = "confirming"
    # The shown deadline is over; what was paid in the last moment may still come.
    OVERDUE = "overdue"
    CANCELLING = "cancelling"


class OrderOutput(serializers.Serializer[Any]):
    """`amounts` and what follows are null while `status` is `pending` or `rejected`; `error` is set when it is `rejected`.

    `requested` is what was asked for, as long as there is no order of it. `payment_state` is set while `status` is `awaiting_payment`.
    """

    order_number = serializers.CharField()
    status = serializers.ChoiceField(choices=STATUSES)
    url = serializers.CharField()
    payment_type = serializers.IntegerField(allow_null=True, help_text="1 支付宝，2 优惠码，3 贝里")
    pay_url = serializers.CharField(allow_null=True, help_text="status 为 awaiting_payment 时可支付的链接")
    payment_state = serializers.ChoiceField(
        choices=[state.value for state in PaymentState], allow_null=True, help_text="confirming：正在确认支付，请勿重复付款"
    )
    amounts = AmountsOutput(allow_null=True)
    lines = LineOutput(many=True)
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField(allow_null=True)
    paid_at = serializers.DateTimeField(allow_null=True)
    timeline = EventOutput(many=True)
    requested = RequestedOutput(allow_null=True)
    error = ErrorOutput(allow_null=True)


def order_url(order_number: str) -> str:
    """The order's address in the API, as `reverse` gives it, which looks at all addresses each time."""
    return f"{_orders_url()}{order_number}/"


@cache
def _orders_url() -> str:
    return reverse("orders")


def order_body(order: Order, *, now: datetime) -> dict[str, Any]:
    """The body of an order that exists."""
    return whole_order_body(order, _in_turn(order.lines.all()), _in_turn(order.events.all()), now=now)


def whole_order_body(order: Order, lines: Sequence[OrderLine], events: Sequence[OrderEvent], *, now: datetime) -> dict[str, Any]:
    """The same with what belongs to the order at hand, in the order in which it was made."""
    return {
        "order_number": order.order_number,
        "status": order.status,
        "url": order_url(order.order_number),
        "payment_type": order.payment_type,
        "pay_url": pay_url(order.order_number) if is_payable(order, now=now) else None,
        "payment_state": payment_state(order, now=now),
        "amounts": _amounts(order),
        "lines": [_line(line) for line in lines],
        "created_at": shown_time(order.created_at),
        "expires_at": shown_time(order.expires_at),
        "paid_at": shown_time(order.paid_at) if order.paid_at else None,
        "timeline": [_event(event) for event in events],
        "requested": None,
        "error": None,
    }


def is_payable(order: Order, *, now: datetime) -> bool:
    """Whether the buyer is shown a link to pay the order."""
    return payment_state(order, now=now) is PaymentState.PAYABLE and order.cash_due > ZERO


def payment_state(order: Order, *, now: datetime) -> PaymentState | None:
    """Where the order stands while it awaits its payment; None before and after."""
    if order.status != OrderStatus.AWAITING_PAYMENT:
        return None
    if order.cancel_requested_at is not None:
        return PaymentState.CANCELLING
    if order.confirming_since is not None:
        return PaymentState.CONFIRMING
    return PaymentState.PAYABLE if order.expires_at > now else PaymentState.OVERDUE


def request_body(request: OrderRequest, lines: Sequence[RequestedLine]) -> dict[str, Any]:
    """The body of a request that no order was made of, or not yet."""
    return {
        "order_number": request.order_number,
        "status": request.status,
        "url": order_url(request.order_number),
        "payment_type": None,
        "pay_url": None,
        "payment_state": None,
        "amounts": None,
        "lines": [],
        "created_at": shown_time(request.created_at),
        "expires_at": None,
        "paid_at": None,
        "timeline": [],
        "requested": _requested(request, lines),
        "error": _error(request),
    }


def summary(listed: WholeOrder) -> dict[str, Any]:
    """An order in a list, or the request that no order was made of, or not yet."""
    if listed.order is not None:
        return order_summary(listed.order, listed.lines)
    request = listed.request
    return {
        "order_number": request.order_number,
        "status": request.status,
        "payment_type": None,
        "amounts": None,
        "lines": [],
        "created_at": _moment(request.created_at),
        "expires_at": None,
        "paid_at": None,
        "requested": _requested(request, listed.requested),
        "error": _error(request),
    }


def order_summary(order: Order, lines: Sequence[OrderLine]) -> dict[str, Any]:
    """An order in a list, with its lines in the order in which they were made."""
    return {
        "order_number": order.order_number,
        "status": order.status,
        "payment_type": order.payment_type,
        "amounts": _amounts(order),
        "lines": [_line(line) for line in lines],
        "created_at": _moment(order.created_at),
        "expires_at": _moment(order.expires_at),
        "paid_at": _moment(order.paid_at) if order.paid_at else None,
        "requested": None,
        "error": None,
    }


def _error(request: OrderRequest) -> dict[str, Any] | None:
    if request.status != OrderRequestStatus.REJECTED:
        return None
    return {
        "code": errors.registry()[request.error_slug].code,
        "error": request.error_slug,
        "msg": request.error_message,
        "details": request.error_details,
    }


def _requested(request: OrderRequest, lines: Sequence[RequestedLine]) -> dict[str, Any]:
    body = request.body
    prices_seen = body.get("prices_seen") or {}
    return {
        "alipay": body["alipay"],
        "beili": body["beili"],
        "coupon_record_id": body["coupon_record_id"],
        "buy_again": body.get("buy_again", False),
        "lines": [
            {
                "course_id": line.course_id,
                "course_name": line.course_name,
                "course_img": line.course_img,
                "policy_id": line.policy_id,
                "valid_period": line.valid_period,
                "valid_period_display": _PERIODS.get(line.valid_period) if line.valid_period else None,
                "list_price": prices_seen.get(str(line.course_id)) or (None if line.price is None else _yuan(line.price)),
                "coupon_record_id": line.coupon_record_id,
            }
            for line in lines
        ],
    }


def _amounts(order: Order) -> dict[str, Any]:
    return {
        "list_total": _yuan(order.list_total),
        "course_discount": _yuan(order.course_discount),
        "global_discount": _yuan(order.global_discount),
        "beili": order.beili,
        "beili_amount": _yuan(order.beili_amount),
        "alipay": _yuan(order.cash_due),
        "refunded": _yuan(order.refunded_amount),
    }


def _line(line: OrderLine) -> dict[str, Any]:
    return {
        "course_id": line.course_id,
        "course_name": line.course_name,
        "course_img": line.course_img,
        "policy_id": line.policy_id,
        "valid_period": line.valid_period,
        "valid_period_display": line.valid_period_display,
        "list_price": _yuan(line.list_price),
        "coupon_record_id": line.coupon_record_id,
        "course_discount": _yuan(line.course_discount),
        "global_discount": _yuan(line.global_discount),
        "beili_amount": _yuan(line.beili_amount),
        "cash_amount": _yuan(line.cash_amount),
    }


_KINDS = dict(OrderEvent.Kind.choices)
_PERIODS = dict(PricePolicy.Period.choices)


def _event(event: OrderEvent) -> dict[str, Any]:
    return {
        "kind": event.kind,
        "text": _KINDS.get(event.kind, event.kind),
        "at": _moment(event.at),
        "details": public_details(event.details),
    }


def _yuan(amount: Decimal) -> str:
    return f"{amount:.2f}"


def _moment(moment: datetime) -> str:
    return timezone.localtime(moment).isoformat()


def _in_turn(made: Iterable[Any]) -> list[Any]:
    return sorted(made, key=lambda row: row.pk)
