"""The shop's only clock. Entry points read it and hand `now` down; domain code never looks at a clock itself."""

from datetime import date, datetime, timedelta

from django.conf import settings
from django.utils import timezone


def now() -> datetime:
    """The present moment (aware, UTC), moved by `CLOCK_OFFSET_S` seconds."""
    return timezone.now() + timedelta(seconds=settings.CLOCK_OFFSET_S)


def shanghai_date(moment: datetime) -> date:
    """The calendar day of `moment` in the shop's time zone, by which coupons and campaigns are judged."""
    return timezone.localtime(moment).date()
