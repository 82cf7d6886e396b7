"""The shop's only clock."""

from datetime import UTC, date, datetime, timedelta

from django.utils import timezone
from pytest_django import Settings

from shop import clock


def test_now_is_moved_by_the_offset(settings: Settings) -> None:
    settings.CLOCK_OFFSET_S = 86_400
    before = timezone.now()
    assert timedelta(0) <= clock.now() - before - timedelta(days=1) < timedelta(seconds=5)


def test_shanghai_date_turns_at_shanghai_midnight() -> None:
    assert clock.shanghai_date(datetime(2026, 3, 1, 15, 59, 59, tzinfo=UTC)) == date(2026, 3, 1)
    assert clock.shanghai_date(datetime(2026, 3, 1, 16, 0, 0, tzinfo=UTC)) == date(2026, 3, 2)
