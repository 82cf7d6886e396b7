"""The gateways that money comes through, behind one small protocol. One module a provider."""

from functools import cache

from payments.gateways.alipay import AlipayGateway
from payments.gateways.protocol import Gateway
from shop.errors import GatewayNotConfigured


@cache
def get_gateway() -> Gateway:
    """The configured gateway; built once in a process, since reading the keys takes tens of milliseconds.

    Raises:
        GatewayNotConfigured: the settings name no app or no keys.
    """
    return AlipayGateway.from_settings()


def find_gateway() -> Gateway | None:
    """The configured gateway, or None without one: orders that cost nothing go on."""
    try:
        return get_gateway()
    except GatewayNotConfigured:
        return None
