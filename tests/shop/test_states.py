"""Every state has a row in its table of moves."""

from enum import Enum
from typing import Any

import pytest

from payments.states import NOTIFICATION_MOVES, PAYMENT_MOVES, NotificationStatus, PaymentStatus
from shop.states import (
    COUPON_RECORD_MOVES,
    ENROLMENT_MOVES,
    ORDER_MOVES,
    ORDER_REQUEST_MOVES,
    CouponRecordStatus,
    EnrolmentStatus,
    OrderRequestStatus,
    OrderStatus,
)

TABLES = [
    (OrderRequestStatus, ORDER_REQUEST_MOVES),
    (OrderStatus, ORDER_MOVES),
    (CouponRecordStatus, COUPON_RECORD_MOVES),
    (EnrolmentStatus, ENROLMENT_MOVES),
    (PaymentStatus, PAYMENT_MOVES),
    (NotificationStatus, NOTIFICATION_MOVES),
]


@pytest.mark.parametrize(("states", "moves"), TABLES, ids=lambda value: getattr(value, "__name__", ""))
def test_every_state_is_in_its_table(states: type[Enum], moves: dict[Any, frozenset[Any]]) -> None:
    assert set(moves) == set(states)
    assert all(target in states for targets in moves.values() for target in targets)


@pytest.mark.parametrize(("states", "moves"), TABLES, ids=lambda value: getattr(value, "__name__", ""))
def test_every_state_but_the_first_can_be_reached_and_none_leads_to_itself(
    states: type[Enum], moves: dict[Any, frozenset[Any]]
) -> None:
    first = next(iter(states))
    reached, front = {first}, {first}
    while front:
        front = {target for state in front for target in moves[state]} - reached
        reached |= front
    assert reached == set(states)
    assert all(state not in targets for state, targets in moves.items())
