"""Random interleavings of everything that buyers, staff, the gateway, workers and crashes can do to money.

See docs/testing.md.
"""

import os
import random
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from tests.payments.random_shop import WEIGHTS, RandomShop

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.filterwarnings("default::pytest.PytestWarning"),
]

STEPS = 50
NUMBERS = st.integers(0, 2**40)


class MoneyMachine(RuleBasedStateMachine):
    """Every step of `RandomShop` is a rule; the books are checked after each, and everything is finished at
    the end.
    """

    def __init__(self) -> None:
        super().__init__()
        self.shop = RandomShop()

    def teardown(self) -> None:
        for notifies in (True, False) if self.shop.done.total() % 2 else (False,):
            self.shop.drain(notifies=notifies)


def _add_rules() -> None:
    for deed in WEIGHTS:

        def do(self: MoneyMachine, number: int, deed: str = deed) -> None:
            self.shop.step(deed, number)

        do.__name__ = deed
        setattr(MoneyMachine, deed, rule(number=NUMBERS)(do))


_add_rules()


def run_episodes(*, seed: int, steps: int, episode: int = 0, report: Any = None) -> int:
    """Simulates whole lives of a shop from `seed` until this many steps are done; returns the number of
    steps.

    `episode`: the first life.
    """
    done, started = 0, time.monotonic()
    while done < steps:
        dice = random.Random(f"{seed}:{episode}")
        shop = RandomShop()
        length = dice.choice((30, 60, 120, 200))
        deeds = dice.choices(list(WEIGHTS), list(WEIGHTS.values()), k=length)
        trail = []
        try:
            for deed in deeds:
                number = dice.getrandbits(40)
                trail.append((deed, number))
                shop.step(deed, number)
            shop.drain(notifies=dice.random() < 0.5)
        except BaseException as error:
            error.add_note(f"seed {seed}, episode {episode}, step {len(trail)}, {shop.now}: {trail[-12:]}")
            raise
        done += length
        episode += 1
        if report:
            report(done, episode, time.monotonic() - started, shop)
    return done


@pytest.mark.timeout(900)  # a busy machine may be ten times slower
def test_no_interleaving_loses_money(transactional_db: None) -> None:
    run_state_machine_as_test(
        MoneyMachine,
        settings=settings(
            max_examples=20,
            stateful_step_count=STEPS,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )


@pytest.mark.variant
@pytest.mark.timeout(900)  # a busy machine may be ten times slower
def test_weighted_interleavings_lose_no_money(transactional_db: None) -> None:
    assert run_episodes(seed=1, steps=int(os.environ.get("MONEY_MACHINE_STEPS", "1200"))) >= 1200
