"""The client's address: the only module that derives it from a request, for limits and for logs."""

import ipaddress
from functools import cache

from django.conf import settings
from django.http import HttpRequest
from rest_framework.request import Request

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
# The address of a connection without one (a Unix socket).
UNKNOWN = "unknown"
# A household or an office gets a whole network of this size, so a limit per address would limit nobody.
_IPV6_PREFIX = 64


def client_address(request: HttpRequest | Request) -> str:
    """The address of the request's client; see `forwarded_address`."""
    return forwarded_address(
        request.META.get("REMOTE_ADDR", ""), request.META.get("HTTP_X_FORWARDED_FOR", "")
    )


def forwarded_address(sender: str, forwarded: str) -> str:
    """The client's address, from the connection's address and `X-Forwarded-For`.

    Reads the list from its end for as long as the sender is one of `TRUSTED_PROXIES`. Entries from anybody
    else are ignored, so a client can't choose its address.
    """
    found = _parsed(sender)
    if found is None:
        return UNKNOWN
    if _is_trusted(found):
        for hop in reversed(forwarded.split(",")):
            named = _parsed(hop.strip())
            if named is None:
                break
            found = named
            if not _is_trusted(found):
                break
    return str(found)


def is_trusted_proxy(sender: str) -> bool:
    """Whether the connection comes from one of `TRUSTED_PROXIES`."""
    address = _parsed(sender)
    return address is not None and _is_trusted(address)


def client_network(address: str) -> str:
    """The key under which limits count an address: the address itself, or its /64 network for IPv6."""
    parsed = _parsed(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((parsed, _IPV6_PREFIX), strict=False))
    return address


def _is_trusted(address: Address) -> bool:
    return any(address in network for network in _trusted(tuple(settings.TRUSTED_PROXIES)))


@cache
def _trusted(networks: tuple[str, ...]) -> list[Network]:
    return [ipaddress.ip_network(network) for network in networks]


def _parsed(text: str) -> Address | None:
    """Parses an address with or without a port and unwraps IPv4-mapped IPv6; None for anything else."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
