"""What goes back for which lines: whatever the order and the grouping of refunds, in the end exactly what was paid, and never more."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shop.domain import refunding
from shop.domain.pricing import LineInput, price_order
from shop.domain.refunding import Share
from shop.errors import StaleState
from shop.models import Order, OrderLine
from shop.money import ZERO
from tests.factories import NOW, make_buyer, make_course, make_order
from tests.unchanged import nothing_changes


def priced(prices: list[str], beili: int, rate: int) -> tuple[Order, list[OrderLine]]:
    """An order as creation prices it, without a database."""
    quote = price_order([LineInput(number, Decimal(price)) for number, price in enumerate(prices)], None, beili=0, beili_per_yuan=rate)
    quote = price_order(
        [LineInput(number, Decimal(price)) for number, price in enumerate(prices)],
        None,
        beili=min(beili, quote.beili_max),
        beili_per_yuan=rate,
    )
    order = Order(beili=quote.beili, beili_per_yuan=rate, cash_due=quote.cash_due)
    return order, [
        OrderLine(pk=line.course_id, beili_amount=line.beili_amount, cash_amount=line.cash_amount, list_price=line.list_price)
        for line in quote.lines
    ]


yuan = st.decimals("0.01", "99.99", places=2).map(str)


@given(
    prices=st.lists(yuan, min_size=1, max_size=6),
    beili=st.integers(0, 400),
    rate=st.sampled_from([1, 10]),
    seed=st.randoms(use_true_random=False),
)
def test_refunds_in_any_order_and_grouping_add_up_to_what_was_paid(prices: list[str], beili: int, rate: int, seed: object) -> None:
    """Some refunds are rejected on the way, and their lines asked for again later."""
    import random

    assert isinstance(seed, random.Random)
    order, lines = priced(prices, beili, rate)
    live: list[tuple[list[OrderLine], Share]] = []
    left = list(lines)
    while left:
        group = seed.sample(left, seed.randint(1, len(left)))
        earlier = [line for taken, _ in live for line in taken]
        gone = sum(share.beili for _, share in live)
        share = refunding.share_of(order, group, earlier=earlier, line_count=len(lines), beili_gone=gone)
        assert share.beili >= 0
        live.append((group, share))
        left = [line for line in left if line not in group]
        assert sum((share.cash for _, share in live), ZERO) <= order.cash_due
        assert sum(share.beili for _, share in live) <= order.beili
        if left and seed.random() < 0.3:
            rejected, _ = live.pop(seed.randrange(len(live)))
            left += rejected
    assert sum((share.cash for _, share in live), ZERO) == order.cash_due
    assert sum(share.beili for _, share in live) == order.beili


def test_control_counting_from_the_lines_alone_promises_a_beili_twice() -> None:
    """Two halves of a 贝里: the second line took the whole one along, then the first was rejected and is asked for again."""
    order, [first, second] = priced(["1.00", "1.00"], beili=1, rate=1)
    assert refunding.share_of(order, [second], earlier=[first], line_count=2, beili_gone=0).beili == 1
    gone_by_the_lines = refunding._whole_beili(order, [second], line_count=2)
    assert refunding.share_of(order, [first], earlier=[second], line_count=2, beili_gone=gone_by_the_lines).beili == 1
    assert refunding.share_of(order, [first], earlier=[second], line_count=2, beili_gone=1).beili == 0


@given(prices=st.lists(yuan, min_size=2, max_size=6), beili=st.integers(0, 400), rate=st.sampled_from([1, 10]))
def test_without_rejections_no_line_brings_more_than_its_share(prices: list[str], beili: int, rate: int) -> None:
    """Cash to the fen; 贝里 rounded down but for the last line, which brings what rounding had kept back."""
    order, lines = priced(prices, beili, rate)
    gone = 0
    for number, line in enumerate(lines[:-1]):
        share = refunding.share_of(order, [line], earlier=lines[:number], line_count=len(lines), beili_gone=gone)
        gone += share.beili
        assert share.cash == line.cash_amount
        assert gone <= sum((line.beili_amount for line in lines[: number + 1]), ZERO) * rate < gone + 1


@pytest.mark.django_db
def test_booking_more_than_was_paid_is_refused() -> None:
    order = make_order(make_buyer(beili=30), make_course("30.00"), beili=30, alipay="0.00")
    lines = list(order.lines.all())
    for share in (Share(Decimal("0.01"), 0), Share(ZERO, 31)):
        with nothing_changes(), pytest.raises(StaleState):
            refunding.apply_refund(order, lines, share, key="x", now=NOW, cause="test")


@pytest.mark.django_db
def test_booking_a_refund_of_an_unpaid_order_is_refused() -> None:
    order = make_order(make_buyer(), make_course("30.00"))
    with nothing_changes(), pytest.raises(StaleState):
        refunding.apply_refund(order, list(order.lines.all()), Share(Decimal("30.00"), 0), key="x", now=NOW, cause="test")
