"""System checks: invalid settings of the shop stop a process from starting."""

from typing import Any

from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Error, register
from django.core.exceptions import ImproperlyConfigured

# The tag of all configuration checks. They connect to no server, and run whenever web, a worker or beat
# starts.
CONFIGURATION = "configuration"
# The tag of the checks of key files. Beat signs nothing and isn't given any.
KEYS = "keys"


def refuse_mistakes(*, has_keys: bool) -> None:
    """For processes that serve: nobody runs the checks for them.

    Raises:
        ImproperlyConfigured: with everything that is wrong with the settings and, if the process has them,
            with the key files.
    """
    errors = [
        found
        for found in checks.run_checks(tags=[CONFIGURATION, KEYS] if has_keys else [CONFIGURATION])
        if found.is_serious() and not found.is_silenced()
    ]
    if errors:
        raise ImproperlyConfigured("\n".join(f"{error.msg} ({error.id})" for error in errors))


@register(CONFIGURATION)
def beili_rate(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """A 贝里 must be a whole number of fen."""
    rate = settings.BEILI_PER_YUAN
    if rate < 1 or 100 % rate:
        return [
            Error(
                "BEILI_PER_YUAN must divide 100.", hint="1, 2, 4, 5, 10, 20, 25, 50 or 100.", id="shop.E001"
            )
        ]
    return []
