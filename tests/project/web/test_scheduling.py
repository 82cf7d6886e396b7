"""The kernel's scheduling of the web process's threads."""

import os

import httpx
import psutil
import pytest

from tests.nodes.shop_stack import ShopStack

pytestmark = [pytest.mark.journey, pytest.mark.xdist_group("contract")]


@pytest.mark.skipif(not hasattr(os, "SCHED_BATCH"), reason="Linux only")
def test_threads_of_web_do_not_interrupt_each_other(shared_shop_stack: ShopStack) -> None:
    for _ in range(10):  # each starts threads
        httpx.get(f"{shared_shop_stack.web_url}/healthz", trust_env=False, timeout=20)
    server = psutil.Process(shared_shop_stack.web.container.child.pid)
    threads = [thread.id for process in server.children() for thread in process.threads()]
    assert len(threads) > 4
    assert {os.sched_getscheduler(thread) for thread in threads} == {os.SCHED_BATCH}
