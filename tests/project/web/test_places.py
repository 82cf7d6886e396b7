"""Clients share the places by their addresses: in turn, and within what one may use while others are
there.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from project.local.waiting import wait_until
from project.web.places import LIMIT, Place, Places, Shares
from shop.errors import ServiceUnavailable, TooManyRequests
from shop.metrics import LIMITED

# A few requests are the share, and what is over it is made up for within a third of a second.
STRICT = Shares(seconds=0.01, burst_s=0.003, waiting=3, waiting_in_all=1000, patience_s=5)
CROWD, VISITOR = "192.0.2.1", "198.51.100.7"


class Requests:
    """Requests of one client, each in a thread of its own, that hold their places until they are told to
    end.
    """

    def __init__(self, places: Places, address: str, served: list[str]) -> None:
        self._places, self._address, self._served = places, address, served
        self.refused: list[Exception] = []
        self._end = threading.Event()
        self._threads: list[threading.Thread] = []
        self.at_work = 0

    def send(self, count: int = 1) -> None:
        for _ in range(count):
            self._threads.append(threading.Thread(target=self._ask))
            self._threads[-1].start()

    def end(self) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive()

    def _ask(self) -> None:
        try:
            place = self._places.take(self._address)
        except (TooManyRequests, ServiceUnavailable) as error:
            self.refused.append(error)
            return
        self._served.append(self._address)
        self.at_work += 1
        self._end.wait(10)
        self.at_work -= 1
        self._places.give_back(place)


@contextmanager
def requests(places: Places, address: str, served: list[str] | None = None) -> Iterator[Requests]:
    found = Requests(places, address, [] if served is None else served)
    try:
        yield found
    finally:
        found.end()


def ask(places: Places, address: str, *, is_visit: bool = True) -> None:
    places.give_back(places.take(address, is_visit=is_visit))


def settled(count: Callable[[], int], wanted: int) -> bool:
    """Whether it is this many, and stays."""
    return wait_until(lambda: count() == wanted, timeout_s=5) and not wait_until(
        lambda: count() != wanted, timeout_s=0.03
    )


def over_share(places: Places, address: str = CROWD) -> None:
    for _ in range(20):
        ask(places, address)


def test_whoever_waits_is_served_in_turn_by_address() -> None:
    places, served = (
        Places(1, Shares(seconds=1, burst_s=10, waiting=100, waiting_in_all=1000, patience_s=5)),
        list[str](),
    )
    first = places.take("somebody")
    with requests(places, CROWD, served) as crowd, requests(places, VISITOR, served) as visitor:
        crowd.send(5)
        assert settled(lambda: len(places._queue[CROWD].waiting), 5)
        visitor.send()
        assert wait_until(lambda: VISITOR in places._queue, timeout_s=5)
        crowd._end.set()
        visitor._end.set()
        places.give_back(first)
    assert served == [CROWD, VISITOR, CROWD, CROWD, CROWD, CROWD]


def test_a_client_alone_may_use_everything() -> None:
    places = Places(4, STRICT)
    over_share(places)
    with requests(places, CROWD) as crowd:
        crowd.send(20)
        assert settled(lambda: crowd.at_work, 4)
    assert crowd.refused == []
    assert len(crowd._served) == 20


def test_beside_others_a_client_over_its_share_has_one_request_at_work() -> None:
    places = Places(4, STRICT)
    over_share(places)
    with requests(places, CROWD) as crowd:
        ask(places, VISITOR)
        crowd.send(1)
        assert wait_until(lambda: crowd.at_work == 1, timeout_s=5)
        crowd.send(1)
        assert settled(lambda: crowd.at_work, 1)
        # Time makes up for what was used.
        assert wait_until(lambda: crowd.at_work == 2, timeout_s=5)
    assert crowd.refused == []


def test_the_visitor_meets_free_places() -> None:
    places = Places(2, STRICT)
    over_share(places)
    ask(places, VISITOR)
    with requests(places, CROWD) as crowd:
        crowd.send(3)
        assert settled(lambda: crowd.at_work, 1)
        started = time.monotonic()
        ask(places, VISITOR)
        assert time.monotonic() - started < 0.02


def test_one_request_after_another_is_never_held() -> None:
    places = Places(2, Shares(seconds=1e-6, burst_s=0.003, waiting=0, waiting_in_all=1000, patience_s=0.2))
    for _ in range(50):
        ask(places, CROWD)
        ask(places, VISITOR)


def test_too_many_that_wait_are_refused_with_the_seconds_until_there_is_room() -> None:
    places = Places(4, Shares(seconds=0.001, burst_s=0.003, waiting=2, waiting_in_all=1000, patience_s=0.5))
    over_share(places)
    before = LIMITED.labels(LIMIT)._value.get()
    with requests(places, CROWD) as crowd:
        ask(places, VISITOR)
        crowd.send(1)
        assert settled(lambda: crowd.at_work, 1)
        crowd.send(5)
        assert settled(lambda: len(crowd.refused), 3)
        assert [error.details for error in crowd.refused] == [{"limit": LIMIT, "retry_after_s": 3}] * 3  # type: ignore[attr-defined]
        assert LIMITED.labels(LIMIT)._value.get() == before + 3
        # Those that wait give up after their patience, since nothing makes up for so much.
        assert wait_until(lambda: len(crowd.refused) == 5, timeout_s=5)
    assert [type(error) for error in crowd.refused[3:]] == [ServiceUnavailable] * 2
    assert places._queue == {}


def test_many_clients_over_their_share_leave_threads_to_the_others() -> None:
    places = Places(2, Shares(seconds=0.001, burst_s=0.003, waiting=2, waiting_in_all=3, patience_s=0.5))
    crowds = [f"{CROWD}{number}" for number in range(3)]
    for address in crowds:
        over_share(places, address)
    with ExitStack() as stack:
        ask(places, VISITOR)
        sent = [stack.enter_context(requests(places, address)) for address in crowds]
        for crowd in sent[:2]:
            crowd.send(1)
        assert settled(lambda: sum(crowd.at_work for crowd in sent), 2)
        for crowd in sent:
            crowd.send(2)
        # Each may have two that wait, all together three; the third one's first request is its only one,
        # which is never refused.
        assert settled(lambda: sum(len(crowd.refused) for crowd in sent), 2)
        assert places._waiting == 4
    assert places._waiting == 0


def test_what_came_while_the_client_was_alone_is_cut_down_when_others_come() -> None:
    places = Places(1, Shares(seconds=0.001, burst_s=0.003, waiting=2, waiting_in_all=1000, patience_s=1))
    over_share(places)
    with requests(places, CROWD) as crowd:
        crowd.send(7)
        assert settled(lambda: crowd.at_work, 1)
        with requests(places, VISITOR) as visitor:
            visitor.send()
            assert wait_until(lambda: VISITOR in places._queue, timeout_s=5)
            crowd._end.set()
            assert wait_until(lambda: visitor.at_work == 1, timeout_s=5)
            assert wait_until(lambda: len(crowd.refused) == 4, timeout_s=5)


def test_probes_are_no_visitors() -> None:
    places = Places(4, STRICT)
    over_share(places)
    with requests(places, CROWD) as crowd:
        ask(places, VISITOR, is_visit=False)
        crowd.send(4)
        assert settled(lambda: crowd.at_work, 4)


def test_the_lighter_of_two_heavy_clients_isnt_held() -> None:
    places = Places(4, Shares(seconds=0.001, burst_s=0.0004, waiting=9, waiting_in_all=1000, patience_s=5))
    ask(places, VISITOR)
    over_share(places)
    with requests(places, VISITOR) as visitor:
        visitor.send(2)
        assert settled(lambda: visitor.at_work, 2)


def test_clients_that_are_gone_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("project.web.places._FORGET_S", 0.0)
    places = Places(1, STRICT)
    for number in range(100):
        ask(places, f"client {number}")
    assert len(places._clients) <= 3


def test_places_come_back() -> None:
    places = Places(2, STRICT)
    taken: list[Place] = [places.take("a"), places.take("b")]
    assert places.longest_s(10**12) > 0
    for place in taken:
        places.give_back(place)
    assert places.longest_s(10**12) == 0
