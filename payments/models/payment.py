from typing import ClassVar

from django.db import models
from django.db.models import F, Q

from payments.states import PaymentStatus, Product
from shop.models import Order, Work
from shop.models.fields import YuanField
from shop.models.work import GATEWAY_ATTEMPTS, dead_is_not_due, due_index


class Payment(Work):
    """One attempt to pay an order, under its own `out_trade_no`. As a piece of work it waits to be queried at the gateway.

    Amount, app and seller are frozen here: what the gateway reports is compared with them, not with today's settings.
    """

    MAX_ATTEMPTS = GATEWAY_ATTEMPTS

    order = models.ForeignKey(Order, models.PROTECT, related_name="payments", verbose_name="订单")
    provider = models.CharField("渠道", max_length=16, default="alipay")
    product = models.CharField("产品", max_length=8, choices=Product)
    out_trade_no = models.CharField("商户订单号", max_length=64)
    amount = YuanField("金额（元）")
    app_id = models.CharField("应用", max_length=32)
    seller_id = models.CharField("收款方", max_length=32)
    status = models.CharField("状态", max_length=16, choices=PaymentStatus, default=PaymentStatus.OPEN)
    trade_no = models.CharField("支付宝交易号", max_length=64, null=True, blank=True)  # noqa: DJ001 - NULL keeps what is unpaid out of the unique constraint
    created_at = models.DateTimeField("发起时间")
    expires_at = models.DateTimeField("支付截止时间")
    paid_at = models.DateTimeField("支付时间", null=True, blank=True)
    closed_at = models.DateTimeField("关闭时间", null=True, blank=True)
    # Asked for and not refused, and really gone. A CHECK on them makes an over-refund impossible.
    refund_committed = YuanField("退款占用（元）", default=0)
    refunded_amount = YuanField("已退金额（元）", default=0)
    # Paid, but not what paid the order: it came too late or a second time, and is refunded.
    is_surplus = models.BooleanField("多付", default=False)

    class Meta:
        verbose_name = "支付"
        verbose_name_plural = "支付"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["out_trade_no"], name="payment_out_trade_no"),
            models.UniqueConstraint(fields=["trade_no"], name="payment_trade_no"),
            models.UniqueConstraint(fields=["order"], condition=Q(status=PaymentStatus.OPEN), name="payment_one_live_per_order"),
            models.CheckConstraint(condition=Q(amount__gt=0), name="payment_amount_positive"),
            models.CheckConstraint(
                condition=Q(refunded_amount__gte=0, refunded_amount__lte=F("refund_committed"), refund_committed__lte=F("amount")),
                name="payment_refunds_within_amount",
            ),
            models.CheckConstraint(
                condition=Q(status=PaymentStatus.OPEN, paid_at__isnull=True, closed_at__isnull=True)
                | Q(status=PaymentStatus.PAID, paid_at__isnull=False, trade_no__isnull=False)
                | Q(status__in=[PaymentStatus.CLOSED, PaymentStatus.FAILED], paid_at__isnull=True, closed_at__isnull=False),
                name="payment_status_matches_times",
            ),
            dead_is_not_due("payment_dead_is_not_due"),
        ]
        indexes: ClassVar = [due_index("payment_due")]

    def __str__(self) -> str:
        return self.out_trade_no
