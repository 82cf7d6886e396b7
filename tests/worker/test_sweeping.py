"""The sweep runs whatever the clocks show, with or without beat, and no job runs twice at the same time."""

from datetime import UTC, datetime, time, timedelta

import pytest
import redis
from celery.beat import Scheduler
from django.conf import settings as django_settings
from django.db import connection
from pytest_django import Settings

from payments.tasks import purge_personal_data
from shop import clock
from shop.domain.work.turns import give_back_turn, take_turn
from shop.models import OrderRequest, Turn
from tests.databases import open_session
from tests.factories import make_buyer, make_course, make_request
from tests.unchanged import nothing_changes
from tests.worker.test_tasks import sent
from worker.celery import app
from worker.schedule import JOBS, Job, TurnScheduler
from worker.tasks import sweep

pytestmark = pytest.mark.django_db(transaction=True)
NOON = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)  # in Shanghai
HOUR = timedelta(hours=1)


def test_one_sweeps_at_a_time(broker_valkey: redis.Redis) -> None:
    make_request(make_buyer(), make_course(), now=clock.now())
    OrderRequest.objects.update(attempts=OrderRequest.MAX_ATTEMPTS)
    with open_session() as somebody:
        somebody.execute("SELECT pg_advisory_xact_lock(1)")
        with nothing_changes():
            sweep()
    assert sent(broker_valkey) == []
    sweep()
    assert OrderRequest.objects.get().status == "rejected"


def test_messages_carry_no_time_that_a_clock_could_judge(
    broker_valkey: redis.Redis, settings: Settings
) -> None:
    beat = scheduler()
    beat.tick()
    sweep.apply_async()
    found = [json for queue in ("upkeep",) for json in broker_valkey.lrange(queue, 0, -1)]
    assert len(found) == len(JOBS) + 1
    assert all(b'"expires": null' in message and b'"eta": null' in message for message in found)


@pytest.mark.parametrize(
    ("last", "is_due"),
    [
        (NOON - HOUR - timedelta(seconds=1), True),
        (NOON - HOUR, False),
        (NOON, False),
        (NOON + timedelta(seconds=1), True),  # the clock has gone back since then, by any amount
        (NOON + timedelta(days=365), True),
    ],
)
def test_turn_is_taken_once_in_an_hour(last: datetime, is_due: bool) -> None:
    Turn.objects.create(name="hourly", taken_at=last)
    assert take_turn("hourly", since=NOON - HOUR, now=NOON) is is_due
    assert Turn.objects.get().taken_at == (NOON if is_due else last)


def test_first_turn_is_free_and_one_that_came_to_nothing_is_taken_again() -> None:
    assert [take_turn("job", since=NOON - HOUR, now=NOON) for _ in range(2)] == [True, False]
    give_back_turn("job")
    assert take_turn("job", since=NOON - HOUR, now=NOON)


@pytest.mark.parametrize(
    ("now", "since"),
    [
        (NOON, datetime(2026, 3, 1, 20, 30, tzinfo=UTC)),
        (datetime(2026, 3, 1, 20, 30, tzinfo=UTC), datetime(2026, 3, 1, 20, 30, tzinfo=UTC)),
        (datetime(2026, 3, 1, 20, 29, 59, tzinfo=UTC), datetime(2026, 2, 28, 20, 30, tzinfo=UTC)),
    ],
)
def test_daily_job_is_due_at_its_time_in_shanghai(now: datetime, since: datetime) -> None:
    assert Job("payments.audit", daily_at=time(4, 30)).due_since(now) == since


def scheduler() -> Scheduler:
    return TurnScheduler(app=app, lazy=True)


def test_two_beats_send_each_job_once_and_a_new_one_knows_of_the_old(broker_valkey: redis.Redis) -> None:
    for beat in (scheduler(), scheduler()):
        beat.tick()
    assert sent(broker_valkey) == sorted(job.task for job in JOBS)
    scheduler().tick()
    assert len(sent(broker_valkey)) == len(JOBS)
    Turn.objects.filter(name=purge_personal_data.name).update(taken_at=clock.now() - 2 * HOUR)
    scheduler().tick()
    assert sent(broker_valkey).count(purge_personal_data.name) == 2


def test_job_that_could_not_be_sent_is_sent_next_time(
    broker_valkey: redis.Redis, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise ConnectionRefusedError

    with monkeypatch.context() as patched:
        patched.setattr(purge_personal_data, "apply_async", refuse)
        scheduler().tick()
    assert "job_not_sent" in caplog.text
    assert purge_personal_data.name not in sent(broker_valkey)
    scheduler().tick()
    assert sent(broker_valkey) == sorted(job.task for job in JOBS)


def test_beat_touches_its_file_and_survives_a_database_outage(
    tmp_path: object, settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    alive = tmp_path / "alive"  # type: ignore[operator]
    settings.ALIVE_FILE = str(alive)
    with monkeypatch.context() as patched:
        patched.setitem(connection.settings_dict, "PORT", 1)
        connection.close()
        assert scheduler().tick() > 0
    assert "beat_without_database" in caplog.text
    assert not alive.exists()
    assert scheduler().tick() > 0
    assert alive.exists()


def test_beat_is_what_celery_starts() -> None:
    assert app.conf.beat_scheduler == "worker.schedule:TurnScheduler"
    assert app.conf.beat_schedule == {}
    assert django_settings.SWEEP_INTERVAL_S <= 2
