from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from shop.models.base import SavesChanges
from shop.models.catalogue import LAST_START, Course, PricePolicy
from shop.models.coupon import CouponRecord
from shop.models.fields import YuanField, names_of, not_negative
from shop.models.work import GATEWAY_ATTEMPTS, Work, dead_index, dead_is_not_due, due_index
from shop.states import OrderRequestStatus, OrderStatus, PaymentType


class OrderRequest(Work):
    """The durable intake: a buyer's request, committed before it is answered. A worker turns it into an order
    or rejects it.
    """

    account = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        db_index=False,
        related_name="order_requests",
        verbose_name=pgettext_lazy("one", "账户"),
    )
    order_number = models.CharField(_("订单号"), max_length=64)
    idempotency_key = models.CharField(_("幂等键"), max_length=100)
    fingerprint = models.CharField(_("请求指纹"), max_length=64, help_text=_("请求内容的 SHA-256"))
    checkout_id = models.CharField(_("结算单"), max_length=64, null=True, blank=True)  # noqa: DJ001 - NULL keeps it out of the unique constraint
    # Written and read by `shop/domain/purchase.py`.
    body = models.JSONField(_("请求内容"))
    status = models.CharField(
        _("状态"), max_length=16, choices=names_of(OrderRequestStatus), default=OrderRequestStatus.PENDING
    )
    error_slug = models.CharField(_("拒绝原因"), max_length=64, blank=True, default="", db_default="")
    error_message = models.CharField(_("拒绝说明"), max_length=255, blank=True, default="", db_default="")
    error_details = models.JSONField(
        _("拒绝细节"), default=dict, db_default=models.Value({}, models.JSONField()), blank=True
    )
    request_id = models.CharField(_("HTTP 请求编号"), max_length=64, blank=True, default="")
    created_at = models.DateTimeField(_("提交时间"))
    decided_at = models.DateTimeField(_("处理时间"), null=True, blank=True)

    class Meta:
        verbose_name = pgettext_lazy("one", "下单请求")
        verbose_name_plural = pgettext_lazy("many", "下单请求")
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["order_number"], name="order_request_number"),
            models.UniqueConstraint(
                fields=["account", "idempotency_key"], name="order_request_idempotency_key"
            ),
            models.UniqueConstraint(
                fields=["account", "checkout_id"],
                condition=Q(checkout_id__isnull=False) & ~Q(status=OrderRequestStatus.REJECTED),
                name="order_request_one_per_checkout",
            ),
            models.CheckConstraint(
                condition=Q(status=OrderRequestStatus.PENDING, decided_at__isnull=True, error_slug="")
                | Q(
                    status=OrderRequestStatus.CREATED,
                    decided_at__isnull=False,
                    error_slug="",
                    available_at__isnull=True,
                )
                | (
                    Q(status=OrderRequestStatus.REJECTED, decided_at__isnull=False, available_at__isnull=True)
                    & ~Q(error_slug="")
                ),
                name="order_request_status_matches_decision",
            ),
            dead_is_not_due("order_request_dead_is_not_due"),
        ]
        indexes: ClassVar = [
            due_index("order_request_due"),
            dead_index("order_request_dead"),
            models.Index(
                fields=["account"],
                condition=Q(status=OrderRequestStatus.PENDING),
                name="order_request_pending_of_buyer",
            ),
        ]

    def __str__(self) -> str:
        return self.order_number


