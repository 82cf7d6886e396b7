"""Logging in."""

from datetime import timedelta

import pytest
import redis
from knox.models import AuthToken
from pytest_django import Settings

from shop import clock
from shop.domain.login import MAX_FAILURES, WINDOW_S, log_in, purge_tokens
from shop.errors import LoginFailed, TooManyRequests
from shop.models import Account
from tests.factories import make_buyer

pytestmark = pytest.mark.django_db
RIGHT, WRONG = "correct horse battery", "incorrect horse"


@pytest.fixture
def buyer(settings: Settings) -> Account:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # a real one takes half a second a guess
    return make_buyer(username="lufei", password=RIGHT)


def test_right_password(buyer: Account) -> None:
    assert log_in(username="lufei", password=RIGHT) == buyer


@pytest.mark.parametrize(("username", "password"), [("lufei", WRONG), ("nobody", RIGHT)])
def test_wrong_credentials_are_refused_alike(buyer: Account, username: str, password: str) -> None:
    with pytest.raises(LoginFailed) as refusal:
        log_in(username=username, password=password)
    assert (refusal.value.text, dict(refusal.value.details)) == (LoginFailed.message, {})


def test_inactive_account_is_refused(buyer: Account) -> None:
    Account.objects.update(is_active=False)
    with pytest.raises(LoginFailed):
        log_in(username="lufei", password=RIGHT)


def test_guessing_is_stopped_even_for_the_right_password(buyer: Account, valkey: redis.Redis) -> None:
    for _ in range(MAX_FAILURES):
        with pytest.raises(LoginFailed):
            log_in(username="lufei", password=WRONG)
    with pytest.raises(TooManyRequests):
        log_in(username="lufei", password=RIGHT)
    (key,) = valkey.keys("login:failures:*")
    assert WINDOW_S - 5 <= valkey.ttl(key) <= WINDOW_S
    assert b"lufei" not in key


def test_other_names_are_not_stopped(buyer: Account, valkey: redis.Redis) -> None:
    for _ in range(MAX_FAILURES):
        with pytest.raises(LoginFailed):
            log_in(username="zoro", password=WRONG)
    assert log_in(username="lufei", password=RIGHT) == buyer


@pytest.mark.usefixtures("valkey_away")
def test_buyers_log_in_without_valkey(buyer: Account) -> None:
    with pytest.raises(LoginFailed):
        log_in(username="lufei", password=WRONG)
    assert log_in(username="lufei", password=RIGHT) == buyer


def test_ended_tokens_are_purged_and_others_stay(buyer: Account) -> None:
    ended, _ = AuthToken.objects.create(user=buyer, expiry=timedelta(hours=-1))
    alive, _ = AuthToken.objects.create(user=buyer, expiry=timedelta(hours=1))
    assert purge_tokens(now=clock.now()) == 1
    assert list(AuthToken.objects.values_list("digest", flat=True)) == [alive.digest] != [ended.digest]
