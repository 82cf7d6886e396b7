from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Floor
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from shop.models.fields import YuanField, names_of
from shop.models.order import Order

_YUAN_BOOKS = [
    "alipay_cash", "coupon_subsidy", "beili_redeemed", "sales", "unapplied", "refunds", "external_refunds",
    "goodwill", "other_means",
]  # fmt: skip


class LedgerTransfer(models.Model):
    """Double entry by construction: one amount moves from the book `debit` to the book `credit`. Append-only;
    a trigger refuses edits.

    The books of 贝里 exist once per buyer (`account`), except `beili_issued`, their source. The others are in
    yuan. A trigger updates the buyer's cached balances with each inserted transfer, so the two can't differ.
    """

    class Currency(models.TextChoices):
        CNY = "CNY", "元"
        BEILI = "BEILI", "贝里"

    class Book(models.TextChoices):
        BEILI_ISSUED = "beili_issued", "贝里发放"
        BEILI_AVAILABLE = "beili_available", "可用贝里"
        BEILI_HELD = "beili_held", "锁定贝里"
        BEILI_SPENT = "beili_spent", "已用贝里"
        ALIPAY_CASH = "alipay_cash", "支付宝收款"
        COUPON_SUBSIDY = "coupon_subsidy", "优惠券补贴"
        BEILI_REDEEMED = "beili_redeemed", "贝里抵扣"
        SALES = "sales", "课程销售"
        # Received money: it moves to sales when it pays an order, and is refunded if the order can't accept
        # it.
        UNAPPLIED = "unapplied", "待核销款项"
        REFUNDS = "refunds", "退款"
        # External refunds, until they are explained.
        EXTERNAL_REFUNDS = "external_refunds", "待说明的渠道退款"
        GOODWILL = "goodwill", "善意补偿"
        # Refunded by other means than the gateway, such as a bank transfer.
        OTHER_MEANS = "other_means", "其他方式退款"

        @property
        def currency(self) -> "LedgerTransfer.Currency":
            """The book's currency."""
            is_beili = self in {self.BEILI_ISSUED, self.BEILI_AVAILABLE, self.BEILI_HELD, self.BEILI_SPENT}
            return LedgerTransfer.Currency.BEILI if is_beili else LedgerTransfer.Currency.CNY

    # Makes transfers idempotent: "hold:<order>", "capture:<order>", "cash:<out_trade_no>",
    # "refund:<out_request_no>", …
    key = models.CharField(_("唯一凭据"), max_length=128)
    debit = models.CharField(_("转出"), max_length=20, choices=names_of(Book))
    credit = models.CharField(_("转入"), max_length=20, choices=names_of(Book))
    currency = models.CharField(_("币种"), max_length=5, choices=names_of(Currency))
    amount = YuanField(_("数额"))
    account = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        db_index=False,
        related_name="transfers",
        verbose_name=pgettext_lazy("one", "账户"),
    )
    order = models.ForeignKey(
        Order,
        models.PROTECT,
        null=True,
        db_index=False,
        related_name="transfers",
        verbose_name=pgettext_lazy("one", "订单"),
    )
    memo = models.CharField(pgettext_lazy("transfer", "说明"), max_length=100, blank=True, default="")
    # The purchase's id (`Order.trace_id`); empty without an order.
    trace_id = models.CharField(_("追踪编号"), max_length=64, blank=True, default="", db_default="")
    created_at = models.DateTimeField(_("时间"))

    class Meta:
        verbose_name = pgettext_lazy("one", "账目")
        verbose_name_plural = pgettext_lazy("many", "账目")
        ordering: ClassVar = ["id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["key"], name="transfer_key"),
            models.CheckConstraint(condition=Q(amount__gt=0), name="transfer_amount_positive"),
            models.CheckConstraint(condition=~Q(debit=F("credit")), name="transfer_between_two_books"),
            models.CheckConstraint(
                condition=Q(
                    currency="BEILI",
                    debit__in=["beili_issued", "beili_available", "beili_held", "beili_spent"],
                    credit__in=["beili_issued", "beili_available", "beili_held", "beili_spent"],
                    account__isnull=False,
                )
                | Q(
                    currency="CNY",
                    debit__in=_YUAN_BOOKS,
                    credit__in=_YUAN_BOOKS,
                ),
                name="transfer_within_one_currency",
            ),
            models.CheckConstraint(
                condition=Q(currency="CNY") | Q(amount=Floor("amount")), name="transfer_whole_beili"
            ),
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["account", "-id"], condition=Q(account__isnull=False), name="transfer_of_buyer"
            ),
            models.Index(fields=["order"], condition=Q(order__isnull=False), name="transfer_of_order"),
        ]
