"""Wake-ups are coalesced and bounded in time, and never fail a request."""

import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from celery import Celery, Task

from payments.tasks import apply_notifications
from shop import wakeup
from shop.tasks import create_orders
from shop.valkey import wake_key


def messages(broker: redis.Redis, queue: str) -> list[Any]:
    """Names and arguments of the messages in a queue, oldest first."""
    found: Any = broker.lrange(queue, 0, -1)
    headers = [json.loads(raw)["headers"] for raw in reversed(found)]
    return [(header["task"], header["kwargsrepr"]) for header in headers]


def test_wake_sends_one_message_without_arguments(broker_valkey: redis.Redis, valkey: redis.Redis) -> None:
    wakeup.wake(create_orders)
    assert messages(broker_valkey, "orders") == [("shop.create_orders", "{}")]
    assert 0 < valkey.pttl(wake_key("shop.create_orders")) <= wakeup.COALESCE_MS


def test_wakes_before_the_task_starts_are_one(broker_valkey: redis.Redis) -> None:
    for _ in range(5):
        wakeup.wake(create_orders)
    assert len(messages(broker_valkey, "orders")) == 1


def test_wake_after_the_task_has_started_sends_another(broker_valkey: redis.Redis) -> None:
    wakeup.wake(create_orders)
    wakeup.woken(create_orders)
    wakeup.wake(create_orders)
    assert len(messages(broker_valkey, "orders")) == 2


def test_flags_of_two_tasks_are_apart(broker_valkey: redis.Redis) -> None:
    wakeup.wake(create_orders)
    wakeup.wake(apply_notifications)
    assert (len(messages(broker_valkey, "orders")), len(messages(broker_valkey, "payments"))) == (1, 1)


@pytest.mark.usefixtures("valkey_away")
def test_without_valkey_the_message_is_sent_all_the_same(broker_valkey: redis.Redis) -> None:
    wakeup.wake(create_orders)
    wakeup.woken(create_orders)
    assert len(messages(broker_valkey, "orders")) == 1


@pytest.fixture(params=["refused", "frozen"])
def task_of_a_broken_broker(request: pytest.FixtureRequest) -> Iterator[Task]:
    """A task with the shop's publishing settings and a broker that is down or never answers."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        if request.param == "frozen":
            server.listen(16)
        app = Celery("broken", set_as_current=False)
        app.config_from_object("worker.config")
        url = f"redis://127.0.0.1:{server.getsockname()[1]}/0"
        app.conf.update(broker_read_url=url, broker_write_url=url, task_routes={}, task_annotations={})

        @app.task(name="shop.create_orders")
        def create_nothing() -> None: ...

        yield create_nothing
        app.close()


def test_broken_broker_costs_less_than_a_second_and_raises_nothing(
    task_of_a_broken_broker: Task, valkey: redis.Redis
) -> None:
    started = time.monotonic()
    wakeup.wake(task_of_a_broken_broker)
    took = time.monotonic() - started
    assert took < 1
    # The flag is set although nothing was sent; it expires.
    assert 0 < valkey.pttl(wake_key("shop.create_orders")) <= wakeup.COALESCE_MS


def test_request_does_not_wait_for_a_broken_broker(
    task_of_a_broken_broker: Task, valkey: redis.Redis
) -> None:
    started = time.monotonic()
    wakeup.wake_soon(task_of_a_broken_broker)
    assert time.monotonic() - started < 0.1
    assert wakeup.settle()
    assert valkey.exists(wake_key("shop.create_orders"))


def test_wakes_in_a_rush_share_a_message(broker_valkey: redis.Redis) -> None:
    for _ in range(100):
        wakeup.wake_soon(create_orders)
        wakeup.wake_soon(apply_notifications)
    assert wakeup.settle()
    assert (len(messages(broker_valkey, "orders")), len(messages(broker_valkey, "payments"))) == (1, 1)


def test_wakes_in_a_pause_share_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first is sent at once; none of those during the pause is lost."""
    assert wakeup.settle()
    time.sleep(wakeup.PAUSE_S * 2)  # until the bell has handled those of earlier tests
    sent: list[float] = []
    monkeypatch.setattr(wakeup, "PAUSE_S", 0.2)
    monkeypatch.setattr(wakeup, "wake", lambda task: sent.append(time.monotonic()))
    wakeup.wake_soon(create_orders)
    assert wakeup.settle()
    assert len(sent) == 1
    for _ in range(50):
        wakeup.wake_soon(create_orders)
    assert wakeup.settle()
    assert len(sent) == 2
    assert sent[1] - sent[0] >= 0.2


def test_bell_survives_a_bug(
    monkeypatch: pytest.MonkeyPatch, broker_valkey: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(task: Task) -> None:
        raise RuntimeError("bug")

    with monkeypatch.context() as patched:
        patched.setattr(wakeup, "wake", fail)
        wakeup.wake_soon(create_orders)
        assert wakeup.settle()
    assert "wake_up_failed" in caplog.text
    wakeup.wake_soon(create_orders)
    assert wakeup.settle()
    assert len(messages(broker_valkey, "orders")) == 1


def test_nothing_to_send_is_settled() -> None:
    assert wakeup.settle(0)
