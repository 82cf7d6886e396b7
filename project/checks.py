"""System checks: a configuration that would run, and shouldn't, is refused."""

from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register


@register(Tags.security, deploy=True)
def public_url(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Buyers must reach a deployed shop by https."""
    if not settings.PUBLIC_URL.startswith("https://"):
        return [Error("PUBLIC_URL must start with https://.", id="project.E001")]
    return []


@register()
def own_broker(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Anything in the broker's database that isn't a message of ours stops its workers."""
    broker, store = urlsplit(settings.CELERY_BROKER_URL), urlsplit(settings.REDIS_URL)
    if (broker.hostname, broker.port, broker.path or "/0") == (store.hostname, store.port, store.path or "/0"):
        return [Error("CELERY_BROKER_URL and REDIS_URL name the same database; give each its own.", id="project.E002")]
    return []
