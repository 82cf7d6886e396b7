"""Work that was given up is picked up again; payments are queried at once; notifications are dismissed."""

import pytest
from pytest_django import Settings

from payments.domain.refunds import deciding, explaining, requesting, revoking
from payments.domain.trades import inbox, polling
from payments.domain.upkeep import repair
from payments.errors import (
    AccessNotRevocable,
    NotificationNotQuarantined,
    NotificationOrderNotRight,
    OrderNotPayable,
    RefundLineTaken,
    RefundNeedsSecondPerson,
)
from payments.models import Notification, Payment, Refund
from payments.states import NotificationStatus, RefundStatus
from shop.errors import WorkNotDead
from shop.models import Account, Enrolment, Order, OrderEvent
from shop.states import EnrolmentStatus, OrderStatus
from tests.factories import NOW, make_buyer, make_course, make_order
from tests.payments.domain.conftest import Clock
from tests.payments.memorygateway import Fault, MemoryGateway
from tests.payments.order_scenario import (
    ask,
    ask_refund,
    assert_books_are_right,
    columns,
    notify,
    pay,
    send,
    start,
    timeline,
)
from tests.unchanged import nothing_changes

pytestmark = pytest.mark.django_db

Kind = OrderEvent.Kind


@pytest.fixture
def gateway() -> MemoryGateway:
    return MemoryGateway(Clock())


@pytest.fixture
def order() -> Order:
    return make_order(
        make_buyer(beili=10), make_course("30.00"), make_course("20.00"), beili=10, alipay="40.00"
    )


@pytest.fixture
def staff() -> Account:
    return make_buyer(username="nami")


def test_payment_that_an_outage_buried_is_settled(
    order: Order, gateway: MemoryGateway, staff: Account
) -> None:
    payment = start(order, gateway)
    gateway.pay(payment.out_trade_no)
    Payment.objects.filter(pk=payment.pk).update(attempts=Payment.MAX_ATTEMPTS, available_at=NOW)
    assert polling.give_up_payments(now=NOW) == 1
    repair.pick_up_payment(payment.pk, staff=staff, why="恢复了", now=NOW, cause="request:1")
    ask(gateway)
    assert columns(order, "status") == (OrderStatus.PAID,)
    assert Kind.PICKED_UP in timeline(order)
    assert_books_are_right()


def test_living_work_is_left_alone(order: Order, gateway: MemoryGateway, staff: Account) -> None:
    payment = pay(order, gateway)
    refund = ask_refund(order)
    for deed, row in ((repair.pick_up_payment, payment), (repair.pick_up_refund, refund)):
        with nothing_changes(), pytest.raises(WorkNotDead):
            deed(row.pk, staff=staff, why="x", now=NOW, cause="test")


def test_report_that_could_not_be_proven_is_proven(
    order: Order, gateway: MemoryGateway, staff: Account
) -> None:
    payment = pay(order, gateway)
    gateway.console_refund(payment.out_trade_no, "CONSOLE1", payment.amount)
    refund = explaining.report_external_refund(payment.pk, number="CONSOLE1", staff=staff, now=NOW)
    Refund.objects.filter(pk=refund.pk).update(dead_at=NOW, available_at=None, attempts=300)
    repair.pick_up_refund(refund.pk, staff=staff, why="恢复了", now=NOW, cause="request:1")
    send(gateway)
    assert columns(refund, "status") == (RefundStatus.SUCCEEDED,)
    assert_books_are_right()


def test_asking_about_an_order_asks_about_all_of_it(
    order: Order, gateway: MemoryGateway, staff: Account
) -> None:
    with nothing_changes(), pytest.raises(OrderNotPayable):
        polling.ask_about_order(order.pk, staff=staff, why="", now=NOW, cause="test")
    payment = pay(order, gateway)
    refund = ask_refund(order)
    deciding.approve_refund(refund.pk, staff=staff, now=NOW, cause="test")
    gateway.faults = [Fault.LOST_AFTER]
    send(gateway)
    assert columns(refund, "status") == (RefundStatus.UNKNOWN,)
    assert polling.ask_about_order(order.pk, staff=staff, why="买家来电", now=NOW, cause="request:1") == 2
    assert columns(payment, "available_at") == (NOW,)
    assert columns(refund, "available_at", "attempts") == (NOW, 0)
    asked = order.events.get(kind=Kind.ASKED_GATEWAY)
    assert asked.details == {"staff": "nami", "staff_note": "买家来电"}


def quarantined(order: Order, gateway: MemoryGateway) -> Notification:
    payment = start(order, gateway)
    gateway.pay(payment.out_trade_no)
    return notify(gateway, payment, total_amount="0.01")


def test_notification_is_dismissed_once_its_order_is_right(
    order: Order, gateway: MemoryGateway, staff: Account
) -> None:
    notification = quarantined(order, gateway)
    with nothing_changes(), pytest.raises(NotificationOrderNotRight):
        inbox.dismiss_notification(notification.pk, staff=staff, why="x", now=NOW, cause="test")
    Payment.objects.update(available_at=NOW)
    ask(gateway)
    inbox.dismiss_notification(notification.pk, staff=staff, why="订单已付清", now=NOW, cause="request:1")
    assert columns(notification, "status", "note", "dismissed_by__username", "reason") == (
        NotificationStatus.IGNORED, "订单已付清", "nami", "wrong_amount",
    )  # fmt: skip
    assert timeline(order)[-1] == Kind.NOTIFICATION_DISMISSED
    with nothing_changes(), pytest.raises(NotificationNotQuarantined):
        inbox.dismiss_notification(notification.pk, staff=staff, why="x", now=NOW, cause="test")
    assert_books_are_right()


