"""The client's address: headers count only from trusted proxies."""

import pytest
from django.test import RequestFactory
from pytest_django import Settings

from shop.client_address import client_address, client_network

PROXY, SECOND, BUYER, FORGED = "10.0.0.2", "10.0.0.3", "198.51.100.7", "203.0.113.9"


def address(remote: str, forwarded: str | None = None) -> str:
    headers = {} if forwarded is None else {"X-Forwarded-For": forwarded}
    return client_address(RequestFactory().get("/", headers=headers, REMOTE_ADDR=remote))


@pytest.mark.parametrize("forwarded", [None, FORGED, f"{FORGED}, {PROXY}", "junk"])
def test_header_of_a_stranger_is_ignored(settings: Settings, forwarded: str | None) -> None:
    assert address(BUYER, forwarded) == BUYER
    settings.TRUSTED_PROXIES = ["10.0.0.0/8"]
    assert address(BUYER, forwarded) == BUYER


@pytest.mark.parametrize(
    ("forwarded", "found"),
    [
        (BUYER, BUYER),
        (f"{FORGED}, {BUYER}", BUYER),
        (f"{FORGED},{BUYER},{SECOND}", BUYER),
        (f"{BUYER}:5678", BUYER),
        (f"::ffff:{BUYER}", BUYER),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
        (f"{FORGED}, junk", PROXY),
        ("", PROXY),
        (None, PROXY),
        (f"{SECOND}, {SECOND}", SECOND),
    ],
)
def test_header_is_read_from_its_end_through_proxies(
    settings: Settings, forwarded: str | None, found: str
) -> None:
    settings.TRUSTED_PROXIES = ["10.0.0.0/8"]
    assert address(PROXY, forwarded) == found


@pytest.mark.parametrize("remote", ["", "unix:", "/run/shop.sock"])
def test_connection_without_an_address(remote: str) -> None:
    assert address(remote, FORGED) == "unknown"


def test_ipv6_is_counted_by_network() -> None:
    assert client_network("2001:db8:1:2:3:4:5:6") == "2001:db8:1:2::/64"
    assert client_network(BUYER) == BUYER
    assert client_network("unknown") == "unknown"
