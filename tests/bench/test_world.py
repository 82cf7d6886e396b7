"""The unit of work is the one that the figures are told for."""

from decimal import Decimal

from bench.world import unit_quote


def test_the_unit_of_work_costs_what_the_documents_say() -> None:
    quote = unit_quote()
    assert (quote.list_total, quote.course_discount, quote.beili, quote.cash_due) == (Decimal("398.00"), 20, 30, Decimal("310.20"))
