"""`auth/register/`, `auth/password/`, `auth/profile/`, and the pages for a forgotten password."""

import re
from collections.abc import Callable
from typing import Any

import pytest
import redis
from django.conf import settings as django_settings
from django.core import mail
from django.test import Client
from knox.models import AuthToken
from pytest_django import Settings

from shop.models import Account
from tests.clients import Api, answered, refused
from tests.factories import make_buyer
from tests.outages import counted, database_away
from tests.shopping import V1
from tests.unchanged import nothing_changes

pytestmark = pytest.mark.django_db
GOOD, OTHER = "a long pass phrase", "another pass phrase"


@pytest.fixture(autouse=True)
def _open(settings: Settings) -> None:
    settings.REGISTRATION_OPEN = True
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    settings.PUBLIC_URL = "https://shop.test"


def register(**fields: Any) -> Any:
    return Api().post(f"{V1}/auth/register/", {"username": "wang", "password": GOOD, **fields})


def log_in(password: str, username: str = "wang") -> Any:
    return Api().post(f"{V1}/auth/login/", {"username": username, "password": password})


# --- Registration -------------------------------------------------------------------------------------------


def test_account_is_made_and_can_log_in() -> None:
    made = answered(register(email="wang@shop.test", phone="+8613800000000"), 201)
    assert made == {"username": "wang", "email": "wang@shop.test", "phone": "+8613800000000"}
    account = Account.objects.get(username="wang")
    assert (account.balance, account.is_staff, account.is_superuser, account.is_active) == (
        0,
        False,
        False,
        True,
    )
    assert answered(log_in(GOOD))["username"] == "wang"


def test_registration_can_be_closed(settings: Settings) -> None:
    settings.REGISTRATION_OPEN = False
    with nothing_changes():
        assert refused(register()) == (403, 1183, "registration_closed")


@pytest.mark.parametrize("name", ["wang", "Wang", "WANG"])
def test_name_is_taken_in_whatever_form(name: str) -> None:
    answered(register(), 201)
    known = list(Account.objects.values())
    assert refused(register(username=name)) == (409, 1184, "username_taken")
    assert list(Account.objects.values()) == known


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"username": "a b"}, "username"),
        ({"username": ""}, "username"),
        ({"username": "x" * 51}, "username"),
        ({"username": "wаng"}, "username"),
        ({"username": "wang\n"}, "username"),
        ({"email": "nobody"}, "email"),
        ({"phone": "call me"}, "phone"),
        ({"phone": "123"}, "phone"),
        ({"is_staff": True}, "is_staff"),
        ({"balance": 100}, "balance"),
    ],
)
def test_invalid_field_is_named(fields: dict[str, Any], field: str) -> None:
    response = register(**fields)
    assert refused(response) == (400, 1003, "invalid_input")
    assert list(response.json()["details"]["fields"]) == [field]
    assert not Account.objects.exists()


@pytest.mark.parametrize("password", ["short", "1234567890123", "password1234", "wang"])
def test_easy_password_makes_no_account(password: str) -> None:
    response = register(password=password)
    assert refused(response) == (409, 1185, "password_too_easy")
    assert list(response.json()["details"]["fields"]) == ["password"]
    assert not Account.objects.exists()


def test_robot_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(django_settings.LIMITS, "registrations_of_address", (2, 3600))
    for name in ("one", "two"):
        answered(register(username=name), 201)
    assert refused(register(username="three")) == (429, 1107, "too_many_requests")
    assert Account.objects.count() == 2


# --- Password and contact -----------------------------------------------------------------------------------


@pytest.fixture
def buyer() -> Account:
    account = make_buyer()
    account.set_password(GOOD)
    account.email = "buyer@shop.test"
    account.save()
    return account


def change(api: Api, old: str, new: str) -> Any:
    return api.post(f"{V1}/auth/password/", {"old_password": old, "password": new})


@pytest.mark.django_db(transaction=True)
def test_new_password_ends_all_logins_but_a_new_one(buyer: Account) -> None:
    mine, elsewhere = Api(buyer), Api(buyer)
    answered(elsewhere.get(f"{V1}/balance/"))
    login = answered(change(mine, GOOD, OTHER))
    for ended in (mine, elsewhere):
        assert refused(ended.get(f"{V1}/balance/")) == (401, 1101, "not_authenticated")
    fresh = Api()
    fresh.credentials(HTTP_AUTHORIZATION=f"Token {login['token']}")
    answered(fresh.get(f"{V1}/balance/"))
    assert refused(log_in(GOOD, buyer.username))[0] == 401
    answered(log_in(OTHER, buyer.username))


