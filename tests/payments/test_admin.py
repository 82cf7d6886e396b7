"""Staff's decisions about money in the admin: with a permission, one deed per row, and a log entry."""

from decimal import Decimal
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from payments import admin as payments_admin
from payments.desk import refunddeeds
from payments.gateways import ConfiguredGateways
from payments.models import Notification, Payment, Refund
from payments.states import Explanation, NotificationStatus, RefundStatus
from shop import clock
from shop.models import Account, Order
from shop.states import OrderStatus
from tests.factories import make_buyer, make_course, make_order
from tests.payments.memorygateway import Fault, MemoryGateway
from tests.payments.order_scenario import (
    ask_refund,
    assert_books_are_right,
    columns,
    notify,
    pay,
    send,
    start,
)
from tests.unchanged import nothing_changes

pytestmark = pytest.mark.django_db


@pytest.fixture
def gateway() -> MemoryGateway:
    return MemoryGateway(clock.now)


@pytest.fixture
def order(gateway: MemoryGateway) -> Order:
    order = make_order(make_buyer(), make_course("30.00"), now=clock.now())
    pay(order, gateway, now=clock.now())
    return order


def login(*permissions: str) -> Client:
    staff = Account.objects.create(username="operator", is_staff=True)
    staff.user_permissions.set(
        Permission.objects.filter(
            codename__in=["view_notification", "view_refund", "view_payment", *permissions]
        )
    )
    client = Client()
    client.force_login(staff)
    return client


def act(client: Client, model: str, action: str, *rows: Any, **fields: str) -> list[str]:
    """Runs the action on the rows; returns the page's messages."""
    response = client.post(
        reverse(f"admin:payments_{model}_changelist"),
        {"action": action, "_selected_action": [row.pk for row in rows], **fields},
        follow=True,
    )
    assert response.status_code == 200
    return [str(message) for message in response.context["messages"]]


def quarantined(order: Order, gateway: MemoryGateway) -> Notification:
    """A notification that came while the attempt had another amount."""
    payment = start(order, gateway, now=clock.now())
    gateway.pay(payment.out_trade_no)
    notification = notify(gateway, payment, now=clock.now(), total_amount="0.01")
    assert (notification.status, notification.reason) == (NotificationStatus.QUARANTINED, "wrong_amount")
    return notification


@pytest.mark.parametrize("page", ["list", "row", "deed", "order"])
def test_reason_of_a_notification_is_told_in_words(gateway: MemoryGateway, page: str) -> None:
    order = make_order(make_buyer(), make_course("30.00"), now=clock.now())
    notification = quarantined(order, gateway)
    row = reverse("admin:payments_notification_change", args=[notification.pk])
    pages = {
        "list": reverse("admin:payments_notification_changelist"),
        "row": row,
        "deed": row.replace("/change/", "/deeds/dismiss/"),
        "order": reverse("admin:shop_order_change", args=[order.pk]),
    }
    shown = login("change_notification", "view_order").get(pages[page]).content.decode()
    assert "金额不符" in shown
    assert "wrong_amount" not in shown


def test_quarantined_notification_is_applied_again(gateway: MemoryGateway) -> None:
    notification = quarantined(make_order(make_buyer(), make_course("30.00"), now=clock.now()), gateway)
    assert act(login("change_notification"), "notification", "reapply", notification) == ["已处理 1 条通知。"]
    assert columns(notification, "status", "reason", "handled_at", "attempts", "dead_at") == (
        NotificationStatus.RECEIVED,
        "",
        None,
        0,
        None,
    )
    assert LogEntry.objects.values_list("object_id", "change_message").get() == (
        str(notification.pk),
        "重新处理",
    )
    assert_books_are_right()


def test_applied_notification_is_left_alone(order: Order) -> None:
    notification = Notification.objects.get()
    said = act(login("change_notification"), "notification", "reapply", notification)
    assert said == [f"{notification}：这条通知不在待人工处理状态。"]
    assert columns(notification, "status", "available_at") == (NotificationStatus.APPLIED, None)
    assert not LogEntry.objects.exists()


def test_refund_is_approved_and_goes(order: Order, gateway: MemoryGateway) -> None:
    refund = ask_refund(order, now=clock.now())
    assert act(login("change_refund"), "refund", "approve", refund) == ["已处理 1 笔退款。"]
    assert columns(refund, "approved_by__username") == ("operator",)
    assert LogEntry.objects.values_list("object_id", "change_message", "user__username").get() == (
        str(refund.pk),
        "批准退款",
        "operator",
    )
    send(gateway, now=clock.now())
    assert columns(order, "status", "refunded_amount") == (OrderStatus.REFUNDED, Decimal("30.00"))
    assert_books_are_right()


