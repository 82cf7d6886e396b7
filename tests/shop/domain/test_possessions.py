"""What a buyer has."""

import pytest

from shop.domain.possessions import list_beili_transfers, list_enrolments
from tests.factories import make_buyer, make_course, make_order

pytestmark = pytest.mark.django_db


def test_enrolments_newest_first_and_ones_own() -> None:
    buyer, first, second = make_buyer(), make_course("0.00"), make_course("0.00")
    make_order(buyer, first)
    make_order(buyer, second)
    make_order(make_buyer(), first)
    assert [enrolment.course for enrolment in list_enrolments(account=buyer)] == [second, first]


def test_transfers_are_of_beili_only() -> None:
    buyer = make_buyer(beili=100)
    make_order(buyer, make_course("99.00"), beili=99, alipay="0.00")
    assert [(row.debit, row.credit) for row in list_beili_transfers(account=buyer)] == [
        ("beili_held", "beili_spent"),
        ("beili_available", "beili_held"),
        ("beili_issued", "beili_available"),
    ]
