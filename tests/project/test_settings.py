"""Settings that would run, and shouldn't, stop the start."""

import os
import subprocess
import sys

import pytest
from pytest_django import Settings

from project.checks import own_broker, public_url


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("DJANGO_SECRET_KEY", "short", "DJANGO_SECRET_KEY needs at least 50"),
        ("DATABASE_URL", "sqlite:///x.db", "must name a PostgreSQL database"),
        ("LOG_LEVEL", "LOUD", "LOG_LEVEL must be"),
        ("LOG_FORMAT", "xml", "LOG_FORMAT must be"),
        ("CART_MAX_LINES", "many", "CART_MAX_LINES"),
        ("CONNECTION_SILENCE_S", "25", "CONNECTION_SILENCE_S must be longer than ORDER_STATUS_WAIT_MAX_S"),
        ("WEB_THREADS", "2", "ORDER_STATUS_WAITERS must be less than WEB_THREADS"),
    ],
)
def test_value_that_makes_no_sense_is_named(name: str, value: str, told: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import project.settings"], env={**os.environ, name: value}, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert told in done.stderr


def test_deployed_shop_is_reached_by_https(settings: Settings) -> None:
    settings.PUBLIC_URL = "http://shop.test"
    assert [error.id for error in public_url(None)] == ["project.E001"]
    settings.PUBLIC_URL = "https://shop.test"
    assert public_url(None) == []


def test_broker_has_a_database_of_its_own(settings: Settings) -> None:
    assert own_broker(None) == []
    settings.CELERY_BROKER_URL = "redis://:a@localhost:6379/0"
    settings.REDIS_URL = "redis://:b@localhost:6379"
    assert [error.id for error in own_broker(None)] == ["project.E002"]
