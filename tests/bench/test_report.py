"""Tables as text."""

from bench.report import table


def test_names_are_left_aligned_and_numbers_right() -> None:
    assert table([["", "ms"], ["8", "1.25"], ["128", "10.5"]]).splitlines() == [
        "     ms",
        "8    1.25",
        "128  10.5",
    ]


def test_chinese_characters_are_two_columns_wide() -> None:
    assert table([["贝里", "1"], ["x", "2"]]).splitlines() == ["贝里  1", "x     2"]
