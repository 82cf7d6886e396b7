from collections.abc import Iterator
from typing import ClassVar

from django.contrib.auth.models import AbstractUser
from django.contrib.postgres.indexes import OpClass
from django.db import models
from django.db.models import Q
from django.db.models.functions import Upper
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from shop.models.base import SavesChanges
from shop.models.fields import not_negative


class Account(SavesChanges, AbstractUser):
    """A buyer or a staff member. The balance of 贝里 is a cached sum of the ledger, changed only with a
    transfer.
    """

    balance = models.PositiveBigIntegerField(_("可用贝里"), default=0)
    held_balance = models.PositiveBigIntegerField(
        _("锁定贝里"), default=0, help_text=_("待支付订单占用，支付后扣除，取消后退回")
    )
    # Incremented to end all logins: sessions signed with an older number are invalid. A trigger increments it
    # when the account is disabled.
    login_generation = models.PositiveIntegerField(_("登录批次"), default=0, db_default=0, editable=False)
    phone = models.CharField(_("手机"), max_length=20, blank=True, default="", db_default="")

    class Meta(AbstractUser.Meta):
        verbose_name = pgettext_lazy("one", "账户")  # type: ignore[assignment] # the stubs want text alone
        verbose_name_plural = pgettext_lazy("many", "账户")  # type: ignore[assignment]
        permissions: ClassVar = [
            ("end_logins", _("可结束账户的所有登录")),
            ("anonymise_account", _("可抹除账户的个人信息")),
            ("adjust_beili", _("可发放或扣除贝里")),
        ]
        constraints: ClassVar = [
            not_negative("balance", "held_balance", name="account_balances_not_negative")
        ]
        # Operators search by the beginning of an e-mail address or a phone number. For usernames Django's own
        # index does that.
        indexes: ClassVar = [
            models.Index(
                OpClass(Upper("email"), "text_pattern_ops"), condition=~Q(email=""), name="account_by_email"
            ),
            models.Index(
                fields=["phone"],
                opclasses=["varchar_pattern_ops"],
                condition=~Q(phone=""),
                name="account_by_phone",
            ),
        ]

    def get_session_auth_hash(self) -> str:
        """The hash that Django compares with a session's."""
        return f"{super().get_session_auth_hash()}:{self.login_generation}"

    def get_session_auth_fallback_hash(self) -> Iterator[str]:
        """The same with older secret keys."""
        return (f"{older}:{self.login_generation}" for older in super().get_session_auth_fallback_hash())
