"""Parses the broker's URL into Celery's settings: Redis or Valkey in the syntax of `redis_address`, or
RabbitMQ.

    amqp://user:password@host[:port]/[virtual_host]
    amqps://…                                         over TLS; the certificate is always verified

Several RabbitMQ servers of one cluster are separated by ';', each as a full URL.
"""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

from shop import redis_address
from shop.redis_address import RedisAddress

_AMQP_PORTS = {"amqp": 5672, "amqps": 5671}
# Our names of the parameters, and py-amqp's.
_AMQP_TLS = {"ssl_ca_certs": "ca_certs", "ssl_certfile": "certfile", "ssl_keyfile": "keyfile"}


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """Celery's `broker_url` and `broker_use_ssl`, and entries of `broker_transport_options`."""

    url: str = field(repr=False)
    use_ssl: Mapping[str, Any] | bool = False
    transport_options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    # None for RabbitMQ.
    redis: RedisAddress | None = None


def parse(url: str) -> BrokerAddress:
    """Parses a broker URL.

    Raises:
        ValueError: the URL is invalid; the message says why.
    """
    scheme = urlsplit(url.split(";", maxsplit=1)[0]).scheme
    if scheme in _AMQP_PORTS:
        return _rabbitmq(url, scheme)
    if scheme not in redis_address.SCHEMES:
        raise ValueError(
            f"the scheme must be one of {', '.join((*redis_address.SCHEMES, *_AMQP_PORTS))}, not {scheme!r}"
        )
    address = redis_address.parse(url)
    options = (
        {"master_name": address.master_name, "sentinel_kwargs": address.sentinel_options()}
        if address.master_name
        else {}
    )
    return BrokerAddress(_redis_url(address), address.tls_options() or False, options, address)


def _redis_url(address: RedisAddress) -> str:
    """The URL in kombu's syntax, which needs the credentials and the database in each part."""
    login = (
        f"{quote(address.username or '', safe='')}:{quote(address.password, safe='')}@"
        if address.password
        else ""
    )
    if address.path:
        return f"redis+socket://{login}{address.path}?virtual_host={address.database}"
    scheme = "sentinel" if address.master_name else "redis"
    return ";".join(
        f"{scheme}://{login}{_bracketed(host)}:{port}/{address.database}" for host, port in address.hosts
    )


def _rabbitmq(url: str, scheme: str) -> BrokerAddress:
    parts = [urlsplit(part) for part in url.split(";")]
    if any(part.scheme != scheme for part in parts):
        raise ValueError("several RabbitMQ servers are named in full, separated by ';'")
    for part in parts:
        redis_address.host_of(part, _AMQP_PORTS[scheme])
    query = {name: value for part in parts for name, value in parse_qsl(part.query, keep_blank_values=True)}
    bare = ";".join(part._replace(query="").geturl() for part in parts)
    if scheme == "amqp":
        use_ssl: Mapping[str, Any] | bool = False
    elif len(parts) > 1:  # py-amqp compares all certificates with the first host's name
        raise ValueError("amqps:// takes one name, which all servers' certificates have")
    else:
        files = {_AMQP_TLS[name]: path for name, path in redis_address.pop_tls(query)}
        use_ssl = {"cert_reqs": ssl.CERT_REQUIRED, "server_hostname": parts[0].hostname, **files}
    if query:
        raise ValueError(f"the parameter {min(query)} isn't known with {scheme}://")
    return BrokerAddress(bare, use_ssl)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
