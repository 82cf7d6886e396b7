from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from shop.models.fields import names_of
from shop.models.work import Work, dead_index, dead_is_not_due, due_index
from shop.states import OrderRequestStatus


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
