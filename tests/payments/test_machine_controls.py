"""The machine can fail: without each guard in turn, the books are wrong within a few lives of the shop."""

import itertools
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime

import pytest

from payments.domain.refunds import concluding, requesting, sending
from payments.domain.trades import outcomes, settlement
from payments.domain.trades.outcomes import Outcome
from payments.gateways import ConfiguredGateways
from payments.gateways.protocol import Gateway, RefundIntent, TradeReport
from payments.models import Payment, Refund
from shop.domain import ledger
from shop.models import LedgerTransfer, Order
from tests.payments.test_machine import run_episodes
from tests.variants import first_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(600)]

MOST_STEPS = 6000
Patch = pytest.MonkeyPatch


def pay_again_whatever_was_paid(patch: Patch) -> None:
    patch.setattr(outcomes, "_decide_paid", lambda report, payment: Outcome.SETTLED)


def believe(patch: Patch, field: str, of_payment: str) -> None:
    find_mismatch = outcomes._find_mismatch

    def overlook(report: TradeReport, payment: Payment) -> Outcome | None:
        return find_mismatch(replace(report, **{field: getattr(payment, of_payment)}), payment)

    patch.setattr(outcomes, "_find_mismatch", overlook)


def believe_any_amount(patch: Patch) -> None:
    believe(patch, "total_amount", "amount")


def believe_any_app(patch: Patch) -> None:
    believe(patch, "app_id", "app_id")


def believe_every_word(patch: Patch) -> None:
    """Notifications are taken as current, so late ones open courses whose money was refunded."""
    patch.setattr(outcomes, "_would_surprise", lambda report, payment: False)


def forget_what_the_whole_was_for(patch: Patch) -> None:
    patch.setattr(concluding, "_end_order", lambda payment, unexplained, **deed: None)


def keep_what_nobody_owed(patch: Patch) -> None:
    patch.setattr(settlement, "order_surplus_refund", lambda payment, **deed: None)


def pay_orders_that_are_over(patch: Patch) -> None:
    patch.setattr(settlement, "_outcome_of_money", lambda order, **deed: Outcome.SETTLED)


def release_twice(patch: Patch) -> None:
    release = ledger.release_transfers

    def twice(orders: Iterable[Order], *, now: datetime) -> list[LedgerTransfer]:
        again = release(orders, now=now)
        for transfer in again:
            transfer.key += ":again"
        return [*release(orders, now=now), *again]

    patch.setattr(ledger, "release_transfers", twice)


def commit_nothing(patch: Patch) -> None:
    patch.setattr(requesting, "commit_money", lambda payment, amount: None)


def take_no_answer_for_a_no(patch: Patch) -> None:
    """A refund with an unknown outcome is repeated under a new number."""
    numbers = itertools.count()

    def ask(refund: Refund, gateway: Gateway, *, may_send: bool) -> bool:
        assert refund.payment is not None
        return gateway.refund(
            RefundIntent(refund.payment.out_trade_no, f"X{next(numbers)}", refund.amount, "x")
        )

    patch.setattr(sending, "_ask", ask)


def query_with_todays_credentials(patch: Patch) -> None:
    patch.setattr(ConfiguredGateways, "gateway_for", lambda gateways, attempt: gateways.current)


CHEAP = [
    release_twice,
    commit_nothing,
    keep_what_nobody_owed,
    forget_what_the_whole_was_for,
    believe_any_amount,
]
OTHERS = [
    pay_again_whatever_was_paid,
    believe_any_app,
    believe_every_word,
    pay_orders_that_are_over,
    take_no_answer_for_a_no,
    query_with_todays_credentials,
]


@pytest.mark.parametrize(
    "mutate", [*first_of(*CHEAP), *(pytest.param(mutate, marks=pytest.mark.slow) for mutate in OTHERS)]
)
def test_control_without_a_guard_the_books_break(
    transactional_db: None, mutate: Callable[[Patch], None]
) -> None:
    done = 0

    def report(steps: int, *_: object) -> None:
        nonlocal done
        done = steps

    with pytest.MonkeyPatch.context() as patch:
        mutate(patch)
        with pytest.raises(Exception) as failure:  # noqa: PT011 - a broken rule, or the database's refusal
            run_episodes(seed=1, steps=MOST_STEPS, report=report)
    assert failure.value.__notes__
    print(
        f"{mutate.__name__}: {done} steps and {failure.value.__notes__[-1][:60]}: "
        f"{type(failure.value).__name__} {failure.value}"
    )
