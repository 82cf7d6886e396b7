"""Valkey goes away and comes back with old data: nobody sees an older state after a newer one."""

import secrets
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from pytest_django import Settings

from project.local.valkey import ValkeyServer
from shop import valkey
from shop.api.polls import read_order
from shop.domain.accounts import tokens
from shop.domain.callers import digest_of
from shop.domain.ordering import creation
from shop.domain.polling import answer_cache
from shop.domain.polling.answer_cache import answer_poll
from shop.errors import NotAuthenticated
from shop.models import Account, OrderRequest
from tests.factories import decide, make_buyer, make_course, make_request

pytestmark = pytest.mark.django_db(transaction=True)
NOW = datetime(2026, 3, 2, 4, 0).astimezone()


@pytest.fixture
def server(tmp_path: Path, settings: Settings) -> Iterator[ValkeyServer]:
    """A server that persists each change before it answers, so it comes back with all data."""
    server = ValkeyServer(tmp_path / "valkey", secrets.token_hex(8), durable=True)
    server.start()
    settings.REDIS_URL = server.url()
    valkey.client.cache_clear()
    valkey.client().config_set("appendfsync", "always")
    yield server
    valkey.client().close()
    valkey.client.cache_clear()
    server.stop()


@pytest.fixture
def buyer() -> Account:
    return make_buyer()


@pytest.fixture
def token(buyer: Account) -> str:
    return tokens.issue_token(account=buyer, now=NOW)[1]


@pytest.fixture
def request_(buyer: Account) -> OrderRequest:
    return make_request(buyer, make_course(), now=NOW)


def told(token: str, request: OrderRequest) -> str | None:
    answer = answer_poll(digest_of(token.encode()), request.order_number, read=read_order, now=NOW)
    return None if answer is None else answer.status


def go_away(server: ValkeyServer) -> None:
    server.child.kill()


def come_back(server: ValkeyServer) -> None:
    server.start()


def test_state_that_was_served_while_valkey_was_away_is_not_reverted(
    server: ValkeyServer, token: str, request_: OrderRequest
) -> None:
    assert told(token, request_) == "pending"
    go_away(server)
    decide(request_, now=NOW)
    assert told(token, request_) == "awaiting_payment"
    come_back(server)
    assert (
        valkey.client()
        .get(valkey.answer_key(request_.order_number))
        .startswith(f"{request_.account_id}:pending:")
    )
    assert [told(token, request_) for _ in range(3)] == ["awaiting_payment"] * 3


