"""Holding polls open."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import connection

from shop.api.polls import read_order
from shop.domain.polling import long_poll
from shop.domain.polling.answer_cache import Answer, read_answer
from shop.domain.polling.long_poll import wait_for_change
from shop.models import OrderRequest
from tests.factories import NOW, decide, make_buyer, make_course, make_request

pytestmark = pytest.mark.django_db


def looking_at(request: OrderRequest) -> tuple[Callable[[], Answer | None], Answer]:
    """A poll, and the version that it has seen first."""

    def look() -> Answer | None:
        return read_answer(
            account_id=request.account_id, order_number=request.order_number, read=read_order, now=NOW
        )

    seen = look()
    assert seen is not None
    return look, seen


def test_returns_at_once_when_the_order_is_another_than_known() -> None:
    look, seen = looking_at(make_request(make_buyer(), make_course()))
    started = time.monotonic()
    assert wait_for_change(look, since=replace(seen, body="another"), seconds=20) == seen
    assert time.monotonic() - started < 5


def test_returns_after_the_time_when_nothing_changes() -> None:
    look, seen = looking_at(make_request(make_buyer(), make_course()))
    started = time.monotonic()
    assert wait_for_change(look, since=seen, seconds=0.2) == seen
    assert time.monotonic() - started >= 0.2


def test_returns_at_once_when_too_many_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(long_poll, "_places", long_poll.Places(1))
    look, seen = looking_at(make_request(make_buyer(), make_course()))
    with long_poll._places.hold(seen.account_id + 1) as place:
        assert place is not None
        started = time.monotonic()
        assert wait_for_change(look, since=seen, seconds=20) == seen
        assert time.monotonic() - started < 5
    with long_poll._places.hold(seen.account_id) as place:
        assert place is not None


def test_returning_buyer_takes_over_their_place() -> None:
    """A reload leaves an abandoned request: it ends at once, and doesn't take another place."""
    places = long_poll.Places(2)
    with places.hold(1) as abandoned, places.hold(2) as other, places.hold(1) as newest:
        assert abandoned is not None
        assert other is not None
        assert newest is not None
        assert (abandoned.is_set(), other.is_set(), newest.is_set()) == (True, False, False)
        with places.hold(3) as third:
            assert third is None
    with places.hold(3) as third, places.hold(4) as fourth, places.hold(5) as fifth:
        assert (third is None, fourth is None, fifth is None) == (False, False, True)


def test_place_that_is_taken_over_answers_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(long_poll, "_places", long_poll.Places(1))
    look, seen = looking_at(make_request(make_buyer(), make_course()))
    took_over = threading.Event()

    def come_back() -> None:
        with long_poll._places.hold(seen.account_id) as place:
            if place is not None:
                took_over.set()

    again = threading.Timer(0.1, come_back)
    again.start()
    started = time.monotonic()
    assert wait_for_change(look, since=seen, seconds=20) == seen
    again.join()
    assert took_over.is_set()
    assert time.monotonic() - started < 5


@pytest.mark.django_db(transaction=True)
def test_returns_when_a_worker_decides() -> None:
    request = make_request(make_buyer(), make_course())
    look, seen = looking_at(request)

    def work() -> None:
        decide(request, now=NOW + timedelta(seconds=1))
        connection.close()

    worker = threading.Timer(0.1, work)
    worker.start()
    started = time.monotonic()
    news = wait_for_change(look, since=seen, seconds=30)
    took = time.monotonic() - started
    worker.join()
    assert 0.1 <= took < 15
    assert (news.status, news.version) == ("awaiting_payment", 1)
