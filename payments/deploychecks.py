"""System checks for a deployed shop (`manage.py check --deploy`): no payments through the wrong gateway, and
no simulator by accident.
"""

import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Error, Tags, register

from payments.checks import LIVE_HOST, SANDBOX_HOST
from payments.gateways.alipay import read_private_key, read_public_key
from shop.checks import CONFIGURATION

_ALIPAY_HOSTS = frozenset({LIVE_HOST, SANDBOX_HOST})
# The public exponent of every key that the simulator creates, whatever its file format. Alipay's keys and
# those of its key tool have 65537.
SIMULATOR_EXPONENT = 3
# The simulator's own merchant.
SIMULATOR_APP_ID, SIMULATOR_SELLER_ID = "2021000000000001", "2088000000000001"
# Anybody may read a public key. But write access to it decides whose notifications are trusted.
_TOO_OPEN_PRIVATE = stat.S_IWGRP | stat.S_IRWXO
_TOO_OPEN_PUBLIC = stat.S_IWGRP | stat.S_IWOTH


@register(Tags.security, deploy=True)
def gateway_addresses(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Calls and buyers reach Alipay over https, and notifications and buyers return to the shop over
    https.
    """
    config: dict[str, Any] = settings.ALIPAY
    is_https = settings.PUBLIC_URL.startswith("https://")
    errors: list[CheckMessage] = []
    for name in _addresses(config):
        parts = urlsplit(config[name])
        if parts.hostname in _ALIPAY_HOSTS and parts.scheme != "https":
            errors.append(
                Error(
                    f"ALIPAY_{name} reaches Alipay over {parts.scheme}; it must be https.", id="payments.E010"
                )
            )
        elif parts.scheme == "http" and is_https and not settings.ALLOW_SIMULATOR:
            errors.append(
                Error(
                    f"The shop is https and ALIPAY_{name} is {config[name]}: it must be https.",
                    id="payments.E011",
                )
            )
    asked, shown = _host(config["GATEWAY_URL"]), _host(config["BUYER_GATEWAY_URL"])
    if asked != shown and {asked, shown} & _ALIPAY_HOSTS:
        errors.append(
            Error(
                "ALIPAY_BUYER_GATEWAY_URL sends buyers elsewhere than ALIPAY_GATEWAY_URL asks.",
                id="payments.E012",
            )
        )
    if config["GATEWAY_URL"] and is_https and not settings.ALLOW_SIMULATOR:
        errors += [
            Error(f"The shop is https and ALIPAY_{name} isn't.", id="payments.E013")
            for name in ("NOTIFY_URL", "RETURN_URL")
            if not config[name].startswith("https://")
        ]
    return errors


@register(Tags.security, CONFIGURATION)
def simulator(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """With DEBUG off a simulator needs `ALLOW_SIMULATOR`. Its keys, which are public, are never accepted
    together with Alipay's URL: anybody could forge payments.
    """
    config: dict[str, Any] = settings.ALIPAY
    marks = list(_simulator_marks())
    if _host(config["GATEWAY_URL"]) in _ALIPAY_HOSTS:
        return [Error(f"The gateway is Alipay, but {mark}.", id="payments.E014") for mark in marks]
    if settings.DEBUG or settings.ALLOW_SIMULATOR:
        return []
    hint = (
        "Set ALLOW_SIMULATOR=true for a demonstration. Whoever holds a simulator's keys can pay "
        "any order with nothing."
    )
    return [Error(f"DEBUG is off, and {mark}.", hint=hint, id="payments.E015") for mark in marks]


@register(Tags.security, deploy=True)
def no_money(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Warns about settings that are only fit for a demo."""
    config: dict[str, Any] = settings.ALIPAY
    if settings.ALLOW_SIMULATOR:
        return [checks.Warning("ALLOW_SIMULATOR is on: courses may be had for no money.", id="payments.W010")]
    if _host(config["GATEWAY_URL"]) == SANDBOX_HOST:
        return [
            checks.Warning(
                "The gateway is Alipay's sandbox: courses may be had for no money.", id="payments.W011"
            )
        ]
    return []


@register(Tags.security, deploy=True)
def key_files(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Only the shop's user and group can read the private key, and nobody else can write either key."""
    config: dict[str, Any] = settings.ALIPAY
    files = []
    for private_name, public_names, app in _apps(config):
        files.append((private_name, app["APP_PRIVATE_KEY_PATH"], _TOO_OPEN_PRIVATE))
        files += [(public_names, path, _TOO_OPEN_PUBLIC) for path in app["PUBLIC_KEY_PATHS"]]
    errors: list[CheckMessage] = []
    for name, path, too_open in files:
        mode = _mode(path)
        if mode & too_open:
            wanted = "0600 or 0640" if too_open is _TOO_OPEN_PRIVATE else "writable by its owner alone"
            errors.append(
                Error(f"{name}: {path} has mode {mode:04o}; it must be {wanted}.", id="payments.E016")
            )
    return errors


def _simulator_marks() -> Iterator[str]:
    """The signs that the configured gateway is a simulator, in words."""
    config: dict[str, Any] = settings.ALIPAY
    for name in _addresses(config):
        if config[name] and _host(config[name]) not in _ALIPAY_HOSTS:
            yield f"ALIPAY_{name} is no address of Alipay's ({config[name]})"
    for private_name, public_names, app in _apps(config):
        if (app["APP_ID"], app["SELLER_ID"]) == (SIMULATOR_APP_ID, SIMULATOR_SELLER_ID):
            named = (
                "ALIPAY_APP_ID and ALIPAY_SELLER_ID are"
                if app is config
                else "an app of ALIPAY_FORMER_APPS is"
            )
            yield f"{named} the simulator's own"
        private, publics = _keys(app)
        if private is not None and private.public_key().public_numbers().e == SIMULATOR_EXPONENT:
            yield f"{private_name} holds a simulator's key"
        if any(
            key.public_numbers().e == SIMULATOR_EXPONENT or _private_half_is_beside(path, key)
            for path, key in publics
        ):
            yield f"{public_names} holds a simulator's public key"


def _apps(config: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Each configured app, with the names of the variables that hold its private and its public keys."""
    yield "ALIPAY_APP_PRIVATE_KEY_PATH", "ALIPAY_PUBLIC_KEY_PATHS", config
    for app in config["FORMER_APPS"]:
        yield "ALIPAY_FORMER_APPS", "ALIPAY_FORMER_APPS", app


def _addresses(config: dict[str, Any]) -> tuple[str, ...]:
    """The settings that name a gateway; buyers usually use the same one."""
    return (
        ("GATEWAY_URL",)
        if config["GATEWAY_URL"] == config["BUYER_GATEWAY_URL"]
        else ("GATEWAY_URL", "BUYER_GATEWAY_URL")
    )


def _keys(app: Mapping[str, Any]) -> tuple[RSAPrivateKey | None, list[tuple[Path, RSAPublicKey]]]:
    """The readable keys; `payments.checks` reports the others."""
    private, publics = None, []
    try:
        private = read_private_key(Path(app["APP_PRIVATE_KEY_PATH"])) if app["APP_PRIVATE_KEY_PATH"] else None
        publics = [(Path(path), read_public_key(Path(path))) for path in app["PUBLIC_KEY_PATHS"]]
    except (OSError, ValueError):
        pass
    return private, publics


def _private_half_is_beside(path: Path, public: RSAPublicKey) -> bool:
    """Whether the private key of this public key is stored beside it, as only a simulator has it."""
    for neighbour in path.parent.glob("*private*.pem"):
        try:
            if read_private_key(neighbour).public_key().public_numbers() == public.public_numbers():
                return True
        except (OSError, ValueError):
            continue
    return False


def _host(url: str) -> str | None:
    return urlsplit(url).hostname


def _mode(path: str) -> int:
    try:
        return stat.S_IMODE(Path(path).stat().st_mode) if path else 0
    except OSError:
        return 0