def test_notification_of_a_payment_with_an_unexplained_refund_waits(
    order: Order, gateway: MemoryGateway, staff: Account
) -> None:
    payment = pay(order, gateway)
    notification = notify(gateway, payment, total_amount="0.01")
    gateway.console_refund(payment.out_trade_no, "CONSOLE1", payment.amount / 4)
    refund = explaining.report_external_refund(payment.pk, number="CONSOLE1", staff=staff, now=NOW)
    with nothing_changes(), pytest.raises(NotificationOrderNotRight):
        inbox.dismiss_notification(notification.pk, staff=staff, why="x", now=NOW, cause="test")
    send(gateway)
    explaining.explain_external_refund(
        refund.pk, course_ids=None, staff=staff, why="补偿", now=NOW, cause="test"
    )
    inbox.dismiss_notification(notification.pk, staff=staff, why="x", now=NOW, cause="test")


def test_reapplying_is_in_the_timeline(order: Order, gateway: MemoryGateway, staff: Account) -> None:
    notification = quarantined(order, gateway)
    inbox.reapply_notification(notification.pk, now=NOW, staff=staff, why="再试", cause="request:1")
    assert order.events.get(kind=Kind.NOTIFICATION_REAPPLIED).details["staff"] == "nami"


def ask_for(order: Order, staff: Account, *course_ids: int) -> Refund:
    return requesting.request_refund(
        account_id=order.account_id,
        order_number=order.order_number,
        course_ids=list(course_ids) or None,
        reason="电话申请",
        now=NOW,
        cause="request:1",
        staff=staff,
    )


@pytest.mark.parametrize("four_eyes", [True, False])
def test_requester_may_not_approve(
    order: Order, gateway: MemoryGateway, staff: Account, settings: Settings, four_eyes: bool
) -> None:
    settings.REFUND_FOUR_EYES, settings.REFUND_AUTO_DAYS = four_eyes, 7
    pay(order, gateway)
    refund = ask_for(order, staff)
    assert columns(refund, "status", "approved_at", "requested_by__username") == (
        RefundStatus.REQUESTED,
        None,
        "nami",
    )
    if not four_eyes:
        deciding.approve_refund(refund.pk, staff=staff, now=NOW, cause="test")
        return
    for deed in (
        lambda: deciding.approve_refund(refund.pk, staff=staff, now=NOW, cause="test"),
        lambda: deciding.mark_refund_paid_elsewhere(
            refund.pk, gateways=None, reference="x", staff=staff, now=NOW, cause="test"
        ),
    ):
        with nothing_changes(), pytest.raises(RefundNeedsSecondPerson):
            deed()
    deciding.approve_refund(refund.pk, staff=make_buyer(), now=NOW, cause="test")
    send(gateway)
    assert columns(order, "status") == (OrderStatus.REFUNDED,)
    assert_books_are_right()


def test_staff_cannot_approve_refunds_of_their_own_orders(order: Order, gateway: MemoryGateway) -> None:
    pay(order, gateway)
    refund = ask_refund(order)
    with nothing_changes(), pytest.raises(RefundNeedsSecondPerson):
        deciding.approve_refund(
            refund.pk, staff=Account.objects.get(pk=order.account_id), now=NOW, cause="test"
        )


def test_access_is_taken_back_and_the_money_stays(
    order: Order, gateway: MemoryGateway, staff: Account
) -> None:
    pay(order, gateway)
    first, second = Enrolment.objects.filter(account=order.account_id).order_by("id")
    revoking.revoke_access(first.pk, staff=staff, why="转卖", now=NOW, cause="request:1")
    assert columns(first, "status") == (EnrolmentStatus.REVOKED,)
    assert columns(order, "status", "refunded_amount", "refunded_beili") == (OrderStatus.PAID, 0, 0)
    told = timeline(order)
    assert Kind.REFUND_SUCCEEDED not in told
    assert order.events.get(kind=Kind.ACCESS_TAKEN_BACK).details["staff_note"] == "转卖"
    assert_books_are_right()
    with nothing_changes(), pytest.raises(AccessNotRevocable):
        revoking.revoke_access(first.pk, staff=staff, why="x", now=NOW, cause="test")
    # The rest can still be refunded, which then ends the order.
    refund = ask_for(order, staff, second.course_id)
    with nothing_changes(), pytest.raises(RefundLineTaken):
        revoking.revoke_access(second.pk, staff=staff, why="x", now=NOW, cause="test")
    deciding.approve_refund(refund.pk, staff=make_buyer(), now=NOW, cause="test")
    send(gateway)
    assert columns(order, "status", "refunded_amount") == (OrderStatus.REFUNDED, refund.amount)
    assert_books_are_right()
