"""An order, and a request that isn't one (yet), as the API shows them: one shape for both.

The serializers describe it for the schema. What is answered is made by the plain functions below them, for a fifth of the price.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import Any

from django.urls import reverse
from django.utils import timezone
from rest_framework import serializers

from shop import errors
from shop.api.fields import YuanField
from shop.domain.checkout import shown_time
from shop.domain.paylinks import pay_url
from shop.models import Order, OrderEvent, OrderLine, OrderRequest
from shop.money import ZERO
from shop.states import OrderRequestStatus, OrderStatus

# How soon to ask again for what is pending, in seconds.
RETRY_AFTER_S = "1"
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
    text = serializers.CharField(source="get_kind_display")
    details = serializers.DictField()

    class Meta:
        model = OrderEvent
        fields = ["kind", "text", "at", "details"]


class OrderSummaryOutput(serializers.ModelSerializer[Order]):
    amounts = AmountsOutput(source="*")
    lines = LineOutput(many=True)

    class Meta:
        model = Order
        fields = ["order_number", "status", "payment_type", "amounts", "lines", "created_at", "expires_at", "paid_at"]


class ErrorOutput(serializers.Serializer[Any]):
    code = serializers.IntegerField()
    error = serializers.CharField()
    msg = serializers.CharField()
    details = serializers.DictField()


class OrderOutput(serializers.Serializer[Any]):
    """`amounts` and what follows are null while `status` is `pending` or `rejected`; `error` is set when it is `rejected`."""

    order_number = serializers.CharField()
    status = serializers.ChoiceField(choices=STATUSES)
    url = serializers.CharField()
    payment_type = serializers.IntegerField(allow_null=True, help_text="1 支付宝，2 优惠码，3 贝里")
    pay_url = serializers.CharField(allow_null=True, help_text="status 为 awaiting_payment 时可支付的链接")
    amounts = AmountsOutput(allow_null=True)
    lines = LineOutput(many=True)
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField(allow_null=True)
    paid_at = serializers.DateTimeField(allow_null=True)
    timeline = EventOutput(many=True)
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
        "amounts": _amounts(order),
        "lines": [_line(line) for line in lines],
        "created_at": shown_time(order.created_at),
        "expires_at": shown_time(order.expires_at),
        "paid_at": shown_time(order.paid_at) if order.paid_at else None,
        "timeline": [_event(event) for event in events],
        "error": None,
    }


def is_payable(order: Order, *, now: datetime) -> bool:
    """Whether the buyer is shown a link to pay the order."""
    return (
        order.status == OrderStatus.AWAITING_PAYMENT
        and order.cancel_requested_at is None
        and order.expires_at > now
        and order.cash_due > ZERO
    )


def request_body(request: OrderRequest) -> dict[str, Any]:
    """The body of a request that no order was made of, or not yet."""
    error = None
    if request.status == OrderRequestStatus.REJECTED:
        error = {
            "code": errors.registry()[request.error_slug].code,
            "error": request.error_slug,
            "msg": request.error_message,
            "details": request.error_details,
        }
    return {
        "order_number": request.order_number,
        "status": request.status,
        "url": order_url(request.order_number),
        "payment_type": None,
        "pay_url": None,
        "amounts": None,
        "lines": [],
        "created_at": shown_time(request.created_at),
        "expires_at": None,
        "paid_at": None,
        "timeline": [],
        "error": error,
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


def _event(event: OrderEvent) -> dict[str, Any]:
    return {"kind": event.kind, "text": _KINDS.get(event.kind, event.kind), "at": _moment(event.at), "details": event.details}


def _yuan(amount: Decimal) -> str:
    return f"{amount:.2f}"


def _moment(moment: datetime) -> str:
    return timezone.localtime(moment).isoformat()


def _in_turn(made: Iterable[Any]) -> list[Any]:
    return sorted(made, key=lambda row: row.pk)
