"""A shop that is configured for Alipay, with the tests' own keys."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from pytest_django import Settings

from payments.gateways import get_gateways
from payments.gateways.alipay import AlipayGateway
from tests.payments.alipay_side import APP_ID, SELLER_ID, key, make_gateway


@pytest.fixture
def gateway() -> AlipayGateway:
    """Ours, with nobody at the other end."""
    return make_gateway()


@pytest.fixture
def alipay_settings(settings: Settings, tmp_path: Path) -> Iterator[Settings]:
    """What `get_gateways` reads."""
    (tmp_path / "app.pem").write_bytes(
        key("app").private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    (tmp_path / "alipay.pem").write_bytes(
        key("alipay").public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    settings.ALIPAY = {
        "GATEWAY_URL": "http://127.0.0.1:9/gateway.do",
        "BUYER_GATEWAY_URL": "http://127.0.0.1:9/gateway.do",
        "APP_ID": APP_ID,
        "SELLER_ID": SELLER_ID,
        "APP_PRIVATE_KEY_PATH": str(tmp_path / "app.pem"),
        "PUBLIC_KEY_PATHS": [str(tmp_path / "alipay.pem")],
        "FORMER_APPS": [],
        "NOTIFY_URL": "https://shop.test/api/v1/payments/alipay/notify/",
        "RETURN_URL": "https://shop.test/api/v1/payments/alipay/return/",
        "TIMEOUT_S": 5,
    }
    get_gateways.cache_clear()
    yield settings
    get_gateways.cache_clear()
