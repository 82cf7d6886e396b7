"""Since when the gateway has been silent, stored for all processes."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from payments.domain.upkeep.silence import NAME, find_silent_since, note_silence
from payments.gateways import ConfiguredGateways
from payments.gateways.call_limits import OPENS_AFTER, CallLimits
from shop.domain.measures import measurements
from tests.factories import NOW
from tests.payments.memorygateway import MemoryGateway

pytestmark = pytest.mark.django_db


def words_of(gateways: ConfiguredGateways, *, minutes: int) -> list[str]:
    """The first keyword of each statement that a note executes."""
    with CaptureQueriesContext(connection) as statements:
        note_silence(gateways=gateways, now=NOW + timedelta(minutes=minutes))
    return [statement["sql"].split()[0] for statement in statements]


def test_only_a_change_is_written() -> None:
    limits = CallLimits()
    gateways = ConfiguredGateways(MemoryGateway(lambda: NOW), limits=limits)
    assert words_of(gateways, minutes=0) == ["SELECT"]
    for _ in range(OPENS_AFTER):
        limits.breaker.stayed_silent()
    assert [words_of(gateways, minutes=minutes) for minutes in (1, 2)] == [["SELECT", "INSERT"], ["SELECT"]]
    limits.breaker.answered()
    assert [words_of(gateways, minutes=minutes) for minutes in (3, 4)] == [["SELECT", "DELETE"], ["SELECT"]]


def test_silence_noted_meanwhile_is_not_dropped_with_an_older_one() -> None:
    """One process has seen a silence that a second one ends and a third one starts again."""
    measurements.note_first(NAME, {}, now=NOW)
    seen = measurements.find(NAME)
    assert seen is not None
    measurements.drop(seen)
    assert find_silent_since() is None
    later = NOW + timedelta(minutes=1)
    measurements.note_first(NAME, {}, now=later)
    measurements.drop(seen)
    assert find_silent_since() == later


def test_the_first_moment_is_kept_until_an_answer_comes() -> None:
    limits = CallLimits()
    gateways = ConfiguredGateways(MemoryGateway(lambda: NOW), limits=limits)
    note_silence(gateways=gateways, now=NOW)
    assert find_silent_since() is None
    for _ in range(OPENS_AFTER):
        limits.breaker.stayed_silent()
    for minutes in range(3):
        note_silence(gateways=gateways, now=NOW + timedelta(minutes=minutes))
    assert find_silent_since() == NOW
    limits.breaker.answered()
    note_silence(gateways=gateways, now=NOW + timedelta(minutes=9))
    assert find_silent_since() is None