def test_refund_is_rejected_with_a_reason(order: Order) -> None:
    refund = ask_refund(order, now=clock.now())
    client = login("change_refund")
    assert act(client, "refund", "reject", refund, why=" ") == ["请填写拒绝理由。"]
    assert columns(refund, "status") == (RefundStatus.REQUESTED,)
    assert act(client, "refund", "reject", refund, why="已学完") == ["已处理 1 笔退款。"]
    assert columns(refund, "status", "outcome", "decided_by__username") == (
        RefundStatus.REJECTED,
        "已学完",
        "operator",
    )
    assert LogEntry.objects.get().change_message == "拒绝退款：已学完"
    assert_books_are_right()


def test_failed_refund_is_sent_again(order: Order, gateway: MemoryGateway) -> None:
    client = login("change_refund")
    refund = ask_refund(order, now=clock.now())
    act(client, "refund", "approve", refund)
    gateway.end_refund_window(order.payments.get().out_trade_no)
    send(gateway, now=clock.now())
    assert columns(refund, "status") == (RefundStatus.FAILED,)
    assert act(client, "refund", "approve", refund) == ["已处理 1 笔退款。"]
    gateway.reopen_refund_windows()
    send(gateway, now=clock.now())
    assert columns(refund, "status") == (RefundStatus.SUCCEEDED,)
    assert_books_are_right()


def test_refund_decided_before_is_refused(order: Order, gateway: MemoryGateway) -> None:
    client = login("change_refund")
    refund = ask_refund(order, now=clock.now())
    act(client, "refund", "approve", refund)
    assert act(client, "refund", "reject", refund, why="晚了") == [f"{refund}：这笔退款已经处理过了。"]
    assert columns(refund, "status") == (RefundStatus.REQUESTED,)
    assert LogEntry.objects.count() == 1


# --- Money that moved without us ----------------------------------------------------------------------------


@pytest.fixture
def asked(gateway: MemoryGateway, monkeypatch: pytest.MonkeyPatch) -> MemoryGateway:
    """The gateway that the deeds query."""
    for name in ("get_gateways", "find_gateways"):
        monkeypatch.setattr(refunddeeds, name, lambda: ConfiguredGateways(gateway))
    return gateway


def refund_in_console(order: Order, gateway: MemoryGateway, amount: str, *, tells: bool = True) -> Payment:
    payment = order.payments.get()
    assert gateway.console_refund(payment.out_trade_no, "CONSOLE77", Decimal(amount))
    if tells:
        notify(gateway, payment, now=clock.now())
        send(gateway, now=clock.now())
    return payment


def test_external_refund_is_explained_by_its_courses(order: Order, asked: MemoryGateway) -> None:
    refund_in_console(order, asked, "10.00")
    refund = Refund.objects.get()
    client, course_id = login("change_refund"), order.lines.get().course_id
    for fields in ({}, {"why": "电话退课"}, {"why": "电话退课", "courses": "x"}):
        with nothing_changes():
            assert act(client, "refund", "explain_by_courses", refund, **fields) == [
                "请填写课程编号，用逗号分隔。"
            ]
    with nothing_changes():
        assert act(client, "refund", "explain_by_courses", refund, courses=str(course_id)) == [
            "请选择一笔退款，并填写理由。"
        ]
    assert act(client, "refund", "explain_by_courses", refund, courses=f" {course_id}，", why="电话退课") == [
        "已处理 1 笔退款。"
    ]
    assert columns(refund, "explanation", "outcome", "decided_by__username") == (
        Explanation.LINES,
        "电话退课",
        "operator",
    )
    assert LogEntry.objects.get().change_message == f"渠道侧退款说明（课程 {course_id}）：电话退课"
    assert columns(order, "status") == (OrderStatus.REFUNDED,)
    assert_books_are_right()


def test_external_refund_is_a_gift(order: Order, asked: MemoryGateway) -> None:
    refund_in_console(order, asked, "10.00")
    client = login("change_refund")
    assert act(client, "refund", "explain_as_goodwill", Refund.objects.get(), why="道歉") == [
        "已处理 1 笔退款。"
    ]
    assert columns(order, "status") == (OrderStatus.PAID,)
    assert client.get(reverse("admin:payments_refund_changelist")).status_code == 200
    assert_books_are_right()


