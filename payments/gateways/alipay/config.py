"""Reads the Alipay apps from `settings.ALIPAY`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from django.conf import settings

from payments.errors import GatewayNotConfigured
from payments.gateways.alipay.keys import read_private_key, read_public_key

# The settings of one app; the others are shared by all apps.
APP_SETTINGS = ("APP_ID", "SELLER_ID", "APP_PRIVATE_KEY_PATH", "PUBLIC_KEY_PATHS")


@dataclass(frozen=True, slots=True)
class AlipayConfig:
    """One merchant's app at one gateway.

    `buyer_gateway_url` is its URL for browsers. There are several `alipay_public_keys` while Alipay's key is
    being rotated.
    """

    gateway_url: str
    buyer_gateway_url: str
    app_id: str
    seller_id: str
    app_private_key: RSAPrivateKey
    alipay_public_keys: Sequence[RSAPublicKey]
    notify_url: str
    return_url: str
    timeout_s: int


def read_configs() -> list[AlipayConfig]:
    """The current app first, then the former ones.

    Raises:
        GatewayNotConfigured: something is missing, or a key file can't be read.
    """
    current: dict[str, Any] = settings.ALIPAY
    missing = [name for name in ("GATEWAY_URL", *APP_SETTINGS) if not current[name]]
    if missing:
        raise GatewayNotConfigured(missing=[f"ALIPAY_{name}" for name in missing])
    names = ["ALIPAY_APP_PRIVATE_KEY_PATH", "ALIPAY_PUBLIC_KEY_PATHS"]
    return [
        _read_config(current, current, names=names),
        *(_read_config(current, app, names=["ALIPAY_FORMER_APPS"]) for app in current["FORMER_APPS"]),
    ]


def _read_config(shared: Mapping[str, Any], app: Mapping[str, Any], *, names: list[str]) -> AlipayConfig:
    try:
        private_key = read_private_key(Path(app["APP_PRIVATE_KEY_PATH"]))
        public_keys = [read_public_key(Path(path)) for path in app["PUBLIC_KEY_PATHS"]]
    except (OSError, ValueError) as error:
        raise GatewayNotConfigured(missing=names) from error
    return AlipayConfig(
        gateway_url=shared["GATEWAY_URL"],
        buyer_gateway_url=shared["BUYER_GATEWAY_URL"],
        app_id=app["APP_ID"],
        seller_id=app["SELLER_ID"],
        app_private_key=private_key,
        alipay_public_keys=public_keys,
        notify_url=shared["NOTIFY_URL"],
        return_url=shared["RETURN_URL"],
        timeout_s=shared["TIMEOUT_S"],
    )
