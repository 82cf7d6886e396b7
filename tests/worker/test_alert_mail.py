"""Urgent alerts are mailed to ADMINS, once an hour each, and never disturb beat."""

import smtplib
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message
from django.core import mail
from django.core.mail import EmailMessage
from django.test import Client
from pytest_django import Settings

from payments.domain.upkeep import silence, verdicts
from payments.domain.upkeep.audit.run import RULES, Verdict
from payments.models import Payment
from project.local.ports import find_free_port
from shop import clock
from shop.domain.measures import measurements
from shop.models import OrderRequest, Turn
from tests.factories import make_buyer, make_course, make_order, make_request
from tests.payments.memorygateway import MemoryGateway
from tests.payments.order_scenario import start
from worker.alert_mail import CAUSES, mail_alerts

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)


@pytest.fixture
def now() -> datetime:
    return clock.database_now()


@pytest.fixture(autouse=True)
def wants_mail(settings: Settings) -> Settings:
    settings.ADMINS = [("ops@shop.test", "ops@shop.test")]
    settings.EMAIL_HOST = "127.0.0.1"
    return settings


def subjects() -> list[str]:
    return [str(message.subject) for message in mail.outbox]


def told(name: str) -> list[Any]:
    """The mails of this cause. As time passes, unprocessed work counts as stuck, too."""
    return [message for message in mail.outbox if f"] {name}: " in message.subject]


def break_the_books(now: datetime) -> None:
    verdicts.note_verdicts([Verdict(RULES[0], 3, ()), Verdict(RULES[1], 0, ())], now=now)


def give_up_a_request(now: datetime) -> None:
    request = make_request(make_buyer(), make_course(), now=now)
    OrderRequest.objects.filter(pk=request.pk).update(available_at=None, dead_at=now)


def leave_a_request(now: datetime) -> None:
    request = make_request(make_buyer(), make_course(), now=now)
    OrderRequest.objects.filter(pk=request.pk).update(available_at=now - timedelta(minutes=5, seconds=1))


def hear_nothing(now: datetime) -> None:
    measurements.note(silence.NAME, {}, now=now - timedelta(minutes=10, seconds=1))


def be_turned_away(now: datetime) -> None:
    payment = start(make_order(make_buyer(), make_course(), now=now), MemoryGateway(lambda: now), now=now)
    error = "GatewayUnsigned: unsigned error 40002 isv.invalid-app-id"
    Payment.objects.filter(pk=payment.pk).update(attempts=4, available_at=now + HOUR, last_error=error)


MADE: dict[str, Callable[[datetime], None]] = {
    "AuditBroken": break_the_books,
    "DeadRows": give_up_a_request,
    "WorkStuck": leave_a_request,
    "GatewaySilentForLong": hear_nothing,
    "GatewayTurnsAway": be_turned_away,
}


def test_every_cause_has_its_test() -> None:
    assert sorted(MADE) == sorted(cause.name for cause in CAUSES)


@pytest.mark.parametrize("name", MADE)
def test_each_cause_is_mailed_once_an_hour(name: str, now: datetime) -> None:
    mail_alerts(now=now)
    assert subjects() == []
    MADE[name](now)
    mail_alerts(now=now + timedelta(minutes=1, seconds=1))
    [message] = told(name)
    assert message.subject.startswith(f"[shop] {name}: ")
    assert message.to == ["ops@shop.test"]
    assert f"docs/runbook.md, {name}" in message.body
    assert "/admin/" in message.body
    for minutes in range(2, 60, 2):
        mail_alerts(now=now + timedelta(minutes=minutes))
    assert len(told(name)) == 1
    mail_alerts(now=now + timedelta(minutes=62))
    assert len(told(name)) == 2


def test_just_below_the_threshold_nothing_is_mailed(now: datetime) -> None:
    request = make_request(make_buyer(), make_course(), now=now)
    OrderRequest.objects.filter(pk=request.pk).update(available_at=now - timedelta(minutes=4, seconds=50))
    measurements.note(silence.NAME, {}, now=now - timedelta(minutes=9, seconds=50))
    mail_alerts(now=now)
    assert subjects() == []


def test_two_beats_mail_once(now: datetime) -> None:
    break_the_books(now)
    mail_alerts(now=now)
    mail_alerts(now=now)  # the other one, at the same time
    assert len(mail.outbox) == 1


@pytest.mark.parametrize(("name", "value"), [("ADMINS", []), ("EMAIL_HOST", "")])
def test_off_unless_both_are_set(settings: Settings, now: datetime, name: str, value: Any) -> None:
    setattr(settings, name, value)
    break_the_books(now)
    mail_alerts(now=now)
    assert subjects() == []
    assert not Turn.objects.filter(name__startswith="alert_mail").exists()


def test_a_mail_that_could_not_be_sent_is_sent_later(monkeypatch: pytest.MonkeyPatch, now: datetime) -> None:
    break_the_books(now)

    def refuse(message: EmailMessage, *args: Any, **kwargs: Any) -> int:
        raise smtplib.SMTPServerDisconnected

    with monkeypatch.context() as patched:
        patched.setattr(EmailMessage, "send", refuse)
        mail_alerts(now=now)
    assert not Turn.objects.filter(name="alert_mail:AuditBroken").exists()
    mail_alerts(now=now + timedelta(minutes=1, seconds=1))
    assert len(mail.outbox) == 1


class Kept(Message):
    """The mails that an SMTP server has received."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[Any] = []

    def handle_message(self, message: Any) -> None:
        self.messages.append(message)


@pytest.fixture
def smtp(settings: Settings) -> Iterator[Kept]:
    """A real SMTP server for the shop."""
    kept = Kept()
    port = find_free_port()
    controller = Controller(kept, hostname="127.0.0.1", port=port)
    controller.start()
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_PORT = port
    settings.EMAIL_USE_TLS = False
    yield kept
    controller.stop()


def test_a_real_mail_goes_out(smtp: Kept, now: datetime) -> None:
    break_the_books(now)
    mail_alerts(now=now)
    [message] = smtp.messages
    assert (message["To"], message["Subject"].replace("\r\n", "")) == (
        "ops@shop.test",
        f"[shop] AuditBroken: the books break the rule {RULES[0].name} in 3 rows",
    )
    assert RULES[1].name not in message.get_payload()


def test_mail_server_is_down(settings: Settings, now: datetime) -> None:
    """Beat goes on and retries a minute later."""
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_PORT = 1
    break_the_books(now)
    mail_alerts(now=now)
    assert not Turn.objects.filter(name="alert_mail:AuditBroken").exists()


def test_errors_of_requests_are_not_mailed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Django would mail each of them, with the whole request."""
    from shop.domain import catalogue

    monkeypatch.setattr(catalogue, "list_courses", None)
    assert Client(raise_request_exception=False).get("/api/v1/courses/").status_code == 500
    assert subjects() == []