def test_process_that_asked_nothing_meanwhile_notices_too(
    server: ValkeyServer, token: str, request_: OrderRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other processes have created the order and shown it; this one only notices a dead connection."""
    monkeypatch.setattr(answer_cache, "_forget", lambda order_numbers: None)
    monkeypatch.setattr(creation, "_empty_carts", lambda plans: None)
    assert told(token, request_) == "pending"
    go_away(server)
    decide(request_, now=NOW)
    come_back(server)
    assert told(token, request_) == "awaiting_payment"


def test_new_process_does_not_trust_the_cache(
    server: ValkeyServer, token: str, request_: OrderRequest
) -> None:
    assert told(token, request_) == "pending"
    go_away(server)
    decide(request_, now=NOW)
    come_back(server)
    valkey.client.cache_clear()
    valkey._outage_at = time.monotonic()  # the state when the module is loaded
    assert told(token, request_) == "awaiting_payment"


def test_reader_from_before_the_loss_caches_nothing_after_it(
    server: ValkeyServer, token: str, request_: OrderRequest
) -> None:
    """Its ticket has survived with the server, but what it read is outdated."""

    def read_and_be_overtaken(
        account_id: int, order_number: str, now: datetime
    ) -> answer_cache.Answer | None:
        answer = read_order(account_id, order_number, now)
        go_away(server)
        decide(request_, now=NOW)
        come_back(server)
        return answer

    answer = answer_poll(
        digest_of(token.encode()), request_.order_number, read=read_and_be_overtaken, now=NOW
    )
    assert answer is not None
    assert answer.status == "pending"
    assert valkey.client().get(valkey.answer_key(request_.order_number)) is None
    assert told(token, request_) == "awaiting_payment"


def test_ended_token_does_not_come_back(server: ValkeyServer, token: str, request_: OrderRequest) -> None:
    assert told(token, request_) == "pending"
    go_away(server)
    tokens.end_token(digest_of(token.encode()))
    come_back(server)
    with pytest.raises(NotAuthenticated):
        told(token, request_)


def test_control_old_data_would_be_believed(
    server: ValkeyServer, token: str, request_: OrderRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answer_cache, "_is_believed", lambda: True)
    assert told(token, request_) == "pending"
    go_away(server)
    decide(request_, now=NOW)
    assert told(token, request_) == "awaiting_payment"
    come_back(server)
    assert told(token, request_) == "pending"


def test_answers_are_cached_again_after_a_while(
    server: ValkeyServer, token: str, request_: OrderRequest
) -> None:
    told(token, request_)
    go_away(server)
    assert told(token, request_) == "pending"
    come_back(server)
    assert told(token, request_) == "pending"
    key = valkey.answer_key(request_.order_number)
    assert valkey.client().get(key) is None
    valkey._outage_at -= (
        answer_cache.REMEMBERED_S + timedelta(milliseconds=answer_cache.TICKET_MS).total_seconds()
    )
    assert told(token, request_) == "pending"
    assert valkey.client().get(key) is not None


def start_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """The state when the module is loaded: no connection, and no trust in the cache."""
    valkey.client.cache_clear()
    monkeypatch.setattr(valkey, "_outage_at", time.monotonic())
    answer_cache.believe_an_empty_store()


def test_process_that_starts_with_an_empty_store_caches_at_once(
    server: ValkeyServer, token: str, request_: OrderRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    valkey.client().set("cart:1", "of yesterday")
    start_a_process(monkeypatch)
    assert told(token, request_) == "pending"
    assert valkey.client().get(valkey.answer_key(request_.order_number)) is not None
    decide(request_, now=NOW)
    assert told(token, request_) == "awaiting_payment"


def test_process_that_starts_after_a_loss_does_not_trust_the_cache(
    server: ValkeyServer, token: str, request_: OrderRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert told(token, request_) == "pending"
    go_away(server)
    decide(request_, now=NOW)
    come_back(server)
    start_a_process(monkeypatch)
    assert told(token, request_) == "awaiting_payment"


@pytest.mark.parametrize("key", [valkey.answer_key("1"), valkey.poller_key("1")])
def test_a_ticket_or_a_token_is_enough_for_doubt(
    server: ValkeyServer, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    """Another process may have read before this one started, and may cache it afterwards."""
    valkey.client().set(key, "anything")
    start_a_process(monkeypatch)
    assert not valkey.has_been_up(0.5)
    valkey.client().delete(key)
    start_a_process(monkeypatch)
    assert valkey.has_been_up(0.5)


def test_too_many_keys_to_look_through_are_doubted(
    server: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answer_cache, "FEW_KEYS", 1)
    valkey.client().mset({"cart:1": "1", "cart:2": "2"})
    start_a_process(monkeypatch)
    assert not valkey.has_been_up(0.5)


def test_store_that_goes_away_while_it_is_looked_through_is_doubted(
    server: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = answer_cache._remembers_nothing

    def look_and_lose() -> bool:
        is_empty = look()
        go_away(server)
        come_back(server)
        valkey.client().ping()
        return is_empty

    monkeypatch.setattr(answer_cache, "_remembers_nothing", look_and_lose)
    start_a_process(monkeypatch)
    assert not valkey.has_been_up(0.5)
    go_away(server)
    monkeypatch.setattr(answer_cache, "_remembers_nothing", look)
    start_a_process(monkeypatch)
    assert not valkey.has_been_up(0.5)
