"""Invalid settings are refused."""

import pytest
from pytest_django import Settings

from shop.checks import beili_rate


@pytest.mark.parametrize("rate", [1, 2, 4, 5, 10, 20, 25, 50, 100])
def test_rate_that_divides_a_hundred_is_taken(settings: Settings, rate: int) -> None:
    settings.BEILI_PER_YUAN = rate
    assert beili_rate(None) == []


@pytest.mark.parametrize("rate", [0, -1, 3, 1000])
def test_rate_without_whole_fen_is_refused(settings: Settings, rate: int) -> None:
    settings.BEILI_PER_YUAN = rate
    assert [error.id for error in beili_rate(None)] == ["shop.E001"]
