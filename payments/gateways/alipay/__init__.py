"""Alipay behind the shop's gateway protocol: the only package that knows its wire, and the only importer of
python-alipay-sdk.

`gateway` speaks the protocol, `client` makes the calls, `wire` and `signed` translate what travels, `bills`
reads the daily tables, `refusals` says what a no means, `keys` and `config` read what is configured.
"""

from payments.gateways.alipay.config import AlipayConfig, read_configs
from payments.gateways.alipay.gateway import AlipayGateway
from payments.gateways.alipay.keys import read_private_key, read_public_key
from payments.gateways.alipay.signed import find_claimed_app

__all__ = [
    "AlipayConfig",
    "AlipayGateway",
    "find_claimed_app",
    "read_configs",
    "read_private_key",
    "read_public_key",
]
