"""Since when the gateway has been silent, kept where everybody can read it."""

from datetime import timedelta

import pytest

from payments.domain.upkeep.silence import find_silent_since, note_silence
from payments.gateways import ConfiguredGateways
from payments.gateways.line import OPENS_AFTER, Line
from tests.factories import NOW
from tests.payments.memorygateway import MemoryGateway

pytestmark = pytest.mark.django_db


def test_the_first_moment_is_kept_until_an_answer_comes() -> None:
    line = Line()
    gateways = ConfiguredGateways(MemoryGateway(lambda: NOW), line=line)
    note_silence(gateways=gateways, now=NOW)
    assert find_silent_since() is None
    for _ in range(OPENS_AFTER):
        line.breaker.stayed_silent()
    for minutes in range(3):
        note_silence(gateways=gateways, now=NOW + timedelta(minutes=minutes))
    assert find_silent_since() == NOW
    line.breaker.answered()
    note_silence(gateways=gateways, now=NOW + timedelta(minutes=9))
    assert find_silent_since() is None
