"""The machine can fail: each guard is taken away in turn, and the books show it within a few lives of the shop."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from payments.domain import expiry, refunds, settlement
from payments.domain.settlement import Outcome
from payments.gateways.protocol import Gateway, RefundIntent
from payments.models import Payment, Refund
from payments.states import PaymentStatus
from shop.domain import closing, ledger
from shop.models import LedgerTransfer, Order
from tests.payments.test_machine import run_episodes

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(600)]

MOST_STEPS = 6000
Patch = pytest.MonkeyPatch


def pay_again_whatever_was_paid(patch: Patch) -> None:
    patch.setattr(settlement, "_decide_paid", lambda report, payment: Outcome.SETTLED)


def believe_any_amount(patch: Patch) -> None:
    decide = settlement._decide
    patch.setattr(
        settlement, "_decide", lambda report, payment: decide(replace(report, total_amount=payment.amount) if payment else report, payment)
    )


def believe_any_app(patch: Patch) -> None:
    decide = settlement._decide
    patch.setattr(
        settlement, "_decide", lambda report, payment: decide(replace(report, app_id=payment.app_id) if payment else report, payment)
    )


def keep_what_nobody_owed(patch: Patch) -> None:
    patch.setattr(refunds, "order_surplus_refund", lambda payment, **deed: None)


def pay_orders_that_are_over(patch: Patch) -> None:
    patch.setattr(settlement, "_outcome_of_money", lambda order, **deed: Outcome.SETTLED)


def release_twice(patch: Patch) -> None:
    release = ledger.release_transfers

    def twice(orders: Any, *, now: datetime) -> list[LedgerTransfer]:
        again = release(orders, now=now)
        for transfer in again:
            transfer.key += ":again"
        return [*release(orders, now=now), *again]

    patch.setattr(closing.ledger, "release_transfers", twice)


def close_without_asking(patch: Patch) -> None:
    def forget(payment: Payment, **deed: Any) -> None:
        Payment.objects.filter(pk=payment.pk).update(status=PaymentStatus.CLOSED, closed_at=deed["now"], available_at=None)

    patch.setattr(expiry, "settle_or_close", forget)


def forget_attempts_that_nobody_saw(patch: Patch) -> None:
    close = settlement.close_payment

    def forget(payment: Payment, *, now: datetime, cause: str, look_again_at: datetime | None = None) -> None:
        close(payment, now=now, cause=cause)

    patch.setattr(settlement, "close_payment", forget)


def commit_nothing(patch: Patch) -> None:
    def look_only(order: Order, amount: Decimal) -> Payment | None:
        return Payment.objects.get(order=order, status=PaymentStatus.PAID, is_surplus=False) if amount else None

    patch.setattr(refunds, "_commit_money", look_only)


def take_taken_for_done(patch: Patch) -> None:
    ask = refunds._ask

    def believe(refund: Refund, gateway: Gateway, *, is_first: bool) -> bool:
        ask(refund, gateway, is_first=is_first)
        return True

    patch.setattr(refunds, "_ask", believe)


def take_no_answer_for_a_no(patch: Patch) -> None:
    """An unknown outcome is repeated under a new number."""
    numbers = itertools.count()

    def ask(refund: Refund, gateway: Gateway, *, is_first: bool) -> bool:
        assert refund.payment is not None
        return gateway.refund(RefundIntent(refund.payment.out_trade_no, f"X{next(numbers)}", refund.amount, "x"))

    patch.setattr(refunds, "_ask", ask)


CHEAP = [believe_any_amount, keep_what_nobody_owed, release_twice, commit_nothing]
OTHERS = [
    pay_again_whatever_was_paid,
    believe_any_app,
    pay_orders_that_are_over,
    close_without_asking,
    forget_attempts_that_nobody_saw,
    take_taken_for_done,
    take_no_answer_for_a_no,
]


@pytest.mark.parametrize("mutate", [*CHEAP, *(pytest.param(mutate, marks=pytest.mark.slow) for mutate in OTHERS)])
def test_control_without_a_guard_the_books_break(transactional_db: None, mutate: Callable[[Patch], None]) -> None:
    done = 0

    def report(steps: int, *_: object) -> None:
        nonlocal done
        done = steps

    with pytest.MonkeyPatch.context() as patch:
        mutate(patch)
        with pytest.raises(Exception) as failure:  # noqa: PT011 - a broken rule, or the database's refusal
            run_episodes(seed=1, steps=MOST_STEPS, report=report)
    assert failure.value.__notes__
    print(f"{mutate.__name__}: {done} steps and {failure.value.__notes__[-1][:60]}: {type(failure.value).__name__} {failure.value}")
