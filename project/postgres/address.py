"""Converts `DATABASE_URL` and `DATABASE_POOLER` to Django's `DATABASES`."""

import os
import re
from typing import Any

import dj_database_url
from django.core.exceptions import ImproperlyConfigured

from project.postgres.tls import refuse_unverified

# A statement that waits for a lock longer than this is a bug or a fault, and is retried by the sweep.
TIMEOUTS = {"lock_timeout": "2s", "statement_timeout": "10s", "idle_in_transaction_session_timeout": "15s"}
POOLERS = ("", "session", "transaction")
# `urlsplit` can't be used: since Python's fix of CVE-2025-0938 it refuses an IPv6 address that isn't the only
# host.
_URL = re.compile(
    r"(?P<scheme>postgres(?:ql)?)://(?P<login>(?:[^/?#]*@)?)(?P<hosts>[^/?#]*)(?P<rest>.*)", re.IGNORECASE
)
# A dead machine is detected while a buyer still waits: when connecting, when data isn't acknowledged, and
# when no answer comes. Values in the address take precedence.
NETWORK = {
    "connect_timeout": 2,
    "tcp_user_timeout": 5000,
    "keepalives_idle": 3,
    "keepalives_interval": 1,
    "keepalives_count": 3,
}


def database_config(url: str, *, pooler: str, may_be_unverified: bool = False) -> dict[str, Any]:
    """The entry of `DATABASES` for a URL.

    `url` may name several hosts, of which the one that accepts writes is used:
    `postgres://shop:…@a,b:5433/shop`. `pooler` says what the address leads to: PostgreSQL itself (empty), or
    a pooler that assigns a server connection for a session or for each transaction. How the server gets the
    time-outs depends on it: without a pooler they are startup options; with "session" a statement sets them
    after connecting, since most poolers refuse startup options; with "transaction" they can't be set from
    here, since the next transaction may run on another server connection, and `checks.py` says if they are
    missing. `may_be_unverified` permits TLS that doesn't verify the server.

    Raises:
        ImproperlyConfigured: an argument is invalid, or TLS would be unverified.
    """
    if pooler not in POOLERS:
        raise ImproperlyConfigured('DATABASE_POOLER must be "session", "transaction" or empty.')
    if not (parts := _URL.fullmatch(url.strip())):
        raise ImproperlyConfigured(
            "DATABASE_URL must name a PostgreSQL database (postgres://…): the rules about money are its "
            "constraints."
        )
    config = _parse(parts)
    options = {**NETWORK, **config.get("OPTIONS", {})}
    refuse_unverified(options, environment=os.environ, is_meant=may_be_unverified)
    hosts = f"{config['HOST']}{options.get('host', '')}"
    if "," in hosts:
        options.setdefault("target_session_attrs", "read-write")
    if not pooler:
        options["options"] = " ".join(
            [str(options.get("options", "")), *(f"-c {name}={value}" for name, value in TIMEOUTS.items())]
        ).strip()
    # Statements are prepared when they are executed for the second time, which saves a third of PostgreSQL's
    # work for an order.
    options |= {"server_side_binding": True, "prepare_threshold": 2}
    # A server-side cursor exists on one server connection only, which a transaction pooler may change.
    return {
        **config,
        "ENGINE": "project.postgres",
        "OPTIONS": options,
        "POOLER": pooler,
        "DISABLE_SERVER_SIDE_CURSORS": pooler == "transaction",
    }


def _parse(parts: re.Match[str]) -> dict[str, Any]:
    hosts, ports = _hosts_of(parts["hosts"])
    named = parts["hosts"] if len(hosts) == 1 else ""
    url = f"{parts['scheme']}://{parts['login']}{named}{parts['rest']}"
    try:
        config: dict[str, Any] = dict(dj_database_url.parse(url, conn_max_age=600, conn_health_checks=True))
    except (ValueError, dj_database_url.ParseError):
        raise ImproperlyConfigured(
            "DATABASE_URL isn't understood; in a password, /, ?, #, @ and : are written as %2F, %3F, %23, "
            "%40, %3A."
        ) from None
    if len(hosts) > 1:
        config |= {"HOST": ",".join(hosts), "PORT": ",".join(ports)}
    return config


def _hosts_of(text: str) -> tuple[list[str], list[str]]:
    """The hosts and the ports of an address, as the two lists that psycopg expects."""
    named = [
        entry.rpartition(":") if ":" in entry.rpartition("]")[2] else (entry, "", "")
        for entry in text.split(",")
    ]
    return [host.strip("[]") for host, _, _ in named], [port or "5432" for _, _, port in named]
