from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import ClassVar
from urllib.parse import parse_qsl

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from payments.models.payment import Payment
from payments.states import NotificationReason, NotificationStatus
from shop.models import Work
from shop.models.fields import names_of
from shop.models.work import dead_index, dead_is_not_due, due_index


class Notification(Work):
    """The inbox: the gateway's notifications, verified and stored before they are answered.

    Repeated deliveries of the same facts share one row.
    """

    provider = models.CharField(_("渠道"), max_length=16, default="alipay")
    # SHA-256 of the signed fields except those that differ between deliveries of the same facts.
    business_key = models.CharField(_("业务键"), max_length=64)
    notify_id = models.CharField(_("通知编号"), max_length=128)
    out_trade_no = models.CharField(_("商户订单号"), max_length=64)
    # The gateway's own status, and the shop's (`TradeStatus`).
    trade_status = models.CharField(_("交易状态"), max_length=32)
    told_status = models.CharField(
        _("交易状态（统一）"), max_length=16, blank=True, default="", db_default=""
    )
    raw_body = models.TextField(_("原文"))
    # What is kept of its fields once the text is purged (`payments/domain/upkeep/retention.py`).
    form = models.JSONField(_("字段"), null=True, blank=True)
    status = models.CharField(
        _("状态"), max_length=16, choices=names_of(NotificationStatus), default=NotificationStatus.RECEIVED
    )
    reason = models.CharField(
        _("原因"), max_length=64, choices=names_of(NotificationReason), blank=True, default="", db_default=""
    )
    # Why it was first quarantined; later handling doesn't overwrite it.
    first_reason = models.CharField(
        _("首次隔离原因"),
        max_length=64,
        choices=names_of(NotificationReason),
        blank=True,
        default="",
        db_default="",
    )
    # The fingerprint of the key that verified the signature when it was received.
    verified_by = models.CharField(_("验签公钥"), max_length=64, blank=True, default="", db_default="")
    payment = models.ForeignKey(
        Payment,
        models.PROTECT,
        null=True,
        blank=True,
        db_index=False,  # see `notification_of_payment`, which new rows aren't in yet
        related_name="notifications",
        verbose_name=pgettext_lazy("one", "支付"),
    )
    # Who dismissed it; `note` says why.
    dismissed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        blank=True,
        db_index=False,
        related_name="+",
        verbose_name=_("处理人"),
    )
    note = models.CharField(_("处理说明"), max_length=200, blank=True, default="", db_default="")
    # The HTTP request that delivered it first.
    request_id = models.CharField(_("HTTP 请求编号"), max_length=64, blank=True, default="", db_default="")
    received_at = models.DateTimeField(_("收到时间"))
    handled_at = models.DateTimeField(_("处理时间"), null=True, blank=True)

    class Meta:
        verbose_name = pgettext_lazy("one", "支付通知")
        verbose_name_plural = pgettext_lazy("many", "支付通知")
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["business_key"], name="notification_business_key"),
            models.CheckConstraint(
                condition=Q(status=NotificationStatus.RECEIVED, handled_at__isnull=True)
                | Q(status=NotificationStatus.ASKED, handled_at__isnull=True, available_at__isnull=True)
                | Q(
                    status__in=[
                        NotificationStatus.APPLIED,
                        NotificationStatus.IGNORED,
                        NotificationStatus.QUARANTINED,
                    ],
                    available_at__isnull=True,
                    handled_at__isnull=False,
                ),
                name="notification_status_matches_times",
            ),
            models.CheckConstraint(
                condition=Q(
                    status__in=[
                        NotificationStatus.RECEIVED,
                        NotificationStatus.ASKED,
                        NotificationStatus.APPLIED,
                    ]
                )
                | ~Q(reason=""),
                name="notification_says_why_not_applied",
            ),
            dead_is_not_due("notification_dead_is_not_due"),
        ]
        indexes: ClassVar = [
            due_index("notification_due"),
            dead_index("notification_dead"),
            # For `payments/domain/upkeep/retention.py`.
            models.Index(
                fields=["handled_at"],
                condition=Q(status__in=[NotificationStatus.APPLIED, NotificationStatus.IGNORED])
                & ~Q(raw_body=""),
                name="notification_personal_data",
            ),
            models.Index(fields=["out_trade_no"], name="notification_of_trade"),
            models.Index(
                fields=["-received_at"],
                condition=Q(status=NotificationStatus.QUARANTINED),
                name="notification_quarantined",
            ),
            models.Index(
                fields=["payment"], condition=Q(payment__isnull=False), name="notification_of_payment"
            ),
            models.Index(
                fields=["payment"], condition=Q(status=NotificationStatus.ASKED), name="notification_asked"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.out_trade_no} {self.trade_status}"

    @property
    def fields(self) -> Mapping[str, str]:
        """Its fields, for people to read: parsed from the text, or what was kept of them."""
        return read_fields(self.raw_body, self.form)

    @property
    def told_amount(self) -> Decimal | None:
        """The trade's amount in yuan, as the notification states it; None if it states none."""
        try:
            return Decimal(self.fields.get("total_amount", ""))
        except InvalidOperation:
            return None


def read_fields(raw_body: str, kept: Mapping[str, str] | None) -> Mapping[str, str]:
    """The fields of a stored notification, whose signature was verified before it was stored.

    `kept` is what remains of the fields once the text is purged.
    """
    return dict(parse_qsl(raw_body, keep_blank_values=True)) or kept or {}
