"""The inbox of notifications."""

from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from django.db import transaction

from payments.domain import inbox
from payments.domain.settlement import Applied, Outcome
from payments.gateways import ConfiguredGateways
from payments.gateways.alipay import AlipayGateway
from payments.gateways.protocol import InvalidSignature
from payments.models import Notification, Payment
from shop.errors import StaleState
from tests.factories import NOW, make_buyer, make_course, make_order
from tests.payments.alipay_side import make_gateway, notification
from tests.payments.settle import make_payment, pay
from tests.unchanged import nothing_changes

pytestmark = pytest.mark.django_db


@pytest.fixture
def gateway() -> AlipayGateway:
    """Alipay's own gateway with nobody at the other end, in place of the one in memory."""
    return make_gateway()


@pytest.fixture
def payment(gateway: AlipayGateway) -> Payment:
    return make_payment(make_order(make_buyer(), make_course("80.00")), gateway)


def store(gateway: AlipayGateway, form: dict[str, str]) -> bool:
    return inbox.store_notification(
        gateways=ConfiguredGateways(gateway), provider=gateway.name, headers={}, body=urlencode(form).encode(), now=NOW
    )


def test_store_keeps_the_notification_for_a_worker(payment: Payment, gateway: AlipayGateway) -> None:
    assert store(gateway, notification(payment)) is True
    row = Notification.objects.get()
    assert (row.status, row.available_at, row.received_at, row.payment, str(row)) == (
        "received",
        NOW,
        NOW,
        None,
        f"{payment} TRADE_SUCCESS",
    )


def test_repeat_of_the_same_facts_is_one_row(payment: Payment, gateway: AlipayGateway) -> None:
    store(gateway, notification(payment))
    with nothing_changes():
        assert store(gateway, notification(payment, notify_time="2026-03-02 12:05:05")) is False
        assert store(gateway, notification(payment, notify_id="another")) is False


@pytest.mark.parametrize("change", [{"trade_status": "TRADE_FINISHED"}, {"refund_fee": "1.00"}, {"gmt_close": "2026-03-02 13:00:00"}])
def test_other_facts_are_another_row(payment: Payment, gateway: AlipayGateway, change: dict[str, str]) -> None:
    store(gateway, notification(payment))
    assert store(gateway, notification(payment, **change)) is True


def test_forgery_is_not_stored(payment: Payment, gateway: AlipayGateway) -> None:
    with nothing_changes(), pytest.raises(InvalidSignature):
        store(gateway, {**notification(payment), "total_amount": "0.01"})


def test_due_notifications_are_applied_once(payment: Payment, gateway: AlipayGateway) -> None:
    store(gateway, notification(payment))
    apply: Any = lambda: inbox.apply_due_notifications(gateways=ConfiguredGateways(gateway), now=NOW, cause="test")  # noqa: E731 - said twice
    assert (apply(), apply()) == (1, 0)
    payment.refresh_from_db()
    assert payment.status == "paid"


def test_applied_notification_is_left_alone(payment: Payment, gateway: AlipayGateway) -> None:
    row = pay(payment, gateway)
    with nothing_changes():
        inbox.apply_notifications([row.pk], gateways=ConfiguredGateways(gateway), now=NOW + timedelta(days=1), cause="test")


def test_notification_that_was_dealt_with_is_not_closed_again(payment: Payment, gateway: AlipayGateway) -> None:
    row = pay(payment, gateway)
    with nothing_changes(), pytest.raises(StaleState), transaction.atomic():
        inbox._close([row.pk], [Applied(Outcome.WAITING, None)], now=NOW)


def test_row_that_was_tampered_with_is_put_back_and_not_applied(payment: Payment, gateway: AlipayGateway) -> None:
    store(gateway, notification(payment))
    row = Notification.objects.get()
    Notification.objects.update(form={**row.form, "total_amount": "0.01"})
    inbox.apply_due_notifications(gateways=ConfiguredGateways(gateway), now=NOW, cause="test")
    row.refresh_from_db()
    payment.refresh_from_db()
    assert (row.status, row.attempts, row.available_at, payment.status) == ("received", 1, NOW + timedelta(seconds=2), "open")
    assert row.last_error.startswith("InvalidSignature")


def test_notification_that_used_all_attempts_is_quarantined(payment: Payment, gateway: AlipayGateway) -> None:
    store(gateway, notification(payment))
    Notification.objects.update(attempts=Notification.MAX_ATTEMPTS)
    assert inbox.give_up_notifications(now=NOW) == 1
    row = Notification.objects.get()
    assert (row.status, row.reason, row.dead_at, row.handled_at) == ("quarantined", "attempts_exhausted", NOW, NOW)


def test_buyer_who_came_back_makes_the_payment_due(payment: Payment) -> None:
    assert payment.available_at is not None
    assert payment.available_at > NOW
    assert inbox.note_return(out_trade_no=payment.out_trade_no, now=NOW) == payment.order.order_number
    payment.refresh_from_db()
    assert payment.available_at == NOW


def test_return_of_a_paid_payment_changes_nothing(payment: Payment, gateway: AlipayGateway) -> None:
    pay(payment, gateway)
    with nothing_changes():
        assert inbox.note_return(out_trade_no=payment.out_trade_no, now=NOW) == payment.order.order_number


def test_return_of_an_unknown_trade() -> None:
    with nothing_changes():
        assert inbox.note_return(out_trade_no="UNKNOWN", now=NOW) is None