def test_wrong_old_password_changes_nothing(buyer: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    api = Api(buyer)
    before = list(Account.objects.values()), AuthToken.objects.count()
    assert refused(change(api, OTHER, OTHER)) == (401, 1108, "login_failed")
    assert (list(Account.objects.values()), AuthToken.objects.count()) == before
    monkeypatch.setitem(django_settings.LIMITS, "password_changes", (1, 3600))
    assert refused(change(api, GOOD, OTHER)) == (429, 1107, "too_many_requests")


def test_easy_password_is_refused(buyer: Account) -> None:
    response = change(Api(buyer), GOOD, "12345678901")
    assert refused(response) == (409, 1185, "password_too_easy")
    assert list(response.json()["details"]["fields"]) == ["password"]
    answered(log_in(GOOD, buyer.username))


def test_contact_is_changed_by_its_owner_only(buyer: Account) -> None:
    api, stranger = Api(buyer), make_buyer()
    assert (
        answered(api.put(f"{V1}/auth/profile/", {"email": "new@shop.test", "phone": "13800000000"}))["email"]
        == "new@shop.test"
    )
    assert answered(api.get(f"{V1}/auth/profile/")) == {
        "username": buyer.username,
        "email": "new@shop.test",
        "phone": "13800000000",
    }
    assert answered(Api(stranger).get(f"{V1}/auth/profile/"))["email"] == stranger.email
    with nothing_changes():
        assert refused(api.put(f"{V1}/auth/profile/", {"email": "nobody"}))[0] == 400
        assert refused(Api().put(f"{V1}/auth/profile/", {"email": "x@shop.test"}))[0] == 401


# --- A forgotten password -----------------------------------------------------------------------------------


def ask(client: Client, email: str, **headers: str) -> Any:
    return client.post("/password/reset/", {"email": email}, headers=headers)


def link_in(body: str) -> str:
    found = re.search(r"https://shop\.test(/password/reset/\S+)", body)
    assert found is not None, body
    return found[1]


@pytest.mark.django_db(transaction=True)
def test_password_reset_ends_all_logins(client: Client, buyer: Account) -> None:
    api = Api(buyer)
    # The link has the shop's own address, whatever Host header the request has.
    assert ask(client, "BUYER@shop.test", Host="127.0.0.1")["Location"] == "/password/reset/done/"
    [message] = mail.outbox
    form = client.get(link_in(str(message.body)), follow=True)
    assert "设置新密码" in form.content.decode()
    done = client.post(form.request["PATH_INFO"], {"new_password1": OTHER, "new_password2": OTHER})
    assert done["Location"] == "/password/reset/complete/"
    assert refused(api.get(f"{V1}/balance/"))[0] == 401
    answered(log_in(OTHER, buyer.username))
    assert "链接已失效" in client.get(link_in(str(message.body)), follow=True).content.decode()


def test_reset_does_not_reveal_whether_a_mailbox_is_known(client: Client, buyer: Account) -> None:
    known, unknown = ask(client, "buyer@shop.test"), ask(client, "nobody@shop.test")
    assert (known.status_code, known["Location"]) == (unknown.status_code, unknown["Location"])
    assert len(mail.outbox) == 1


def test_staff_do_not_reset_by_mail(client: Client, buyer: Account) -> None:
    Account.objects.update(is_staff=True)
    ask(client, "buyer@shop.test")
    assert mail.outbox == []


def test_mailbox_is_not_flooded(client: Client, buyer: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(django_settings.LIMITS, "resets_of_mailbox", (1, 3600))
    ask(client, "buyer@shop.test")
    assert ask(client, "Buyer@shop.test").status_code == 429
    assert len(mail.outbox) == 1


# --- Limits during an outage --------------------------------------------------------------------------------


@pytest.mark.parametrize("deed", ["register", "change", "reset"])
def test_attempt_that_the_database_broke_off_is_not_counted(
    buyer: Account, client: Client, valkey: redis.Redis, deed: str
) -> None:
    deeds: dict[str, tuple[Callable[[], Any], str, str]] = {
        "register": (register, "shop_account", "registrations_of_address"),
        "change": (lambda: change(Api(buyer), GOOD, OTHER), 'UPDATE "shop_account"', "password_changes"),
        "reset": (lambda: ask(client, "buyer@shop.test"), '"shop_account"', "resets_of_mailbox"),
    }
    attempt, broken, limit = deeds[deed]
    with database_away(for_statements=broken):
        assert attempt().status_code == 503
    assert limit not in counted(valkey)
    assert attempt().status_code < 400
    assert counted(valkey)[limit] == 1
