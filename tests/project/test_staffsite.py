"""The staff's login."""

import io
import time

import pytest
import structlog
from django.core.management import CommandError, call_command
from django.test import Client
from django_otp.oath import TOTP
from django_otp.plugins.otp_totp.models import TOTPDevice
from pytest_django import Settings

from shop.models import Account

pytestmark = pytest.mark.django_db
LOGIN, NAME, RIGHT, WRONG = "/admin/login/", "nami", "correct horse battery", "incorrect horse"


@pytest.fixture
def staff(settings: Settings) -> Account:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    return Account.objects.create_superuser(NAME, password=RIGHT)


def log_in(
    password: str = RIGHT, *, browser: Client | None = None, **more: str
) -> tuple[int, Client, object]:
    browser = browser or Client()
    answer = browser.post(LOGIN, {"username": NAME, "password": password, "next": "/admin/", **more})
    return answer.status_code, browser, answer


def is_in(browser: Client) -> bool:
    return browser.get("/admin/").status_code == 200


def test_it_works(staff: Account) -> None:
    status, browser, _ = log_in()
    assert status == 302
    assert is_in(browser)


def test_guessing_is_stopped_and_logged(staff: Account) -> None:
    started = time.monotonic()
    with structlog.testing.capture_logs() as lines:
        statuses = [log_in(WRONG)[0] for _ in range(40)]
    assert statuses == [200] * 10 + [429] * 30
    failures = [line for line in lines if line["event"] == "login_failed"]
    assert [(line["account"], line["address"], line["is_for_staff"]) for line in failures] == [
        (staff.pk, "127.0.0.1", True)
    ] * 10
    locked = [line for line in lines if line["event"] == "login_locked"]
    assert [(line["account"], line["address"], line["limit"]) for line in locked] == [
        (staff.pk, "127.0.0.1", "login_failures_of_pair")
    ] * 30
    assert WRONG not in str(lines)
    status, browser, answer = log_in()
    assert status == 429
    assert 900 - (time.monotonic() - started) <= int(answer["Retry-After"]) <= 900  # type: ignore[index]
    assert not is_in(browser)


def test_success_is_logged(staff: Account) -> None:
    with structlog.testing.capture_logs() as lines:
        log_in()
    assert [(line["event"], line["account"], line["address"]) for line in lines] == [
        ("login_succeeded", staff.pk, "127.0.0.1")
    ]


def test_known_device_is_not_locked_out(staff: Account) -> None:
    _, browser, _ = log_in()
    for _ in range(11):
        log_in(WRONG)
    assert log_in()[0] == 429
    browser.post("/admin/logout/")
    assert log_in(browser=browser)[0] == 302


@pytest.mark.usefixtures("valkey_away")
def test_without_valkey_staff_cannot_log_in(staff: Account) -> None:
    status, browser, answer = log_in()
    assert status == 503
    assert answer["Retry-After"] == "2"  # type: ignore[index]
    assert not is_in(browser)


def test_buyers_do_not_come_in(staff: Account) -> None:
    Account.objects.update(is_staff=False, is_superuser=False)
    assert log_in()[0] == 200


def test_session_ends_after_a_working_day(staff: Account, settings: Settings) -> None:
    _, browser, _ = log_in()
    assert settings.SESSION_COOKIE_AGE == 8 * 3600
    assert browser.cookies["sessionid"]["expires"] == ""


def test_ended_logins_end_sessions(staff: Account) -> None:
    from shop.domain.accounts import tokens

    _, browser, _ = log_in()
    tokens.end_logins([staff.pk])
    assert not is_in(browser)
    assert log_in()[0] == 302


def enrol() -> TOTP:
    call_command("staff_totp", NAME, stdout=io.StringIO())
    return TOTP(TOTPDevice.objects.get().bin_key)


def test_second_factor_is_required_by_setting(staff: Account, settings: Settings) -> None:
    totp = enrol()
    _, without, _ = log_in()
    assert is_in(without)
    settings.STAFF_TOTP = True
    assert not is_in(without)
    assert log_in()[0] == 200
    with structlog.testing.capture_logs() as lines:
        assert log_in(otp_token=f"{(totp.token() + 1) % 1_000_000:06}")[0] == 200
    assert ("second_factor_failed", staff.pk, "127.0.0.1") in [
        (line["event"], line.get("account"), line.get("address")) for line in lines
    ]
    TOTPDevice.objects.update(throttling_failure_count=0)
    status, browser, _ = log_in(otp_token=f"{totp.token():06}")
    assert status == 302
    assert is_in(browser)
    TOTPDevice.objects.update(throttling_failure_count=0)
    assert log_in(otp_token=f"{totp.token():06}")[0] == 200, "a code is good once"


def test_without_a_device_no_login_succeeds(staff: Account, settings: Settings) -> None:
    settings.STAFF_TOTP = True
    assert log_in(otp_token="000000")[0] == 200


def test_new_secret_ends_the_old_one_and_all_sessions(staff: Account, settings: Settings) -> None:
    settings.STAFF_TOTP = True
    old = enrol()
    _, browser, _ = log_in(otp_token=f"{old.token():06}")
    assert is_in(browser)
    enrol()
    assert not is_in(browser)
    call_command("staff_totp", NAME, "--remove")
    assert not TOTPDevice.objects.exists()
    with pytest.raises(CommandError):
        call_command("staff_totp", "nobody")
