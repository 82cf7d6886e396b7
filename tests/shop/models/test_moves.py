"""The database allows exactly the moves of the tables in `states.py`."""

from collections.abc import Mapping
from enum import Enum
from itertools import product
from typing import Any

import pytest
from django.db import IntegrityError, connection, models, transaction

from shop.models import CouponRecord, Enrolment, Order, OrderRequest
from shop.states import COUPON_RECORD_MOVES, ENROLMENT_MOVES, ORDER_MOVES, ORDER_REQUEST_MOVES
from tests.factories import make_buyer, make_course, make_order, make_record
from tests.guards import unguarded

pytestmark = pytest.mark.django_db

TABLES: list[tuple[type[models.Model], Mapping[Any, frozenset[Any]]]] = [
    (OrderRequest, ORDER_REQUEST_MOVES),
    (Order, ORDER_MOVES),
    (CouponRecord, COUPON_RECORD_MOVES),
    (Enrolment, ENROLMENT_MOVES),
]
PAIRS = [
    (model, source, target, target in moves[source])
    for model, moves in TABLES
    for source, target in product(moves, moves)
]


def row_in(model: type[models.Model], state: Enum) -> int:
    """A row in that state, with CHECK constraints dropped that tie its state to other columns."""
    buyer = make_buyer()
    make_order(buyer, make_course("0.00"))
    make_record(buyer)
    table = model._meta.db_table
    pk: int = model._default_manager.values_list("pk", flat=True).latest("pk")
    with unguarded(table), connection.cursor() as cursor:
        for constraint in model._meta.constraints:
            if isinstance(constraint, models.CheckConstraint) and "status" in constraint.name:
                cursor.execute(f"ALTER TABLE {table} DROP CONSTRAINT {constraint.name}")
        cursor.execute(f"UPDATE {table} SET status = %s WHERE id = %s", [state.value, pk])
    return pk


@pytest.mark.parametrize(
    ("model", "source", "target", "is_allowed"),
    PAIRS,
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_database_allows_exactly_the_moves_of_the_table(
    model: type[models.Model], source: Enum, target: Enum, is_allowed: bool
) -> None:
    pk = row_in(model, source)
    move = model._default_manager.filter(pk=pk)
    if is_allowed or source is target:
        assert move.update(status=target) == 1
        assert move.values_list("status", flat=True).get() == target.value
        return
    with (
        pytest.raises(IntegrityError, match="doesn't allow this move of status") as refusal,
        transaction.atomic(),
    ):
        move.update(status=target)
    cause: Any = refusal.value.__cause__
    assert (cause.diag.table_name, cause.diag.constraint_name) == (model._meta.db_table, "status_moves")
    assert move.values_list("status", flat=True).get() == source.value


@pytest.mark.parametrize("model", [model for model, _ in TABLES])
def test_control_without_the_trigger_any_move_is_made(model: type[models.Model]) -> None:
    first, *_, last = dict(TABLES)[model]
    pk = row_in(model, last)
    with unguarded(model._meta.db_table, "status_moves"):
        assert model._default_manager.filter(pk=pk).update(status=first) == 1
