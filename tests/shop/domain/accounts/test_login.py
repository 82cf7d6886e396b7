"""Logging in, and the limits on guessing."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis
import structlog
from django.contrib.auth.hashers import MD5PasswordHasher
from django.db import OperationalError, connection
from pytest_django import Settings

from shop.domain import limits
from shop.domain.accounts import login
from shop.domain.accounts.devices import find_device, note_device
from shop.domain.accounts.login import log_in
from shop.errors import LoginFailed, ServiceUnavailable, TooManyRequests
from shop.models import Account
from tests.factories import make_buyer
from tests.outages import counted, database_away

pytestmark = pytest.mark.django_db
RIGHT, WRONG = "correct horse battery", "incorrect horse"
HOME, ELSEWHERE = "198.51.100.7", "203.0.113.9"
hashed = 0


class CountingHasher(MD5PasswordHasher):
    """A cheap hasher that counts its calls."""

    def encode(self, password: str, salt: str) -> str:
        global hashed  # noqa: PLW0603 - Django makes an instance a call
        hashed += 1
        return super().encode(password, salt)


@pytest.fixture
def buyer(settings: Settings) -> Account:
    settings.PASSWORD_HASHERS = [f"{__name__}.CountingHasher"]
    return make_buyer(username="lufei", password=RIGHT)


def attempt(
    password: str = RIGHT,
    *,
    username: str = "lufei",
    address: str = HOME,
    note: str | None = None,
    **more: bool,
) -> Account:
    return log_in(username=username, password=password, address=address, device_note=note, **more)


def guess(times: int, **how: str | None) -> None:
    for _ in range(times):
        with pytest.raises(LoginFailed):
            attempt(WRONG, **how)  # type: ignore[arg-type]


def hashes(deed: Callable[[], object]) -> int:
    """Counts how often passwords are hashed in the test."""
    before = hashed
    deed()
    return hashed - before


def test_right_password(buyer: Account) -> None:
    assert attempt() == buyer


@pytest.mark.parametrize(("username", "password"), [("lufei", WRONG), ("nobody", RIGHT)])
def test_wrong_credentials_are_refused_alike(buyer: Account, username: str, password: str) -> None:
    with pytest.raises(LoginFailed) as refusal:
        attempt(password, username=username)
    assert (refusal.value.text, dict(refusal.value.details)) == (LoginFailed.message, {})


def test_inactive_account_is_refused(buyer: Account) -> None:
    Account.objects.update(is_active=False)
    with pytest.raises(LoginFailed):
        attempt()


def test_guessing_is_stopped_even_for_the_right_password(buyer: Account, valkey: redis.Redis) -> None:
    guess(10)
    with pytest.raises(TooManyRequests) as refusal:
        attempt()
    assert refusal.value.details["limit"] == "login_failures_of_pair"
    keys = valkey.keys("limit:login_failures_of_pair:*")
    assert len(keys) == 1
    assert b"lufei" not in keys[0]
    assert 895 <= valkey.ttl(keys[0]) <= refusal.value.details["retry_after_s"] <= 900


def test_refusal_costs_no_hash_and_no_longer_wait(buyer: Account, valkey: redis.Redis) -> None:
    guess(10)
    (key,) = valkey.keys("limit:login_failures_of_pair:*")
    valkey.pexpire(key, 7_500)

    def knock() -> None:
        for _ in range(20):
            with pytest.raises(TooManyRequests) as refusal:
                attempt()
            assert refusal.value.details["retry_after_s"] in {7, 8}

    assert hashes(knock) == 0
    assert valkey.get(key) == b"10"


def test_limit_ends_when_it_says(buyer: Account, valkey: redis.Redis, settings: Settings) -> None:
    settings.LIMITS = {**settings.LIMITS, "login_failures_of_pair": (2, 1)}
    guess(2)
    with pytest.raises(TooManyRequests) as refusal:
        attempt()
    threading.Event().wait(refusal.value.details["retry_after_s"] + 0.05)
    assert attempt() == buyer


def test_guesses_from_elsewhere_do_not_lock_out_the_owner(buyer: Account) -> None:
    guess(10, address=ELSEWHERE)
    with pytest.raises(TooManyRequests):
        attempt(address=ELSEWHERE)
    assert attempt(address=HOME) == buyer


def test_one_address_tries_few_names(buyer: Account) -> None:
    for number in range(30):
        guess(1, username=f"name{number}")
    with pytest.raises(TooManyRequests) as refusal:
        attempt(username="another")
    assert refusal.value.details["limit"] == "login_failures_of_address"
    assert attempt(address=ELSEWHERE) == buyer


def test_one_name_from_many_addresses_is_locked_except_on_a_known_device(
    buyer: Account, settings: Settings
) -> None:
    settings.LIMITS = {**settings.LIMITS, "login_failures_of_name": (20, 900)}
    for number in range(20):
        guess(1, address=f"203.0.113.{number}")
    with pytest.raises(TooManyRequests) as refusal:
        attempt()
    assert refusal.value.details["limit"] == "login_failures_of_name"
    assert attempt(note=note_device("lufei")) == buyer


def test_known_device_has_its_own_limit(buyer: Account) -> None:
    note = note_device("lufei")
    guess(10, note=note)
    with pytest.raises(TooManyRequests) as refusal:
        attempt(note=note)
    assert refusal.value.details["limit"] == "login_failures_of_device"
    assert attempt(note=note_device("lufei")) == buyer


def test_cookie_of_another_name_or_signature_has_no_effect(buyer: Account) -> None:
    for note in (note_device("zoro"), note_device("lufei") + "x", "", "lufei", "\x00", "é"):
        assert find_device(note, username="lufei") is None
    guess(10, note=note_device("zoro"))
    with pytest.raises(TooManyRequests):
        attempt(note=note_device("zoro"))


def test_right_passwords_leave_no_failure_but_count_as_attempts(buyer: Account, settings: Settings) -> None:
    settings.LIMITS = {**settings.LIMITS, "logins_of_address": (15, 60)}
    for _ in range(15):
        attempt()
    with pytest.raises(TooManyRequests) as refusal:
        attempt()
    assert refusal.value.details["limit"] == "logins_of_address"


def test_success_in_between_gives_no_more_guesses(buyer: Account) -> None:
    guess(9)
    assert attempt() == buyer
    guess(1)
    with pytest.raises(TooManyRequests):
        attempt()


@pytest.mark.django_db(transaction=True)
def test_parallel_guesses_are_counted_before_they_are_hashed(buyer: Account, settings: Settings) -> None:
    settings.LOGIN_PLACES = 30
    outcomes: list[str] = []

    def one(_: int) -> None:
        try:
            attempt(WRONG)
        except (LoginFailed, TooManyRequests) as refusal:
            outcomes.append(refusal.slug)
        finally:
            connection.close()

    def crowd() -> None:
        with ThreadPoolExecutor(30) as pool:
            list(pool.map(one, range(30)))

    assert hashes(crowd) == 10
    assert sorted(outcomes) == ["login_failed"] * 10 + ["too_many_requests"] * 20


@pytest.mark.django_db(transaction=True)
def test_without_counting_first_every_parallel_guess_is_hashed(
    buyer: Account, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control."""
    settings.LOGIN_PLACES = 30
    monkeypatch.setattr(limits, "spend", lambda *shares, **how: None)

    def one(_: int) -> None:
        try:
            with pytest.raises(LoginFailed):
                attempt(WRONG)
        finally:
            connection.close()

    def crowd() -> None:
        with ThreadPoolExecutor(30) as pool:
            list(pool.map(one, range(30)))

    assert hashes(crowd) == 30


