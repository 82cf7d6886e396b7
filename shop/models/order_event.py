from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from shop.models.fields import names_of
from shop.models.order import Order


class OrderEvent(models.Model):
    """An entry of the order's timeline, shared by buyers and staff. Append-only."""

    class Kind(models.TextChoices):
        PLACED = "placed", "订单已创建"
        COUPONS_RESERVED = "coupons_reserved", "优惠券已锁定"
        BEILI_HELD = "beili_held", "贝里已锁定"
        PAYMENT_STARTED = "payment_started", "已发起支付"
        PAYMENT_CLOSED = "payment_closed", "支付已关闭"
        PAID = "paid", "支付成功"
        ENROLLED = "enrolled", "课程已开通"
        CANCEL_REQUESTED = "cancel_requested", "已申请取消"
        CANCELLED = "cancelled", "订单已取消"
        EXPIRED = "expired", "订单已超时关闭"
        LATE_PAYMENT = "late_payment", "订单关闭后收到付款"
        REOPENED = "reopened", "订单已恢复"
        DOUBLE_PAYMENT = "double_payment", "收到重复付款"
        REFUND_REQUESTED = "refund_requested", "已申请退款"
        REFUND_APPROVED = "refund_approved", "退款已批准"
        REFUND_REJECTED = "refund_rejected", "退款申请未通过"
        REFUND_SENT = "refund_sent", "退款处理中"
        REFUND_SUCCEEDED = "refund_succeeded", "退款成功"
        REFUND_FAILED = "refund_failed", "退款失败，客服处理中"
        ENROLMENT_REVOKED = "enrolment_revoked", "课程已收回"
        PAYMENT_GIVEN_BACK = "payment_given_back", "付款已由支付渠道全额退回"
        EXTERNAL_REFUND = "external_refund", "支付渠道侧发生退款"
        EXTERNAL_REFUND_EXPLAINED = "external_refund_explained", "渠道侧退款已确认用途"
        EXTERNAL_REFUND_DISMISSED = "external_refund_dismissed", "渠道侧退款未核实"
        REFUND_PAID_ELSEWHERE = "refund_paid_elsewhere", "已通过其他方式退款"
        ENROLMENT_MOVED = "enrolment_moved", "课程有效期已提前"
        DEADLINE_MOVED = "deadline_moved", "支付期限已调整"
        ASKED_GATEWAY = "asked_gateway", "正在向支付渠道核实"
        PICKED_UP = "picked_up", "已重新处理"
        ACCESS_TAKEN_BACK = "access_taken_back", "课程已由客服收回"
        NOTIFICATION_REAPPLIED = "notification_reapplied", "支付通知将重新处理"
        NOTIFICATION_DISMISSED = "notification_dismissed", "支付通知已核对，无需处理"
        BILL_DIFFERENCE_EXPLAINED = "bill_difference_explained", "对账差异已说明"

    order = models.ForeignKey(
        Order,
        models.PROTECT,
        db_index=False,
        related_name="events",
        verbose_name=pgettext_lazy("one", "订单"),
    )
    kind = models.CharField(_("事件"), max_length=32, choices=names_of(Kind))
    at = models.DateTimeField(_("时间"))
    # The HTTP request or Celery task that caused it, by its id. For a deed of staff, `details` says who did
    # it and why, under names that begin with "staff"; see `shop/domain/orders/timeline.py`.
    cause = models.CharField(_("来源"), max_length=100, blank=True, default="")
    details = models.JSONField(_("细节"), default=dict, blank=True)

    class Meta:
        verbose_name = pgettext_lazy("one", "订单事件")
        verbose_name_plural = pgettext_lazy("many", "订单事件")
        ordering: ClassVar = ["id"]
        indexes: ClassVar = [models.Index(fields=["order", "id"], name="order_event_of_order")]
