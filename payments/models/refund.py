from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from payments.models.payment import Payment
from payments.states import Explanation, RefundKind, RefundStatus
from shop.models import Order, OrderLine, Work
from shop.models.fields import YuanField, names_of, not_negative
from shop.models.work import GATEWAY_ATTEMPTS, dead_index, dead_is_not_due, due_index


class Refund(Work):
    """A refund of money and 贝里, identified by its request number.

    The shop's own are requested by a buyer and approved by staff or by rule, or made for surplus money. The
    row is written before the gateway is called, so a retry is the same request. External ones were made at
    the gateway without the shop, and have the number that it reported.
    """

    MAX_ATTEMPTS = GATEWAY_ATTEMPTS

    kind = models.CharField(_("类型"), max_length=16, choices=names_of(RefundKind))
    order = models.ForeignKey(
        Order, models.PROTECT, related_name="refunds", verbose_name=pgettext_lazy("one", "订单")
    )
    # None if no money was paid: then only 贝里 are returned.
    payment = models.ForeignKey(
        Payment,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="refunds",
        verbose_name=pgettext_lazy("one", "支付"),
    )
    out_request_no = models.CharField(_("退款请求号"), max_length=64)
    amount = YuanField(_("退款金额（元）"))
    beili = models.PositiveBigIntegerField(_("退回贝里"), default=0)
    status = models.CharField(
        _("状态"), max_length=16, choices=names_of(RefundStatus), default=RefundStatus.REQUESTED
    )
    reason = models.CharField(_("申请原因"), max_length=200, blank=True, default="")
    # Why it was rejected or failed: a reason entered by staff, or the gateway's code.
    outcome = models.CharField(_("处理说明"), max_length=200, blank=True, default="")
    # For a refund by other means than the gateway: its receipt, for the accountants.
    reference = models.CharField(_("凭据"), max_length=100, blank=True, default="", db_default="")
    # For an external refund: what it was for. Empty until staff, or the rule for full refunds, explain it.
    explanation = models.CharField(
        _("说明"), max_length=16, choices=names_of(Explanation), blank=True, default="", db_default=""
    )
    explained_at = models.DateTimeField(_("说明时间"), null=True, blank=True)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("处理人"),
    )
    approved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("审批人"),
    )
    # The staff member who requested it on behalf of the buyer; None if the buyer or a rule did.
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        blank=True,
        db_index=False,
        related_name="+",
        verbose_name=_("申请人"),
    )
    requested_at = models.DateTimeField(_("申请时间"))
    approved_at = models.DateTimeField(_("批准时间"), null=True, blank=True)
    sent_at = models.DateTimeField(_("提交时间"), null=True, blank=True)
    finished_at = models.DateTimeField(_("完成时间"), null=True, blank=True)

    class Meta:
        verbose_name = pgettext_lazy("one", "退款")
        verbose_name_plural = pgettext_lazy("many", "退款")
        constraints: ClassVar = [
            # The shop's own numbers are unique. For external ones the gateway only guarantees that a trade
            # doesn't have one twice.
            models.UniqueConstraint(
                fields=["out_request_no"],
                condition=~Q(kind=RefundKind.EXTERNAL),
                name="refund_out_request_no",
            ),
            models.UniqueConstraint(
                fields=["payment", "out_request_no"],
                condition=Q(kind=RefundKind.EXTERNAL),
                name="refund_external_number_once",
            ),
            not_negative("amount", "beili", name="refund_amounts_not_negative"),
            models.CheckConstraint(
                condition=Q(amount=0) | Q(payment__isnull=False), name="refund_money_has_a_payment"
            ),
            models.CheckConstraint(
                condition=Q(status=RefundStatus.REPORTED, kind=RefundKind.EXTERNAL, finished_at__isnull=True)
                | Q(status=RefundStatus.REQUESTED, sent_at__isnull=True, finished_at__isnull=True)
                | Q(
                    status__in=[RefundStatus.SENT, RefundStatus.UNKNOWN],
                    approved_at__isnull=False,
                    sent_at__isnull=False,
                    finished_at__isnull=True,
                )
                | Q(
                    status__in=[RefundStatus.SUCCEEDED, RefundStatus.FAILED],
                    approved_at__isnull=False,
                    finished_at__isnull=False,
                )
                | Q(status=RefundStatus.SUCCEEDED, kind=RefundKind.EXTERNAL, finished_at__isnull=False)
                | Q(status=RefundStatus.REJECTED, finished_at__isnull=False)
                | (Q(status=RefundStatus.PAID_ELSEWHERE, finished_at__isnull=False) & ~Q(reference="")),
                name="refund_status_matches_times",
            ),
            models.CheckConstraint(
                condition=(
                    Q(kind=RefundKind.EXTERNAL, status=RefundStatus.SUCCEEDED)
                    & ~Q(explanation="")
                    & Q(explained_at__isnull=False)
                )
                | Q(explanation="", explained_at__isnull=True),
                name="refund_only_proven_external_explained",
            ),
            # At most one live refund of surplus money.
            models.UniqueConstraint(
                fields=["payment"],
                condition=Q(kind=RefundKind.SURPLUS) & ~Q(status=RefundStatus.REJECTED),
                name="refund_one_per_surplus_payment",
            ),
            dead_is_not_due("refund_dead_is_not_due"),
        ]
        indexes: ClassVar = [
            due_index("refund_due"),
            dead_index("refund_dead"),
            models.Index(
                fields=["finished_at"], condition=Q(finished_at__isnull=False), name="refund_finished"
            ),
            models.Index(fields=["-id"], condition=Q(status=RefundStatus.FAILED), name="refund_failed"),
            models.Index(
                fields=["requested_at"],
                condition=Q(status=RefundStatus.REQUESTED),
                name="refund_awaiting_approval",
            ),
            models.Index(
                fields=["requested_at"],
                condition=Q(kind=RefundKind.EXTERNAL, explanation="") & ~Q(status=RefundStatus.REJECTED),
                name="refund_to_explain",
            ),
        ]

    def __str__(self) -> str:
        return self.out_request_no


class RefundLine(models.Model):
    """One course of a refund.

    Unless that refund was rejected, no other refund can have the line: a failed one is still owed.

    `cash_amount` and `beili_amount` (yuan) are the refunded parts of the line's own shares: all of them, or
    less if some of the access was used.
    """

    refund = models.ForeignKey(
        Refund,
        models.PROTECT,
        db_index=False,
        related_name="lines",
        verbose_name=pgettext_lazy("one", "退款"),
    )
    order_line = models.ForeignKey(
        OrderLine, models.PROTECT, related_name="refund_lines", verbose_name=pgettext_lazy("one", "订单课程")
    )
    cash_amount = YuanField(_("退回现金（元）"))
    beili_amount = YuanField(_("退回贝里价值（元）"))
    # False once the refund is rejected, set in the same transaction.
    is_live = models.BooleanField(_("有效"), default=True)

    class Meta:
        verbose_name = pgettext_lazy("one", "退款课程")
        verbose_name_plural = pgettext_lazy("many", "退款课程")
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["order_line"], condition=Q(is_live=True), name="refund_line_once"
            ),
            models.UniqueConstraint(fields=["refund", "order_line"], name="refund_line_one_per_refund"),
            not_negative("cash_amount", "beili_amount", name="refund_line_amounts_not_negative"),
        ]
