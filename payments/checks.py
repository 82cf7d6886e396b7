"""System checks: an inconsistent Alipay configuration stops the start instead of failing for the first
buyer.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Error, register

from payments.gateways.alipay import read_private_key, read_public_key
from payments.gateways.alipay.config import APP_SETTINGS
from shop.checks import CONFIGURATION, KEYS

SANDBOX_HOST = "openapi-sandbox.dl.alipaydev.com"
LIVE_HOST = "openapi.alipay.com"


@register(CONFIGURATION)
def alipay(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Complete or absent, every app once, addresses that Alipay can use."""
    config: dict[str, Any] = settings.ALIPAY
    given = _given(config)
    if not any(given.values()) and not config["FORMER_APPS"]:
        return [
            checks.Warning(
                "Alipay isn't configured: orders that cost money can't be paid.",
                hint="Set the ALIPAY_… variables.",
                id="payments.W001",
            )
        ]
    if missing := [f"ALIPAY_{name}" for name, value in given.items() if not value]:
        return [Error(f"Alipay is half configured: {', '.join(missing)} missing.", id="payments.E001")]
    apps: list[Mapping[str, Any]] = [config, *config["FORMER_APPS"]]
    return [
        *_twice(apps),
        *(message for app in apps for message in _gateway(config, app)),
        *_addresses(config),
    ]


@register(KEYS)
def alipay_keys(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Every app's keys readable and not swapped. What isn't configured whole is said by `alipay`."""
    config: dict[str, Any] = settings.ALIPAY
    if not all(_given(config).values()):
        return []
    return [message for app in (config, *config["FORMER_APPS"]) for message in _keys(app)]


def _given(config: Mapping[str, Any]) -> dict[str, Any]:
    return {name: config[name] for name in ("GATEWAY_URL", *APP_SETTINGS)}


def _twice(apps: Sequence[Mapping[str, Any]]) -> list[CheckMessage]:
    counts = Counter(app["APP_ID"] for app in apps)
    hint = (
        "ALIPAY_FORMER_APPS names apps that aren't ALIPAY_APP_ID, each once, with all of Alipay's "
        "keys for it."
    )
    return [
        Error(f"Alipay app {app_id} is configured {count} times.", hint=hint, id="payments.E006")
        for app_id, count in counts.items()
        if count > 1
    ]


def _keys(app: Mapping[str, Any]) -> list[CheckMessage]:
    try:
        private_key = read_private_key(Path(app["APP_PRIVATE_KEY_PATH"]))
        public_keys = [read_public_key(Path(path)) for path in app["PUBLIC_KEY_PATHS"]]
    except (OSError, ValueError) as error:
        return [Error(f"A key of Alipay app {app['APP_ID']} can't be read: {error}", id="payments.E002")]
    if private_key.public_key().public_numbers() in [key.public_numbers() for key in public_keys]:
        hint = "Alipay shows its own key after you upload yours: 支付宝公钥, not 应用公钥."
        return [
            Error(
                f"Alipay app {app['APP_ID']} has its own public key in the place of Alipay's.",
                hint=hint,
                id="payments.E003",
            )
        ]
    return []


def _gateway(config: Mapping[str, Any], app: Mapping[str, Any]) -> list[CheckMessage]:
    host = urlsplit(config["GATEWAY_URL"]).hostname
    is_sandbox_app = app["APP_ID"].startswith("9021")
    if (host == LIVE_HOST and is_sandbox_app) or (host == SANDBOX_HOST and not is_sandbox_app):
        return [
            checks.Warning(
                f"{host} with app {app['APP_ID']}: sandbox and live look mixed up.", id="payments.W002"
            )
        ]
    return []


def _addresses(config: Mapping[str, Any]) -> list[CheckMessage]:
    errors: list[CheckMessage] = []
    if urlsplit(config["GATEWAY_URL"]).hostname == LIVE_HOST and not settings.PUBLIC_URL.startswith(
        "https://"
    ):
        errors.append(Error("Live Alipay needs PUBLIC_URL with https.", id="payments.E004"))
    errors += [
        Error(
            f"ALIPAY_{name} must be an http(s) address of at most 256 characters without a query.",
            id="payments.E005",
        )
        for name in ("NOTIFY_URL", "RETURN_URL")
        if not _is_plain_address(config[name])
    ]
    return errors


def _is_plain_address(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and not parts.query and len(url) <= 256
