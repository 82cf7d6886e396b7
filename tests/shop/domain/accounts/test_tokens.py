"""Tokens: how many, how long, and every way in which they end."""

import io
import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.auth import authenticate
from django.contrib.sessions.backends.db import SessionStore
from django.core.management import call_command
from django.db import connection
from django.test import Client
from knox.models import AuthToken
from pytest_django import Settings

from shop import clock
from shop.api.polls import read_order
from shop.domain.accounts import tokens
from shop.domain.accounts.tokens import issue_token, purge_tokens
from shop.domain.callers import digest_of, find_caller
from shop.domain.polling.answer_cache import answer_poll
from shop.errors import LoginFailed, NotAuthenticated
from shop.models import Account, OrderRequest
from tests.factories import make_buyer, make_course, make_request
from tests.shopping import V1

pytestmark = pytest.mark.django_db(transaction=True)
OLD, NEW = "correct horse battery", "another long pass phrase"


@pytest.fixture
def buyer() -> Account:
    return make_buyer(username="lufei", password=OLD)


@pytest.fixture
def order(buyer: Account) -> OrderRequest:
    return make_request(buyer, make_course())


def is_alive(token: str) -> bool:
    try:
        find_caller(digest_of(token.encode()), now=clock.now())
    except NotAuthenticated:
        return False
    return True


def can_poll(token: str, order: OrderRequest) -> bool:
    try:
        return (
            answer_poll(digest_of(token.encode()), order.order_number, read=read_order, now=clock.now())
            is not None
        )
    except NotAuthenticated:
        return False


def issue(account: Account) -> str:
    return issue_token(account=account, now=clock.now())[1]


def change_by_form(account: Account) -> None:
    account.set_password(NEW)
    account.save()


def change_by_command(account: Account) -> None:
    from unittest.mock import patch

    with patch("getpass.getpass", return_value=NEW):
        call_command("changepassword", account.username, stdout=io.StringIO())


def disable_by_statement(account: Account) -> None:
    tokens.disable_accounts([account.pk])


ENDS: dict[str, Callable[[Account], object]] = {
    "password set": change_by_form,
    "password by command": change_by_command,
    "disabled": disable_by_statement,
    "all ended": lambda account: tokens.end_logins([account.pk]),
}


@pytest.mark.parametrize("way", ENDS)
def test_every_way_ends_every_token_at_once_even_for_a_poller(
    buyer: Account, order: OrderRequest, way: str
) -> None:
    other = make_buyer()
    held, foreign = [issue(buyer), issue(buyer)], issue(other)
    assert all(can_poll(token, order) for token in held)
    ENDS[way](buyer)
    assert [can_poll(token, order) for token in held] == [False, False]
    assert [is_alive(token) for token in held] == [False, False]
    assert is_alive(foreign)


@pytest.mark.parametrize("how", ["domain", "statement", "save"])
def test_enabling_revives_neither_tokens_nor_sessions(buyer: Account, how: str) -> None:
    token = issue(buyer)
    browser = Client()
    browser.force_login(buyer)
    if how == "domain":
        assert tokens.disable_accounts([buyer.pk]) == 1
    elif how == "statement":
        Account.objects.update(is_active=False)
    else:
        buyer.is_active = False
        buyer.save()
    Account.objects.update(is_active=True)
    assert not is_alive(token)
    session = SessionStore(browser.cookies["sessionid"].value)
    assert session["_auth_user_hash"] != Account.objects.get().get_session_auth_hash()


def test_without_the_trigger_a_token_comes_back(buyer: Account) -> None:
    """The control."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE shop_account DISABLE TRIGGER disabling_ends_logins")
    try:
        token = issue(buyer)
        Account.objects.update(is_active=False)
        Account.objects.update(is_active=True)
        assert is_alive(token)
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE shop_account ENABLE TRIGGER disabling_ends_logins")


def test_better_hash_of_the_same_password_ends_nothing(buyer: Account, settings: Settings) -> None:
    settings.PASSWORD_HASHERS = [
        "django.contrib.auth.hashers.PBKDF2PasswordHasher",
        *settings.PASSWORD_HASHERS,
    ]
    token = issue(buyer)
    assert authenticate(username="lufei", password=OLD) == buyer
    assert Account.objects.get().password.startswith("pbkdf2")
    assert is_alive(token)


@pytest.mark.race
def test_token_that_ends_while_its_poll_is_held_reads_nothing(buyer: Account, order: OrderRequest) -> None:
    token = issue(buyer)
    url, headers = f"{V1}/orders/{order.order_number}/", {"Authorization": f"Token {token}"}
    etag = Client().get(url, headers=headers)["ETag"]

    def end() -> None:
        threading.Event().wait(0.3)
        tokens.end_logins([buyer.pk])
        connection.close()

    thread = threading.Thread(target=end)
    thread.start()
    answer = Client().get(f"{url}?wait=1", headers={**headers, "If-None-Match": etag})
    thread.join()
    assert answer.status_code == 401


def test_oldest_ends_when_there_are_too_many(buyer: Account, order: OrderRequest, settings: Settings) -> None:
    settings.MAX_TOKENS = 3
    held = []
    for _ in range(5):
        held.append(issue(buyer))
        assert can_poll(held[-1], order)
    assert [can_poll(token, order) for token in held] == [False, False, True, True, True]


@pytest.mark.race
def test_cap_holds_when_many_log_in_at_once(buyer: Account, settings: Settings) -> None:
    settings.MAX_TOKENS = 3
    barrier = threading.Barrier(8)

    def log_in() -> None:
        barrier.wait()
        issue(buyer)
        connection.close()

    threads = [threading.Thread(target=log_in) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert AuthToken.objects.count() == 3


@pytest.mark.parametrize("change", [change_by_form, disable_by_statement])
def test_password_that_was_just_right_gives_no_token_any_more(
    buyer: Account, change: Callable[[Account], None]
) -> None:
    shown = Account.objects.get()
    change(buyer)
    with pytest.raises(LoginFailed):
        issue(shown)
    assert not AuthToken.objects.exists()


def test_token_lives_by_the_shops_clock(buyer: Account, settings: Settings) -> None:
    settings.CLOCK_OFFSET_S = 30 * 24 * 3600
    assert is_alive(issue(buyer))


def test_expired_token_polls_no_longer(buyer: Account, order: OrderRequest) -> None:
    _, token = AuthToken.objects.create(user=buyer, expiry=timedelta(seconds=0.4))
    assert can_poll(token, order)
    threading.Event().wait(0.5)
    assert not can_poll(token, order)


def test_expired_tokens_are_purged_and_others_stay(buyer: Account) -> None:
    ended, _ = AuthToken.objects.create(user=buyer, expiry=timedelta(hours=-1))
    alive, _ = AuthToken.objects.create(user=buyer, expiry=timedelta(hours=1))
    assert purge_tokens(now=clock.now()) == 1
    assert list(AuthToken.objects.values_list("digest", flat=True)) == [alive.digest] != [ended.digest]


def test_buyer_ends_all(buyer: Account) -> None:
    held = [issue(buyer), issue(buyer)]
    answer = Client().post(f"{V1}/auth/logout/everywhere/", headers={"Authorization": f"Token {held[0]}"})
    assert answer.status_code == 204
    assert [is_alive(token) for token in held] == [False, False]
