"""Many readers cache an order's answer while a writer changes the order."""

import json
import random
import time
from collections.abc import Callable
from datetime import datetime

import pytest
from django.db import transaction
from knox.models import AuthToken

from shop.api.polls import read_order
from shop.domain.callers import TokenDigest
from shop.domain.ordering import creation
from shop.domain.orders import timeline
from shop.domain.polling import answer_cache
from shop.domain.polling.answer_cache import Answer, answer_poll, read_answer
from shop.models import Account, Order, OrderEvent, OrderRequest
from tests.races.crowd import run_at_once

pytestmark = [pytest.mark.race, pytest.mark.django_db(transaction=True)]

READERS = 6
CHANGES = 60
ROUNDS = 20
# A naive version of `answer_cache`'s store script.
_NAIVE = "redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])"
# With tickets only: a reader without a ticket doesn't replace what others have cached.
_TICKETS_ONLY = (
    "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3]) end"
)


class Race:
    """Readers of one order whose version counts up to `CHANGES`, each change with an event in its
    timeline.
    """

    def __init__(self, order: Order, now: datetime) -> None:
        self.order, self.now = order, now
        self.digest = TokenDigest(AuthToken.objects.create(user=order.account)[0].digest)
        self.acknowledged = order.version
        self.is_over = False

    def change(self) -> None:
        for _ in range(CHANGES):
            with transaction.atomic():
                timeline.record(
                    [timeline.event(self.order, OrderEvent.Kind.PAYMENT_STARTED, now=self.now, cause="race")]
                )
            self.acknowledged += 1
            time.sleep(random.random() * 0.004)
        self.is_over = True

    def follow(self) -> list[str]:
        """The wrong answers that this reader got."""
        wrong, last = [], 0
        while not self.is_over:
            acknowledged = self.acknowledged
            answer = self._ask()
            assert answer is not None
            if len(json.loads(answer.body)["timeline"]) != answer.version:
                wrong.append("body and version differ")
            if answer.version < acknowledged:
                wrong.append("older than acknowledged")
            if answer.version < last:
                wrong.append("older than seen before")
            last = answer.version
        return wrong

    def run(self) -> set[str]:
        self.is_over = False
        results = run_at_once([self._change_and_say_nothing, *[self.follow] * READERS])
        assert [result for result in results if isinstance(result, Exception)] == []
        return {wrong for result in results if isinstance(result, list) for wrong in result}

    def run_until(self, wanted: str) -> set[str]:
        """A control doesn't fail each time: about one run in four passes by chance."""
        wrong: set[str] = set()
        for _ in range(ROUNDS):
            wrong |= self.run()
            if wanted in wrong:
                break
        return wrong

    def _ask(self) -> Answer | None:
        """By token, like ordinary polls, or by account, like waiting ones."""
        if random.random() < 0.5:
            return answer_poll(self.digest, self.order.order_number, read=read_slowly, now=self.now)
        return read_answer(
            account_id=self.order.account_id,
            order_number=self.order.order_number,
            read=read_slowly,
            now=self.now,
        )

    def _change_and_say_nothing(self) -> list[str]:
        self.change()
        return []


def read_slowly(account_id: int, order_number: str, now: datetime) -> Answer | None:
    found = read_order(account_id, order_number, now)
    time.sleep(random.random() * 0.003)
    return found


@pytest.fixture
def race(
    make_buyers: Callable[..., list[Account]],
    place: Callable[..., OrderRequest],
    now: datetime,
    monkeypatch: pytest.MonkeyPatch,
) -> Race:
    """Leaves readers time between a change's commit and its removal from Valkey."""
    forget = answer_cache._forget

    def forget_late(order_numbers: list[str]) -> None:
        time.sleep(random.random() * 0.003)
        forget(order_numbers)

    request = place(make_buyers(1)[0], "key")
    creation.create_orders([request.pk], now=now, cause="race")
    monkeypatch.setattr(answer_cache, "_forget", forget_late)
    return Race(Order.objects.get(), now)


def test_no_reader_gets_an_old_state(race: Race) -> None:
    assert race.run() == set()
    assert Order.objects.get().version == CHANGES + 1


def test_control_caching_without_a_ticket_serves_old_states(
    race: Race, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answer_cache, "_REMEMBER", _NAIVE)
    assert "older than acknowledged" in race.run_until("older than acknowledged")


def test_control_tickets_alone_allow_non_monotonic_reads(race: Race, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer_cache, "_REMEMBER", _TICKETS_ONLY)
    assert race.run_until("older than seen before") == {"older than seen before"}
