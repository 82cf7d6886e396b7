"""Parses URLs of Redis and Valkey servers: one syntax for carts and queues; an invalid URL stops the start.

    redis://[[user]:password@]host[:port][/database]
    rediss://…                                        over TLS; the certificate is always verified
    unix://[[user]:password@]/path/to/socket[?db=1]
    sentinel://[[user]:password@]host[:port];sentinel://host2[:port][/database]?master_name=…
    sentinels://…                                     over TLS, to Sentinels and servers alike

TLS parameters: `ssl_ca_certs` (default: the system's authorities), `ssl_certfile` and `ssl_keyfile`. Sentinel
parameters: `master_name`, and `sentinel_username` and `sentinel_password` if the Sentinels require them; the
user and password before a host are for the server.
"""

from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel

_PORTS = {"redis": 6379, "rediss": 6379, "sentinel": 26379, "sentinels": 26379}
SCHEMES = (*_PORTS, "unix")
_TLS_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
# Parameters of other programs, accepted with the values that leave verification on.
_TLS_VERIFIED = {"ssl_cert_reqs": {"required", "CERT_REQUIRED"}, "ssl_check_hostname": {"true", "True"}}

_LONGEST_ASKING_S = 2
_SENTINEL_TIMEOUT_S = 0.25


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """One server, or the Sentinels that know the current primary."""

    hosts: tuple[tuple[str, int], ...]
    path: str
    database: int
    username: str | None
    password: str | None = field(repr=False)
    is_tls: bool
    tls_files: tuple[tuple[str, str], ...]
    master_name: str
    sentinel_login: tuple[tuple[str, str], ...] = field(repr=False)

    @property
    def place(self) -> tuple[object, ...]:
        """Identifies the database: equal for two URLs of the same one."""
        return (
            tuple((one_name(host), port) for host, port in self.hosts),
            self.path,
            self.master_name,
            self.database,
        )

    def tls_options(self) -> dict[str, Any]:
        """Options of redis-py and kombu that verify the server's certificate and host name."""
        return (
            {"ssl_cert_reqs": "required", "ssl_check_hostname": True, **dict(self.tls_files)}
            if self.is_tls
            else {}
        )

    def sentinel_options(self) -> dict[str, Any]:
        """Options for connections to the Sentinels: their own credentials, and no retries, so that the next
        Sentinel is tried at once when one is down.
        """
        return {
            **dict(self.sentinel_login),
            **({"ssl": True} if self.is_tls else {}),
            **self.tls_options(),
            "socket_timeout": _SENTINEL_TIMEOUT_S,
            "socket_connect_timeout": _SENTINEL_TIMEOUT_S,
            "retry": Retry(NoBackoff(), 0),  # redis-py's own would wait for seconds
        }


def parse(url: str) -> RedisAddress:
    """Parses a URL.

    Raises:
        ValueError: the URL is invalid; the message says why.
    """
    parts = [urlsplit(part) for part in url.split(";")]
    scheme = parts[0].scheme
    if scheme not in SCHEMES:
        raise ValueError(f"the scheme must be one of {', '.join(SCHEMES)}, not {scheme!r}")
    if any(part.scheme != scheme for part in parts) or (len(parts) > 1 and not scheme.startswith("sentinel")):
        raise ValueError("only sentinel:// names several, and each of them in full, separated by ';'")
    query = {name: value for part in parts for name, value in parse_qsl(part.query, keep_blank_values=True)}
    address = RedisAddress(
        hosts=() if scheme == "unix" else tuple(host_of(part, _PORTS[scheme]) for part in parts),
        path=unquote(parts[0].path) if scheme == "unix" else "",
        database=_database(
            query.pop("db", "")
            if scheme == "unix"
            else _the_one("database", [part.path.strip("/") for part in parts])
        ),
        username=_the_one("user", [unquote(part.username or "") for part in parts]) or None,
        password=_the_one("password", [unquote(part.password or "") for part in parts]) or None,
        is_tls=scheme in {"rediss", "sentinels"},
        tls_files=pop_tls(query) if scheme in {"rediss", "sentinels"} else (),
        master_name=query.pop("master_name", "") if scheme.startswith("sentinel") else "",
        sentinel_login=tuple(
            (name, query.pop(f"sentinel_{name}"))
            for name in ("username", "password")
            if scheme.startswith("sentinel") and f"sentinel_{name}" in query
        ),
    )
    if query:
        raise ValueError(f"the parameter {min(query)} isn't known with {scheme}://")
    if scheme.startswith("sentinel") and not address.master_name:
        raise ValueError("Sentinels must be told whose primary is meant: …?master_name=…")
    if scheme == "unix" and len(address.path) < 2:
        raise ValueError("unix:// must be followed by the socket's absolute path")
    return address


