"""The places in which requests run, and how many of them each client's address may use.

A client that is alone may use everything. Once another one is active, the server's time is shared: free
places go to the clients in turn, however many requests each of them has sent, and a client that has used more
than its share waits until enough time has passed.
"""

import itertools
import math
import threading
import time
from collections import OrderedDict, deque
from dataclasses import dataclass

from django.db import connections

from shop.errors import ServiceUnavailable, TooManyRequests
from shop.metrics import LIMITED

# A client with a request within this time is active: others leave room for it.
PRESENT_S = 1.0
# What a request costs besides the time of its own thread: its connection, its head, waking a thread.
REQUEST_COST_S = 0.0005
# How often held requests are checked. Nothing ticks while none is held.
_TICK_S = 0.01
_FORGET_S = 10.0
LIMIT = "requests_of_address"


@dataclass(frozen=True)
class Shares:
    """What one client may use of a web process while others are active."""

    seconds: float  # of processor time in each second
    burst_s: float  # of processor time that it may use in one go
    waiting: int  # its requests that may wait for a place once its share is used up
    waiting_in_all: int  # the same of all clients together, so that a crowd leaves threads to the others
    patience_s: float  # for how long any request waits for a place


class _Client:
    """What one address has used lately, and its requests."""

    __slots__ = ("at_work", "heard_at", "used_at", "used_s", "waiting")

    def __init__(self, now: float) -> None:
        self.heard_at = -math.inf
        self.used_s = 0.0
        self.used_at = now
        self.at_work = 0
        self.waiting: deque[_Waiter] = deque()


class Place:
    """Room for one request, with the database connection that it uses."""

    __slots__ = ("client", "connection", "taken_at", "thread_s")

    def __init__(self) -> None:
        self.connection = connections.create_connection("default")
        self.connection.inc_thread_sharing()  # one thread after another uses it, never two at a time
        self.client: _Client
        self.taken_at: float | None = None
        self.thread_s = 0.0


class _Waiter:
    """A request without a place yet.

    Its thread sleeps at the gate, which opens with a place or, for a refusal, without one.
    """

    __slots__ = ("gate", "is_refused", "place")

    def __init__(self) -> None:
        self.gate = threading.Lock()
        self.gate.acquire()
        self.place: Place | None = None
        self.is_refused = False


