"""Many rows in one statement: the same rows that `bulk_create` inserts."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.apps import apps
from django.db import DataError, IntegrityError, models
from django.forms.models import model_to_dict

from shop.domain import sql
from shop.models import LedgerTransfer, Order, OrderEvent, OrderLine
from tests.factories import NOW, make_buyer, make_course, make_order

pytestmark = pytest.mark.django_db


def transfers(order: Order) -> list[LedgerTransfer]:
    """With integer and decimal amounts, with and without an order, and texts with quotes, braces, commas and
    a backslash.
    """
    book = LedgerTransfer.Book
    amounts: tuple[int | Decimal, ...] = (1, Decimal("2.50"), 3, Decimal("4.00"), Decimal("1E+2"), 6)
    texts = ("", "贝里", 'a "quoted", {braced} one', "back\\slash, NULL", "NULL", " \t\n\x01'\\\"; --")
    return [
        LedgerTransfer(
            key=f"test:{number}", debit=book.UNAPPLIED, credit=book.SALES, currency="CNY", amount=amount,
            account=order.account,
            order=order if number % 2 else None, memo=memo, created_at=NOW + timedelta(microseconds=number),
        )
        for number, (amount, memo) in enumerate(zip(amounts, texts, strict=True))
    ]  # fmt: skip


def events(order: Order) -> list[OrderEvent]:
    details: Sequence[dict[str, Any]] = ({}, {"a": [1, None, '"x", {y}'], "课程": True})
    kinds = OrderEvent.Kind
    return [
        OrderEvent(order=order, kind=kind, at=NOW, cause="c", details=d)
        for kind, d in zip((kinds.PAID, kinds.EXPIRED), details, strict=True)
    ]


@pytest.mark.parametrize("make", [transfers, events])
def test_rows_are_those_of_bulk_create(make: Callable[[Order], list[models.Model]]) -> None:
    order = make_order(make_buyer(), make_course())
    model = type(make(order)[0])

    def stored(objects: Sequence[models.Model]) -> list[dict[str, Any]]:
        found = model._default_manager.in_bulk([made.pk for made in objects])
        return [
            {name: value for name, value in model_to_dict(found[made.pk]).items() if name != "id"}
            for made in objects
        ]

    ours, theirs = make(order), make(order)
    sql.insert(ours)
    expected_ours = stored(ours)
    if model is LedgerTransfer:
        for number, made in enumerate(theirs):
            made.key = f"bulk:{number}"  # type: ignore[attr-defined]
    model._default_manager.bulk_create(theirs)
    expected = stored(theirs)
    for row in (*expected_ours, *expected):
        row.pop("key", None)
    assert expected_ours == expected
    assert len({made.pk for made in ours}) == len(ours)


@pytest.mark.parametrize("app", ["shop", "payments"])
def test_columns_of_every_model_can_be_written(app: str) -> None:
    for model in apps.get_app_config(app).get_models():
        sql._insertion(model)


def test_text_that_postgresql_cannot_store_is_refused() -> None:
    made = transfers(make_order(make_buyer(), make_course()))
    made[0].memo = "a\x00b"
    with pytest.raises(DataError):
        sql.insert(made)


def test_refused_row_refuses_all(django_assert_num_queries: Any) -> None:
    line = OrderLine.objects.get(order=make_order(make_buyer(), make_course()))
    other = make_order(make_buyer(), make_course())
    fields = {
        field.attname: getattr(line, field.attname)
        for field in OrderLine._meta.concrete_fields
        if not field.primary_key
    }
    good, bad = OrderLine(**fields | {"order_id": other.pk}), OrderLine(**fields)
    with pytest.raises(IntegrityError, match="order_line_one_per_course"):
        sql.insert([good, bad])


def test_nothing_is_no_statement(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        sql.insert([])


def test_made_object_knows_its_columns_and_reads_the_others(django_assert_num_queries: Any) -> None:
    order = make_order(make_buyer(), make_course("99.00"))
    known = sql.made(Order, status=order.status, id=order.pk)
    with django_assert_num_queries(0):
        assert (known.pk, known.status) == (order.pk, order.status)
    with django_assert_num_queries(1):
        assert known.cash_due == order.cash_due
