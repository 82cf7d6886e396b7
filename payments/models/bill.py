"""The gateway's daily bills, and their differences from the shop's books."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from payments.models.payment import Payment
from payments.states import BillRowKind, BillStatus, DifferenceKind, DifferenceStatus
from shop.models import Order, Work
from shop.models.fields import YuanField, names_of, not_negative
from shop.models.work import GATEWAY_ATTEMPTS, dead_index, dead_is_not_due, due_index


class Bill(Work):
    """The bill of one app for one day (Beijing time).

    As a work row it waits to be downloaded and compared, and then for the answers to the queries that it
    caused.
    """

    MAX_ATTEMPTS = GATEWAY_ATTEMPTS

    provider = models.CharField(_("渠道"), max_length=16)
    app_id = models.CharField(_("应用"), max_length=32)
    day = models.DateField(_("账单日"))
    status = models.CharField(
        _("状态"), max_length=16, choices=names_of(BillStatus), default=BillStatus.WAITING
    )
    compared_at = models.DateTimeField(_("核对时间"), null=True, blank=True)
    # Totals as the bill states them, for the accountants. Charged fees are negative.
    trade_count = models.PositiveIntegerField(_("交易笔数"), default=0)
    trade_total = YuanField(_("交易金额（元）"), default=0)
    refund_count = models.PositiveIntegerField(_("退款笔数"), default=0)
    refund_total = YuanField(_("退款金额（元）"), default=0)
    fee_total = YuanField(_("服务费（元）"), default=0)

    class Meta:
        verbose_name = pgettext_lazy("one", "对账单")
        verbose_name_plural = pgettext_lazy("many", "对账单")
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["provider", "app_id", "day"], name="bill_once_a_day"),
            not_negative("refund_total", name="bill_refund_total_not_negative"),
            models.CheckConstraint(
                condition=Q(status=BillStatus.WAITING, compared_at__isnull=True)
                | Q(status=BillStatus.COMPARED, compared_at__isnull=False),
                name="bill_status_matches_times",
            ),
            dead_is_not_due("bill_dead_is_not_due"),
        ]
        indexes: ClassVar = [due_index("bill_due"), dead_index("bill_dead")]

    def __str__(self) -> str:
        return f"{self.day:%Y-%m-%d} {self.app_id}"


class BillEntry(models.Model):
    """One row of a bill, without anything about its buyer. Append-only."""

    bill = models.ForeignKey(
        Bill, models.PROTECT, related_name="entries", verbose_name=pgettext_lazy("one", "对账单")
    )
    kind = models.CharField(_("业务类型"), max_length=8, choices=names_of(BillRowKind))
    trade_no = models.CharField(_("支付宝交易号"), max_length=64)
    out_trade_no = models.CharField(_("商户订单号"), max_length=64)
    out_request_no = models.CharField(_("退款请求号"), max_length=64, blank=True, default="")
    # For a refund, the refunded amount.
    amount = YuanField(_("金额（元）"))
    fee = YuanField(_("服务费（元）"))

    class Meta:
        verbose_name = pgettext_lazy("one", "对账单明细")
        verbose_name_plural = pgettext_lazy("many", "对账单明细")
        indexes: ClassVar = [models.Index(fields=["out_trade_no"], name="bill_entry_of_trade")]

    def __str__(self) -> str:
        return self.out_request_no or self.out_trade_no


class BillDifference(models.Model):
    """One fact on which a bill and the shop's books differ.

    It moves no money. It ends when the books agree, or when staff explain it.
    """

    bill = models.ForeignKey(
        Bill, models.PROTECT, related_name="differences", verbose_name=pgettext_lazy("one", "对账单")
    )
    subject = models.CharField(_("业务类型"), max_length=8, choices=names_of(BillRowKind))
    kind = models.CharField(_("差异"), max_length=16, choices=names_of(DifferenceKind))
    out_trade_no = models.CharField(_("商户订单号"), max_length=64)
    out_request_no = models.CharField(_("退款请求号"), max_length=64, blank=True, default="")
    trade_no = models.CharField(_("支付宝交易号"), max_length=64, blank=True, default="")
    # None if that side doesn't have it.
    told_amount = YuanField(_("账单金额（元）"), null=True, blank=True)
    our_amount = YuanField(_("本店金额（元）"), null=True, blank=True)
    order = models.ForeignKey(
        Order,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="bill_differences",
        verbose_name=pgettext_lazy("one", "订单"),
    )
    payment = models.ForeignKey(
        Payment,
        models.PROTECT,
        null=True,
        blank=True,
        db_index=False,
        related_name="+",
        verbose_name=pgettext_lazy("one", "支付"),
    )
    found_at = models.DateTimeField(_("发现时间"))
    # When the gateway was queried because of it.
    asked_at = models.DateTimeField(_("最近查询时间"), null=True, blank=True)
    status = models.CharField(
        _("状态"), max_length=16, choices=names_of(DifferenceStatus), default=DifferenceStatus.OPEN
    )
    ended_at = models.DateTimeField(_("处理时间"), null=True, blank=True)
    explained_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        blank=True,
        db_index=False,
        related_name="+",
        verbose_name=_("处理人"),
    )
    why = models.CharField(_("处理说明"), max_length=200, blank=True, default="")
    reference = models.CharField(_("凭据"), max_length=100, blank=True, default="")

    class Meta:
        verbose_name = pgettext_lazy("one", "对账差异")
        verbose_name_plural = pgettext_lazy("many", "对账差异")
        constraints: ClassVar = [
            # If later bills show the same fact, it is the same difference.
            models.UniqueConstraint(
                fields=[
                    "out_trade_no", "out_request_no", "subject", "kind", "trade_no", "told_amount",
                    "our_amount",
                ],
                nulls_distinct=False,
                name="bill_difference_once",
            ),
            models.CheckConstraint(
                condition=Q(
                    status=DifferenceStatus.OPEN,
                    ended_at__isnull=True,
                    explained_by__isnull=True,
                    why="",
                    reference="",
                )
                | Q(
                    status=DifferenceStatus.SETTLED,
                    ended_at__isnull=False,
                    explained_by__isnull=True,
                    why="",
                    reference="",
                )
                | (
                    Q(
                        status=DifferenceStatus.EXPLAINED,
                        ended_at__isnull=False,
                        explained_by__isnull=False,
                    )
                    & ~Q(why="")
                ),
                name="bill_difference_status_matches",
            ),
        ]  # fmt: skip
        indexes: ClassVar = [
            models.Index(
                fields=["-id"], condition=Q(status=DifferenceStatus.OPEN), name="bill_difference_open"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.out_request_no or self.out_trade_no}"
