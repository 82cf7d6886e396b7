"""The valid values of the numbers and addresses in the settings.

With any other value web and workers don't start, and `manage.py check` names it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register  # noqa: A004 - Django's name for it

from shop import broker_address, redis_address
from shop.checks import CONFIGURATION
from shop.domain.work.due_rows import DRAIN_S
from worker.policy import GATEWAY_QUEUES, POLICIES

_DAY_S = 86_400
# The most gateway calls that one row takes; see payments/domain/trades/expiry.py and
# payments/domain/refunds/sending.py.
_CALLS_OF_A_ROW = 4
_GATEWAY_LIMIT_S = min(policy.time_limit_s for policy in POLICIES.values() if policy.queue in GATEWAY_QUEUES)


@dataclass(frozen=True, slots=True)
class Range:
    """A variable's name and bounds (inclusive), and why it has them.

    `read` returns its value if the settings store it under another name.
    """

    name: str
    lowest: float
    highest: float
    why: str = ""
    read: Callable[[], float] | None = None

    @property
    def value(self) -> float:
        value: float = self.read() if self.read is not None else getattr(settings, self.name)
        return value


def _token_ttl() -> timedelta:
    ttl: Any = settings.REST_KNOX["TOKEN_TTL"]
    return cast(timedelta, ttl)


RANGES = (
    # --- Web
    Range("WEB_THREADS", 2, 256, "One that waits for a buyer must leave one for everybody else."),
    Range(
        "GRANIAN_BLOCKING_THREADS",
        8,
        4096,
        "Slow clients occupy half of them at most.",
        read=lambda: settings.SERVER_THREADS,
    ),
    Range("CONNECTION_SILENCE_S", 1, 600, read=lambda: settings.CONNECTION_LIMITS["silence_s"]),
    Range(
        "WEB_STUCK_S",
        15,
        3600,
        "Statements end after 10 s.",
        read=lambda: settings.CONNECTION_LIMITS["stuck_s"],
    ),
    Range(
        "ADDRESS_CPU_SHARE",
        0.01,
        1,
        "Of one processor, which is all that a process can use.",
        read=lambda: settings.ADDRESS_SHARES["seconds"],
    ),
    Range("STAFF_SESSION_S", 60, 30 * _DAY_S, read=lambda: settings.SESSION_COOKIE_AGE),
    Range("DJANGO_HSTS_SECONDS", 0, 2 * 366 * _DAY_S, read=lambda: settings.SECURE_HSTS_SECONDS),
    Range("EMAIL_PORT", 1, 65_535),
    Range("ORDER_STATUS_WAIT_MAX_S", 0, 60, "Proxies give up after a minute."),
    Range("ORDER_STATUS_WAITERS", 0, 255),
    Range(
        "TOKEN_TTL_DAYS",
        1,
        3650,
        "A login must outlast the request that made it.",
        read=lambda: _token_ttl().days,
    ),
    # --- Rules of the shop
    Range("BEILI_PER_YUAN", 1, 100, "A 贝里 is a whole number of fen."),
    Range("CART_MAX_LINES", 1, 50, "A request for an order or a refund names 50 courses at most."),
    Range("CART_TTL_S", 60, 366 * _DAY_S),
    Range("CHECKOUT_TTL_S", 60, 7 * _DAY_S),
    Range("ORDER_TTL_S", 60, 15 * _DAY_S, "Alipay takes deadlines between a minute and fifteen days."),
    Range("ORDER_GRACE_S", 0, _DAY_S),
    Range("REFUND_AUTO_DAYS", 0, 366, "Alipay refunds for a year."),
    Range("PERSONAL_DATA_DAYS", 0, 36_500),
    Range("MAX_CHECKOUTS", 1, 100),
    Range("MAX_OPEN_ORDERS", 1, 1_000_000),
    Range("MAX_TOKENS", 1, 1_000_000),
    Range("LOGIN_PLACES", 1, 255),
    # --- Workers and Alipay
    Range("WORK_LEASE_S", 1, 3600),
    Range("SWEEP_INTERVAL_S", 0.1, 300, "Whatever was left behind waits for it."),
    Range("PAYMENT_FIRST_QUERY_S", 0.1, 3600),
    Range("PAYMENT_QUERY_INTERVAL_S", 0.1, 3600),
    Range("BILL_HOUR", 0, 23),
    Range("GATEWAY_CONCURRENCY", 1, 512, "Each is a thread."),
    Range("GATEWAY_PLACES", 1, 255),
    Range("GATEWAY_RATE", 0, 10_000),
    Range(
        "ALIPAY_TIMEOUT_S",
        1,
        (_GATEWAY_LIMIT_S - DRAIN_S - 1) // _CALLS_OF_A_ROW,
        f"A task of the gateway worker takes rows for {DRAIN_S} s, makes up to {_CALLS_OF_A_ROW} calls of "
        f"the last and ends within {_GATEWAY_LIMIT_S} s.",
        read=lambda: settings.ALIPAY["TIMEOUT_S"],
    ),
)
# How many of a web process's threads may be occupied at once, and by whom. If it were all of them, everybody
# else would be blocked.
_SHARES_OF_THREADS = (
    ("ORDER_STATUS_WAITERS", "buyers who wait for news"),
    ("LOGIN_PLACES", "logins"),
    ("GATEWAY_PLACES", "buyers who wait for Alipay"),
)
_HTTP = frozenset({"http", "https"})
# A variable's name, its allowed schemes, whether it may be empty, and how to read it.
_ADDRESSES: tuple[tuple[str, frozenset[str], bool, Callable[[], str]], ...] = (
    ("PUBLIC_URL", _HTTP, False, lambda: settings.PUBLIC_URL),
    ("ALIPAY_GATEWAY_URL", _HTTP, True, lambda: settings.ALIPAY["GATEWAY_URL"]),
    ("ALIPAY_BUYER_GATEWAY_URL", _HTTP, True, lambda: settings.ALIPAY["BUYER_GATEWAY_URL"]),
    ("SECURITY_CONTACT", frozenset({"mailto", "https"}), True, lambda: settings.SECURITY_CONTACT),
)
# Schemes that name a mailbox and no host.
_HOSTLESS = frozenset({"mailto"})
# Addresses with a parser of their own, whose error says what is wrong.
_READERS: tuple[tuple[str, Callable[[str], object]], ...] = (
    ("REDIS_URL", redis_address.parse),
    ("CELERY_BROKER_URL", broker_address.parse),
)


@register(CONFIGURATION)
def ranges(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Every number is within its range."""
    return [
        Error(
            f"{one.name} is {one.value:g}; it must be from {one.lowest:g} to {one.highest:g}.",
            hint=one.why or None,
            id="project.E020",
        )
        for one in RANGES
        if not one.lowest <= one.value <= one.highest
    ]


