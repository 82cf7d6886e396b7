"""The inbox of notifications."""

from datetime import timedelta
from urllib.parse import urlencode

import pytest
from django.db import transaction

from payments.domain.trades import inbox, polling
from payments.domain.trades.outcomes import APPLIED, Outcome
from payments.domain.trades.settlement import Applied
from payments.gateways import ConfiguredGateways
from payments.gateways.alipay import AlipayGateway
from payments.gateways.protocol import InvalidSignature
from payments.models import Notification, Payment
from payments.states import NotificationReason
from shop.errors import StaleState
from tests.factories import NOW, make_buyer, make_course, make_order
from tests.payments.alipay_side import key, make_gateway, notification, paid_fields, signed_form
from tests.payments.settle import ask, make_payment, notify
from tests.unchanged import nothing_changes

pytestmark = pytest.mark.django_db


@pytest.fixture
def gateway() -> AlipayGateway:
    """The real Alipay gateway with no server behind it, instead of the one in memory."""
    return make_gateway()


@pytest.fixture
def payment(gateway: AlipayGateway) -> Payment:
    return make_payment(make_order(make_buyer(), make_course("80.00")), gateway)


def store(gateway: AlipayGateway, form: dict[str, str]) -> bool:
    return inbox.store_notification(
        gateways=ConfiguredGateways(gateway),
        provider=gateway.name,
        headers={},
        body=urlencode(form).encode(),
        now=NOW,
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


@pytest.mark.parametrize(
    "change",
    [{"trade_status": "TRADE_FINISHED"}, {"refund_fee": "1.00"}, {"gmt_close": "2026-03-02 13:00:00"}],
)
def test_other_facts_are_another_row(
    payment: Payment, gateway: AlipayGateway, change: dict[str, str]
) -> None:
    store(gateway, notification(payment))
    assert store(gateway, notification(payment, **change)) is True


def test_forgery_is_not_stored(payment: Payment, gateway: AlipayGateway) -> None:
    with nothing_changes(), pytest.raises(InvalidSignature):
        store(gateway, {**notification(payment), "total_amount": "0.01"})


def test_due_notifications_are_applied_once(payment: Payment, gateway: AlipayGateway) -> None:
    store(gateway, notification(payment))

    def apply() -> int:
        return inbox.apply_due_notifications(gateways=ConfiguredGateways(gateway), now=NOW, cause="test")

    assert (apply(), apply()) == (1, 0)
    payment.refresh_from_db()
    assert payment.status == "paid"


def test_applied_notification_is_left_alone(payment: Payment, gateway: AlipayGateway) -> None:
    row = notify(gateway, payment)
    with nothing_changes():
        inbox.apply_notifications(
            [row.pk], gateways=ConfiguredGateways(gateway), now=NOW + timedelta(days=1), cause="test"
        )


def test_notification_that_was_dealt_with_is_not_closed_again(
    payment: Payment, gateway: AlipayGateway
) -> None:
    row = notify(gateway, payment)
    with nothing_changes(), pytest.raises(StaleState), transaction.atomic():
        inbox._close([row.pk], [Applied(Outcome.WAITING, None)], now=NOW)


def test_row_that_was_tampered_with_is_not_believed(payment: Payment, gateway: AlipayGateway) -> None:
    """The stored row doesn't match its signature: the trade is queried, and the answer decides."""
    store(gateway, notification(payment))
    row = Notification.objects.get()
    Notification.objects.update(
        raw_body=row.raw_body.replace("gmt_payment=2026-03-02", "gmt_payment=2026-03-01")
    )
    inbox.apply_due_notifications(gateways=ConfiguredGateways(gateway), now=NOW, cause="test")
    row.refresh_from_db()
    payment.refresh_from_db()
    assert (row.status, row.reason, row.payment, row.available_at, row.handled_at) == (
        "asked",
        "unproven",
        payment,
        None,
        None,
    )
    assert (payment.status, payment.available_at) == ("open", NOW)


def test_notification_whose_key_was_removed_is_answered_by_a_query(payment: Payment) -> None:
    """It was received under the old key and quarantined; then Alipay's key was rotated, and staff apply it
    again.
    """
    old, new = make_gateway(), make_gateway(alipay_public_keys=[key("new").public_key()])
    row = notify(old, payment, total_amount="79.00")
    assert (row.status, row.reason, row.first_reason) == ("quarantined", "wrong_amount", "wrong_amount")
    assert row.verified_by
    inbox.reapply_notification(row.pk, now=NOW)
    inbox.apply_due_notifications(gateways=ConfiguredGateways(new), now=NOW, cause="test")
    row.refresh_from_db()
    assert (row.status, row.reason, row.first_reason, row.attempts) == (
        "asked",
        "unproven",
        "wrong_amount",
        1,
    )
    ask(payment)
    row.refresh_from_db()
    payment.refresh_from_db()
    assert (row.status, row.reason, row.first_reason, row.handled_at, payment.status) == (
        "applied",
        "",
        "wrong_amount",
        NOW,
        "paid",
    )


def test_unproven_notification_of_an_unknown_trade_is_quarantined(
    payment: Payment, gateway: AlipayGateway
) -> None:
    store(gateway, notification(payment, out_trade_no="20260302UNKNOWN"))
    without = ConfiguredGateways(make_gateway(alipay_public_keys=[key("new").public_key()]))
    inbox.apply_due_notifications(gateways=without, now=NOW, cause="test")
    row = Notification.objects.get()
    assert (row.status, row.reason, row.first_reason) == ("quarantined", "unproven", "unproven")


def test_one_unproven_notification_does_not_hold_up_its_batch(payment: Payment) -> None:
    rotating = make_gateway(alipay_public_keys=[key("new").public_key(), key("alipay").public_key()])
    other = make_payment(make_order(make_buyer(), make_course("8.00")), rotating)
    store(rotating, notification(payment))
    store(rotating, signed_form(paid_fields(other), signer="new"))
    new = ConfiguredGateways(make_gateway(alipay_public_keys=[key("new").public_key()]))
    inbox.apply_due_notifications(gateways=new, now=NOW, cause="test")
    assert list(Notification.objects.order_by("pk").values_list("status", flat=True)) == ["asked", "applied"]


@pytest.mark.parametrize(
    ("answer", "left"), [("TRADE_SUCCESS", ("ignored", "already_applied")), ("TRADE_CLOSED", ("applied", ""))]
)
def test_queried_notification_gets_the_answers_outcome(
    payment: Payment, gateway: AlipayGateway, answer: str, left: tuple[str, str]
) -> None:
    notify(gateway, payment)
    row = notify(gateway, payment, trade_status="TRADE_CLOSED", gmt_payment="")
    assert row.status == "asked"
    ask(payment, trade_status=answer)
    row.refresh_from_db()
    assert (row.status, row.reason) == left


def test_payment_notification_that_queries_deny_is_quarantined(
    payment: Payment, gateway: AlipayGateway
) -> None:
    """Signed by Alipay, but denied by its queries as long as the attempt is open: left to staff."""
    row = notify(gateway, payment, notify_time="2026-03-02 13:00:00")
    assert row.status == "asked"
    ask(payment, trade_status="WAIT_BUYER_PAY", send_pay_date="")
    row.refresh_from_db()
    assert row.status == "asked"
    Payment.objects.update(attempts=Payment.MAX_ATTEMPTS, available_at=NOW)
    assert polling.give_up_payments(now=NOW) == 1
    row.refresh_from_db()
    assert (row.status, row.reason, row.first_reason) == ("quarantined", "contradicted", "contradicted")


def test_notification_that_used_all_attempts_is_quarantined(payment: Payment, gateway: AlipayGateway) -> None:
    store(gateway, notification(payment))
    Notification.objects.update(attempts=Notification.MAX_ATTEMPTS)
    assert inbox.give_up_notifications(now=NOW) == 1
    row = Notification.objects.get()
    assert (row.status, row.reason, row.dead_at, row.handled_at) == (
        "quarantined",
        "attempts_exhausted",
        NOW,
        NOW,
    )
    assert row.first_reason == "attempts_exhausted"


def test_buyer_who_came_back_makes_the_payment_due(payment: Payment) -> None:
    assert payment.available_at is not None
    assert payment.available_at > NOW
    assert inbox.note_return(out_trade_no=payment.out_trade_no, now=NOW) == payment.order.order_number
    payment.refresh_from_db()
    assert payment.available_at == NOW


def test_return_of_a_paid_payment_changes_nothing(payment: Payment, gateway: AlipayGateway) -> None:
    notify(gateway, payment)
    with nothing_changes():
        assert inbox.note_return(out_trade_no=payment.out_trade_no, now=NOW) == payment.order.order_number


def test_return_of_an_unknown_trade() -> None:
    with nothing_changes():
        assert inbox.note_return(out_trade_no="UNKNOWN", now=NOW) is None


def test_every_reason_has_its_words() -> None:
    beyond_outcomes = {NotificationReason.UNPROVEN, NotificationReason.ATTEMPTS_EXHAUSTED}
    assert {outcome.value for outcome in set(Outcome) - APPLIED} == {
        reason.value for reason in set(NotificationReason) - beyond_outcomes
    }
