"""What follows from a changed password.

Django tells its validators of every change, however it was made. Rehashing the same password isn't one.
"""

from django.utils.translation import gettext

from shop.domain.accounts.tokens import end_tokens
from shop.models import Account


class EndTokens:
    """Ends every token of the account.

    Sessions end by themselves: Django signs them with the password's hash.
    """

    def validate(self, password: str, user: Account | None = None) -> None:
        """Every password will do."""

    def password_changed(self, password: str, user: Account) -> None:
        end_tokens([user.pk])

    def get_help_text(self) -> str:
        return gettext("修改密码后，此账户的所有登录都会失效。")
