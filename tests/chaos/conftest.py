"""One shop for all chaos tests of a process; its books are checked after each test."""

import contextlib
from collections.abc import Iterator

import pytest

from tests.chaos.books import check_books
from tests.chaos.order_scenario import ChaosShop
from tests.nodes.shop_stack import ShopStack, build_shop_stack

IMPATIENT = {
    "WORK_LEASE_S": "3",
    "SWEEP_INTERVAL_S": "1",
    # A payment is first queried when the test says so, and then every second.
    "PAYMENT_FIRST_QUERY_S": "600",
    "PAYMENT_QUERY_INTERVAL_S": "1",
    "ALIPAY_TIMEOUT_S": "1",
    "REFUND_AUTO_DAYS": "7",
}


@pytest.fixture(scope="package")
def _chaos_shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ShopStack]:
    stack = build_shop_stack(tmp_path_factory.mktemp("chaos") / "shop", extra_env=IMPATIENT)
    with stack.running():
        yield stack


@pytest.fixture(scope="package")
def _chaos(_chaos_shop: ShopStack) -> Iterator[ChaosShop]:
    with contextlib.closing(ChaosShop(_chaos_shop)) as chaos:
        # Dozens of scenarios run at once. Alipay's patience of five seconds would count what a busy machine
        # answers late as not accepted, and repeat it minutes later.
        chaos.control("PATCH", "settings", {"delivery_timeout_real_s": 20.0})
        yield chaos


@pytest.fixture
def chaos(request: pytest.FixtureRequest, _chaos: ChaosShop) -> Iterator[ChaosShop]:
    """A running shop to place orders in.

    Afterwards the audit must find nothing, and Alipay must have the amounts in the books.
    """
    failed_before = request.session.testsfailed
    yield _chaos
    try:
        _chaos.control("DELETE", "faults")
        check_books(_chaos)
    except BaseException:
        print(_chaos.shop.logs())
        raise
    if request.session.testsfailed > failed_before:
        print(_chaos.shop.logs())
