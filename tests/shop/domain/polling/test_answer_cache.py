"""Answers to polls: cached in Valkey while nothing changes, and correct after any loss of Valkey."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
import redis
from django.db import connection
from django.test.utils import CaptureQueriesContext

from shop.api.polls import read_order
from shop.domain import callers
from shop.domain.callers import TokenDigest
from shop.domain.ordering import creation
from shop.domain.orders.closing import request_cancel
from shop.domain.polling import answer_cache
from shop.domain.polling.answer_cache import Answer, Read, answer_poll, forget_pollers, read_answer
from shop.errors import NotAuthenticated
from shop.models import Account, OrderRequest
from shop.valkey import answer_key, poller_key
from tests.factories import NOW, decide, make_buyer, make_course, make_order, make_request

pytestmark = pytest.mark.django_db(transaction=True)
DIGEST = TokenDigest("d" * 128)


@pytest.fixture
def buyer() -> Account:
    return make_buyer()


@pytest.fixture
def request_(buyer: Account) -> OrderRequest:
    return make_request(buyer, make_course())


@pytest.fixture
def no_removal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Disables the removal of cached answers."""
    monkeypatch.setattr(answer_cache, "_forget", lambda order_numbers: None)


@pytest.fixture
def valid(buyer: Account, monkeypatch: pytest.MonkeyPatch) -> list[TokenDigest]:
    """The tokens that log the buyer in."""
    tokens = [DIGEST]

    def find_login(digest: TokenDigest, *, now: datetime) -> tuple[int, datetime]:
        if digest not in tokens:
            raise NotAuthenticated
        return buyer.pk, now + timedelta(hours=1)

    monkeypatch.setattr(answer_cache, "find_login", find_login)
    monkeypatch.setattr(answer_cache, "find_caller", lambda digest, *, now: find_login(digest, now=now)[0])
    return tokens


def seen(request: OrderRequest, *, read: Read = read_order, now: datetime = NOW) -> tuple[str, int]:
    """The answer to the buyer."""
    answer = read_answer(account_id=request.account_id, order_number=request.order_number, read=read, now=now)
    assert answer is not None
    assert f'"status":"{answer.status}"' in answer.body
    return answer.status, answer.version


def poll(request: OrderRequest) -> tuple[str, int] | None:
    """The answer to the token's buyer."""
    answer = answer_poll(DIGEST, request.order_number, read=read_order, now=NOW)
    return None if answer is None else (answer.status, answer.version)


def statements(account: Account, order_number: str) -> int:
    """The number of SQL statements of one poll."""
    with CaptureQueriesContext(connection) as captured:
        assert (
            read_answer(account_id=account.pk, order_number=order_number, read=read_order, now=NOW)
            is not None
        )
    return len(captured)


def overtaken_by(deed: Callable[[], object]) -> Read:
    """A reader that is delayed after its statement while `deed` runs."""

    def read(account_id: int, order_number: str, now: datetime) -> Answer | None:
        found = read_order(account_id, order_number, now)
        deed()
        return found

    return read


def test_version_follows_the_request_and_then_the_order(buyer: Account, request_: OrderRequest) -> None:
    assert seen(request_) == ("pending", 0)
    decide(request_)
    assert seen(request_) == ("awaiting_payment", 1)
    request_cancel(account_id=buyer.pk, order_number=request_.order_number, now=NOW, cause="test")
    assert seen(request_) == ("awaiting_payment", 2)


def test_version_follows_a_refusal(buyer: Account) -> None:
    request = make_request(buyer, make_course("10.00"), alipay="9.00")
    assert seen(request) == ("pending", 0)
    decide(request)
    assert seen(request) == ("rejected", 0)


def test_version_follows_a_request_that_was_given_up(request_: OrderRequest) -> None:
    assert seen(request_) == ("pending", 0)
    OrderRequest.objects.update(attempts=OrderRequest.MAX_ATTEMPTS)
    creation.give_up_requests(now=NOW + timedelta(hours=1))
    assert seen(request_) == ("rejected", 0)


def test_unchanged_order_costs_no_statement(
    buyer: Account, request_: OrderRequest, valkey: redis.Redis
) -> None:
    assert [statements(buyer, request_.order_number) for _ in range(3)] == [1, 0, 0]
    assert 0 < valkey.ttl(answer_key(request_.order_number)) <= answer_cache.REMEMBERED_S


