"""A busy worker survives an outage of its broker: it finishes its task, reconnects and goes on.

With real processes.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import kombu
import pytest
import redis
from celery import Celery
from kombu import Message
from kombu.transport.redis import Channel

from project.local.waiting import wait_until
from tests.nodes.shop_nodes import ValkeyNode, WorkerNode
from tests.variants import first_of
from tests.worker.test_draining import broker, client, finished, runs, start_worker
from worker import lost_broker

__all__ = ["broker", "client", "start_worker"]
pytestmark = [pytest.mark.xdist_group("nodes")]

Start = Callable[..., WorkerNode]


def be_busy(client: Celery, tmp_path: Path, *, seconds: float) -> None:
    client.send_task("probe.work", args=["long", seconds])
    assert wait_until(lambda: runs(tmp_path)["long"] == 1, timeout_s=20)


def come_back(broker: ValkeyNode) -> None:
    broker.restart()
    broker.ready()


def assert_goes_on(worker: WorkerNode, client: Celery, tmp_path: Path) -> None:
    assert wait_until(lambda: "long" in finished(tmp_path), timeout_s=20)
    client.send_task("probe.work", args=["next", 0.0])
    assert wait_until(lambda: "next" in finished(tmp_path), timeout_s=40)
    assert worker.container.child.is_running()
    assert "Unrecoverable error" not in worker.logs()


@pytest.mark.parametrize("signal", first_of("SIGKILL", "SIGTERM"))
def test_broker_that_comes_back_while_the_task_is_under_way(
    start_worker: Start, client: Celery, broker: ValkeyNode, tmp_path: Path, signal: str
) -> None:
    worker = start_worker("busy")
    be_busy(client, tmp_path, seconds=6.0)
    broker.kill(signal)
    worker.assert_log_exists("Connection to broker lost", timeout=30)
    time.sleep(1)
    come_back(broker)
    assert_goes_on(worker, client, tmp_path)
    with broker.container.client as server:
        assert wait_until(lambda: not server.exists("unacked", "probe"), timeout_s=20)


def test_task_that_ends_while_the_broker_is_away(
    start_worker: Start, client: Celery, broker: ValkeyNode, tmp_path: Path
) -> None:
    """Its acknowledgement is lost. The message may be redelivered, which every task of the shop allows."""
    worker = start_worker("busy")
    be_busy(client, tmp_path, seconds=3.0)
    broker.kill("SIGKILL")
    assert wait_until(lambda: "long" in finished(tmp_path), timeout_s=20)
    time.sleep(1)
    come_back(broker)
    assert_goes_on(worker, client, tmp_path)


@contextmanager
def outlived(broker: ValkeyNode) -> Iterator[Message]:
    """A message whose channel has outlived its connection: Celery closes the channel, and acknowledges
    later.
    """
    with kombu.Connection(broker.config()["url"]) as connection:
        with connection.SimpleQueue("probe") as queue:
            queue.put("work")
            message = queue.get(timeout=5)
        connection._do_close_transport()
        yield message


def test_without_the_guard_kombu_finds_no_connection(
    broker: ValkeyNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control of all tests here, with the installed kombu.

    If it fails with a newer version, the guard can be removed.
    """
    monkeypatch.setattr(Channel, "_connparams", lost_broker.original_connparams)
    with outlived(broker) as message:
        for deed in (message.channel.close, message.ack):
            with pytest.raises(AttributeError, match="hostname"):
                deed()


def test_with_the_guard_the_message_waits_for_the_broker(broker: ValkeyNode) -> None:
    lost_broker.guard_channels()
    with outlived(broker) as message, broker.container.client as server:
        broker.kill("SIGKILL")
        with pytest.raises(redis.ConnectionError):
            message.channel.close()
        come_back(broker)
        assert server.exists("unacked")
        message.ack()
        assert not server.exists("unacked")


def test_guard_is_for_the_installed_kombu() -> None:
    """With another version of kombu, check whether the control above still passes.

    If so, add the version to NEEDED_BY; otherwise remove the guard.
    """
    assert kombu.__version__ in lost_broker.NEEDED_BY


def test_channel_that_never_had_a_connection_raises() -> None:
    with pytest.raises(redis.ConnectionError):
        lost_broker.connparams(SimpleNamespace(connection=None))  # type: ignore[arg-type]
