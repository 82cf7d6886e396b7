"""`DATABASE_URL` and `DATABASE_POOLER` as Django's `DATABASES` wants them."""

import os
import re
from typing import Any

import dj_database_url
from django.core.exceptions import ImproperlyConfigured

from project.postgres.tls import refuse_unverified

# A statement that waits for a lock longer than this is a bug or a fault, and is retried by the sweep.
TIMEOUTS = {"lock_timeout": "2s", "statement_timeout": "10s", "idle_in_transaction_session_timeout": "15s"}
POOLERS = ("", "session", "transaction")
# `urlsplit` refuses an IPv6 address that isn't the only host.
_URL = re.compile(
    r"(?P<scheme>postgres(?:ql)?)://(?P<login>(?:[^/?#]*@)?)(?P<hosts>[^/?#]*)(?P<rest>.*)", re.IGNORECASE
)
# A machine that is gone is noticed while a buyer still waits: a new connection, what was sent on an old one,
# an answer that doesn't come. An own value in the address goes before each.
NETWORK = {
    "connect_timeout": 2,
    "tcp_user_timeout": 5000,
    "keepalives_idle": 3,
    "keepalives_interval": 1,
    "keepalives_count": 3,
}


def database_config(url: str, *, pooler: str, may_be_unverified: bool = False) -> dict[str, Any]:
    """`url` may name several hosts, of which the one that writes is used: `postgres://shop:…@a,b:5433/shop`.

    `pooler` says what the address leads to: PostgreSQL itself, or a pooler that gives a connection away for a
    session or for each transaction. It changes how the time-outs get to the server: with the start of the
    connection, by a statement after it (most poolers refuse the other way), or not from here at all, since
    the next transaction may have another server's connection; `checks.py` says what is missing.
    `may_be_unverified` lets TLS through that nobody verifies.

    Raises: ImproperlyConfigured.
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
    # Statements are prepared when they come a second time: a third of PostgreSQL's work for an order is
    # saved.
    options |= {"server_side_binding": True, "prepare_threshold": 2}
    # A cursor of the server lives in one transaction of one server's connection.
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
    """The hosts and ports of an address; psycopg wants them in two lists."""
    named = [
        entry.rpartition(":") if ":" in entry.rpartition("]")[2] else (entry, "", "")
        for entry in text.split(",")
    ]
    return [host.strip("[]") for host, _, _ in named], [port or "5432" for _, _, port in named]
