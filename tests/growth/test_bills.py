"""A day of which everything differs, while PostgreSQL's statistics know of no open difference."""

from collections.abc import Collection
from datetime import timedelta

import pytest
from django.db import connection

from payments.domain.bills.differences import note_differences, settle_differences
from payments.models import Bill, BillDifference
from payments.states import BillStatus, DifferenceKind, DifferenceStatus
from shop.clock import shanghai_date
from tests.factories import NOW, make_buyer
from tests.payments.memorygateway import APP_ID

pytestmark = pytest.mark.django_db
# Compared each with each, so many exceed a statement's ten seconds several times.
DIFFERENT, EXPLAINED = 40_000, 1_000

_ENTRIES = """
    INSERT INTO payments_billentry (bill_id, kind, trade_no, out_trade_no, out_request_no, amount, fee)
    SELECT %s, 'trade', number, number, '', 1, 0 FROM unnest(%s::text[]) AS number
"""
_EXPLAIN_ALL = """
    UPDATE payments_billdifference SET status = %s, ended_at = %s, explained_by_id = %s, why = 'x'
"""


def make_bill(numbers: Collection[str], *, days_ago: int) -> Bill:
    """A bill of trades that the shop doesn't know."""
    day = shanghai_date(NOW) - timedelta(days=days_ago)
    bill = Bill.objects.create(
        provider="memory", app_id=APP_ID, day=day, status=BillStatus.COMPARED, compared_at=NOW
    )
    with connection.cursor() as cursor:
        cursor.execute(_ENTRIES, [bill.pk, list(numbers)])
    return bill


def test_comparing_a_day_of_differences_needs_no_fresh_statistics() -> None:
    note_differences(make_bill([f"OLD{n}" for n in range(EXPLAINED)], days_ago=3), now=NOW)
    with connection.cursor() as cursor:
        cursor.execute(_EXPLAIN_ALL, [DifferenceStatus.EXPLAINED, NOW, make_buyer().pk])
        cursor.execute("ANALYZE payments_bill, payments_billentry, payments_billdifference")
    bill = make_bill([f"NEW{n}" for n in range(DIFFERENT)], days_ago=2)
    assert note_differences(bill, now=NOW) == DIFFERENT
    # The next day's bill has two of them again: with that, the amounts are others.
    twice = {"NEW0", f"NEW{DIFFERENT - 1}"}
    make_bill(twice, days_ago=1)
    assert settle_differences(now=NOW) == 2
    settled = BillDifference.objects.filter(status=DifferenceStatus.SETTLED)
    assert set(settled.values_list("out_trade_no", flat=True)) == twice
    left = BillDifference.objects.filter(status=DifferenceStatus.OPEN, kind=DifferenceKind.MISSING_HERE)
    assert left.count() == DIFFERENT - 2
