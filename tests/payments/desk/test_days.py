"""The dashboard's figures of days: right, cached, and counted within a page's time."""

from datetime import datetime, timedelta
from itertools import count

import pytest
import redis
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from payments.desk.days import DayFigures, read_days
from shop import valkey
from shop.models import Account
from tests.factories import NOW, make_buyer, make_course, make_order, make_request
from tests.payments.memorygateway import MemoryGateway
from tests.payments.order_scenario import approve, ask_refund, pay, send

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_valkey")]
HOUR = timedelta(hours=1)
CLOCK = "payments.desk.days.monotonic_ns"


@pytest.fixture(autouse=True)
def no_time_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """However busy the machine is, counting takes no time."""
    monkeypatch.setattr(CLOCK, lambda: 0)


@pytest.fixture
def gateway() -> MemoryGateway:
    return MemoryGateway(lambda: NOW)


def sell(
    gateway: MemoryGateway, *, now: datetime = NOW, is_paid: bool = True, is_refunded: bool = False
) -> None:
    gateway.now = lambda: now
    order = make_order(make_buyer(), make_course("30.00"), now=now)
    if is_paid:
        pay(order, gateway, now=now)
    if is_refunded:
        approve(ask_refund(order, now=now), now=now)
        send(gateway, now=now)


def test_a_day_is_the_sum_of_its_hours(gateway: MemoryGateway) -> None:
    yesterday = NOW - timedelta(days=1)
    sell(gateway, now=yesterday, is_refunded=True)
    sell(gateway, now=NOW - HOUR)
    sell(gateway, now=NOW - HOUR)
    sell(gateway, is_paid=False)
    make_request(make_buyer(), make_course("30.00"), now=NOW)
    counted = read_days(now=NOW, days=3)
    earlier, before, today = counted.figures
    assert earlier == DayFigures(
        day=word(NOW - timedelta(days=2)), orders={}, requests=0, cash_fen=0, refunded_fen=0
    )
    assert before == DayFigures(
        day=word(yesterday), orders={"refunded": 1}, requests=1, cash_fen=3000, refunded_fen=3000
    )
    assert today == DayFigures(
        day=word(NOW), orders={"paid": 2, "awaiting_payment": 1}, requests=4, cash_fen=6000, refunded_fen=0
    )
    assert read_days(now=NOW, days=3) == counted


def word(at: datetime) -> str:
    return f"{at:%Y%m%d}"


def test_a_small_shop_counts_a_month_in_a_few_statements_and_then_in_none(gateway: MemoryGateway) -> None:
    sell(gateway)
    with CaptureQueriesContext(connection) as captured:
        assert read_days(now=NOW).is_complete
    assert len(captured) == 6  # 1, 4, 16, 64, 256 and all other hours
    with CaptureQueriesContext(connection) as captured:
        assert read_days(now=NOW).is_complete
    assert len(captured) == 0


def test_a_large_shop_counts_until_its_time_is_up_and_goes_on_with_the_next_page(
    gateway: MemoryGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    for back in range(30):
        sell(gateway, now=NOW - back * HOUR)
    expected = read_days(now=NOW, days=3)
    valkey.client().flushdb()
    clock = count(step=40_000_000)  # every look at the clock takes 40 ms
    monkeypatch.setattr(CLOCK, lambda: next(clock))
    pages, previous = 0, 0
    while True:
        with CaptureQueriesContext(connection) as captured:
            found = read_days(now=NOW, days=3)
        pages += 1
        assert len(captured) <= 2
        if not captured:
            break
        known = len(valkey.client().keys("desk:hour:*"))
        assert known > previous
        previous = known
    assert found == expected
    assert pages > 10


def test_a_count_is_kept_for_a_tenth_of_its_hours_age(own_valkey: redis.Redis) -> None:
    read_days(now=NOW)
    hours = {back: timezone.localtime(NOW - back * HOUR) for back in (0, 11, 101, 600)}
    kept = {back: own_valkey.ttl(f"desk:hour:{hour:%Y%m%d%H}") for back, hour in hours.items()}
    assert kept == {0: 10, 11: 3600, 101: 36_000, 600: 2 * 86_400}


# As an argument, `valkey_away` comes after `own_valkey` and takes effect.
def test_a_small_shop_is_counted_without_valkey(gateway: MemoryGateway, valkey_away: None) -> None:
    sell(gateway)
    counted = read_days(now=NOW)
    assert (counted.is_complete, counted.is_kept) == (True, False)


@pytest.fixture
def time_flies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every look at the clock takes 40 ms, as in a shop that is too large for one page."""
    clock = count(step=40_000_000)
    monkeypatch.setattr(CLOCK, lambda: next(clock))


@pytest.fixture
def staff() -> Client:
    client = Client()
    client.force_login(Account.objects.create(username="operator", is_staff=True, is_superuser=True))
    return client


STILL_COUNTING, ENDED = "较早的日期还在统计", "统计结果暂时无法保存"


def test_a_turn_counts_days_and_nothing_else(staff: Client, time_flies: None) -> None:
    page = staff.get("/admin/").content.decode()
    assert 'hx-get="/admin/days/"' in page
    assert STILL_COUNTING in page
    with CaptureQueriesContext(connection) as captured:
        turn = staff.get("/admin/days/").content.decode()
    counting = ["left(order_number, 10)" in query["sql"] for query in captured]
    assert counting == [False, False, True]  # session, user, and as many counts as there is time for
    assert turn.strip().startswith('<div id="days"')
    assert STILL_COUNTING in turn


def test_the_last_turn_asks_for_no_other(staff: Client) -> None:
    turn = staff.get("/admin/days/").content.decode()
    assert turn.strip().startswith('<div id="days"')
    assert "hx-get" not in turn
    assert STILL_COUNTING not in turn
    assert ENDED not in turn


def test_turns_end_when_no_count_can_be_kept(
    staff: Client, time_flies: None, own_valkey: redis.Redis
) -> None:
    staff.get("/admin/days/")
    known = len(own_valkey.keys("desk:hour:*"))
    assert known > 0
    own_valkey.config_set("maxmemory", 1)
    for address in ("/admin/", "/admin/days/"):
        page = staff.get(address).content.decode()
        assert 'hx-get="/admin/days/"' not in page
        assert ENDED in page
        assert STILL_COUNTING not in page
    assert len(own_valkey.keys("desk:hour:*")) == known


def test_turns_end_without_valkey(staff: Client, time_flies: None, valkey_away: None) -> None:
    page = staff.get("/admin/days/").content.decode()
    assert "hx-get" not in page
    assert ENDED in page
    page = staff.get("/admin/days/", headers={"Accept-Language": "en"}).content.decode()
    assert "Counts can't be saved at the moment" in page


def test_a_turn_after_the_session_has_ended_leads_to_the_login() -> None:
    """Not the login page in the days' place: the whole page is loaded again."""
    answer = Client().get("/admin/days/", headers={"HX-Request": "true"}, follow=True)
    assert answer.headers["HX-Refresh"] == "true"
    assert answer.content == b""
    assert b"<form" in Client().get("/admin/days/", follow=True).content
