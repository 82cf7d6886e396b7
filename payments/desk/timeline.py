"""An order's events as sentences for staff: what, who and why, with links to Flower and to the log."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from payments.states import Explanation, Product
from shop.domain.orders.timeline import MOMENTS
from shop.models import OrderEvent

Kind = OrderEvent.Kind
_BAD = {
    Kind.REFUND_FAILED, Kind.LATE_PAYMENT, Kind.DOUBLE_PAYMENT, Kind.EXTERNAL_REFUND, Kind.PAYMENT_GIVEN_BACK,
    Kind.REFUND_REJECTED,
    Kind.EXTERNAL_REFUND_DISMISSED,
}  # fmt: skip
_GOOD = {Kind.PAID, Kind.ENROLLED, Kind.REFUND_SUCCEEDED, Kind.REOPENED, Kind.REFUND_PAID_ELSEWHERE}
_WORDS: dict[str, Any] = {
    "alipay": _("支付宝 ¥{}"), "amount": "¥{}", "list_total": _("原价 ¥{}"), "saved": _("优惠 ¥{}"),
    "beili": _("{} 贝里"), "coupons": _("{} 张券"),
    "out_trade_no": _("商户订单号 {}"), "out_request_no": _("退款请求号 {}"), "reference": _("凭据 {}"),
    "course_name": "{}", "valid_until": _("到 {}"),
    "valid_from": _("从 {}"), "why": _("理由：{}"), "days": _("{} 天"), "before": _("原为 {}"),
    "expires_at": _("改为 {}"),
}  # fmt: skip
_WHAT = {"order": _("关闭订单"), "payment": _("查询支付"), "refund": _("核实退款")}


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """One line of the timeline. `trace` is the URL at which the cause can be inspected; empty if there is
    none.
    """

    at: datetime
    title: str
    text: str
    who: str
    why: str
    cause: str
    trace: str
    tone: str


def describe_event(event: OrderEvent) -> TimelineEntry:
    """The event as a line of the timeline."""
    details: dict[str, Any] = event.details
    kind = Kind(event.kind) if event.kind in Kind.values else None
    return TimelineEntry(
        at=event.at,
        title=event.get_kind_display(),
        text=gettext("，").join(
            _say(name, value)
            for name, value in details.items()
            if name in _SAID and value not in ("", None, 0)
        ),
        who=details.get("staff") or _actor(event.cause),
        why=details.get("staff_note", ""),
        cause=event.cause,
        trace=trace_url(event.cause),
        tone="bad" if kind in _BAD else "good" if kind in _GOOD else "",
    )


_SAID = {*_WORDS, "explanation", "product", "what"}


def _say(name: str, value: Any) -> str:
    match name:
        case "explanation" if value in Explanation.values:
            return gettext(Explanation(value).label)
        case "product" if value in Product.values:
            return gettext(Product(value).label)
        case "what":
            return str(_WHAT.get(str(value), value))
        case _ if name in MOMENTS:
            return str(_WORDS[name].format(_local(str(value))))
    return str(_WORDS.get(name, "{}").format(value))


def _local(value: str) -> str:
    try:
        return timezone.localtime(datetime.fromisoformat(value)).strftime("%Y-%m-%d %H:%M")
    except ValueError:
        return value


def _actor(cause: str) -> str:
    kind = cause.partition(":")[0]
    return {"request": gettext("网页请求"), "task": gettext("系统")}.get(kind, gettext("系统"))


def trace_url(cause: str) -> str:
    """The URL at which the cause of an event can be inspected; empty if there is none."""
    kind, _, ident = cause.partition(":")
    if kind == "task" and settings.DESK_FLOWER_URL:
        return f"{settings.DESK_FLOWER_URL}/task/{ident}"
    if kind == "request" and ident and settings.DESK_LOG_URL:
        return str(settings.DESK_LOG_URL).replace("{id}", ident)
    return ""
