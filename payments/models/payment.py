from typing import ClassVar

from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from payments.states import ClosedReason, PaymentStatus, Product
from shop.models import Order, Work
from shop.models.fields import YuanField, names_of
from shop.models.work import GATEWAY_ATTEMPTS, dead_index, dead_is_not_due, due_index


class Payment(Work):
    """One attempt to pay an order, with its own `out_trade_no`. As a work row it waits to be queried at the
    gateway.

    Amount, app and seller are frozen here: the gateway's reports are compared with them, not with today's
    settings.
    """

    MAX_ATTEMPTS = GATEWAY_ATTEMPTS

    order = models.ForeignKey(
        Order, models.PROTECT, related_name="payments", verbose_name=pgettext_lazy("one", "订单")
    )
    provider = models.CharField(_("渠道"), max_length=16, default="alipay")
    product = models.CharField(_("产品"), max_length=8, choices=names_of(Product))
    out_trade_no = models.CharField(_("商户订单号"), max_length=64)
    amount = YuanField(_("金额（元）"))
    app_id = models.CharField(_("应用"), max_length=32)
    seller_id = models.CharField(_("收款方"), max_length=32)
    status = models.CharField(
        _("状态"), max_length=16, choices=names_of(PaymentStatus), default=PaymentStatus.OPEN
    )
    closed_reason = models.CharField(
        _("关闭原因"), max_length=16, choices=names_of(ClosedReason), blank=True, default="", db_default=""
    )
    trade_no = models.CharField(_("支付宝交易号"), max_length=64, null=True, blank=True)  # noqa: DJ001 - NULL keeps what is unpaid out of the unique constraint
    created_at = models.DateTimeField(_("发起时间"))
    expires_at = models.DateTimeField(_("支付截止时间"))
    # When its buyer last went to the cashier, returned from it, or looked at the order. The longer ago that
    # is, the less often the payment is queried.
    buyer_seen_at = models.DateTimeField(_("买家最近出现时间"), db_default=Now())
    # When the gateway last answered a query of the open attempt.
    asked_at = models.DateTimeField(_("最近查询时间"), null=True, blank=True)
    paid_at = models.DateTimeField(_("支付时间"), null=True, blank=True)
    closed_at = models.DateTimeField(_("关闭时间"), null=True, blank=True)
    # Reserved by the shop's own refunds that are neither rejected nor paid by other means. A CHECK makes an
    # over-refund impossible.
    refund_committed = YuanField(_("退款占用（元）"), default=0)
    # Refunded through the gateway, by the shop and by others. `external_refunded` is the others' part.
    refunded_amount = YuanField(_("已退金额（元）"), default=0)
    external_refunded = YuanField(_("渠道侧已退（元）"), default=0, db_default=0)
    # The largest cumulative refund that the gateway has reported for this trade. It exceeds `refunded_amount`
    # while a refund is unaccounted for.
    refund_told = YuanField(_("渠道告知已退（元）"), default=0, db_default=0)
    # Paid, but too late or a second time: it doesn't pay the order and is refunded.
    is_surplus = models.BooleanField(_("多付"), default=False)

    class Meta:
        verbose_name = pgettext_lazy("one", "支付")
        verbose_name_plural = pgettext_lazy("many", "支付")
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["out_trade_no"], name="payment_out_trade_no"),
            models.UniqueConstraint(fields=["trade_no"], name="payment_trade_no"),
            models.UniqueConstraint(
                fields=["order"], condition=Q(status=PaymentStatus.OPEN), name="payment_one_live_per_order"
            ),
            models.CheckConstraint(condition=Q(amount__gt=0), name="payment_amount_positive"),
            models.CheckConstraint(
                condition=Q(
                    external_refunded__gte=0,
                    refunded_amount__gte=F("external_refunded"),
                    refunded_amount__lte=F("external_refunded") + F("refund_committed"),
                    refund_committed__lte=F("amount"),
                )
                & Q(refunded_amount__lte=F("amount")),
                name="payment_refunds_within_amount",
            ),
            models.CheckConstraint(
                condition=Q(
                    status=PaymentStatus.OPEN, closed_reason="", paid_at__isnull=True, closed_at__isnull=True
                )
                # A late payment keeps its `closed_at`.
                | Q(
                    status=PaymentStatus.PAID, closed_reason="", paid_at__isnull=False, trade_no__isnull=False
                )
                | Q(
                    status=PaymentStatus.CLOSED,
                    closed_reason=ClosedReason.NEVER_PAID,
                    paid_at__isnull=True,
                    closed_at__isnull=False,
                )
                | Q(
                    status=PaymentStatus.CLOSED,
                    closed_reason=ClosedReason.GIVEN_BACK,
                    paid_at__isnull=False,
                    trade_no__isnull=False,
                    closed_at__isnull=False,
                ),
                name="payment_status_matches_times",
            ),
            dead_is_not_due("payment_dead_is_not_due"),
        ]
        indexes: ClassVar = [
            due_index("payment_due"),
            dead_index("payment_dead"),
            # For the days of bills. Payments are stored in nearly the order in which they are paid, so the
            # index stays tiny and costs next to nothing.
            BrinIndex(fields=["paid_at"], autosummarize=True, name="payment_paid_at"),
        ]
        permissions: ClassVar = [
            ("ask_gateway", _("可立即向支付渠道查询")),
            ("export_books", _("可导出订单、支付、退款与账目")),
        ]

    def __str__(self) -> str:
        return self.out_trade_no