def open_client(address: RedisAddress, **options: Any) -> Any:
    """A redis-py client, which connects on first use.

    `options` are redis-py's; TCP options are dropped for a Unix socket. Unless `options` say otherwise, each
    command is tried once: by default redis-py waits eleven times for a frozen server.
    """
    options = {"retry": Retry(NoBackoff(), 0), **options}
    login: dict[str, Any] = {
        "username": address.username,
        "password": address.password,
        "db": address.database,
    }
    if address.path:
        tcp_only = {"socket_keepalive", "socket_connect_timeout"}
        kept = {name: value for name, value in options.items() if name not in tcp_only}
        return redis.Redis(unix_socket_path=address.path, **login, **kept)
    options = {**login, **options, **({"ssl": True} if address.is_tls else {}), **address.tls_options()}
    if not address.master_name:
        (host, port) = address.hosts[0]
        return redis.Redis(host=host, port=port, **options)
    sentinels: Any = Sentinel(list(address.hosts), sentinel_kwargs=address.sentinel_options())  # type: ignore[no-untyped-call]
    return sentinels.master_for(address.master_name, **options)


def find_unfitness(address: RedisAddress) -> str | None:
    """Why the shop can't use the server; None if it can, or if the server can't be reached.

    A cluster spreads keys that our scripts change together over several servers; a Sentinel holds no data;
    and a server, or a proxy in front of it, without HELLO doesn't speak the protocol of this redis-py.
    """
    options = {
        "socket_timeout": _LONGEST_ASKING_S,
        "socket_connect_timeout": _LONGEST_ASKING_S,
        "protocol": 2,
        "decode_responses": True,
    }
    try:
        with open_client(replace(address, database=0), **options) as client:  # a cluster has no other
            answer = client.execute_command("HELLO")
    except redis.ResponseError as error:
        return (
            f"it doesn't know HELLO ({error}); Redis 7.0 or newer, or Valkey, is needed"
            if "unknown command" in str(error)
            else None
        )
    except redis.RedisError:
        return None
    mode = dict(zip(answer[::2], answer[1::2], strict=True)).get("mode")
    return {
        "cluster": "it is a node of a Redis Cluster",
        "sentinel": "it is a Sentinel; write sentinel://…?master_name=…",
    }.get(str(mode))


def one_name(host: str) -> str:
    """A canonical name, without a DNS lookup: the same for all spellings of an address and of this
    machine.
    """
    try:
        address = ip_address(host.rstrip("."))
    except ValueError:
        known = {"localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback"}
        return "127.0.0.1" if host.rstrip(".") in known else host.rstrip(".")
    mapped = getattr(address, "ipv4_mapped", None) or address
    return "127.0.0.1" if mapped.is_loopback or mapped.is_unspecified else str(mapped)


def host_of(part: SplitResult, default_port: int) -> tuple[str, int]:
    """The host and port of a URL.

    Raises:
        ValueError: one of them is invalid. The message doesn't quote the port, since an unescaped `/` or `#`
            may have moved the password into it.
    """
    try:
        port = None if part.fragment else part.port
    except ValueError:
        port = -1
    if part.fragment or port == -1:
        raise ValueError(
            "the port must be a number; in a user or password, /, ?, #, @ and : are written as %2F, %3F, "
            "%23, %40, %3A"
        )
    if not part.hostname or "," in part.hostname:
        raise ValueError(
            "several hosts are separated by ';', each with its scheme"
            if part.hostname
            else "a host is missing"
        )
    return part.hostname, port or default_port


def _database(text: str) -> int:
    if text and not (text.isascii() and text.isdecimal()):
        raise ValueError(f"the database must be a number, not {text!r}")
    return int(text or 0)


def _the_one(what: str, values: list[str]) -> str:
    """The value that the parts agree on: several Sentinels may repeat it but mustn't contradict each
    other.
    """
    given = {value for value in values if value}
    if len(given) > 1:
        raise ValueError(f"the parts name different values for the {what}")
    return given.pop() if given else ""


def pop_tls(query: dict[str, str]) -> tuple[tuple[str, str], ...]:
    """Removes the TLS parameters from a query and returns them.

    Raises:
        ValueError: they would turn off verification.
    """
    for name, verified in _TLS_VERIFIED.items():
        if query.pop(name, "required" if name == "ssl_cert_reqs" else "true") not in verified:
            raise ValueError(f"{name} must not turn off that the certificate is verified")
    return tuple((name, query.pop(name)) for name in _TLS_FILES if name in query)
