"""The cost of waking a worker when the broker doesn't take the message."""

import socket
import subprocess
import sys
import time

import pytest

from project.local.ports import find_free_port
from project.local.state import ROOT
from tests.journeys.shopping import Buyer, simple_body
from tests.nodes.shop_stack import ShopStack

pytestmark = [pytest.mark.journey, pytest.mark.xdist_group("journeys"), pytest.mark.timeout(240)]

WAKE_TWICE = """
import time, django
django.setup()
from shop.tasks import create_orders, prepare_checkouts
from shop.wakeup import wake
import worker.celery
for tell in (lambda: wake(create_orders), lambda: wake(create_orders), lambda: wake(prepare_checkouts)):
    started = time.monotonic()
    tell()
    print(time.monotonic() - started)
"""


def publish_times(shop: ShopStack, port: int) -> list[float]:
    """Seconds that two wake-ups and one message take in a new process with broker and Valkey on this port."""
    url = f"redis://127.0.0.1:{port}"
    env = {**shop.env, "CELERY_BROKER_URL": f"{url}/0", "REDIS_URL": f"{url}/1"}
    ended = subprocess.run(
        [sys.executable, "-c", WAKE_TWICE],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return [float(line) for line in ended.stdout.split()]


def test_publishing_to_a_broker_that_is_down_takes_less_than_a_second(shop: ShopStack) -> None:
    times = publish_times(shop, find_free_port())
    print(f"publishing, broker down: {times}")
    assert max(times) < 1


def test_publishing_to_a_broker_that_answers_nothing_is_bounded(shop: ShopStack) -> None:
    """It accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        times = publish_times(shop, server.getsockname()[1])
    print(f"publishing, broker mute: {times}")
    assert max(times) < 3


def test_fifty_orders_are_taken_in_while_the_broker_is_down(shop: ShopStack, buyer: Buyer) -> None:
    body = simple_body(shop)
    shop.broker.kill("SIGKILL")
    times = []
    for number in range(50):
        started = time.monotonic()
        buyer.place(body, key=f"key-{number}")
        times.append(time.monotonic() - started)
    times.sort()
    print(f"answers, broker down: median {times[25]:.3f} s, slowest {times[-1]:.3f} s")
    assert times[25] < 0.5
    assert times[-1] < 1
    assert shop.value("SELECT count(*) FROM shop_orderrequest WHERE account_id = %s", buyer.account_id) == 50
