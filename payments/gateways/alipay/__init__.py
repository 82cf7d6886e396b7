"""Alipay behind the shop's gateway protocol: the only package that knows its wire format, and the only one
that imports python-alipay-sdk.

`gateway` implements the protocol, `client` makes the calls, `wire` and `signed` translate messages, `bills`
reads the daily bill, `refusals` classifies error codes, and `keys` and `config` read the configuration.
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
