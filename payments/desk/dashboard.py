"""The desk's first page: what needs a person, and how the shop is doing."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from payments.desk.days import DayFigures, read_days
from payments.desk.figures import Latency, count_waiting, read_latencies
from shop.desk.charts import Series, stacked_bars
from shop.states import OrderStatus

# Work that has been due for longer than this is late: the sweep runs every few seconds.
LATE = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class Figure:
    """A number, linked to the list that it counts."""

    title: str
    value: str
    url: str
    tone: str = ""


def dashboard_context(request: HttpRequest, *, now: datetime) -> dict[str, Any]:
    """The page's context. Users without the permission to view orders see only the menu."""
    if not request.user.has_perm("shop.view_order"):
        return {"figures": []}
    return {"figures": _waiting(now=now), "latencies": _latencies(), **days_context(now=now)}


def days_context(*, now: datetime) -> dict[str, Any]:
    """The context of the part of the page that counts days; it reloads itself while `is_counting`."""
    days = read_days(now=now)
    return {
        "today": _today(days.figures[-1]),
        "charts": _charts(days.figures),
        "is_counting": days.is_kept and not days.is_complete,
        "is_incomplete": not days.is_complete,
    }


def _waiting(*, now: datetime) -> list[Figure]:
    waiting = count_waiting()
    due = waiting.oldest_due_at
    lateness = now - due if due is not None and due < now else timedelta(0)
    return [
        _figure(_("待批准的退款"), waiting.refunds_to_approve, "payments_refund", "waiting=approve", "warn"),
        _figure(
            _("待说明的渠道侧退款"), waiting.refunds_to_explain, "payments_refund", "waiting=explain", "warn"
        ),
        _figure(_("失败的退款"), waiting.refunds_failed, "payments_refund", "waiting=failed", "bad"),
        _figure(
            _("待人工处理的通知"),
            waiting.notifications_quarantined,
            "payments_notification",
            "status__exact=quarantined",
            "bad",
        ),
        _figure(
            _("待说明的对账差异"),
            waiting.differences_open,
            "payments_billdifference",
            "status__exact=open",
            "warn",
        ),
        _figure(_("放弃的下单请求"), waiting.requests_dead, "shop_orderrequest", "dead=yes", "bad"),
        _figure(_("放弃的订单"), waiting.orders_dead, "shop_order", "dead=yes", "bad"),
        _figure(_("放弃的支付查询"), waiting.payments_dead, "payments_payment", "dead=yes", "bad"),
        _figure(_("放弃的退款"), waiting.refunds_dead, "payments_refund", "dead=yes", "bad"),
        _figure(_("放弃的对账单"), waiting.bills_dead, "payments_bill", "dead=yes", "bad"),
        Figure(
            _("逾期最久的事项"),
            _span(lateness) if lateness else _("没有"),
            "",
            "bad" if lateness > LATE else "",
        ),
    ]


def _figure(title: str, count: int, table: str, query: str, tone: str) -> Figure:
    return Figure(
        title, f"{count:,}", f"{reverse(f'admin:{table}_changelist')}?{query}", tone if count else ""
    )


def _latencies() -> list[Figure]:
    created, opened = read_latencies()
    return [
        Figure(_("受理到生成，中位 / 95%"), _both(created), ""),
        Figure(_("付款到开通，中位 / 95%"), _both(opened), ""),
    ]


def _today(today: DayFigures | None) -> list[Figure]:
    if today is None:
        return []
    paid = today.orders.get(OrderStatus.PAID, 0) + today.orders.get(OrderStatus.REFUNDED, 0)
    share = f"{paid * 100 // today.requests}%" if today.requests else "–"
    return [
        Figure(
            _("今日受理"), f"{today.requests:,}", f"{reverse('admin:shop_orderrequest_changelist')}?day=1d"
        ),
        Figure(
            _("今日支付成功"),
            f"{paid:,}",
            f"{reverse('admin:shop_order_changelist')}?day=1d&status__exact=paid",
        ),
        Figure(_("支付比例"), share, ""),
        Figure(
            _("今日订单收款"),
            _yuan(today.cash_fen),
            f"{reverse('admin:payments_payment_changelist')}?day=1d&status__exact=paid",
        ),
        Figure(
            _("今日退款"), _yuan(today.refunded_fen), f"{reverse('admin:payments_refund_changelist')}?day=1d"
        ),
    ]


def _charts(days: Sequence[DayFigures | None]) -> list[dict[str, Any]]:
    labels = [_label(day, at, len(days)) for at, day in enumerate(days)]
    paid, waiting = _orders(days, OrderStatus.PAID), _orders(days, OrderStatus.AWAITING_PAYMENT)
    back, ended = (
        _orders(days, OrderStatus.REFUNDED),
        _orders(days, OrderStatus.CANCELLED, OrderStatus.EXPIRED),
    )
    orders = [
        Series(_("已支付"), paid),
        Series(_("取消或超时"), ended),
        Series(_("待支付"), waiting),
        Series(_("已退款"), back),
    ]
    cash = [None if day is None else day.cash_fen // 100 for day in days]
    refunds = [None if day is None else day.refunded_fen // 100 for day in days]
    return [
        {
            "title": _("每日订单（按当前状态）"),
            "svg": stacked_bars(_("每日订单（按当前状态）"), labels, orders),
        },
        {
            "title": _("每日订单的收款（元）"),
            "svg": stacked_bars(_("每日订单的收款"), labels, [Series(_("收款"), cash)]),
        },
        {
            "title": _("每日完成的退款（元）"),
            "svg": stacked_bars(_("每日完成的退款"), labels, [Series(pgettext("many", "退款"), refunds)]),
        },
    ]


def _label(day: DayFigures | None, at: int, count: int) -> str:
    return f"{day.day[4:6]}-{day.day[6:]}" if day is not None else _("%(days)s 天") % {"days": at - count + 1}


def _orders(days: Sequence[DayFigures | None], *states: OrderStatus) -> list[int | None]:
    return [None if day is None else sum(day.orders.get(state, 0) for state in states) for day in days]


def _yuan(fen: int) -> str:
    return f"¥{fen // 100:,}.{fen % 100:02d}"


def _both(latency: Latency) -> str:
    return (
        "–"
        if latency.median is None or latency.p95 is None
        else f"{_span(latency.median)} / {_span(latency.p95)}"
    )


def _span(span: timedelta) -> str:
    """`40 毫秒`, `1.4 秒`, `12 秒`, `5 分`, `3 小时`, `2 天`."""
    ms = max(span // timedelta(milliseconds=1), 0)
    if ms < 1000:
        return _("%(ms)s 毫秒") % {"ms": ms}
    if ms < 10_000:
        return _("%(seconds)s 秒") % {"seconds": f"{ms // 1000}.{ms % 1000 // 100}"}
    seconds = ms // 1000
    for size, told in ((86_400, _("%(count)s 天")), (3_600, _("%(count)s 小时")), (60, _("%(count)s 分"))):
        if seconds >= 2 * size:
            return told % {"count": seconds // size}
    return _("%(seconds)s 秒") % {"seconds": seconds}
