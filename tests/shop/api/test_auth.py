"""`auth/`."""

from typing import Any

import pytest
import redis
from knox.models import AuthToken
from pytest_django import Settings

from shop.models import Account
from tests.clients import Api, answered, refused
from tests.factories import make_buyer
from tests.shopping import V1
from tests.unchanged import nothing_changes

pytestmark = pytest.mark.django_db
LOGIN, LOGOUT = f"{V1}/auth/login/", f"{V1}/auth/logout/"
RIGHT = "correct horse battery"


@pytest.fixture
def buyer(settings: Settings) -> Account:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    return make_buyer(username="lufei", password=RIGHT)


def test_it_works(buyer: Account) -> None:
    data = answered(Api().post(LOGIN, {"username": "lufei", "password": RIGHT}))
    assert (data["username"], set(data)) == ("lufei", {"token", "expiry", "username"})
    client = Api()
    client.credentials(HTTP_AUTHORIZATION=f"Token {data['token']}")
    assert client.get(f"{V1}/cart/").status_code == 200


def test_wrong_password(buyer: Account, valkey: redis.Redis) -> None:
    answer = Api().post(LOGIN, {"username": "lufei", "password": "wrong"})
    assert refused(answer) == (401, 1108, "login_failed")
    assert not AuthToken.objects.exists()


def test_too_many_wrong_passwords(buyer: Account) -> None:
    for _ in range(10):
        Api().post(LOGIN, {"username": "lufei", "password": "wrong"})
    with nothing_changes():
        answer = Api().post(LOGIN, {"username": "lufei", "password": RIGHT})
    assert refused(answer) == (429, 1107, "too_many_requests")
    assert answer["Retry-After"]


@pytest.mark.parametrize(
    "body",
    [{}, {"username": "lufei"}, {"username": "", "password": "x"}, {"username": "a\x00", "password": "x"},
        {"username": {}, "password": []}, [], "x", {"username": "a", "password": "b", "extra": 1}]
)  # fmt: skip
def test_malformed_login(body: Any) -> None:
    with nothing_changes():
        assert refused(Api().post(LOGIN, body)) == (400, 1003, "invalid_input")


def test_known_device_is_not_locked_out_by_a_stranger(buyer: Account) -> None:
    known = Api()
    answered(known.post(LOGIN, {"username": "lufei", "password": RIGHT}))
    cookie = known.cookies["device"]
    assert (cookie["path"], cookie["httponly"], cookie["samesite"]) == (LOGIN, True, "Strict")
    for _ in range(11):
        answer = Api().post(LOGIN, {"username": "lufei", "password": "wrong"})
    assert refused(answer) == (429, 1107, "too_many_requests")
    assert 895 <= int(answer["Retry-After"]) <= 900
    assert refused(Api().post(LOGIN, {"username": "lufei", "password": RIGHT})) == (
        429,
        1107,
        "too_many_requests",
    )
    answer = known.post(LOGIN, {"username": "lufei", "password": RIGHT})
    answered(answer)
    assert "device" not in answer.cookies, "the good note stays"


def test_forged_address_gives_no_more_guesses(buyer: Account) -> None:
    answers = [
        Api().post(
            LOGIN,
            {"username": "lufei", "password": "wrong"},
            headers={"X-Forwarded-For": f"203.0.113.{number}"},
        )
        for number in range(11)
    ]
    assert [answer.status_code for answer in answers] == [401] * 10 + [429]


def test_clients_behind_a_trusted_proxy_are_distinguished(buyer: Account, settings: Settings) -> None:
    settings.TRUSTED_PROXIES = ["127.0.0.1"]
    for _ in range(10):
        Api().post(
            LOGIN, {"username": "lufei", "password": "wrong"}, headers={"X-Forwarded-For": "203.0.113.9"}
        )
    assert (
        Api()
        .post(LOGIN, {"username": "lufei", "password": RIGHT}, headers={"X-Forwarded-For": "203.0.113.9"})
        .status_code
        == 429
    )
    answered(
        Api().post(
            LOGIN, {"username": "lufei", "password": RIGHT}, headers={"X-Forwarded-For": "198.51.100.7"}
        )
    )


def test_logout_ends_this_token_only(buyer: Account) -> None:
    here, there = Api(buyer), Api(buyer)
    assert here.post(LOGOUT).status_code == 204
    assert refused(here.get(f"{V1}/cart/")) == (401, 1101, "not_authenticated")
    assert there.get(f"{V1}/cart/").status_code == 200


@pytest.mark.parametrize(
    "header", ["", "Token", "Token ", "Token x", "Token x y", "Bearer x", "Token é", "Token " + "0" * 5000]
)
def test_foreign_token(buyer: Account, header: str) -> None:
    client = Api()
    client.credentials(HTTP_AUTHORIZATION=header)
    with nothing_changes():
        answer = client.get(f"{V1}/cart/")
    assert refused(answer) == (401, 1101, "not_authenticated")
    assert answer["WWW-Authenticate"] == "Token"


def test_inactive_account(buyer: Account) -> None:
    client = Api(buyer)
    Account.objects.update(is_active=False)
    assert refused(client.get(f"{V1}/cart/")) == (401, 1101, "not_authenticated")
