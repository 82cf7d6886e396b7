"""Holding a poller's request."""

import threading
import time
from datetime import timedelta

import pytest
from django.db import connection

from shop.domain import waiting
from shop.domain.waiting import wait_for_change
from tests.factories import NOW, decide, make_buyer, make_course, make_request

pytestmark = pytest.mark.django_db


def test_returns_at_once_when_the_order_is_another_than_known() -> None:
    buyer = make_buyer()
    request = make_request(buyer, make_course())
    started = time.monotonic()
    wait_for_change(account_id=buyer.pk, order_number=request.order_number, since=("created", 0), seconds=20)
    assert time.monotonic() - started < 5


def test_returns_after_the_time_when_nothing_changes() -> None:
    buyer = make_buyer()
    request = make_request(buyer, make_course())
    started = time.monotonic()
    wait_for_change(account_id=buyer.pk, order_number=request.order_number, since=("pending", 0), seconds=0.2)
    assert time.monotonic() - started >= 0.2


def test_returns_at_once_when_too_many_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "_places", threading.BoundedSemaphore(1))
    buyer = make_buyer()
    request = make_request(buyer, make_course())
    with waiting._places:
        started = time.monotonic()
        wait_for_change(account_id=buyer.pk, order_number=request.order_number, since=("pending", 0), seconds=20)
        assert time.monotonic() - started < 5
    assert waiting._places.acquire(blocking=False)


@pytest.mark.django_db(transaction=True)
def test_returns_when_a_worker_decides() -> None:
    buyer = make_buyer()
    request = make_request(buyer, make_course())

    def work() -> None:
        decide(request, now=NOW + timedelta(seconds=1))
        connection.close()

    worker = threading.Timer(0.1, work)
    worker.start()
    started = time.monotonic()
    wait_for_change(account_id=buyer.pk, order_number=request.order_number, since=("pending", 0), seconds=30)
    took = time.monotonic() - started
    worker.join()
    assert 0.1 <= took < 15
