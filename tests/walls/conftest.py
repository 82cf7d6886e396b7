"""The shipped web server, and an honest buyer in front of it; and for the walk over all addresses a shop that is configured for Alipay."""

from collections.abc import Iterator

import pytest

from tests.nodes.shop_stack import ShopStack
from tests.payments.conftest import alipay_settings
from tests.walls.latency import Honest, honest

__all__ = ["alipay_settings", "buyer"]


@pytest.fixture
def buyer(shared_shop_stack: ShopStack) -> Iterator[Honest]:
    stack = shared_shop_stack
    with honest(stack.web_url, username="buyer1", password=stack.env["DEMO_PASSWORD"]) as found:
        yield found