class Places:
    """A fixed number of places, handed to clients in turn."""

    def __init__(self, count: int, shares: Shares) -> None:
        self._shares = shares
        self.all = [Place() for _ in range(count)]
        self._free = list(self.all)  # the one used last at the end: its connection is the warmest
        self._clients: OrderedDict[str, _Client] = OrderedDict()  # the one heard of last at the end
        # those with waiting requests; whose turn it is at the front
        self._queue: OrderedDict[str, _Client] = OrderedDict()
        self._waiting = 0  # requests in all of the queue
        self._lock = threading.Lock()
        self._is_holding = threading.Event()
        threading.Thread(target=self._tick, name="held-requests", daemon=True).start()

    def take(self, address: str, *, is_visit: bool = True, patience_s: float | None = None) -> Place:
        """A place for one request of this client. The same thread must give it back.

        A request that isn't a visit (a probe) doesn't make its client active, so no other client leaves room
        for it. `patience_s` replaces the one of `Shares`.

        Raises:
            TooManyRequests: the client has used its share, and enough requests of such clients wait already.
            ServiceUnavailable: no place was free in time.
        """
        now = time.monotonic()
        with self._lock:
            client = self._heard(address, now, is_visit)
            is_held = self._is_held(client, client.at_work + len(client.waiting), now)
            if is_held and (
                len(client.waiting) >= self._shares.waiting or self._waiting >= self._shares.waiting_in_all
            ):
                raise self._refusal(client)
            waiter = _Waiter() if is_held or client.waiting or not self._free else None
            if waiter is None:
                place = self._occupy(client, now)
            else:
                client.waiting.append(waiter)
                self._waiting += 1
                self._queue[address] = client
                self._watch()
        if waiter is not None:
            place = self._wait(
                address, client, waiter, self._shares.patience_s if patience_s is None else patience_s
            )
        place.thread_s = time.thread_time()
        return place

    def give_back(self, place: Place, *, cost_s: float = 0.0) -> None:
        """Charges the request's processor time to its client and hands the place to the next request that
        waits.

        `cost_s` is what the request will still cost. Only for the thread that took the place, whose time is
        charged.
        """
        cost_s += time.thread_time() - place.thread_s + REQUEST_COST_S
        with self._lock:
            now = time.monotonic()
            self._charge(place.client, now, cost_s)
            place.client.at_work -= 1
            place.taken_at = None
            self._free.append(place)
            if self._queue:
                self._hand_out(now)

    def taken_before(self, moment: float) -> list[Place]:
        """The places that were taken at `moment` or earlier, and are still taken."""
        return [
            place for place in self.all if (taken_at := place.taken_at) is not None and taken_at <= moment
        ]

    def longest_s(self, now: float) -> float:
        """How long the oldest request has been running."""
        taken = [taken_at for place in self.all if (taken_at := place.taken_at) is not None]
        return max((now - taken_at for taken_at in taken), default=0.0)

    def _heard(self, address: str, now: float, is_visit: bool) -> _Client:
        client = self._clients.get(address)
        if client is None:
            self._forget(now)
            client = self._clients[address] = _Client(now)
        if is_visit:
            client.heard_at = now
            self._clients.move_to_end(address)
        return client

    def _forget(self, now: float) -> None:
        """Forgets up to two idle clients for each new one, so that their number can't keep growing."""
        for address, client in list(itertools.islice(self._clients.items(), 2)):
            if now - client.used_at > _FORGET_S and not client.at_work and not client.waiting:
                del self._clients[address]

    def _charge(self, client: _Client, now: float, cost_s: float) -> None:
        left_s = max(0.0, client.used_s - (now - client.used_at) * self._shares.seconds)
        # capped: a client that has used everything while it was alone doesn't pay for long
        client.used_s = min(left_s + cost_s, 2 * self._shares.burst_s)
        client.used_at = now

    def _is_held(self, client: _Client, others: int, now: float) -> bool:
        """Whether a request must leave room for other clients: its own client has used up its share and has
        other requests (`others` of them), and another active client has used less.
        """
        self._charge(client, now, 0)
        if client.used_s <= self._shares.burst_s or not others:
            return False
        for other in reversed(self._clients.values()):
            if now - other.heard_at > PRESENT_S:
                return False
            if other is not client and other.used_s < client.used_s:
                return True
        return False

    def _hand_out(self, now: float) -> None:
        """Hands free places to the clients in turn."""
        held = 0
        while self._free and held < len(self._queue):
            address, client = next(iter(self._queue.items()))
            if self._is_held(client, client.at_work + len(client.waiting) - 1, now):
                held += 1
                self._refuse_excess(client)
            else:
                held = 0
                waiter = client.waiting.popleft()
                self._waiting -= 1
                waiter.place = self._occupy(client, now)
                waiter.gate.release()
            self._queue.move_to_end(address)
            if not client.waiting:
                del self._queue[address]
        self._watch()

    def _occupy(self, client: _Client, now: float) -> Place:
        place = self._free.pop()
        place.client, place.taken_at = client, now
        client.at_work += 1
        return place

    def _refuse_excess(self, client: _Client) -> None:
        """Refuses those of a held client's waiting requests that were accepted only because it was alone."""
        while len(client.waiting) > self._shares.waiting:
            waiter = client.waiting.pop()
            self._waiting -= 1
            waiter.is_refused = True
            waiter.gate.release()

    def _refusal(self, client: _Client) -> TooManyRequests:
        LIMITED.labels(LIMIT).inc()
        over_s = (client.used_s - self._shares.burst_s) / self._shares.seconds
        return TooManyRequests(retry_after_s=max(1, math.ceil(over_s)), limit=LIMIT)

    def _wait(self, address: str, client: _Client, waiter: _Waiter, patience_s: float) -> Place:
        if not waiter.gate.acquire(timeout=patience_s):
            with self._lock:
                if waiter in client.waiting:
                    client.waiting.remove(waiter)
                    self._waiting -= 1
                    if not client.waiting:
                        del self._queue[address]
        if waiter.is_refused:
            raise self._refusal(client)
        if waiter.place is None:
            raise ServiceUnavailable
        return waiter.place

    def _watch(self) -> None:
        """Starts the tick if requests wait although a place is free: those are held, and only time releases
        them.
        """
        if self._queue and self._free:
            self._is_holding.set()

    def _tick(self) -> None:
        while True:
            self._is_holding.wait()
            self._is_holding.clear()
            time.sleep(_TICK_S)
            with self._lock:
                self._hand_out(time.monotonic())
