"""Dangerous settings stop the start."""

import os
import runpy
import subprocess
import sys
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from environs.exceptions import EnvError
from pytest_django import Settings

from project.checks import own_broker, public_url
from project.env import env
from project.local.state import ROOT


def read_settings() -> dict[str, Any]:
    """Evaluates the settings in the current environment, apart from those of this process."""
    return runpy.run_path(str(ROOT / "project" / "settings.py"))


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("DJANGO_SECRET_KEY", "short", "DJANGO_SECRET_KEY needs at least 50"),
        ("DATABASE_URL", "sqlite:///x.db", "must name a PostgreSQL database"),
        ("LOG_LEVEL", "LOUD", "LOG_LEVEL must be"),
        ("LOG_FORMAT", "xml", "LOG_FORMAT must be"),
        ("CART_MAX_LINES", "many", "CART_MAX_LINES"),
        *[
            (
                "ALIPAY_FORMER_APPS",
                apps,
                f"ALIPAY_FORMER_APPS\" invalid: '{apps.split()[-1]}' isn't APP_ID:SELLER_ID:",
            )
            for apps in ("1:2:a", "x:2:a:b", "1:x:a:b", "1:2::b", "1:2:a:", ":2:a:b", "1:2:a:b 3", "1,2,a,b")
        ],
        *[
            (name, value, f'"{name}" invalid: it isn\'t an address')
            for name in (
                "PUBLIC_URL",
                "SECURITY_CONTACT",
                "DESK_FLOWER_URL",
                "DESK_LOG_URL",
                "ALIPAY_GATEWAY_URL",
                "ALIPAY_BUYER_GATEWAY_URL",
                "ALIPAY_NOTIFY_URL",
                "ALIPAY_RETURN_URL",
            )
            for value in ("https://[::1", "https://shop.example.com:port", "https://shop.example.com:99999")
        ],
        ("CONNECTION_SILENCE_S", "25", "CONNECTION_SILENCE_S must be longer than ORDER_STATUS_WAIT_MAX_S"),
        ("WEB_THREADS", "2", "ORDER_STATUS_WAITERS must be less than WEB_THREADS"),
    ],
)
def test_invalid_value_is_named(name: str, value: str, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises((ImproperlyConfigured, EnvError)) as refusal:
        read_settings()
    assert told in str(refusal.value)


@pytest.mark.parametrize(("name", "value"), [("DJANGO_SECRET_KEY", "short"), ("CART_MAX_LINES", "many")])
def test_invalid_value_stops_the_start(name: str, value: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import project.settings"],
        env={**os.environ, name: value},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert name in done.stderr


@pytest.mark.parametrize(
    ("name", "value", "setting", "read"),
    [
        # so the wildcard is refused
        ("DJANGO_ALLOWED_HOSTS", "shop.test, *", "ALLOWED_HOSTS", ["shop.test", "*"]),
        ("TRUSTED_PROXIES", "10.0.0.1, fd00::/64 ", "TRUSTED_PROXIES", ["10.0.0.1/32", "fd00::/64"]),
        ("DJANGO_SECRET_KEY_FALLBACKS", " old, older", "SECRET_KEY_FALLBACKS", ["old", "older"]),
        (
            "DJANGO_CSRF_TRUSTED_ORIGINS",
            "https://a.test, https://b.test",
            "CSRF_TRUSTED_ORIGINS",
            ["https://a.test", "https://b.test"],
        ),
    ],
)
def test_lists_may_have_spaces(
    name: str, value: str, setting: str, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    assert read_settings()[setting] == read


def test_former_apps_are_read() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("APPS", " 1:2:/k/a.pem:/k/b.pem:/k/c.pem\n3:4:/k/d:/k/e ")
        assert env.alipay_apps("APPS", "") == [
            {
                "APP_ID": "1",
                "SELLER_ID": "2",
                "APP_PRIVATE_KEY_PATH": "/k/a.pem",
                "PUBLIC_KEY_PATHS": ["/k/b.pem", "/k/c.pem"],
            },
            {"APP_ID": "3", "SELLER_ID": "4", "APP_PRIVATE_KEY_PATH": "/k/d", "PUBLIC_KEY_PATHS": ["/k/e"]},
        ]
        patch.setenv("APPS", "")
        assert env.alipay_apps("APPS", "") == []


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


@pytest.mark.parametrize("scheme", ["https", "http"])
def test_cookies_are_for_https_where_the_shop_has_it(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUBLIC_URL", f"{scheme}://shop.example.com")
    found = read_settings()
    names = ("SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE", "LANGUAGE_COOKIE_SECURE")
    assert {found[name] for name in names} == {scheme == "https"}
