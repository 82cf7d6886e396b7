"""The choices, by the name that `bin/bench --choices` knows."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from bench.choices.choice import Alternative, Choice
from bench.figures import Sample
from bench.scenarios import notify, orders, poll, signing, synchronous
from bench.size import Size
from bench.stage import Stage

NO_LIMITS = "no time limits: a task that hangs, hangs for good, and the rules about work ask for one that is killed"
NO_CHILD = "a task that crashes the interpreter takes the whole worker along"
WAITERS = "as many threads as `?wait=` may hold: none is left to work"


def measure_notifications(stage: Stage, size: Size) -> Iterator[Sample]:
    """From HTTP to paid orders."""
    yield notify.measure_whole(stage, "notify whole", size.notifications)


def measure_whole_polls(stage: Stage, size: Size) -> Iterator[Sample]:
    """Polls without a tag: those with one ask PostgreSQL nothing."""
    placed = notify.seed_open_orders(stage, poll.ORDERS)
    yield poll.measure_polls(stage, "poll 200", [poll.poll_request(order) for order in placed], size.poll_s, status=200)


def measure_synchronous(stage: Stage, size: Size) -> Iterator[Sample]:
    """The order created inside the request, beside the pipeline's."""
    for sample in synchronous.measure(stage, size):
        yield replace(sample, row="orders saturated")


def _web(processes: int, threads: int, says: str = "") -> Alternative:
    return Alternative(f"{processes} × {threads}", says, web={"--workers": str(processes)}, changes={"settings": {"WEB_THREADS": threads}})


def _pool(pool: str, size: int, says: str = "") -> Alternative:
    worker = {"--concurrency": str(size)} | ({} if pool == "prefork" else {"--pool": pool})
    name = pool if pool == "solo" else f"{pool} {size}"
    return Alternative(name, says, worker=worker, changes={} if pool == "prefork" else {"worker": "calm"})


def _database(name: str, says: str = "", *, options: dict[str, Any] | None = None, share: float = 1.0, **entries: Any) -> Alternative:
    return Alternative(name, says, changes={"database": {**entries, **({"OPTIONS": options} if options else {})}}, share=share)


def _batch(size: int, says: str = "", *, share: float = 1.0) -> Alternative:
    constants = {"shop.domain.creation.BATCH_SIZE": size, "payments.domain.inbox.BATCH_SIZE": size}
    return Alternative(str(size), says, changes={"constants": constants}, share=share)


def _valkey(name: str, says: str = "", **settings: str) -> Alternative:
    return Alternative(name, says, valkey=settings)


_SATURATED, _LIGHT, _BURST, _POLL = orders.measure_saturated, orders.measure_light, orders.measure_burst, poll.measure

CHOICES = {
    "control": Choice(
        "the shop against itself: what a ratio means here when there is no difference",
        Alternative("as it is"),
        [Alternative("once more", changes={"constants": {}})],
        [_SATURATED, _LIGHT, _POLL],
    ),
    "web": Choice(
        "web processes × threads",
        _web(2, 4),
        [_web(1, 4, "one core at most"), _web(2, 1, WAITERS), _web(2, 2, WAITERS), _web(2, 8), _web(3, 4)],
        [_SATURATED, _LIGHT, _POLL],
    ),
    "pool": Choice(
        "the worker's pool",
        _pool("prefork", 2),
        [
            _pool("prefork", 1, "one slow call of Alipay's holds up all orders"),
            _pool("prefork", 3),
            _pool("threads", 2, NO_LIMITS),
            _pool("threads", 4, NO_LIMITS),
            _pool("solo", 1, f"{NO_LIMITS}; {NO_CHILD}"),
        ],
        [_SATURATED, _LIGHT, measure_notifications],
    ),
    "statements": Choice(
        "whether PostgreSQL prepares what comes again",
        _database("prepared the 2nd time", options={"server_side_binding": True, "prepare_threshold": 2}),
        [
            _database("never prepared", options={"server_side_binding": True, "prepare_threshold": None}),
            _database("bound by the client", "Django's default", options={"server_side_binding": False, "prepare_threshold": None}),
        ],
        [_SATURATED, measure_notifications, measure_whole_polls],
    ),
    "connections": Choice(
        "what becomes of a connection after a request or a task",
        _database("kept", CONN_MAX_AGE=600),
        [
            _database("closed", share=0.3, CONN_MAX_AGE=0),
            _database("psycopg's pool, asked", "each connection is asked before its use", options={"pool": True}, CONN_MAX_AGE=0),
            _database(
                "psycopg's pool",
                "a request fails when the server has ended its connection",
                options={"pool": True},
                CONN_MAX_AGE=0,
                CONN_HEALTH_CHECKS=False,
            ),
        ],
        [_SATURATED, measure_whole_polls],
    ),
    "wakeups": Choice(
        "how a worker is told; and asynchrony as it is usually done, against an order made in the request",
        Alternative("flag and thread"),
        [
            Alternative("flag, no thread", "a sick broker delays each request", changes={"wake_ups": "flag_in_request"}),
            Alternative("message per order", "a sick broker delays each request", changes={"wake_ups": "message_per_row"}),
            Alternative(
                "task per order",
                "one message, one task and one transaction for each order; no ORM, as in the shop",
                changes={"wake_ups": "task_per_row"},
                share=0.3,
            ),
            Alternative(
                "in the request",
                "no worker at all: the same domain code inside the request",
                programs=("baseline", "worker", "beat"),
                instead={_SATURATED: measure_synchronous},
            ),
        ],
        [_SATURATED, _LIGHT],
    ),
    "batch": Choice(
        "how many rows a transaction takes",
        _batch(64),
        [_batch(1, share=0.4), _batch(8), _batch(32), _batch(128, "row locks are held so much longer")],
        [_SATURATED, measure_notifications],
    ),
    "signatures": Choice(
        "who computes RSA",
        Alternative("OpenSSL"),
        [Alternative("pycryptodome", "what the SDK uses by itself", changes={"signatures": "pycryptodome"}, share=0.5)],
        [signing.measure, measure_notifications],
    ),
    "niceness": Choice(
        "how far the worker stands back behind the web in a burst",
        Alternative("10", worker_niceness=10),
        [Alternative("0", worker_niceness=0), Alternative("5", worker_niceness=5)],
        [_BURST],
    ),
    "valkey": Choice(
        "when Valkey's log reaches the disk",
        _valkey("each second", appendonly="yes", appendfsync="everysec"),
        [
            _valkey("no log", "a crash loses all carts and wake-ups; the sweep finds the work", appendonly="no"),
            _valkey("each write", appendonly="yes", appendfsync="always"),
        ],
        [_SATURATED, _LIGHT],
    ),
    "commit": Choice(
        "whether a commit waits for the disk",
        Alternative("waits"),
        [
            Alternative(
                "doesn't wait",
                "NEVER ALLOWED: a crash loses orders and payments that were acknowledged. Measured so that the price of safety is known",
                changes={"session": "-c synchronous_commit=off"},
            )
        ],
        [_SATURATED, _LIGHT, measure_notifications],
    ),
}
