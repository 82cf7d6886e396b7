"""Rate limits: shared counts, exact waiting times, a metric."""

import pytest
import redis
from pytest_django import Settings

from shop.domain import limits
from shop.domain.limits import Rate, Share, give_back, spend
from shop.errors import ServiceUnavailable, TooManyRequests
from shop.metrics import LIMITED

ONE, OTHER = Share(Rate.CLAIMS, "1"), Share(Rate.CHECKOUTS, "1")


@pytest.fixture(autouse=True)
def small(settings: Settings) -> None:
    settings.LIMITS = {**settings.LIMITS, "claims": (2, 60), "checkouts": (3, 600)}


def refused(*shares: Share) -> tuple[str, int]:
    with pytest.raises(TooManyRequests) as refusal:
        spend(*shares)
    assert refusal.value.retry_after_s == refusal.value.details["retry_after_s"]
    return refusal.value.details["limit"], refusal.value.details["retry_after_s"]


def test_count_and_wait() -> None:
    spend(ONE)
    spend(ONE)
    name, wait_s = refused(ONE)
    assert name == "claims"
    assert 58 <= wait_s <= 60


def test_window_starts_with_its_first_use_and_no_refusal_lengthens_it(valkey: redis.Redis) -> None:
    spend(ONE)
    valkey.pexpire(ONE.key, 2_400)
    spend(ONE)
    for _ in range(5):
        assert refused(ONE)[1] in {2, 3}


def test_subjects_do_not_share() -> None:
    for subject in ("1", "2"):
        spend(Share(Rate.CLAIMS, subject))
        spend(Share(Rate.CLAIMS, subject))


def test_used_up_share_spends_no_other(valkey: redis.Redis) -> None:
    spend(ONE, OTHER)
    spend(ONE, OTHER)
    assert refused(OTHER, ONE)[0] == "claims"
    assert (valkey.get(ONE.key), valkey.get(OTHER.key)) == (b"2", b"2")


def test_longest_wait_is_reported() -> None:
    for _ in range(2):
        spend(ONE, OTHER)
    spend(OTHER)
    assert refused(ONE, OTHER)[0] == "checkouts"


def test_returned_share_can_be_used_again(valkey: redis.Redis) -> None:
    spend(ONE)
    spend(ONE)
    give_back([ONE])
    spend(ONE)
    refused(ONE)
    valkey.delete(ONE.key)
    give_back([ONE])
    assert not valkey.exists(ONE.key)


def test_refusals_are_counted() -> None:
    before = LIMITED.labels("claims")._value.get()
    spend(ONE)
    spend(ONE)
    refused(ONE)
    assert LIMITED.labels("claims")._value.get() == before + 1


@pytest.mark.usefixtures("valkey_away")
def test_without_valkey_a_limit_allows_all_or_none() -> None:
    for _ in range(5):
        spend(ONE)
    give_back([ONE])
    with pytest.raises(ServiceUnavailable):
        spend(ONE, is_open_without_valkey=False)


def test_full_valkey_is_no_valkey(own_valkey: redis.Redis) -> None:
    own_valkey.config_set("maxmemory", 1)
    spend(ONE)
    with pytest.raises(ServiceUnavailable):
        spend(ONE, is_open_without_valkey=False)


def test_every_rate_has_its_numbers(settings: Settings) -> None:
    assert {rate.value for rate in Rate} == set(settings.LIMITS)
    assert all(limits._count_and_window_ms(rate) > (0, 0) for rate in Rate)