class Order(Work):
    """A priced purchase with its reservations. As a work row it becomes due at its own deadline."""

    MAX_ATTEMPTS = GATEWAY_ATTEMPTS

    request = models.OneToOneField(
        OrderRequest, models.PROTECT, related_name="order", verbose_name=pgettext_lazy("one", "下单请求")
    )
    account = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        db_index=False,
        related_name="orders",
        verbose_name=pgettext_lazy("one", "账户"),
    )
    order_number = models.CharField(_("订单号"), max_length=64)
    status = models.CharField(
        _("状态"), max_length=20, choices=names_of(OrderStatus), default=OrderStatus.AWAITING_PAYMENT
    )
    payment_type = models.SmallIntegerField(_("支付方式"), choices=names_of(PaymentType))
    list_total = YuanField(_("原价合计"))
    course_discount = YuanField(_("课程券优惠"))
    global_discount = YuanField(_("全场券优惠"))
    global_coupon_record = models.ForeignKey(
        CouponRecord, models.PROTECT, null=True, related_name="+", verbose_name=_("全场券")
    )
    beili = models.PositiveBigIntegerField(_("使用贝里"))
    beili_per_yuan = models.PositiveSmallIntegerField(_("贝里汇率"))
    beili_amount = YuanField(_("贝里抵扣（元）"))
    cash_due = YuanField(_("应付金额（元）"))
    refunded_amount = YuanField(_("已退现金（元）"), default=0)
    refunded_beili = models.PositiveBigIntegerField(_("已退贝里"), default=0)
    created_at = models.DateTimeField(_("下单时间"))
    # The deadline that the buyer sees. The order is closed at `closes_at`, a grace period later.
    expires_at = models.DateTimeField(_("支付截止时间"))
    closes_at = models.DateTimeField(_("关闭时间"))
    # When the buyer returned from the cashier; cleared when the gateway says whether they paid.
    confirming_since = models.DateTimeField(_("等待确认支付"), null=True, blank=True)
    cancel_requested_at = models.DateTimeField(_("申请取消时间"), null=True, blank=True)
    paid_at = models.DateTimeField(_("支付时间"), null=True, blank=True)
    closed_at = models.DateTimeField(_("取消/超时时间"), null=True, blank=True)
    refunded_at = models.DateTimeField(_("退款完成时间"), null=True, blank=True)
    # The id of the request that placed it (`OrderRequest.request_id`), carried by all work for this purchase.
    trace_id = models.CharField(_("追踪编号"), max_length=64, blank=True, default="", db_default="")
    # Incremented with each change of the order.
    version = models.PositiveIntegerField(_("版本"), default=1)

    class Meta:
        verbose_name = pgettext_lazy("one", "订单")
        verbose_name_plural = pgettext_lazy("many", "订单")
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["order_number"], name="order_number_unique"),
            models.CheckConstraint(
                condition=Q(
                    list_total=F("course_discount") + F("global_discount") + F("beili_amount") + F("cash_due")
                ),
                name="order_amounts_add_up",
            ),
            not_negative(
                "list_total",
                "course_discount",
                "global_discount",
                "beili_amount",
                "cash_due",
                "refunded_amount",
                name="order_amounts_not_negative",
            ),
            models.CheckConstraint(
                condition=Q(refunded_amount__lte=F("cash_due"), refunded_beili__lte=F("beili")),
                name="order_refunds_within_payment",
            ),
            models.CheckConstraint(
                condition=Q(beili=F("beili_amount") * F("beili_per_yuan")),
                name="order_beili_worth_their_rate",
            ),
            models.CheckConstraint(
                condition=Q(
                    status=OrderStatus.AWAITING_PAYMENT,
                    paid_at__isnull=True,
                    closed_at__isnull=True,
                    refunded_at__isnull=True,
                )
                # An expired order that was reopened by a late payment keeps its `closed_at`.
                | Q(status=OrderStatus.PAID, paid_at__isnull=False, refunded_at__isnull=True)
                | Q(status=OrderStatus.REFUNDED, paid_at__isnull=False, refunded_at__isnull=False)
                | Q(
                    status__in=[OrderStatus.CANCELLED, OrderStatus.EXPIRED],
                    paid_at__isnull=True,
                    closed_at__isnull=False,
                    refunded_at__isnull=True,
                ),
                name="order_status_matches_times",
            ),
            models.CheckConstraint(
                condition=Q(closes_at__gte=F("expires_at")), name="order_closes_after_shown_deadline"
            ),
            dead_is_not_due("order_dead_is_not_due"),
        ]
        indexes: ClassVar = [
            due_index("order_due"),
            dead_index("order_dead"),
            models.Index(fields=["account", "-id"], name="order_of_buyer"),
            models.Index(
                fields=["account"],
                condition=Q(status=OrderStatus.AWAITING_PAYMENT),
                name="order_unpaid_of_buyer",
            ),
        ]
        permissions: ClassVar = [
            ("cancel_order", _("可取消未支付的订单")),
            ("move_deadline", _("可调整支付期限")),
            ("pick_up_work", _("可重新处理已放弃的事项")),
        ]

    def __str__(self) -> str:
        return self.order_number


class OrderLine(SavesChanges):
    """One course of an order, with its data at the time of the order."""

    order = models.ForeignKey(
        Order, models.PROTECT, db_index=False, related_name="lines", verbose_name=pgettext_lazy("one", "订单")
    )
    course = models.ForeignKey(
        Course, models.PROTECT, related_name="+", verbose_name=pgettext_lazy("one", "课程")
    )
    policy = models.ForeignKey(
        PricePolicy,
        models.SET_NULL,
        null=True,
        related_name="+",
        verbose_name=pgettext_lazy("one", "价格方案"),
    )
    course_name = models.CharField(_("课程名称"), max_length=128)
    course_img = models.CharField(_("封面"), max_length=255)
    valid_period = models.PositiveSmallIntegerField(_("有效期（天）"))
    valid_period_display = models.CharField(_("有效期"), max_length=32)
    starts_on = models.DateField(_("开课日期"), null=True, blank=True)
    list_price = YuanField(_("原价"))
    coupon_record = models.ForeignKey(
        CouponRecord, models.PROTECT, null=True, related_name="+", verbose_name=_("课程券")
    )
    course_discount = YuanField(_("课程券优惠"))
    global_discount = YuanField(_("全场券分摊"))
    beili_amount = YuanField(_("贝里抵扣（元）"))
    cash_amount = YuanField(_("现金（元）"))

    class Meta:
        verbose_name = pgettext_lazy("one", "订单课程")
        verbose_name_plural = pgettext_lazy("many", "订单课程")
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["order", "course"], name="order_line_one_per_course"),
            models.CheckConstraint(
                condition=Q(
                    list_price=F("course_discount")
                    + F("global_discount")
                    + F("beili_amount")
                    + F("cash_amount")
                ),
                name="order_line_amounts_add_up",
            ),
            not_negative(
                "list_price",
                "course_discount",
                "global_discount",
                "beili_amount",
                "cash_amount",
                name="order_line_amounts_not_negative",
            ),
            models.CheckConstraint(condition=Q(valid_period__gte=1), name="order_line_grants_time"),
            models.CheckConstraint(
                condition=Q(starts_on__isnull=True) | Q(starts_on__lte=LAST_START),
                name="order_line_starts_in_sight",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.course_name} {gettext(self.valid_period_display)}"


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
    # The id of the HTTP request or the Celery task that caused it. For deeds of staff, `details` has who and
    # why under names that begin with "staff"; see `shop/domain/orders/timeline.py`.
    cause = models.CharField(_("来源"), max_length=100, blank=True, default="")
    details = models.JSONField(_("细节"), default=dict, blank=True)

    class Meta:
        verbose_name = pgettext_lazy("one", "订单事件")
        verbose_name_plural = pgettext_lazy("many", "订单事件")
        ordering: ClassVar = ["id"]
        indexes: ClassVar = [models.Index(fields=["order", "id"], name="order_event_of_order")]
