"""How much is measured."""

from bench.size import CHOICE_FULL, CHOICE_QUICK, share_of


def test_a_share_is_of_units_and_not_of_seconds() -> None:
    share = share_of(CHOICE_FULL, 0.5)
    assert share.saturated_orders == CHOICE_FULL.saturated_orders // 2
    assert (share.light_s, share.repeats) == (CHOICE_FULL.light_s, CHOICE_FULL.repeats)


def test_quick_choices_take_a_third_of_the_rounds() -> None:
    assert 3 * CHOICE_QUICK.repeats == CHOICE_FULL.repeats
