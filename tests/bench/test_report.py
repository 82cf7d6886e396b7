"""Tables as text."""

from bench.report import table


def test_names_are_left_aligned_and_numbers_right() -> None:
    assert table([["", "ms"], ["8", "1.25"], ["128", "10.5"]]).splitlines() == [
        "     ms",
        "8    1.25",
        "128  10.5",
    ]
