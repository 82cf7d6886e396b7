"""One shop that the journeys break and repair; all invariants are checked after each journey."""

from collections.abc import Iterator

import pytest

from project.local.waiting import wait_until
from tests.invariants import InvariantBrokenError, check_invariants
from tests.journeys.shopping import Buyer, control, new_buyer
from tests.nodes.shop_stack import ShopStack, build_shop_stack

SETTLE_S = 40


@pytest.fixture(scope="package")
def _breakable_shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ShopStack]:
    stack = build_shop_stack(
        tmp_path_factory.mktemp("journeys") / "shop", extra_env={"PAYMENT_QUERY_INTERVAL_S": "1"}
    )
    with stack.running():
        yield stack


@pytest.fixture
def shop(request: pytest.FixtureRequest, _breakable_shop: ShopStack) -> Iterator[ShopStack]:
    """A running shop to kill, freeze and empty.

    It is repaired afterwards, finishes its work, and then every invariant must hold.
    """
    stack = _breakable_shop
    try:
        yield stack
        repair(stack)
        settle(stack)
    except BaseException:
        print(stack.logs())
        raise
    finally:
        if request.session.testsfailed:
            print(stack.logs())


@pytest.fixture
def buyer(shop: ShopStack) -> Buyer:
    """A new buyer with 200 贝里."""
    return new_buyer(shop, beili=200)


def repair(stack: ShopStack) -> None:
    """Restarts every part that the test has stopped."""
    for node in (stack.broker, stack.simulator, stack.web, stack.worker, stack.beat):
        if node.container.status == "running":
            node.kill("SIGCONT")
        else:
            node.restart()
            node.ready()
    for worker in stack.extra_workers:
        worker.teardown()
    stack.extra_workers.clear()
    assert wait_until(stack.is_ready, timeout_s=SETTLE_S)
    control(stack, "DELETE", "faults")


def settle(stack: ShopStack) -> None:
    """Waits until no work is left and all invariants hold. Fails with those that are still violated after the
    timeout.
    """

    def is_settled() -> bool:
        try:
            check_invariants(stack.rows)
        except InvariantBrokenError:
            return False
        return True

    if not wait_until(is_settled, timeout_s=SETTLE_S, poll_s=0.2):
        check_invariants(stack.rows)