def test_taken_places_refuse_at_once_and_count_nothing(
    buyer: Account, valkey: redis.Redis, settings: Settings
) -> None:
    settings.LOGIN_PLACES = 1
    with login.hashing_place():
        with pytest.raises(TooManyRequests) as refusal:
            attempt()
        assert refusal.value.details == {"limit": "login_places", "retry_after_s": 1}
        assert valkey.keys("limit:*") == []
    assert attempt() == buyer


@pytest.mark.usefixtures("valkey_away")
def test_without_valkey_buyers_log_in_and_staff_do_not(buyer: Account) -> None:
    with pytest.raises(LoginFailed):
        attempt(WRONG)
    assert attempt() == buyer
    Account.objects.update(is_staff=True)
    with pytest.raises(ServiceUnavailable):
        attempt(is_for_staff=True)


@pytest.mark.usefixtures("valkey_away")
def test_without_valkey_a_buyers_login_does_not_reveal_staffs_password(buyer: Account) -> None:
    """Uncounted guesses all get the same answer, even the right one, so none leads into the admin."""
    Account.objects.update(is_staff=True)
    for password in (WRONG, RIGHT):
        with pytest.raises(LoginFailed):
            attempt(password)


def test_buyers_password_is_wrong_for_staff(buyer: Account) -> None:
    with pytest.raises(LoginFailed):
        attempt(is_for_staff=True)
    Account.objects.update(is_staff=True)
    assert attempt(is_for_staff=True) == buyer


def test_log_has_account_and_address_but_neither_name_nor_password(buyer: Account) -> None:
    with structlog.testing.capture_logs() as lines:
        attempt()
        guess(1)
        guess(1, username=RIGHT)
    assert [(line["event"], line["account"], line["address"]) for line in lines] == [
        ("login_succeeded", buyer.pk, HOME),
        ("login_failed", buyer.pk, HOME),
        ("login_failed", None, HOME),
    ]
    assert "lufei" not in str(lines)
    assert RIGHT not in str(lines)
    assert WRONG not in str(lines)


def test_password_that_could_not_be_compared_is_not_a_wrong_one(
    buyer: Account, valkey: redis.Redis, settings: Settings
) -> None:
    """Whoever retries during an outage of the database isn't locked out when it is back."""
    with database_away():
        for _ in range(settings.LIMITS["login_failures_of_pair"][0]):
            with pytest.raises(OperationalError):
                attempt()
    assert counted(valkey) == {"logins_of_address": 10}
    assert attempt() == buyer
