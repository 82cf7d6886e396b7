"""Fixtures for the original's defects: a buyer, and a gateway with the tests' keys."""

import pytest

from shop.models import Account
from tests.clients import Api
from tests.factories import make_buyer
from tests.payments.conftest import alipay_settings, gateway

__all__ = ["alipay_settings", "gateway"]


@pytest.fixture
def buyer() -> Account:
    return make_buyer(beili=100)


@pytest.fixture
def api(buyer: Account) -> Api:
    return Api(buyer)
