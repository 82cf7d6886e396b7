"""Invalid numbers and addresses in the configuration are refused by name, and the processes don't start."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
from pytest_django import Settings

from project.checks import own_broker
from project.ranges import RANGES, addresses, ranges, shares_of_threads
from shop.checks import refuse_mistakes
from tests.variants import first_of

ROOT = Path(__file__).resolve().parents[2]
CELERY = [str(Path(sys.executable).parent / "celery"), "-A", "worker"]


def run(command: list[str], env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=ROOT, env={**os.environ, **env}, capture_output=True, text=True, check=False, timeout=60
    )


def check(env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return run([sys.executable, "manage.py", "check"], env)


def numbers_in_settings() -> set[str]:
    """The names of all numeric variables of the settings."""
    tree = ast.parse((ROOT / "project" / "settings.py").read_text())
    return {
        ast.literal_eval(call.args[0])
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and ast.unparse(call.func) in {"env.int", "env.float"}
    }


def test_every_number_has_a_range() -> None:
    # Tests may shift the clock by any amount; a deployed shop is refused (project.E003).
    assert {one.name for one in RANGES} == numbers_in_settings() - {"CLOCK_OFFSET_S"}


def test_defaults_are_within_their_ranges() -> None:
    assert (ranges(None), shares_of_threads(None), addresses(None), own_broker(None)) == ([], [], [], [])
    refuse_mistakes(has_keys=True)


@pytest.mark.parametrize("is_low", [True, False])
def test_every_number_outside_is_named_with_its_range(is_low: bool) -> None:
    outside = {one.name: int(one.lowest) - 1 if is_low else int(one.highest) + 1 for one in RANGES}
    if not is_low:
        # more of them than threads is refused earlier, which has a test below
        outside["ORDER_STATUS_WAITERS"] = outside["WEB_THREADS"] - 1
    done = check({name: str(value) for name, value in outside.items()})
    assert done.returncode == 1
    for one in RANGES:
        assert (
            f"{one.name} is {outside[one.name]:g}; it must be from {one.lowest:g} to {one.highest:g}."
            in done.stderr
        )


@pytest.mark.parametrize("text", ["nan", "inf", "-inf"])
def test_what_is_no_number_is_outside(text: str, settings: Settings) -> None:
    settings.SWEEP_INTERVAL_S = float(text)
    assert [error.id for error in ranges(None)] == ["project.E020"]


@pytest.mark.parametrize("name", ["LOGIN_PLACES", "GATEWAY_PLACES", "ORDER_STATUS_WAITERS"])
def test_share_of_the_threads_is_a_part(name: str, settings: Settings) -> None:
    told = []
    for share in (settings.WEB_THREADS - 1, settings.WEB_THREADS, settings.WEB_THREADS + 1):
        setattr(settings, name, share)
        told.append([message.id for message in shares_of_threads(None)])
    assert told == [[], ["project.W021"], ["project.E021"]]
    assert shares_of_threads(None)[0].msg.startswith(f"{name} is 9 and WEB_THREADS is 8")


def test_waiters_must_fit_into_the_servers_threads(settings: Settings) -> None:
    settings.SERVER_THREADS = 2 * settings.WEB_THREADS
    assert shares_of_threads(None) == []
    settings.SERVER_THREADS -= 1
    assert [message.msg for message in shares_of_threads(None)] == [
        (
            "GRANIAN_BLOCKING_THREADS is 15 and WEB_THREADS is 8: requests wait for bodies and for places in "
            "twice as many threads at least."
        )
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PUBLIC_URL", "shop.example.com"),
        ("PUBLIC_URL", "ftp://shop.example.com"),
        ("PUBLIC_URL", "https://"),
        ("REDIS_URL", "127.0.0.1:6379/1"),
        ("REDIS_URL", "memory://"),
        ("REDIS_URL", "http://127.0.0.1:6379/1"),
        ("REDIS_URL", "redis:///1"),
        ("REDIS_URL", ""),
        ("CELERY_BROKER_URL", ""),
        ("CELERY_BROKER_URL", "memory://"),
        ("CELERY_BROKER_URL", "filesystem://"),
        ("CELERY_BROKER_URL", "127.0.0.1:6379/0"),
        ("CELERY_BROKER_URL", "redis://"),
        ("SECURITY_CONTACT", "security@example.com"),
    ],
)
def test_address_without_its_scheme_or_host_is_named(name: str, value: str, settings: Settings) -> None:
    setattr(settings, name, value)
    (error,) = addresses(None)
    assert error.id == "project.E022"
    assert error.msg.startswith(name)


@pytest.mark.parametrize("name", ["GATEWAY_URL", "BUYER_GATEWAY_URL"])
def test_gateway_without_a_scheme_is_named(name: str, settings: Settings) -> None:
    settings.ALIPAY = {**settings.ALIPAY, name: "openapi.alipay.com/gateway.do"}
    assert [error.msg for error in addresses(None)] == [f"ALIPAY_{name} must begin with http:// or https://."]


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost",
        "redis://127.0.0.1/0",
        "redis://127.0.0.2:6379",
        "redis://[::1]:6379/0",
        "redis://[::ffff:127.0.0.1]/0",
    ],
)
def test_one_database_under_two_names_is_one_database(url: str, settings: Settings) -> None:
    settings.CELERY_BROKER_URL, settings.REDIS_URL = "redis://127.0.0.1:6379/0", url
    assert [error.id for error in own_broker(None)] == ["project.E002"]


@pytest.mark.parametrize("url", ["redis://127.0.0.1/1", "redis://127.0.0.1:6380/0", "redis://store/0"])
def test_two_databases_are_two(url: str, settings: Settings) -> None:
    settings.CELERY_BROKER_URL, settings.REDIS_URL = "redis://localhost:6379/0", url
    assert own_broker(None) == []


@pytest.mark.parametrize(
    "command",
    first_of(
        [sys.executable, "-c", "import project.wsgi"],
        [*CELERY, "worker", "--pool", "solo"],
        [*CELERY, "beat", "--pidfile=", "-s", os.devnull],
    ),
    ids=["web", "worker", "beat"],
)
def test_process_that_serves_does_not_start_with_a_mistake(command: list[str]) -> None:
    done = run(command, {"ALIPAY_TIMEOUT_S": "60", "CART_TTL_S": "0"})
    assert done.returncode != 0
    assert "ALIPAY_TIMEOUT_S is 60; it must be from 1 to 7." in done.stderr
    assert "CART_TTL_S is 0; it must be from 60" in done.stderr