def test_order_that_has_just_changed_is_read_once(buyer: Account) -> None:
    order_number = make_order(buyer, make_course()).order_number
    assert [statements(buyer, order_number) for _ in range(2)] == [1, 0]


def test_reader_from_before_the_change_caches_nothing_after_it(
    request_: OrderRequest, valkey: redis.Redis
) -> None:
    """A reader queries the database before the commit and writes to Valkey after it, however long after."""
    assert seen(request_, read=overtaken_by(lambda: decide(request_))) == ("pending", 0)
    assert valkey.get(answer_key(request_.order_number)) is None
    assert seen(request_) == ("awaiting_payment", 1)


def test_reader_from_before_the_change_does_not_replace_newer_answers(
    request_: OrderRequest,
) -> None:
    def change_and_be_seen() -> None:
        decide(request_)
        assert seen(request_) == ("awaiting_payment", 1)

    assert seen(request_, read=overtaken_by(change_and_be_seen)) == ("pending", 0)
    assert seen(request_) == ("awaiting_payment", 1)


def test_reader_from_before_the_change_does_not_use_anothers_ticket(
    request_: OrderRequest, valkey: redis.Redis
) -> None:
    """Another reader has started after the change when the slow one continues; neither caches the other's
    result.
    """

    def change_and_begin_again() -> None:
        decide(request_)
        valkey.set(answer_key(request_.order_number), "ticket of another")

    assert seen(request_, read=overtaken_by(change_and_begin_again)) == ("pending", 0)
    assert valkey.get(answer_key(request_.order_number)) is None


@pytest.mark.usefixtures("no_removal")
def test_without_the_removal_the_reader_would_be_stale(request_: OrderRequest, valkey: redis.Redis) -> None:
    """The control of the tests above: a lost removal shows until the cached answer expires."""
    seen(request_)
    decide(request_)
    assert seen(request_) == ("pending", 0)
    assert 0 < valkey.ttl(answer_key(request_.order_number)) <= answer_cache.REMEMBERED_S


@pytest.mark.usefixtures("no_removal")
def test_older_state_is_not_cached_after_a_newer_one_was_served(request_: OrderRequest) -> None:
    """The change is committed but not yet removed from Valkey.

    One reader read before it, and caches its answer after another one has read behind it.
    """

    def change_and_be_seen() -> None:
        decide(request_)
        assert seen(request_) == ("awaiting_payment", 1)

    assert seen(request_, read=overtaken_by(change_and_be_seen)) == ("pending", 0)
    assert seen(request_) == ("awaiting_payment", 1)


@pytest.mark.usefixtures("no_removal")
def test_reader_of_a_newer_state_removes_older_cached_answers(
    request_: OrderRequest, valkey: redis.Redis
) -> None:
    """The reverse: the earlier reader caches its answer before the later one has answered."""
    seen(request_)
    old = valkey.getdel(answer_key(request_.order_number))
    assert isinstance(old, bytes)
    decide(request_)
    assert seen(request_, read=overtaken_by(lambda: valkey.set(answer_key(request_.order_number), old))) == (
        "awaiting_payment",
        1,
    )
    assert seen(request_) == ("awaiting_payment", 1)


def test_dead_reader_blocks_caching_only_briefly(
    buyer: Account, request_: OrderRequest, valkey: redis.Redis
) -> None:
    def die() -> None:
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        seen(request_, read=overtaken_by(die))
    assert 0 < valkey.pttl(answer_key(request_.order_number)) <= answer_cache.TICKET_MS
    # the first poll removes the ticket
    assert [statements(buyer, request_.order_number) for _ in range(3)] == [1, 1, 0]


