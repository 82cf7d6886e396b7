"""Order numbers and the like."""

import re
from datetime import UTC, datetime

from shop.numbers import mint_number


def test_number_starts_with_beijing_time_to_the_millisecond() -> None:
    number = mint_number(datetime(2026, 12, 31, 16, 0, 0, 987654, tzinfo=UTC))
    assert re.fullmatch(r"20270101000000987[0-9A-HJKMNP-TV-Z]{13}", number)


def test_numbers_sort_by_time() -> None:
    moments = [datetime(2026, 1, 1, 0, 0, 0, micros, tzinfo=UTC) for micros in (0, 1000, 999_000)]
    numbers = [mint_number(moment) for moment in moments]
    assert sorted(numbers) == numbers


def test_numbers_of_one_moment_differ() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert len({mint_number(now) for _ in range(5000)}) == 5000
