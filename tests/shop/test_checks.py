"""Settings that can't work are refused."""

import pytest
from pytest_django import Settings

from shop.checks import beili_rate, lease


@pytest.mark.parametrize("rate", [1, 2, 4, 5, 10, 20, 25, 50, 100])
def test_rate_that_divides_a_hundred_is_taken(settings: Settings, rate: int) -> None:
    settings.BEILI_PER_YUAN = rate
    assert beili_rate(None) == []


@pytest.mark.parametrize("rate", [0, -1, 3, 1000])
def test_rate_without_whole_fen_is_refused(settings: Settings, rate: int) -> None:
    settings.BEILI_PER_YUAN = rate
    assert [error.id for error in beili_rate(None)] == ["shop.E001"]


def test_deadlines_are_taken() -> None:
    assert lease(None) == []


@pytest.mark.parametrize(
    ("name", "value", "check_id"),
    [
        ("ORDER_TTL_S", 59, "shop.E002"),
        ("ORDER_GRACE_S", -1, "shop.E002"),
        ("WORK_LEASE_S", 0, "shop.E003"),
        ("SWEEP_INTERVAL_S", 0, "shop.E003"),
    ],
)
def test_deadline_that_makes_no_sense_is_refused(settings: Settings, name: str, value: int, check_id: str) -> None:
    setattr(settings, name, value)
    assert [error.id for error in lease(None)] == [check_id]