@register(CONFIGURATION)
def shares_of_threads(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Numbers that are each in range but don't fit together."""
    threads = settings.WEB_THREADS
    found: list[CheckMessage] = []
    for name, who in _SHARES_OF_THREADS:
        share = getattr(settings, name)
        told = f"{name} is {share} and WEB_THREADS is {threads}"
        if share > threads:
            found.append(Error(f"{told}: it can't be larger.", id="project.E021"))
        elif share == threads:
            found.append(Warning(f"{told}: {who} can stop everybody else.", id="project.W021"))
    if 2 * threads > settings.SERVER_THREADS:
        told = f"GRANIAN_BLOCKING_THREADS is {settings.SERVER_THREADS} and WEB_THREADS is {threads}"
        found.append(
            Error(
                f"{told}: requests wait for bodies and for places in twice as many threads at least.",
                id="project.E021",
            )
        )
    return found


@register(CONFIGURATION)
def addresses(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Every address has an allowed scheme, and a host unless it names a mailbox."""
    return [Error(problem, id="project.E022") for problem in _find_bad_addresses()]


def _find_bad_addresses() -> Iterator[str]:
    for name, schemes, may_be_empty, read in _ADDRESSES:
        url = read()
        parts = urlsplit(url)
        if not url:
            if not may_be_empty:
                yield f"{name} is empty; it must begin with {_listed(schemes)}."
        elif parts.scheme not in schemes:
            yield f"{name} must begin with {_listed(schemes)}."
        elif parts.scheme not in _HOSTLESS and not parts.hostname:
            yield f"{name} names no host."
    for name, parse in _READERS:
        try:
            parse(getattr(settings, name))
        except ValueError as error:
            yield f"{name}: {error}."


def _listed(schemes: frozenset[str]) -> str:
    return " or ".join(f"{scheme}:" if scheme == "mailto" else f"{scheme}://" for scheme in sorted(schemes))
