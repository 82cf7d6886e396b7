"""Access that staff grant: a new course, or more days of one."""

from django.utils.translation import gettext

from shop.desk.deeds import Act
from shop.domain.orders import granting
from shop.errors import PermissionRefused
from shop.models import Account


def not_oneself(account: Account, act: Act) -> None:
    """Refuses a deed on the acting staff member's own account.

    Raises:
        PermissionRefused
    """
    if account.pk == act.staff.pk:
        raise PermissionRefused(gettext("不能给自己的账户发放或开通。"))


def grant_days(account_id: int, course_id: int, act: Act) -> object:
    return granting.grant_access(
        account_id=account_id,
        course_id=course_id,
        days=act.data["days"],
        token=act.data["token"],
        staff=act.staff,
        why=act.why,
        now=act.now,
        cause=act.cause,
    )
