"""The rows shown on an order's page, read with one statement per table, however much has happened."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.translation import gettext

from payments.desk.timeline import TimelineEntry, describe_event, trace_url
from payments.models import BillDifference, Notification, Payment, Refund
from payments.states import DifferenceStatus, NotificationStatus, RefundKind, RefundStatus
from shop.models import Enrolment, LedgerTransfer, Order, OrderEvent, OrderLine
from shop.states import OrderStatus

# How many rows of each table are shown; the lists have the rest.
MAX_ROWS = 200

Offers = Callable[[Any], Sequence[tuple[Any, str]]]


@dataclass(frozen=True, slots=True)
class Due:
    """Something that the shop will do by itself, and when."""

    what: str
    at: datetime


@dataclass(frozen=True, slots=True)
class OrderPage:
    order: Order
    lines: Sequence[OrderLine]
    # Pairs of a row and the deeds that apply to it.
    payments: Sequence[tuple[Payment, Any]]
    notifications: Sequence[tuple[Notification, Any]]
    refunds: Sequence[tuple[Refund, Any]]
    # Between bills and the books.
    differences: Sequence[tuple[BillDifference, Any]]
    enrolments: Sequence[tuple[Enrolment, Any]]
    transfers: Sequence[LedgerTransfer]
    timeline: Sequence[TimelineEntry]
    due: Sequence[Due]
    # What needs a person, and what went wrong last.
    troubles: Sequence[str]
    # The URL of the purchase's log lines.
    trace_url: str


def read_order_page(order: Order, offers: Offers) -> OrderPage:
    """Everything about the order. `offers` returns the deeds that apply to a row."""
    lines = list(OrderLine.objects.filter(order=order).select_related("coupon_record__coupon").order_by("id"))
    payments = list(Payment.objects.filter(order=order).order_by("id"))
    for payment in payments:
        payment.order = order
    refunds = list(
        Refund.objects.filter(order=order)
        .select_related("payment", "approved_by", "decided_by", "requested_by")
        .prefetch_related("lines__order_line")
        .order_by("id")[:MAX_ROWS]
    )
    numbers = [payment.out_trade_no for payment in payments]
    notifications = list(
        Notification.objects.filter(out_trade_no__in=numbers)
        .select_related("dismissed_by", "payment")
        .order_by("id")[:MAX_ROWS]
    )
    differences = list(
        BillDifference.objects.filter(order=order)
        .select_related("bill", "explained_by")
        .order_by("id")[:MAX_ROWS]
    )
    enrolments = list(
        Enrolment.objects.filter(order_line__in=lines).select_related("course", "account").order_by("id")
    )
    events = list(OrderEvent.objects.filter(order=order).order_by("-id")[:MAX_ROWS])
    return OrderPage(
        order=order,
        lines=lines,
        payments=[(payment, offers(payment)) for payment in payments],
        notifications=[(row, offers(row)) for row in notifications],
        refunds=[(refund, offers(refund)) for refund in refunds],
        differences=[(difference, offers(difference)) for difference in differences],
        enrolments=[(enrolment, offers(enrolment)) for enrolment in enrolments],
        transfers=list(LedgerTransfer.objects.filter(order=order).order_by("id")[:MAX_ROWS]),
        timeline=[describe_event(event) for event in events],
        due=sorted(_due(order, payments, refunds, notifications), key=lambda due: due.at),
        troubles=[
            *_troubles(order, payments, refunds, notifications),
            *(_trouble_of(difference) for difference in differences if _is_open(difference)),
        ],
        trace_url=trace_url(f"request:{order.trace_id}"),
    )


def _due(
    order: Order,
    payments: Sequence[Payment],
    refunds: Sequence[Refund],
    notifications: Sequence[Notification],
) -> Any:
    if order.available_at is not None:
        yield Due(
            gettext("按买家要求取消订单") if order.cancel_requested_at else gettext("未支付则关闭订单"),
            order.available_at,
        )
    for payment in payments:
        if payment.available_at is not None:
            yield Due(
                gettext("查询支付 %(out_trade_no)s") % {"out_trade_no": payment.out_trade_no},
                payment.available_at,
            )
    for refund in refunds:
        if refund.available_at is not None:
            yield Due(
                gettext("处理退款 %(out_request_no)s") % {"out_request_no": refund.out_request_no},
                refund.available_at,
            )
    for row in notifications:
        if row.available_at is not None:
            yield Due(
                gettext("处理通知 %(trade_status)s") % {"trade_status": row.trade_status}, row.available_at
            )


def _troubles(
    order: Order,
    payments: Sequence[Payment],
    refunds: Sequence[Refund],
    notifications: Sequence[Notification],
) -> Any:
    if order.dead_at is not None:
        yield gettext("关闭订单的尝试已放弃：%(last_error)s") % {
            "last_error": order.last_error or gettext("没有记录")
        }
    elif order.status == OrderStatus.AWAITING_PAYMENT and order.last_error:
        yield gettext("关闭订单时出错，会再试：%(last_error)s") % {"last_error": order.last_error}
    for payment in payments:
        if payment.dead_at is not None:
            yield gettext("支付 %(out_trade_no)s 已放弃查询：%(last_error)s") % {
                "out_trade_no": payment.out_trade_no,
                "last_error": payment.last_error or gettext("没有记录"),
            }
        elif payment.available_at is not None and payment.last_error and payment.attempts:
            yield gettext("支付 %(out_trade_no)s 查询失败 %(attempts)s 次，会再试：%(last_error)s") % {
                "out_trade_no": payment.out_trade_no,
                "attempts": payment.attempts,
                "last_error": payment.last_error,
            }
    for row in notifications:
        if row.status == NotificationStatus.QUARANTINED:
            yield gettext("有一条支付通知待人工处理：%(reason)s") % {"reason": row.get_reason_display()}
    for refund in refunds:
        yield from _troubles_of(refund)


def _is_open(difference: BillDifference) -> bool:
    return difference.status == DifferenceStatus.OPEN


def _trouble_of(difference: BillDifference) -> str:
    return gettext("与 %(day)s 的对账单有差异：%(difference)s") % {
        "day": f"{difference.bill.day:%Y-%m-%d}",
        "difference": difference,
    }


def _troubles_of(refund: Refund) -> Any:
    if refund.status == RefundStatus.FAILED:
        yield gettext("退款 %(out_request_no)s（¥%(amount)s）失败：%(outcome)s") % {
            "out_request_no": refund.out_request_no,
            "amount": refund.amount,
            "outcome": refund.outcome,
        }
    elif refund.status == RefundStatus.REQUESTED and refund.approved_at is None:
        yield gettext("退款 %(out_request_no)s（¥%(amount)s）待批准") % {
            "out_request_no": refund.out_request_no,
            "amount": refund.amount,
        }
    elif refund.kind == RefundKind.EXTERNAL and refund.status == RefundStatus.REPORTED:
        yield gettext("渠道侧退款 %(out_request_no)s 待核实") % {"out_request_no": refund.out_request_no}
    elif (
        refund.kind == RefundKind.EXTERNAL
        and refund.status == RefundStatus.SUCCEEDED
        and not refund.explanation
    ):
        yield gettext("渠道侧退款 %(out_request_no)s（¥%(amount)s）待说明用途") % {
            "out_request_no": refund.out_request_no,
            "amount": refund.amount,
        }
    elif refund.available_at is not None and refund.attempts and refund.last_error:
        yield gettext("退款 %(out_request_no)s 出错 %(attempts)s 次，会再试：%(last_error)s") % {
            "out_request_no": refund.out_request_no,
            "attempts": refund.attempts,
            "last_error": refund.last_error,
        }
