"""What a poller compares: remembered in Valkey while nothing changes, true after any loss of Valkey."""

from datetime import timedelta
from typing import Any

import pytest
import redis
from django.db import connection
from django.test.utils import CaptureQueriesContext

from shop import valkey as shop_valkey
from shop.domain import creation, versions
from shop.domain.closing import request_cancel
from shop.domain.login import TokenDigest
from shop.domain.versions import read_version
from shop.models import Account, OrderRequest
from shop.valkey import version_key
from tests.factories import NOW, decide, make_buyer, make_course, make_order, make_request

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def buyer() -> Account:
    return make_buyer()


def statements(account: Account, order_number: str) -> int:
    """How many SQL statements one look costs."""
    with CaptureQueriesContext(connection) as captured:
        assert read_version(account_id=account.pk, order_number=order_number) is not None
    return len(captured)


def test_version_follows_the_request_and_then_the_order(buyer: Account) -> None:
    request = make_request(buyer, make_course())
    assert read_version(account_id=buyer.pk, order_number=request.order_number) == ("pending", 0)
    decide(request)
    assert read_version(account_id=buyer.pk, order_number=request.order_number) == ("awaiting_payment", 1)
    request_cancel(account_id=buyer.pk, order_number=request.order_number, now=NOW, cause="test")
    assert read_version(account_id=buyer.pk, order_number=request.order_number) == ("awaiting_payment", 2)


def test_version_follows_a_refusal(buyer: Account) -> None:
    request = make_request(buyer, make_course("10.00"), alipay="9.00")
    assert read_version(account_id=buyer.pk, order_number=request.order_number) == ("pending", 0)
    decide(request)
    assert read_version(account_id=buyer.pk, order_number=request.order_number) == ("rejected", 0)


def test_version_follows_a_request_that_was_given_up(buyer: Account) -> None:
    request = make_request(buyer, make_course())
    assert read_version(account_id=buyer.pk, order_number=request.order_number) == ("pending", 0)
    OrderRequest.objects.update(attempts=OrderRequest.MAX_ATTEMPTS)
    creation.give_up_requests(now=NOW + timedelta(hours=1))
    assert read_version(account_id=buyer.pk, order_number=request.order_number) == ("rejected", 0)


def test_unchanged_order_costs_no_statement(buyer: Account) -> None:
    order_number = make_request(buyer, make_course()).order_number
    assert [statements(buyer, order_number) for _ in range(3)] == [1, 0, 0]


def test_order_that_has_just_changed_is_read_from_the_database_and_not_remembered(buyer: Account, valkey: redis.Redis) -> None:
    order_number = make_order(buyer, make_course()).order_number
    assert [statements(buyer, order_number) for _ in range(2)] == [1, 1]
    assert 0 < valkey.pttl(version_key(order_number)) <= versions.MARK_MS


def test_who_read_before_the_change_remembers_nothing_after_it(buyer: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reader's look at the database comes before the commit, its writing to Valkey after it."""
    request = make_request(buyer, make_course())
    read = versions._read

    def read_and_be_overtaken(account_id: int, order_number: str) -> tuple[str, int] | None:
        found = read(account_id, order_number)
        monkeypatch.setattr(versions, "_read", read)
        decide(request)
        return found

    monkeypatch.setattr(versions, "_read", read_and_be_overtaken)
    assert read_version(account_id=buyer.pk, order_number=request.order_number) == ("pending", 0)
    assert read_version(account_id=buyer.pk, order_number=request.order_number) == ("awaiting_payment", 1)


def test_without_the_mark_the_reader_would_be_stale(buyer: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control of the tests above: a lost mark shows, until what is remembered runs out."""
    request = make_request(buyer, make_course())
    read_version(account_id=buyer.pk, order_number=request.order_number)
    monkeypatch.setattr(versions, "_mark", lambda order_numbers: None)
    decide(request)
    assert read_version(account_id=buyer.pk, order_number=request.order_number) == ("pending", 0)
    assert 0 < shop_valkey.client().ttl(version_key(request.order_number)) <= versions.REMEMBERED_S


def test_rolled_back_change_marks_nothing(buyer: Account, valkey: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    request = make_request(buyer, make_course())

    def fail(*args: object, **kwargs: object) -> None:
        raise RuntimeError("late")

    monkeypatch.setattr(creation, "_close_requests", fail)
    with pytest.raises(RuntimeError):
        decide(request)
    assert valkey.get(version_key(request.order_number)) is None


def test_emptied_valkey_is_no_loss(buyer: Account, valkey: redis.Redis) -> None:
    order_number = make_request(buyer, make_course()).order_number
    assert statements(buyer, order_number) == 1
    valkey.flushdb()
    assert statements(buyer, order_number) == 1


@pytest.mark.usefixtures("valkey_away")
def test_without_valkey_the_database_answers(buyer: Account) -> None:
    request = make_request(buyer, make_course())
    assert [statements(buyer, request.order_number) for _ in range(2)] == [1, 1]
    decide(request)
    assert read_version(account_id=buyer.pk, order_number=request.order_number) == ("awaiting_payment", 1)


def test_others_see_nothing_whether_remembered_or_not(buyer: Account) -> None:
    order_number, stranger = make_request(buyer, make_course()).order_number, make_buyer()
    for _ in range(2):
        assert read_version(account_id=stranger.pk, order_number=order_number) is None
        assert read_version(account_id=buyer.pk, order_number=order_number) == ("pending", 0)
    assert read_version(account_id=buyer.pk, order_number="NONE") is None


def test_poller_who_is_known_and_up_to_date_costs_no_statement(buyer: Account, django_assert_num_queries: Any) -> None:
    order_number = make_request(buyer, make_course()).order_number
    digest = TokenDigest("d" * 128)
    assert not versions.is_known_unchanged(digest, order_number, ("pending", 0))
    versions.remember_poller(digest, buyer.pk)
    assert not versions.is_known_unchanged(digest, order_number, ("pending", 0))
    read_version(account_id=buyer.pk, order_number=order_number)
    with django_assert_num_queries(0):
        assert versions.is_known_unchanged(digest, order_number, ("pending", 0))
        assert not versions.is_known_unchanged(digest, order_number, ("pending", 1))
        assert not versions.is_known_unchanged(TokenDigest("e" * 128), order_number, ("pending", 0))
    versions.forget_poller(digest)
    assert not versions.is_known_unchanged(digest, order_number, ("pending", 0))


def test_poller_of_somebody_elses_order_is_told_nothing(buyer: Account) -> None:
    order_number, stranger = make_request(buyer, make_course()).order_number, make_buyer()
    read_version(account_id=buyer.pk, order_number=order_number)
    versions.remember_poller(TokenDigest("d"), stranger.pk)
    assert not versions.is_known_unchanged(TokenDigest("d"), order_number, ("pending", 0))


@pytest.mark.usefixtures("valkey_away")
def test_without_valkey_no_poller_is_known(buyer: Account) -> None:
    versions.remember_poller(TokenDigest("d"), buyer.pk)
    assert not versions.is_known_unchanged(TokenDigest("d"), "N", ("pending", 0))
    versions.forget_poller(TokenDigest("d"))
