"""The refund of each line: in any order and grouping, all refunds together are exactly what was paid, and
never more.
"""

import random
from collections.abc import Sequence
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shop.domain.pricing.refund_shares import LinePart, Share, share_of, unused_part, whole_part, within
from shop.domain.pricing.rules import LineInput, price_order
from shop.models import Order, OrderLine
from shop.money import ZERO


def priced(prices: list[str], beili: int, rate: int, *, period: int = 30) -> tuple[Order, list[OrderLine]]:
    """An order priced as in creation, without a database."""
    lines = [LineInput(number, Decimal(price)) for number, price in enumerate(prices)]
    most = price_order(lines, None, beili=0, beili_per_yuan=rate).beili_max
    quote = price_order(lines, None, beili=min(beili, most), beili_per_yuan=rate)
    order = Order(beili=quote.beili, beili_per_yuan=rate, cash_due=quote.cash_due)
    return order, [
        OrderLine(
            pk=line.course_id,
            beili_amount=line.beili_amount,
            cash_amount=line.cash_amount,
            list_price=line.list_price,
            valid_period=period,
        )
        for line in quote.lines
    ]


def share(order: Order, parts: Sequence[LinePart], earlier: Sequence[LinePart], gone: int) -> Share:
    return share_of(
        order, parts, earlier_beili_amount=sum((part.beili_amount for part in earlier), ZERO), beili_gone=gone
    )


yuan = st.decimals("0.01", "99.99", places=2).map(str)
orders = {
    "prices": st.lists(yuan, min_size=1, max_size=6),
    "beili": st.integers(0, 400),
    "rate": st.sampled_from([1, 10]),
}


@given(**orders, seed=st.randoms(use_true_random=False))
def test_refunds_in_any_order_and_grouping_add_up_to_what_was_paid(
    prices: list[str], beili: int, rate: int, seed: random.Random
) -> None:
    """Some refunds are rejected, and their lines requested again later."""
    order, lines = priced(prices, beili, rate)
    live: list[tuple[list[LinePart], Share]] = []
    left = [whole_part(line) for line in lines]
    while left:
        group = seed.sample(left, seed.randint(1, len(left)))
        earlier = [part for taken, _ in live for part in taken]
        given_back = share(order, group, earlier, sum(other.beili for _, other in live))
        assert given_back.beili >= 0
        live.append((group, given_back))
        left = [part for part in left if part not in group]
        assert sum((other.cash for _, other in live), ZERO) <= order.cash_due
        assert sum(other.beili for _, other in live) <= order.beili
        if left and seed.random() < 0.3:
            rejected, _ = live.pop(seed.randrange(len(live)))
            left += rejected
    assert sum((other.cash for _, other in live), ZERO) == order.cash_due
    assert sum(other.beili for _, other in live) == order.beili


def test_control_counting_from_the_lines_alone_promises_a_beili_twice() -> None:
    """Two halves of a 贝里: the second line took the whole one; then the first was rejected and is requested
    again.
    """
    order, lines = priced(["1.00", "1.00"], beili=1, rate=1)
    first, second = map(whole_part, lines)
    assert share(order, [second], [first], gone=0).beili == 1
    assert share(order, [first], [second], gone=0).beili == 1  # refunds so far aren't counted
    assert share(order, [first], [second], gone=1).beili == 0


@given(**orders)
def test_without_rejections_no_line_brings_more_than_its_share(
    prices: list[str], beili: int, rate: int
) -> None:
    """Cash to the fen; 贝里 are rounded down, and the last line returns the remainder."""
    order, lines = priced(prices, beili, rate)
    parts, gone = [whole_part(line) for line in lines], 0
    for number, part in enumerate(parts):
        given_back = share(order, [part], parts[:number], gone)
        gone += given_back.beili
        assert given_back.cash == part.line.cash_amount
        assert gone <= sum((other.beili_amount for other in parts[: number + 1]), ZERO) * rate < gone + 1


@pytest.mark.parametrize(
    ("price", "days_left", "back"),
    [
        ("30.00", 30, "30.00"),
        ("30.00", 29, "29.00"),
        ("30.00", 0, "0.00"),
        ("99.00", 7, "23.10"),
        ("0.05", 15, "0.03"),
        ("100.00", 1, "3.33"),
    ],
)
def test_unused_part_is_price_times_days_left_half_up_to_the_fen(
    price: str, days_left: int, back: str
) -> None:
    _, [line] = priced([price], 0, 1)
    assert unused_part(line, days_left=days_left) == LinePart(line, Decimal(back), ZERO)


def test_the_example_in_the_docs() -> None:
    """`docs/pricing.md`: course A, refunded after 10 of its 30 days."""
    order, [line, _] = priced(["66.88", "51.23"], 18, 1)
    part = unused_part(line, days_left=20)
    assert (line.cash_amount, line.beili_amount) == (Decimal("56.69"), Decimal("10.19"))
    assert part == LinePart(line, Decimal("37.79"), Decimal("6.79"))
    assert share(order, [part], [], gone=0).beili == 6


@given(**orders, days=st.data())
def test_unused_parts_never_bring_more_than_was_paid(
    prices: list[str], beili: int, rate: int, days: st.DataObject
) -> None:
    order, lines = priced(prices, beili, rate)
    parts = [unused_part(line, days_left=days.draw(st.integers(0, 30))) for line in lines]
    gone = 0
    for number, part in enumerate(parts):
        given_back = share(order, [part], parts[:number], gone)
        gone += given_back.beili
        assert given_back.cash <= part.line.cash_amount
    assert gone <= sum((part.beili_amount for part in parts), ZERO) * rate
    assert gone <= order.beili


def test_parts_within_an_amount_lose_from_the_end() -> None:
    _, lines = priced(["10.00", "20.00", "5.00"], 0, 1)
    parts = [whole_part(line) for line in lines]
    assert [part.cash for part in within(parts, Decimal("35.00"))] == [
        Decimal("10.00"),
        Decimal("20.00"),
        Decimal("5.00"),
    ]
    assert [part.cash for part in within(parts, Decimal("12.34"))] == [
        Decimal("10.00"),
        Decimal("2.34"),
        Decimal("0.00"),
    ]
    assert [part.cash for part in within(parts, Decimal("99.00"))] == [
        Decimal("10.00"),
        Decimal("20.00"),
        Decimal("5.00"),
    ]
