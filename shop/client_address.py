"""Who is at the other end: the one place that reads a request's address, for limits and for logs."""

import ipaddress
from functools import cache

from django.conf import settings
from django.http import HttpRequest
from rest_framework.request import Request

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
# What a connection that names no address (a socket file) is counted as.
UNKNOWN = "unknown"
# One household or office gets a whole network of this size; counting its single addresses would limit nobody.
_IPV6_PREFIX = 64


def client_address(request: HttpRequest | Request) -> str:
    """The address of whoever sent the request, as far as it can be trusted."""
    return forwarded_address(
        request.META.get("REMOTE_ADDR", ""), request.META.get("HTTP_X_FORWARDED_FOR", "")
    )


def forwarded_address(sender: str, forwarded: str) -> str:
    """The client's address out of the sender's and `X-Forwarded-For`.

    Goes back through the list from its end while the sender is one of `TRUSTED_PROXIES`. What anybody else
    writes there is ignored, so a client can't choose its address.
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
    """What an address is counted by: itself, or its /64 for IPv6."""
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
    """An address with or without a port, IPv4 in IPv6 unpacked; None for anything else."""
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
