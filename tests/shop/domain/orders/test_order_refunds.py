"""Booking refunds."""

from decimal import Decimal

import pytest

from shop.domain.orders import order_refunds
from shop.domain.pricing.refund_shares import Share, whole_part
from shop.errors import StaleState
from shop.money import ZERO
from tests.factories import NOW, make_buyer, make_course, make_order
from tests.unchanged import nothing_changes


@pytest.mark.django_db
def test_booking_more_than_was_paid_is_refused() -> None:
    order = make_order(make_buyer(beili=30), make_course("30.00"), beili=30, alipay="0.00")
    parts = [whole_part(line) for line in order.lines.all()]
    for share in (Share(Decimal("0.01"), 0), Share(ZERO, 31)):
        with nothing_changes(), pytest.raises(StaleState):
            order_refunds.apply_refund(order, parts, share, key="x", now=NOW, cause="test")


@pytest.mark.django_db
def test_booking_a_refund_of_an_unpaid_order_is_refused() -> None:
    order = make_order(make_buyer(), make_course("30.00"))
    parts = [whole_part(line) for line in order.lines.all()]
    with nothing_changes(), pytest.raises(StaleState):
        order_refunds.apply_refund(order, parts, Share(Decimal("30.00"), 0), key="x", now=NOW, cause="test")
