"""System checks that refuse configurations which would start but shouldn't run."""

from ipaddress import ip_network
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.db import DatabaseError, connection
from django.http.request import validate_host

from project.postgres.poolers import find_problems
from shop import broker_address, redis_address
from shop.checks import CONFIGURATION
from worker.servers import find_unfit_servers

# The shortest prefixes that TRUSTED_PROXIES may have. The largest private networks are 10.0.0.0/8 and
# fc00::/7; no content delivery network lists a public one larger than a /13 (IPv4) or a /29 (IPv6).
_WIDEST_PRIVATE = 7
_WIDEST_PUBLIC = {4: 12, 6: 28}


@register(Tags.security, deploy=True)
def public_url(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Buyers must reach a deployed shop by HTTPS."""
    if not settings.PUBLIC_URL.startswith("https://"):
        return [Error("PUBLIC_URL must start with https://.", id="project.E001")]
    return []


@register(Tags.security, deploy=True)
def real_time(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Coupons, deadlines and logins of a deployed shop need the real time."""
    if settings.CLOCK_OFFSET_S:
        return [Error(f"CLOCK_OFFSET_S is {settings.CLOCK_OFFSET_S}; it must be 0.", id="project.E003")]
    return []


@register(Tags.security, deploy=True)
def allowed_hosts(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Only the shop's own hosts may be allowed, or a request could choose the host of a link. PUBLIC_URL's
    host must be among them.
    """
    hosts: list[str] = settings.ALLOWED_HOSTS
    errors: list[CheckMessage] = [
        Error(f"DJANGO_ALLOWED_HOSTS lets {host!r} through: name the shop's hosts.", id="project.E004")
        for host in hosts
        if host == "*" or (host.startswith(".") and "." not in host[1:])
    ]
    public = urlsplit(settings.PUBLIC_URL).hostname or ""
    if not validate_host(public, hosts):
        errors.append(Error(f"PUBLIC_URL's host {public} isn't in DJANGO_ALLOWED_HOSTS.", id="project.E005"))
    return errors


@register(Tags.security, deploy=True)
def proxies(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Limits must count clients, not their proxy, and not by addresses that clients make up."""
    if settings.BEHIND_HTTPS_PROXY and not settings.TRUSTED_PROXIES:
        return [
            Error(
                "BEHIND_HTTPS_PROXY without TRUSTED_PROXIES: all clients would share the proxy's limits.",
                id="project.E006",
            )
        ]
    return [
        Error(f"TRUSTED_PROXIES trusts {network}: anybody could choose an address.", id="project.E007")
        for network in settings.TRUSTED_PROXIES
        if _is_too_wide(network)
    ]


def _is_too_wide(network: str) -> bool:
    parsed = ip_network(network)
    return parsed.prefixlen < (_WIDEST_PRIVATE if parsed.is_private else _WIDEST_PUBLIC[parsed.version])


@register(CONFIGURATION)
def own_broker(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """The broker needs a database of its own: anything in it that isn't our message stops the workers."""
    broker, store = (
        broker_address.parse(settings.CELERY_BROKER_URL).redis,
        redis_address.parse(settings.REDIS_URL),
    )
    if broker is not None and broker.place == store.place:
        return [
            Error(
                "CELERY_BROKER_URL and REDIS_URL name the same database; give each its own.",
                id="project.E002",
            )
        ]
    return []


@register(Tags.database)
def fit_servers(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Queries the servers of carts and queues, so it runs only with `--database default`."""
    return [Error(problem, id="project.E008") for problem in find_unfit_servers()]


@register(Tags.database)
def pooler(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Reports what a pooler in front of PostgreSQL lacks, before a statement hangs because of it."""
    try:
        return [
            Error(problem.text, hint=problem.hint, id="project.E009") for problem in find_problems(connection)
        ]
    except DatabaseError:
        return []  # unreachable now, so nothing can be said about it
