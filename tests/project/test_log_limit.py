"""Log lines that strangers can cause at will are counted instead of written."""

import logging
from collections.abc import Iterator

import pytest
import structlog
from django.conf import settings
from django.test import Client

from project.log_limit import RepeatLimit, log
from tests.manual_clock import ManualClock
from tests.payments.conftest import alipay_settings

__all__ = ["alipay_settings"]


class Collector(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.msg["event"] if isinstance(record.msg, dict) else record.getMessage())


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(0.0)


@pytest.fixture
def written(clock: ManualClock) -> Iterator[list[str]]:
    collector = Collector()
    collector.addFilter(RepeatLimit(lines=3, per_s=60, clock=clock))
    logging.getLogger().addHandler(collector)
    yield collector.lines
    logging.getLogger().removeHandler(collector)


@pytest.mark.usefixtures("alipay_settings")
def test_refused_notifications_become_a_count(client: Client, clock: ManualClock, written: list[str]) -> None:
    for _ in range(10):
        answer = client.post(
            "/api/v1/payments/alipay/notify/", "a=1&a=2", content_type="application/x-www-form-urlencoded"
        )
        assert answer.content == b"fail"
    assert written.count("notification_refused") == 3
    clock.now = 61
    client.post(
        "/api/v1/payments/alipay/notify/", "a=1&a=2", content_type="application/x-www-form-urlencoded"
    )
    assert "7 lines of payments.api.notify were left out in 60 s: notification_refused" in written
    assert written.count("notification_refused") == 4


@pytest.mark.parametrize("path", ["/api/v1/nowhere/", "/nowhere"])
def test_unknown_paths_become_a_count(path: str, client: Client, written: list[str]) -> None:
    for number in range(10):
        client.get(f"{path}{number}")
    assert len([line for line in written if "/nowhere" in line]) == 3


def test_wrong_hosts_become_a_count(client: Client, written: list[str]) -> None:
    for number in range(10):
        client.get("/api/v1/courses/", headers={"Host": f"host{number}.example"})
    assert len([line for line in written if "HTTP_HOST" in line]) <= 3


def test_kinds_dont_take_each_others_lines(written: list[str]) -> None:
    for _ in range(5):
        structlog.get_logger("one").warning("first_kind")
    structlog.get_logger("one").warning("second_kind")
    structlog.get_logger("other").warning("first_kind")
    assert (written.count("first_kind"), written.count("second_kind")) == (4, 1)


def test_what_the_shop_does_is_always_written(written: list[str]) -> None:
    logger = logging.getLogger("shop.deeds")
    logger.setLevel(logging.INFO)
    for _ in range(10):
        logger.info("order_paid")
    assert written.count("order_paid") == 10


def test_the_number_of_kinds_is_bounded(clock: ManualClock) -> None:
    limit = RepeatLimit(lines=1, per_s=60, clock=clock)
    passed = [
        limit.filter(
            logging.makeLogRecord({"name": "x", "msg": f"composed {number}", "levelno": logging.WARNING})
        )
        for number in range(3000)
    ]
    assert sum(passed) == 1001


def test_every_handler_has_the_limit() -> None:
    assert all("repeats" in handler["filters"] for handler in settings.LOGGING["handlers"].values())
    assert settings.LOGGING["filters"]["repeats"] == {
        "()": "project.log_limit.RepeatLimit",
        "lines": 20,
        "per_s": 60,
    }
    assert log.name == "project.log_limit"