def test_rolled_back_change_removes_nothing(
    buyer: Account, request_: OrderRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise RuntimeError("late")

    seen(request_)
    monkeypatch.setattr(creation, "_close_requests", fail)
    with pytest.raises(RuntimeError):
        decide(request_)
    assert statements(buyer, request_.order_number) == 0
    assert seen(request_) == ("pending", 0)


def test_emptied_valkey_is_no_loss(buyer: Account, request_: OrderRequest, valkey: redis.Redis) -> None:
    assert statements(buyer, request_.order_number) == 1
    valkey.flushdb()
    assert statements(buyer, request_.order_number) == 1


@pytest.mark.usefixtures("valkey_away")
def test_without_valkey_the_database_answers(buyer: Account, request_: OrderRequest) -> None:
    assert [statements(buyer, request_.order_number) for _ in range(2)] == [1, 1]
    decide(request_)
    assert seen(request_) == ("awaiting_payment", 1)


def test_others_see_nothing_whether_cached_or_not(buyer: Account, request_: OrderRequest) -> None:
    stranger = make_buyer()
    for _ in range(2):
        assert (
            read_answer(account_id=stranger.pk, order_number=request_.order_number, read=read_order, now=NOW)
            is None
        )
        assert seen(request_) == ("pending", 0)
    assert read_answer(account_id=buyer.pk, order_number="NONE", read=read_order, now=NOW) is None


def test_answer_is_not_cached_longer_than_it_is_true(buyer: Account) -> None:
    order = make_order(buyer, make_course())

    def has_link(now: datetime) -> bool:
        answer = read_answer(account_id=buyer.pk, order_number=order.order_number, read=read_order, now=now)
        assert answer is not None
        return "/pay/" in answer.body

    just_before = order.expires_at - timedelta(microseconds=1)
    assert [has_link(just_before), has_link(order.expires_at), has_link(order.expires_at)] == [
        True,
        False,
        False,
    ]
    assert statements(buyer, order.order_number) == 0  # the new answer is cached instead


def test_huge_answer_is_not_cached(
    buyer: Account, request_: OrderRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answer_cache, "LARGEST_BODY", 10)
    assert [statements(buyer, request_.order_number) for _ in range(2)] == [1, 1]


def test_poller_who_was_just_answered_costs_no_statement(
    request_: OrderRequest, valid: list[TokenDigest], django_assert_num_queries: Any
) -> None:
    assert poll(request_) == ("pending", 0)
    valid.clear()  # no statement
    with django_assert_num_queries(0):
        assert poll(request_) == ("pending", 0)


@pytest.mark.usefixtures("valid")
def test_token_is_cached_for_a_moment(buyer: Account, request_: OrderRequest, valkey: redis.Redis) -> None:
    poll(request_)
    assert valkey.get(poller_key(DIGEST)) == str(buyer.pk).encode()
    assert 0 < valkey.ttl(poller_key(DIGEST)) <= answer_cache.REMEMBERED_S


@pytest.mark.usefixtures("valid")
def test_another_buyers_order_is_not_answered(request_: OrderRequest) -> None:
    stranger = make_request(make_buyer(), make_course())
    for _ in range(2):
        assert poll(stranger) is None
        assert seen(stranger) == ("pending", 0)
        assert poll(request_) == ("pending", 0)


def test_ended_token_is_forgotten(request_: OrderRequest, valid: list[TokenDigest]) -> None:
    poll(request_)
    valid.clear()
    forget_pollers([DIGEST])
    with pytest.raises(NotAuthenticated):
        poll(request_)


def test_token_that_ends_during_its_lookup_is_not_cached(
    buyer: Account, request_: OrderRequest, valid: list[TokenDigest], monkeypatch: pytest.MonkeyPatch
) -> None:
    def find_and_be_overtaken(digest: TokenDigest, *, now: datetime) -> tuple[int, datetime]:
        monkeypatch.setattr(answer_cache, "find_login", callers.find_login)  # unknown token
        forget_pollers([digest])
        return buyer.pk, now + timedelta(hours=1)

    monkeypatch.setattr(answer_cache, "find_login", find_and_be_overtaken)
    assert poll(request_) == ("pending", 0)
    with pytest.raises(NotAuthenticated):
        poll(request_)


@pytest.mark.usefixtures("valkey_away")
def test_without_valkey_everything_is_looked_up(request_: OrderRequest, valid: list[TokenDigest]) -> None:
    assert poll(request_) == ("pending", 0)
    decide(request_)
    assert poll(request_) == ("awaiting_payment", 1)
    valid.clear()
    forget_pollers([DIGEST])
    with pytest.raises(NotAuthenticated):
        poll(request_)
