"""Applying Alipay's reports about trades."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction

from payments.domain.trades import settlement
from payments.domain.upkeep.audit.run import run_audit
from payments.gateways.alipay import AlipayGateway
from payments.models import Notification, Payment, Refund
from payments.states import NotificationStatus, PaymentStatus, Product, RefundStatus
from shop.domain.orders import closing
from shop.errors import StaleState
from shop.models import Account, Enrolment, LedgerTransfer, Order
from shop.states import CouponRecordStatus, OrderStatus
from tests.factories import NOW, make_buyer, make_course, make_order, make_record
from tests.payments.alipay_side import encoded, make_gateway, notification
from tests.payments.settle import ask, make_payment, notify, tell
from tests.unchanged import everything, nothing_changes

pytestmark = pytest.mark.django_db
LATER = NOW + timedelta(minutes=5)


@pytest.fixture
def gateway() -> AlipayGateway:
    """The real Alipay gateway with no server behind it, instead of the one in memory."""
    return make_gateway()


@pytest.fixture(autouse=True)
def _the_books_agree(db: None) -> Any:
    """After each test every rule of the audit holds, except that of campaigns, whose claims the factories
    skip.
    """
    yield
    broken = [verdict.rule.name for verdict in run_audit(now=NOW) if verdict.broken_count]
    assert [name for name in broken if name != "campaigns_within_quantity"] == []


@pytest.fixture
def payment(gateway: AlipayGateway) -> Payment:
    """¥80 for a course of ¥99: ¥10 off by a coupon, 9 贝里."""
    buyer = make_buyer(beili=10)
    order = make_order(buyer, make_course("99.00"), beili=9, global_coupon=make_record(buyer), alipay="80.00")
    return make_payment(order, gateway)


def statuses(payment: Payment) -> tuple[str, str]:
    return (
        Order.objects.values_list("status", flat=True).get(pk=payment.order_id),
        Payment.objects.values_list("status", flat=True).get(pk=payment.pk),
    )


def quarantined(row: Notification) -> str:
    assert row.status == NotificationStatus.QUARANTINED
    return row.reason


def test_paid_trade_pays_payment_and_order(payment: Payment, gateway: AlipayGateway) -> None:
    row = notify(gateway, payment, now=LATER)
    payment.refresh_from_db()
    order = payment.order
    order.refresh_from_db()
    assert (row.status, row.reason, row.payment, row.handled_at, row.available_at) == (
        "applied",
        "",
        payment,
        LATER,
        None,
    )
    assert (payment.status, payment.paid_at, payment.available_at) == (
        PaymentStatus.PAID,
        datetime(2026, 3, 2, 4, 1, 4, tzinfo=UTC),
        None,
    )
    assert (order.status, order.paid_at) == (OrderStatus.PAID, LATER)
    assert Enrolment.objects.get().order_line.order == order
    assert order.coupon_records.get().status == CouponRecordStatus.USED
    assert Account.objects.filter(pk=order.account_id).values_list("balance", "held_balance").get() == (1, 0)
    legs = list(LedgerTransfer.objects.filter(order=order).values_list("debit", "credit", "amount"))
    assert ("alipay_cash", "unapplied", Decimal("80.00")) in legs
    assert ("unapplied", "sales", Decimal("80.00")) in legs
    assert [event.kind for event in order.events.all()][-2:] == ["paid", "enrolled"]


def test_finished_trade_is_paid_too(payment: Payment, gateway: AlipayGateway) -> None:
    notify(gateway, payment, trade_status="TRADE_FINISHED")
    assert statuses(payment) == ("paid", "paid")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"out_trade_no": "20260302UNKNOWN"}, "unknown_trade"),
        ({"app_id": "2021000000000002"}, "wrong_app"),
        ({"seller_id": "2088000000000002"}, "wrong_seller"),
        ({"total_amount": "0.01"}, "wrong_amount"),
        ({"total_amount": "79.99"}, "wrong_amount"),
        ({"total_amount": "80.01"}, "wrong_amount"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_money_that_cannot_be_right_is_quarantined_and_nothing_else_changes(
    payment: Payment, gateway: AlipayGateway, changes: dict[str, str], reason: str
) -> None:
    before = everything()
    assert quarantined(notify(gateway, payment, **changes)) == reason
    after = everything()
    del before["Notification"], after["Notification"]
    assert after == before


def test_amount_is_compared_as_a_number(payment: Payment, gateway: AlipayGateway) -> None:
    notify(gateway, payment, total_amount="80.0")
    assert statuses(payment) == ("paid", "paid")


def test_waiting_trade_changes_nothing(payment: Payment, gateway: AlipayGateway) -> None:
    row = notify(gateway, payment, trade_status="WAIT_BUYER_PAY")
    assert (row.status, row.reason, statuses(payment)) == ("ignored", "waiting", ("awaiting_payment", "open"))


def test_closed_trade_closes_the_attempt_and_leaves_the_order_payable(
    payment: Payment, gateway: AlipayGateway
) -> None:
    row = notify(gateway, payment, trade_status="TRADE_CLOSED", gmt_payment="")
    assert (row.status, statuses(payment)) == ("applied", ("awaiting_payment", "closed"))
    second = make_payment(payment.order, gateway)
    assert second.out_trade_no == f"{payment.order.order_number}P2"
    notify(gateway, second)
    assert statuses(second) == ("paid", "paid")


def test_repeated_report_changes_nothing(payment: Payment, gateway: AlipayGateway) -> None:
    notify(gateway, payment)
    before = everything()
    row = notify(gateway, payment, trade_status="TRADE_FINISHED")
    after = everything()
    del before["Notification"], after["Notification"]
    assert (row.status, row.reason, after) == ("ignored", "already_applied", before)


def test_late_notification_never_reverts_a_payment(payment: Payment, gateway: AlipayGateway) -> None:
    notify(gateway, payment)
    assert notify(gateway, payment, trade_status="WAIT_BUYER_PAY").status == NotificationStatus.IGNORED
    assert statuses(payment) == ("paid", "paid")


def test_end_of_a_paid_trade_triggers_a_query(payment: Payment, gateway: AlipayGateway) -> None:
    """Alipay reports "closed" for an unpaid trade that has ended, and for a paid one that was fully
    refunded.
    """
    notify(gateway, payment)
    row = notify(gateway, payment, trade_status="TRADE_CLOSED", gmt_payment="")
    assert (row.status, statuses(payment)) == (NotificationStatus.ASKED, ("paid", "paid"))
    ask(payment)
    row.refresh_from_db()
    assert (row.status, row.reason, statuses(payment)) == (
        NotificationStatus.IGNORED,
        "already_applied",
        ("paid", "paid"),
    )


def test_another_trade_under_the_same_number_is_quarantined(payment: Payment, gateway: AlipayGateway) -> None:
    notify(gateway, payment)
    assert quarantined(notify(gateway, payment, trade_no="2026030222001499999999999999")) == "wrong_trade_no"


def test_money_for_a_cancelled_order_is_refunded(payment: Payment, gateway: AlipayGateway) -> None:
    order = payment.order
    closing.request_cancel(
        account_id=order.account_id, order_number=order.order_number, now=NOW, cause="test"
    )
    order.refresh_from_db()
    closing.close_orders([order], now=NOW, cause="test")
    Payment.objects.update(status="closed", closed_reason="never_paid", closed_at=NOW, available_at=None)
    row = notify(gateway, payment, now=LATER)
    assert (row.status, statuses(payment)) == ("asked", ("cancelled", "closed"))
    ask(payment, now=LATER)
    row.refresh_from_db()
    refund = Refund.objects.get()
    assert (row.status, statuses(payment)) == ("applied", ("cancelled", "paid"))
    assert (refund.amount, refund.status, refund.approved_at, refund.available_at) == (
        Decimal("80.00"),
        RefundStatus.REQUESTED,
        LATER,
        LATER,
    )
    assert refund.out_request_no == f"{payment.out_trade_no}S"
    assert Account.objects.filter(pk=order.account_id).values_list("balance", "held_balance").get() == (10, 0)
    assert not Enrolment.objects.exists()
    assert "late_payment" in [event.kind for event in order.events.all()]


def expire(payment: Payment) -> None:
    payment.order.refresh_from_db()
    closing.close_orders([payment.order], now=NOW, cause="test")
    Payment.objects.filter(pk=payment.pk).update(
        status="closed", closed_reason="never_paid", closed_at=NOW, available_at=None
    )


def test_money_for_an_expired_order_reopens_it(payment: Payment, gateway: AlipayGateway) -> None:
    expire(payment)
    assert statuses(payment) == ("expired", "closed")
    assert payment.order.coupon_records.count() == 0
    notify(gateway, payment, now=LATER)
    ask(payment, now=LATER)
    assert statuses(payment) == ("paid", "paid")
    assert payment.order.coupon_records.get().status == CouponRecordStatus.USED
    assert Account.objects.filter(pk=payment.order.account_id).values_list(
        "balance", "held_balance"
    ).get() == (1, 0)
    assert Enrolment.objects.count() == 1
    assert not Refund.objects.exists()


def test_money_for_an_expired_order_whose_beili_are_gone_is_refunded(
    payment: Payment, gateway: AlipayGateway
) -> None:
    expire(payment)
    buyer = Account.objects.get(pk=payment.order.account_id)
    make_order(buyer, make_course("10.00"), beili=10, alipay="0.00")
    notify(gateway, payment)
    ask(payment)
    assert statuses(payment) == ("expired", "paid")
    assert Refund.objects.get().amount == Decimal("80.00")


def test_money_for_an_expired_order_whose_coupon_is_gone_is_refunded(
    payment: Payment, gateway: AlipayGateway
) -> None:
    record = payment.order.coupon_records.get()
    expire(payment)
    buyer = Account.objects.get(pk=payment.order.account_id)
    make_order(buyer, make_course("99.00"), global_coupon=record, alipay="89.00")
    notify(gateway, payment)
    ask(payment)
    assert statuses(payment) == ("expired", "paid")
    assert Refund.objects.get().amount == Decimal("80.00")


def test_second_payment_of_an_order_is_refunded(payment: Payment, gateway: AlipayGateway) -> None:
    notify(gateway, payment, trade_status="TRADE_CLOSED", gmt_payment="")
    second = make_payment(payment.order, gateway)
    notify(gateway, second)
    notify(gateway, payment)
    ask(payment)
    assert (statuses(payment), statuses(second)) == (("paid", "paid"), ("paid", "paid"))
    assert Refund.objects.get().payment == payment
    assert Enrolment.objects.count() == 1
    kinds = [event.kind for event in payment.order.events.order_by("id")]
    assert kinds[-4:] == ["paid", "enrolled", "double_payment", "refund_approved"]


def test_notification_of_a_second_payment_in_the_same_batch_triggers_a_query(
    payment: Payment, gateway: AlipayGateway
) -> None:
    notify(gateway, payment, trade_status="TRADE_CLOSED", gmt_payment="")
    second = make_payment(payment.order, gateway, product=Product.WAP)
    rows = tell(gateway, notification(second), notification(payment))
    assert [row.status for row in rows] == ["applied", "asked"]
    assert (statuses(second), statuses(payment)) == (("paid", "paid"), ("paid", "closed"))


def test_orders_of_a_batch_extend_each_other_as_they_were_paid(gateway: AlipayGateway) -> None:
    buyer, course = make_buyer(), make_course("10.00", period=30)
    first, second = (make_payment(make_order(buyer, course), gateway) for _ in range(2))
    tell(gateway, notification(second), notification(first))
    month = timedelta(days=30)
    spans = Enrolment.objects.order_by("pk").values_list("order_line__order", "valid_from", "valid_until")
    assert list(spans) == [
        (second.order_id, NOW, NOW + month),
        (first.order_id, NOW + month, NOW + 2 * month),
    ]


def test_payment_that_is_paid_is_not_booked_again(payment: Payment, gateway: AlipayGateway) -> None:
    notify(gateway, payment)
    payment.refresh_from_db()
    with nothing_changes(), pytest.raises(StaleState), transaction.atomic():
        settlement._book([payment], now=LATER, is_current=True)


def test_batch_of_many_orders_with_repeats(gateway: AlipayGateway) -> None:
    buyer = make_buyer()
    payments = [make_payment(make_order(buyer, make_course("10.00")), gateway) for _ in range(3)]
    forms = [notification(payment, subject=subject) for payment in payments for subject in ("一", "二")]
    rows = tell(gateway, *forms)
    assert [row.reason for row in rows] == ["", "already_applied"] * 3
    assert Enrolment.objects.count() == 3


def test_payment_without_a_time_is_paid_now(payment: Payment, gateway: AlipayGateway) -> None:
    notify(gateway, payment, now=LATER, gmt_payment="")
    payment.refresh_from_db()
    assert payment.paid_at == LATER


def test_encoded_form_is_kept_as_it_came(payment: Payment, gateway: AlipayGateway) -> None:
    form = notification(payment)
    (row,) = tell(gateway, form)
    assert (row.fields, row.raw_body, row.notify_id, row.trade_status) == (
        form,
        encoded(form),
        form["notify_id"],
        "TRADE_SUCCESS",
    )
