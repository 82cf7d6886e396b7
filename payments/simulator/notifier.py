"""The notification engine: finds due notifications and delivers them with a small thread pool."""

import contextlib
import json
import logging
import queue
import threading
import time
from collections import Counter
from urllib.parse import urlsplit

from payments.simulator.deliveries import Dispatch, Outcome, make_client, record_delivery, send
from payments.simulator.due import apply_all_due, find_next_due
from payments.simulator.faults import Event, Fault
from payments.simulator.messages import MUTATIONS, Message, compose
from payments.simulator.notifications import release_held
from payments.simulator.simulation import Simulation
from payments.simulator.store import Row
from payments.simulator.times import format_time

SENDERS = 16
# A shop that hangs blocks at most half of the senders, so others still get their notifications.
SENDERS_PER_SHOP = 8
# A jump of the clock wakes the engine at once. This bounds the wait after any other change.
LONGEST_SLEEP_S = 0.5

COPIES = frozenset({"duplicate", "concurrent"})
REPLAY = frozenset({"replay_old"})

logger = logging.getLogger(__name__)


class Notifier:
    """Owns the engine's thread and the senders.

    All are daemon threads: stopping must not wait for a shop that hangs.
    """

    def __init__(self, sim: Simulation) -> None:
        self._sim = sim
        self._client = make_client()
        self._queue: queue.SimpleQueue[Row | None] = queue.SimpleQueue()
        self._is_stopping = False
        self._idle = threading.Condition()
        self._in_flight: Counter[str] = Counter()
        self._threads = [threading.Thread(target=self._run, name="notifier", daemon=True)]
        self._threads += [
            threading.Thread(target=self._send_queued, name=f"sender-{n}", daemon=True)
            for n in range(SENDERS)
        ]

    def start(self) -> None:
        with self._sim.store.transaction() as db:
            # Notifications that were being sent when the process ended may not have arrived, so they are sent
            # again.
            db.run(
                "UPDATE notification SET state = 'waiting', next_at = ? WHERE state = 'sending'",
                self._sim.now(),
            )
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Starts no more deliveries, and doesn't wait for current ones."""
        self._is_stopping = True
        self._sim.news.set()
        for _ in range(SENDERS):
            self._queue.put(None)
        self._threads[0].join(timeout=1)

    def wake(self) -> None:
        """Called when something may have become due."""
        self._sim.news.set()

    def tick(self) -> None:
        """Applies what is due and hands due notifications to the senders."""
        with self._sim.store.transaction() as db, self._idle:
            apply_all_due(self._sim, db)
            due = db.list(
                "SELECT * FROM notification WHERE state = 'waiting' AND next_at <= ? ORDER BY next_at, rowid",
                self._sim.now(),
            )
            for row in due:
                shop = urlsplit(row["url"]).netloc
                if self._in_flight[shop] >= SENDERS_PER_SHOP:
                    continue
                db.run(
                    "UPDATE notification SET state = 'sending', next_at = NULL WHERE notify_id = ?",
                    row["notify_id"],
                )
                self._in_flight[shop] += 1
                self._queue.put(row)

    def wait_idle(self, timeout_s: float) -> bool:
        """Waits until no delivery is in progress; False after the timeout."""
        with self._idle:
            return self._idle.wait_for(lambda: self._in_flight.total() == 0, timeout_s)

    def walk(self, target: float) -> None:
        """Moves the clock forward and stops at every due moment on the way, so that each delivery happens at
        its own time.
        """
        patience_s = self._sim.settings.delivery_timeout_real_s + 5
        while not self._is_stopping:
            self.tick()
            self.wait_idle(patience_s)
            with self._sim.store.transaction() as db:
                due = find_next_due(db)
            if due is None or due > target:
                break
            self._sim.clock.jump_to(due)
        self._sim.clock.jump_to(target)

    def wait_delivered(self, trade_no: str, timeout_s: float) -> None:
        """Waits until every notification of a trade was delivered once, or until the timeout."""
        deadline = time.monotonic() + timeout_s
        sql = (
            "SELECT 1 FROM notification WHERE trade_no = ? AND attempts = 0 AND state IN "
            "('waiting', 'sending')"
        )
        while time.monotonic() < deadline:
            with self._sim.store.transaction() as db:
                if db.find(sql, trade_no) is None:
                    return
            time.sleep(0.005)

    def _run(self) -> None:
        while not self._is_stopping:
            self._sim.news.clear()
            try:
                self.tick()
                pause_s = self._pause_s()
            except Exception:  # one trade's failure must not stop the engine, and is logged
                logger.exception("the notification engine stumbled")
                pause_s = LONGEST_SLEEP_S
            self._sim.news.wait(pause_s)

    def _pause_s(self) -> float:
        with self._sim.store.transaction() as db:
            due = find_next_due(db)
        wait_s = None if due is None else self._sim.clock.real_wait_s(due)
        # A due notification that wasn't handed over waits until a sender is free, which wakes the engine.
        return LONGEST_SLEEP_S if not wait_s else min(wait_s, LONGEST_SLEEP_S)

    def _send_queued(self) -> None:
        while (row := self._queue.get()) is not None:
            try:
                self._deliver(row)
            except Exception:  # one broken notification must not end a sender
                logger.exception("notification %s could not be delivered", row["notify_id"])
            finally:
                self._leave(row)

    def _leave(self, row: Row) -> None:
        with self._idle:
            self._in_flight[urlsplit(row["url"]).netloc] -= 1
            self._idle.notify_all()
        self._sim.news.set()

    def _deliver(self, row: Row) -> None:
        """One delivery attempt with its copies, and the consequences of the answer."""
        sim = self._sim
        event = Event(
            app_id=row["app_id"], out_trade_no=row["out_trade_no"], trade_status=row["trade_status"]
        )
        older = self._find_older(row) if sim.faults.has_rules else None
        kinds = frozenset(MUTATIONS) | COPIES | (REPLAY if older else frozenset())
        faults = sim.faults.take_all("notification", event, kinds)
        attempt = row["attempts"] + 1
        if older and any(fault.kind in REPLAY for fault in faults):
            self.replay(older)
        outcomes = self._send_copies(row, faults, attempt)
        is_accepted = any(outcome.is_accepted for outcome in outcomes)
        intervals = sim.settings.retry_intervals_s
        now = sim.now()
        with sim.store.transaction() as db:
            if is_accepted:
                state, next_at = "delivered", None
            elif attempt <= len(intervals):
                state, next_at = "waiting", now + intervals[attempt - 1]
            else:
                state, next_at = "exhausted", None
            sql = (
                "UPDATE notification SET state = ?, attempts = ?, next_at = ?, is_held = 0 WHERE "
                "notify_id = ?"
            )
            db.run(sql, state, attempt, next_at, row["notify_id"])
            if not row["is_held"]:
                release_held(db, row["app_id"], now)

    def _send_copies(self, row: Row, faults: list[Fault], attempt: int) -> list[Outcome]:
        repeats = sum(int(fault.params["count"]) for fault in faults if fault.kind == "duplicate")
        parallel = sum(int(fault.params["count"]) for fault in faults if fault.kind == "concurrent")
        outcomes: list[Outcome] = []
        extra = [
            threading.Thread(
                target=lambda copy=copy: outcomes.append(self.send_once(row, faults, attempt, copy)),
                daemon=True,
            )
            for copy in range(1, parallel + 1)
        ]
        for thread in extra:
            thread.start()
        outcomes.append(self.send_once(row, faults, attempt, 0))
        outcomes.extend(
            self.send_once(row, faults, attempt, copy) for copy in range(parallel + 1, parallel + repeats + 1)
        )
        for thread in extra:
            thread.join()
        return outcomes

    def send_once(self, row: Row, faults: list[Fault], attempt: int, copy: int) -> Outcome:
        """Signs a notification with the current time and posts it."""
        sim = self._sim
        sent_at = sim.now()
        fields = {
            "notify_time": format_time(sent_at),
            "notify_id": row["notify_id"],
            **json.loads(row["fields"]),
        }
        message = compose(sim.merchants.get(row["app_id"]).keys, fields, faults)
        return self.post(row, Dispatch(attempt, copy, sent_at, faults), message)

    def post(self, row: Row, dispatch: Dispatch, message: Message) -> Outcome:
        """Posts a ready message and logs the delivery."""
        outcome = send(
            self._client, row["url"], message, timeout_s=self._sim.settings.delivery_timeout_real_s
        )
        record_delivery(self._sim, row, dispatch, message, outcome)
        return outcome

    def _find_older(self, row: Row) -> Row | None:
        """The merchant's last accepted delivery of another notification."""
        with self._sim.store.transaction() as db:
            return db.find(
                "SELECT delivery.* FROM delivery JOIN notification USING (notify_id)"
                " WHERE app_id = ? AND notify_id != ? AND is_accepted = 1 ORDER BY delivery_id DESC",
                row["app_id"],
                row["notify_id"],
            )

    def replay(self, old: Row) -> Outcome:
        """Posts the bytes of a logged delivery to its URL again."""
        message = Message(old["content_type"], old["body"])
        return self.post(old, Dispatch(old["attempt"], old["copy"] + 1, self._sim.now()), message)

    def close(self) -> None:
        with contextlib.suppress(RuntimeError):
            self._client.close()
