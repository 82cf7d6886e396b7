"""System checks: settings of the shop that can't work are refused at the start."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register


@register()
def beili_rate(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """A 贝里 must be a whole number of fen."""
    rate = settings.BEILI_PER_YUAN
    if rate < 1 or 100 % rate:
        return [Error("BEILI_PER_YUAN must divide 100.", hint="1, 2, 4, 5, 10, 20, 25, 50 or 100.", id="shop.E001")]
    return []


@register()
def lease(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Deadlines that contradict each other."""
    errors: list[CheckMessage] = []
    if settings.ORDER_TTL_S < 60 or settings.ORDER_GRACE_S < 0:
        errors.append(Error("ORDER_TTL_S must be at least 60 and ORDER_GRACE_S at least 0.", id="shop.E002"))
    if settings.WORK_LEASE_S < 1 or settings.SWEEP_INTERVAL_S <= 0:
        errors.append(Error("WORK_LEASE_S must be at least 1 and SWEEP_INTERVAL_S above 0.", id="shop.E003"))
    return errors


@register()
def shares(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """A share of nothing would lock everybody out."""
    names = ("MAX_OPEN_ORDERS", "MAX_CHECKOUTS", "MAX_TOKENS", "LOGIN_PLACES")
    return [Error(f"{name} must be at least 1.", id="shop.E004") for name in names if getattr(settings, name) < 1]
