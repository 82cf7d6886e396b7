"""The limits on gateway calls: circuit breaker, places and rate of one process."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from payments.gateways.call_limits import OPENS_AFTER, REST_S, Breaker, CallLimits
from payments.gateways.pace import SLOWEST_PER_S, Pace
from payments.gateways.protocol import GatewayShut
from tests.manual_clock import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(100.0)


@pytest.fixture
def limits(clock: ManualClock) -> CallLimits:
    return CallLimits(breaker=Breaker(clock=clock))


def is_silent(limits: CallLimits) -> None:
    with pytest.raises(TimeoutError), limits.call(silences=(TimeoutError,)):
        raise TimeoutError


def answers(limits: CallLimits) -> None:
    with limits.call(silences=(TimeoutError,)):
        pass


def open_breaker(limits: CallLimits) -> None:
    for _ in range(OPENS_AFTER):
        is_silent(limits)


def test_breaker_opens_after_silences_in_a_row_and_lets_nothing_through(limits: CallLimits) -> None:
    for _ in range(OPENS_AFTER - 1):
        is_silent(limits)
    assert limits.free(32) == 32
    is_silent(limits)
    assert limits.free(32) == 0
    with pytest.raises(GatewayShut):
        answers(limits)


def test_an_answer_in_between_keeps_the_breaker_closed(limits: CallLimits) -> None:
    for _ in range(OPENS_AFTER * 3):
        is_silent(limits)
        answers(limits)
    assert limits.free(32) == 32


def test_a_broken_answer_is_an_answer(limits: CallLimits) -> None:
    for _ in range(OPENS_AFTER * 3):
        with pytest.raises(ValueError, match="half"), limits.call(silences=(TimeoutError,)):
            raise ValueError("half an answer")
    assert limits.free(32) == 32


def test_one_probe_at_a_time_and_its_answer_closes_the_breaker(
    limits: CallLimits, clock: ManualClock
) -> None:
    open_breaker(limits)
    clock.now += REST_S
    assert limits.free(32) == 1
    with limits.call(silences=(TimeoutError,)):
        assert limits.free(32) == 0
        with pytest.raises(GatewayShut):
            answers(limits)
    assert limits.free(32) == 32


def test_a_silent_probe_keeps_it_open_for_another_rest(limits: CallLimits, clock: ManualClock) -> None:
    open_breaker(limits)
    clock.now += REST_S
    is_silent(limits)
    assert limits.free(32) == 0
    clock.now += REST_S
    assert limits.free(32) == 1


def test_a_probe_that_never_comes_back_is_replaced(limits: CallLimits, clock: ManualClock) -> None:
    open_breaker(limits)
    clock.now += REST_S
    with limits.call(silences=(TimeoutError,)):
        clock.now += REST_S
        assert limits.free(32) == 1


@contextmanager
def taken(limits: CallLimits, count: int) -> Iterator[None]:
    with ExitStack() as stack:
        for _ in range(count):
            stack.enter_context(limits.call(silences=()))
        yield


def test_places_bound_the_calls_at_once() -> None:
    limits = CallLimits(places=2)
    with taken(limits, 2), pytest.raises(GatewayShut):
        answers(limits)
    answers(limits)


def test_refused_call_returns_its_place(clock: ManualClock) -> None:
    limits = CallLimits(places=1, breaker=Breaker(clock=clock))
    open_breaker(limits)
    with pytest.raises(GatewayShut):
        answers(limits)
    clock.now += REST_S
    answers(limits)


def test_calls_do_not_wait_for_each_other() -> None:
    """A lock around the call would serialise them."""
    limits, meeting = CallLimits(), threading.Barrier(8, timeout=5)

    def meet() -> None:
        with limits.call(silences=()):
            meeting.wait()

    threads = [threading.Thread(target=meet) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not meeting.broken


def test_rate_lets_a_burst_through_and_then_spaces_calls_out(clock: ManualClock) -> None:
    pace = Pace(5.0, clock=clock)
    waits = [pace.take(patience_s=5) for _ in range(12)]
    assert waits[:10] == [0.0] * 10
    assert waits[10:] == pytest.approx([0.2, 0.4])
    clock.now += 10
    assert pace.take(patience_s=5) == 0.0


def test_rate_bounds_the_calls_that_are_started() -> None:
    assert (CallLimits(rate=4.0).free(32), CallLimits(rate=0.1).free(32), CallLimits().free(32)) == (8, 1, 32)


def test_call_that_would_wait_too_long_for_the_rate_is_refused_and_takes_no_turn(clock: ManualClock) -> None:
    pace = Pace(0.5, clock=clock)
    assert [pace.take(patience_s=2.5) for _ in range(4)] == [0.0, 2.0, None, None]
    clock.now += 2
    assert pace.take(patience_s=2.5) == 2.0
    with pytest.raises(GatewayShut):
        answers(CallLimits(places=1, pace=pace))


def calls(pace: Pace, clock: ManualClock, *, per_s: int, seconds: int) -> None:
    for _ in range(per_s * seconds):
        clock.now += 1 / per_s
        pace.take(patience_s=60)


@pytest.mark.parametrize("bound", [None, 500.0])
def test_exceeding_the_rate_halves_it(clock: ManualClock, bound: float | None) -> None:
    pace = Pace(bound, clock=clock)
    calls(pace, clock, per_s=80, seconds=3)
    assert pace.rate == bound
    assert pace.slow_down() == pytest.approx(40, rel=0.05)
    assert pace.rate == pytest.approx(40, rel=0.05)
    # No burst afterwards, and no second cut for the answers to concurrent calls.
    assert pace.take(patience_s=5) == pytest.approx(1 / 40, rel=0.05)
    assert pace.slow_down() is None
    assert pace.rate == pytest.approx(40, rel=0.05)


def test_rate_grows_back_to_the_bound_and_without_one_is_forgotten(clock: ManualClock) -> None:
    bounded, free = Pace(60.0, clock=clock), Pace(clock=clock)
    for pace in (bounded, free):
        calls(pace, clock, per_s=50, seconds=3)
        pace.slow_down()
    clock.now += 20
    assert bounded.rate == pytest.approx(50, rel=0.1)
    clock.now += 20
    assert bounded.rate == 60.0
    assert free.rate is not None
    clock.now += 120
    assert free.rate is None


def test_rate_never_falls_to_nothing(clock: ManualClock) -> None:
    pace = Pace(clock=clock)
    for _ in range(20):
        pace.slow_down()
        clock.now += 1
    assert pace.rate == pytest.approx(SLOWEST_PER_S, rel=0.1)


def test_slowed_down_process_starts_fewer_calls(clock: ManualClock) -> None:
    pace = Pace(clock=clock)
    limits = CallLimits(pace=pace)
    calls(pace, clock, per_s=20, seconds=3)
    assert limits.free(64) == 64
    limits.limited()
    assert limits.free(64) == pytest.approx(20, abs=2)
