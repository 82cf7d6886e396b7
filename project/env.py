"""Reads the environment strictly: an invalid value prevents the start, with an error that names the variable.

Every variable can also be given as a file: `X_FILE=/run/secrets/x` takes precedence over `X`.
"""

import re
from collections.abc import Callable
from urllib.parse import urlsplit

from environs import FileAwareEnv
from environs.exceptions import EnvValidationError

from shop import broker_address, redis_address

env = FileAwareEnv(strip_whitespace=True)  # a secret written by `echo` ends with a line break


@env.parser_for("alipay_apps")
def alipay_apps(text: str) -> list[dict[str, object]]:
    """Alipay apps, separated by spaces or line breaks:
    `APP_ID:SELLER_ID:APP_PRIVATE_KEY_PATH:PUBLIC_KEY_PATH[:PUBLIC_KEY_PATH…]`.
    """
    return [_alipay_app(entry) for entry in text.split()]


def _alipay_app(entry: str) -> dict[str, object]:
    app_id, *others = entry.split(":")
    if (
        len(others) < 3
        or not all(others)
        or not all(re.fullmatch(r"\d{1,32}", number) for number in (app_id, others[0]))
    ):
        wanted = "APP_ID:SELLER_ID:APP_PRIVATE_KEY_PATH:PUBLIC_KEY_PATH[:PUBLIC_KEY_PATH…]"
        raise EnvValidationError(f"{entry!r} isn't {wanted}", [])
    seller_id, private_key_path, *public_key_paths = others
    return {
        "APP_ID": app_id,
        "SELLER_ID": seller_id,
        "APP_PRIVATE_KEY_PATH": private_key_path,
        "PUBLIC_KEY_PATHS": public_key_paths,
    }


@env.parser_for("rate")
def _rate(value: str) -> tuple[int, int]:
    """A rate such as `30/60`, as (count, seconds): thirty in any window of sixty seconds."""
    found = re.fullmatch(r"([1-9][0-9]{0,8})/([1-9][0-9]{0,6})", value)
    if found is None:
        raise EnvValidationError("a rate is a count and seconds, such as 30/60", [])
    return int(found[1]), int(found[2])


@env.parser_for("web_address")
def _web_address(value: str) -> str:
    """An address whose parts can be told apart; `ranges.py` checks its scheme and host."""
    return _understood(value, _split)


def _split(url: str) -> None:
    try:
        _ = urlsplit(url).port
    except ValueError:
        raise ValueError("it isn't an address, such as https://shop.example.com") from None


@env.parser_for("redis_url")
def _redis_url(value: str) -> str:
    """The address of a Redis or Valkey server, unchanged if it can be parsed."""
    return _understood(value, redis_address.parse)


@env.parser_for("broker_url")
def _broker_url(value: str) -> str:
    """The address of the queues, unchanged if it can be parsed."""
    return _understood(value, broker_address.parse)


def _understood(value: str, parse: Callable[[str], object]) -> str:
    try:
        parse(value)
    except ValueError as error:
        raise EnvValidationError(str(error), []) from None
    return value
