"""Results of tasks."""

from shop.results import count, counting, describe, returns_counts


def test_facts_are_said_in_their_order_and_zeros_left_out() -> None:
    with counting() as done:
        count(created=2, refused=0)
        count(created=1, refused=1)
    assert describe(done) == "created 3, refused 1"


def test_nothing_to_say() -> None:
    @returns_counts
    def idle(number: int) -> None:
        count(looked_at=number)

    assert idle(0) == "nothing due"
    assert idle(2) == "looked at 2"


def test_facts_outside_of_a_task_are_dropped() -> None:
    count(created=1)
    with counting() as done:
        pass
    assert describe(done) == "nothing due"
