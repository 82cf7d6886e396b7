from typing import ClassVar

from django.contrib.auth.models import AbstractUser
from django.db import models

from shop.models.fields import not_negative


class Account(AbstractUser):
    """A buyer or a member of staff. Its 贝里 are a cached sum of the ledger, changed only together with a transfer."""

    balance = models.PositiveBigIntegerField("可用贝里", default=0)
    held_balance = models.PositiveBigIntegerField("锁定贝里", default=0, help_text="待支付订单占用，支付后扣除，取消后退回")
    phone = models.CharField("手机", max_length=20, blank=True, default="", db_default="")

    class Meta(AbstractUser.Meta):
        verbose_name = "账户"
        verbose_name_plural = "账户"
        constraints: ClassVar = [not_negative("balance", "held_balance", name="account_balances_not_negative")]
