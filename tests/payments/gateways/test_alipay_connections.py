"""Connections to Alipay: kept alive, one per concurrent call, closed when idle."""

from contextlib import ExitStack

import httpx
import pytest

from payments.gateways.alipay.connections import KEEP_IDLE_S, Connections
from tests.manual_clock import ManualClock


def test_a_call_after_another_uses_its_connection() -> None:
    connections = Connections(5)
    with connections.lend() as first:
        pass
    with connections.lend() as second:
        assert second is first
    connections.close()
    assert first.is_closed


def test_calls_at_once_have_a_connection_each_also_after_one_that_failed() -> None:
    connections = Connections(5)
    with ExitStack() as stack:
        lent = [stack.enter_context(connections.lend()) for _ in range(3)]
    assert len({*map(id, lent)}) == 3
    with pytest.raises(httpx.ConnectError), connections.lend() as client:
        raise httpx.ConnectError("away")
    with connections.lend() as again:
        assert again is client
    connections.close()
    assert all(client.is_closed for client in lent)


def test_idle_connections_are_closed() -> None:
    clock = ManualClock(100.0)
    connections = Connections(5, clock=clock)
    with connections.lend() as busy, connections.lend() as other:
        pass
    clock.now += KEEP_IDLE_S - 1
    with connections.lend() as used:
        pass
    assert used in (busy, other)
    clock.now += 2
    with connections.lend():
        pass
    assert sorted([busy.is_closed, other.is_closed]) == [False, True]
    connections.close()
