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
from shop.models.order_request import OrderRequest
from shop.models.work import GATEWAY_ATTEMPTS, Work, dead_index, dead_is_not_due, due_index
from shop.states import OrderStatus, PaymentType


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
