import re

import pytest

from shop.desk.charts import Series, stacked_bars


@pytest.mark.parametrize("value", [1, 9_999, 1_000_000, 9_876_543_210])
def test_the_numbers_of_the_axis_are_whole(value: int) -> None:
    chart = stacked_bars("Receipts", ["11-26", "11-27"], [Series("yuan", [value, None])])
    axis = re.findall(r'<text x="(\d+)" y="\d+" text-anchor="end">([\d,]+)</text>', chart)
    assert len(axis) == 3
    for end, number in axis:
        assert int(end) >= 7 * len(number)  # the width of a digit at 11 px