def test_console_refund_without_a_notification_is_entered_by_its_number(
    order: Order, asked: MemoryGateway
) -> None:
    payment = refund_in_console(order, asked, "30.00", tells=False)
    client = login("change_payment")
    with nothing_changes():
        assert act(client, "payment", "report_external_refund", payment) == [
            "请选择一笔支付，并填写退款请求号。"
        ]
    assert act(client, "payment", "report_external_refund", payment, number="CONSOLE77") == [
        "已处理 1 笔支付。"
    ]
    send(asked, now=clock.now())
    assert columns(order, "status") == (OrderStatus.REFUNDED,)
    assert_books_are_right()
    assert act(client, "payment", "report_external_refund", payment, number="CONSOLE77") == [
        f"{payment}：这笔退款已经处理过了。"
    ]


def test_report_that_the_gateway_denies_is_dismissed(order: Order, asked: MemoryGateway) -> None:
    act(login("change_payment"), "payment", "report_external_refund", order.payments.get(), number="TYPO")
    refund, client = Refund.objects.get(), Client()
    client.force_login(Account.objects.get(username="operator"))
    Account.objects.get(username="operator").user_permissions.add(
        Permission.objects.get(codename="change_refund")
    )
    asked.faults = [Fault.LOST_BEFORE]
    with nothing_changes():
        [said] = act(client, "refund", "dismiss_external", refund, why="录入错误")
    assert said.startswith(f"{refund}：支付渠道没有给出结果")
    assert act(client, "refund", "dismiss_external", refund, why="录入错误") == ["已处理 1 笔退款。"]
    assert columns(refund, "status", "outcome") == (RefundStatus.REJECTED, "录入错误")


def test_refused_refund_is_paid_by_other_means(order: Order, asked: MemoryGateway) -> None:
    client, refund = login("change_refund"), ask_refund(order, now=clock.now())
    act(client, "refund", "approve", refund)
    asked.end_refund_window(order.payments.get().out_trade_no)
    send(asked, now=clock.now())
    with nothing_changes():
        assert act(client, "refund", "pay_elsewhere", refund) == ["请选择一笔退款，并填写凭据号。"]
    assert act(client, "refund", "pay_elsewhere", refund, number="工行 7") == ["已处理 1 笔退款。"]
    assert columns(refund, "status", "reference") == (RefundStatus.PAID_ELSEWHERE, "工行 7")
    assert columns(order, "status") == (OrderStatus.REFUNDED,)
    assert_books_are_right()


def test_staff_query_a_payment(order: Order, asked: MemoryGateway) -> None:
    payment = order.payments.get()
    assert act(login("change_payment"), "payment", "ask_gateway", payment) == ["已处理 1 笔支付。"]
    assert columns(payment, "attempts")[0] == 0
    assert Payment.objects.get().available_at is not None
    assert LogEntry.objects.get().change_message == "查询支付渠道"


def test_only_surplus_is_refunded_again(order: Order, asked: MemoryGateway) -> None:
    payment = order.payments.get()
    said = act(login("change_payment"), "payment", "refund_surplus", payment)
    assert said == [f"{payment}：订单当前状态不能退款。"]
    assert not Refund.objects.exists()


@pytest.mark.parametrize(
    ("model", "action"),
    [
        ("notification", "reapply"),
        *[("refund", action) for action in payments_admin.RefundAdmin.actions],
        *[("payment", action) for action in payments_admin.PaymentAdmin.actions],
    ],
)
def test_without_the_permission_nothing_happens(
    order: Order, gateway: MemoryGateway, model: str, action: str
) -> None:
    refund = ask_refund(order, now=clock.now())
    notification = quarantined(make_order(make_buyer(), make_course("30.00"), now=clock.now()), gateway)
    client = login()
    row = {"notification": notification, "refund": refund, "payment": order.payments.get()}[model]
    with nothing_changes():
        act(client, model, action, row, why="x", number="1", courses="1")
    assert not LogEntry.objects.exists()


def test_rows_open_and_cannot_be_edited(order: Order) -> None:
    refund = ask_refund(order, now=clock.now())
    client = login("change_refund", "change_notification")
    assert client.get(reverse("admin:payments_refund_change", args=[refund.pk])).status_code == 200
    assert client.get(reverse("admin:payments_refund_add")).status_code == 403
    assert (
        client.post(
            reverse("admin:payments_refund_change", args=[refund.pk]), {"status": "succeeded"}
        ).status_code
        == 403
    )
    assert client.get(reverse("admin:payments_refund_changelist")).context["cl"].result_count == 1
    assert Refund.objects.get().status == RefundStatus.REQUESTED
