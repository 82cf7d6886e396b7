"""How the desk formats amounts, times and links. Everything that comes from a row is escaped."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db.models import Model
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, gettext_noop


def yuan(amount: Decimal | None) -> str:
    """`¥1,234.50`; a dash for None."""
    return "–" if amount is None else f"¥{amount:,.2f}"


def beili(count: int) -> str:
    """`120 贝里`."""
    return gettext("%(count)s 贝里") % {"count": f"{count:,}"}


# The memos that the shop itself writes. A reason entered by staff is shown as it is.
_MEMOS = frozenset(
    {
        gettext_noop("下单锁定"), gettext_noop("订单关闭退回"), gettext_noop("支付扣除"),
        gettext_noop("优惠券"), gettext_noop("贝里抵扣"),
        gettext_noop("支付宝"), gettext_noop("课程退款"), gettext_noop("优惠券冲回"),
        gettext_noop("贝里抵扣冲回"), gettext_noop("退款退回"),
        gettext_noop("支付宝收款"), gettext_noop("多付退回"), gettext_noop("渠道侧退款"),
        gettext_noop("善意补偿"),
    }
)  # fmt: skip


def memo(text: str) -> str:
    """A transfer's memo, translated if the shop itself wrote it."""
    return gettext(text) if text in _MEMOS else text


def moment(at: datetime | None) -> str:
    """A time in Beijing time, to the second; a dash for None."""
    return "–" if at is None else timezone.localtime(at).strftime("%Y-%m-%d %H:%M:%S")


def address_of(row: Model) -> str:
    """The URL of the row's page in the admin."""
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])


def link_to(row: Model | None, text: Any = None) -> SafeString | str:
    """A link to the row's page, labelled with `text` or else the row's name; a dash for None."""
    return (
        "–"
        if row is None
        else format_html(
            '<a class="desk-link" href="{}">{}</a>', address_of(row), text if text is not None else row
        )
    )
