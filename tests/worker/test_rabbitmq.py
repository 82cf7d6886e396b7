"""RabbitMQ as the broker: classic and quorum queues, a certificate, dead connections, and a server that is
frozen or killed.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import amqp
import kombu
import psutil
import pytest

from project.local.rabbitmq import RabbitServer, find_rabbitmq
from project.local.tls import make_certificate
from project.local.waiting import wait_until
from tests.forwarder import Forwarder
from tests.journeys.shopping import Buyer, new_buyer, simple_body
from tests.nodes.shop_stack import ShopStack, build_shop_stack
from worker.policy import QUEUES

pytestmark = [
    pytest.mark.slow,  # minutes, since RabbitMQ takes ten seconds to start
    pytest.mark.timeout(300),
    pytest.mark.xdist_group("rabbitmq"),
    pytest.mark.skipif(
        find_rabbitmq() is None, reason="RabbitMQ is missing: apt-get install rabbitmq-server"
    ),
]
NOTICED_S = 15
# Otherwise the sweep would find the row a little later, and the message wouldn't be measured.
SELDOM_SWEPT = {"SWEEP_INTERVAL_S": "60", "WORK_LEASE_S": "45"}


@pytest.fixture(scope="module")
def rabbit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitServer]:
    folder = tmp_path_factory.mktemp("rabbitmq")
    server = RabbitServer(folder / "server", make_certificate(folder / "tls"))
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture
def address(rabbit: RabbitServer) -> Iterator[Forwarder]:
    with Forwarder(rabbit.port) as forwarder:
        yield forwarder


@pytest.fixture
def shop(rabbit: RabbitServer, address: Forwarder, tmp_path: Path) -> Iterator[ShopStack]:
    """A shop that reaches RabbitMQ through a forwarder that can drop connections."""
    broker_url = rabbit.url().replace(f":{rabbit.port}/", f":{address.port}/")
    stack = build_shop_stack(tmp_path / "shop", extra_env={"CELERY_BROKER_URL": broker_url, **SELDOM_SWEPT})
    with stack.running():
        yield stack
        print(stack.logs())


def created_after_s(shop: ShopStack, buyer: Buyer) -> float:
    """Places an order; returns the seconds until a worker has created it."""
    started = time.monotonic()
    number = buyer.place(simple_body(shop))
    assert buyer.follow(number)["status"] == "awaiting_payment"
    return time.monotonic() - started


def test_connections_that_lead_nowhere_are_noticed(shop: ShopStack, address: Forwarder) -> None:
    buyer = new_buyer(shop)
    assert created_after_s(shop, buyer) < 5
    address.forget()
    assert created_after_s(shop, buyer) < NOTICED_S
    assert created_after_s(shop, buyer) < 5
    assert "Too many heartbeats missed" in shop.worker.container.child.log_text()


def test_a_worker_whose_connection_leads_nowhere_ends_when_asked(shop: ShopStack, address: Forwarder) -> None:
    address.forget()
    shop.worker.container.child.send(signal.SIGTERM)
    assert shop.worker.container.child.wait(30)


def test_a_server_that_is_killed_or_frozen_loses_nothing(shop: ShopStack, rabbit: RabbitServer) -> None:
    buyer = new_buyer(shop)
    rabbit.kill()
    numbers = [buyer.place(simple_body(shop)) for _ in range(2)]
    rabbit.start()
    assert wait_until(lambda: created_after_s(shop, buyer) < 5, timeout_s=60)
    frozen = [psutil.Process(rabbit.child.pid), *psutil.Process(rabbit.child.pid).children(recursive=True)]
    for process in frozen:
        process.suspend()
    started = time.monotonic()
    numbers.append(buyer.place(simple_body(shop)))
    assert time.monotonic() - started < 2  # no request waits for a broker
    time.sleep(12)
    for process in frozen:
        process.resume()
    assert created_after_s(shop, buyer) < NOTICED_S
    for number in numbers:
        assert buyer.follow(number)["status"] == "awaiting_payment"


@pytest.mark.parametrize("queue_type", ["quorum", "classic"])
def test_a_shop_with_queues_of_each_type_and_a_certificate(
    rabbit: RabbitServer, queue_type: str, tmp_path: Path
) -> None:
    # with another type than other tests' queues
    with kombu.Connection(rabbit.url()) as connection, connection.channel() as channel:
        for queue in QUEUES:
            channel.queue_delete(queue)
    stack = build_shop_stack(
        tmp_path / "shop", extra_env={"CELERY_BROKER_URL": rabbit.tls_url(), "BROKER_QUEUE_TYPE": queue_type}
    )
    with stack.running():
        buyer = new_buyer(stack)
        assert max(created_after_s(stack, buyer) for _ in range(5)) < 5
        # quorum queues don't support global prefetch
        assert "NOT_IMPLEMENTED" not in stack.worker.container.child.log_text()
        shop_type = connection_queue_type(rabbit, "orders")
        assert shop_type == queue_type


def test_a_queue_of_another_type_is_refused_by_name(rabbit: RabbitServer) -> None:
    """Otherwise the worker would be refused and reconnect for ever."""
    with kombu.Connection(rabbit.url()) as connection, connection.channel() as channel:
        for queue in QUEUES:
            channel.queue_delete(queue)
        channel.queue_declare(
            "gateway", durable=True, auto_delete=False, arguments={"x-queue-type": "classic"}
        )
    env = {**os.environ, "CELERY_BROKER_URL": rabbit.url(), "BROKER_QUEUE_TYPE": "quorum"}
    for program in (
        ["-m", "celery", "-A", "worker", "worker", "--pool", "solo"],
        ["-c", "import project.wsgi"],
        ["manage.py", "check", "--database", "default"],
    ):
        ended = subprocess.run(
            [sys.executable, *program], env=env, capture_output=True, text=True, timeout=60, check=False
        )
        assert ended.returncode != 0, program
        assert (
            "BROKER_QUEUE_TYPE wants queues of type quorum, and RabbitMQ has the queue gateway as another one"
            in ended.stderr
        ), program
    with kombu.Connection(rabbit.url()) as connection, connection.channel() as channel:  # unchanged
        channel.queue_declare(
            "gateway", durable=True, auto_delete=False, arguments={"x-queue-type": "classic"}
        )
        channel.queue_delete("gateway")
    assert (
        subprocess.run(
            [sys.executable, "manage.py", "check", "--database", "default"], env=env, check=False
        ).returncode
        == 0
    )


def connection_queue_type(rabbit: RabbitServer, queue: str) -> str:
    """Declares it with the other type; the server's refusal names the actual one."""
    with kombu.Connection(rabbit.url()) as connection, connection.channel() as channel:
        try:
            channel.queue_declare(
                queue, durable=True, auto_delete=False, arguments={"x-queue-type": "stream"}
            )
        except amqp.PreconditionFailed as error:
            return "quorum" if "'quorum'" in str(error) else "classic"
    raise AssertionError("the queue was not there")


def test_an_unknown_certificate_is_refused(rabbit: RabbitServer, tmp_path: Path) -> None:
    program = (
        "import django; django.setup(); from worker.celery import app; app.connection_for_read().connect()"
    )
    url = rabbit.tls_url().split("?")[0]
    ended = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "CELERY_BROKER_URL": url},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "certificate verify failed" in ended.stderr
