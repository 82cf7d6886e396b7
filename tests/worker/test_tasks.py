"""The sweep wakes the tasks with due work, and gives up exhausted rows."""

from urllib.parse import urlencode

import pytest
import redis
from celery import Task
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from payments.domain.trades import inbox
from payments.gateways import get_gateways
from payments.models import Bill, Payment
from payments.tasks import (
    apply_notifications,
    audit,
    close_orders,
    compare_bills,
    plan_bills,
    query_payments,
    send_refunds,
)
from shop import clock
from shop.models import Order, OrderRequest
from shop.tasks import create_orders
from tests.factories import make_buyer, make_course, make_order, make_request
from tests.guards import unguarded
from tests.payments.alipay_side import notification
from tests.payments.conftest import alipay_settings
from tests.payments.settle import make_payment
from tests.shop.test_wakeup import messages
from tests.unchanged import nothing_changes
from worker.policy import QUEUES
from worker.tasks import sweep

__all__ = ["alipay_settings"]
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("alipay_settings")]


def sent(broker: redis.Redis) -> list[str]:
    return sorted(name for queue in QUEUES for name, _ in messages(broker, queue))


def test_nothing_due_wakes_no_task() -> None:
    make_order(make_buyer(), make_course(), now=clock.now())
    with nothing_changes():
        sweep()


def test_request_that_was_left_behind_wakes_its_task(broker_valkey: redis.Redis) -> None:
    request = make_request(make_buyer(), make_course(), now=clock.now())
    sweep()
    assert sent(broker_valkey) == ["shop.create_orders"]
    create_orders()
    request.refresh_from_db()
    assert request.status == "created"


def test_everything_that_is_due_wakes_its_task(broker_valkey: redis.Redis, settings: Settings) -> None:
    gateways = get_gateways()
    payment = make_payment(
        make_order(make_buyer(), make_course(), now=clock.now()), gateways.current, now=clock.now()
    )
    form = notification(payment)
    inbox.store_notification(
        gateways=gateways, provider="alipay", headers={}, body=urlencode(form).encode(), now=clock.now()
    )
    settings.CLOCK_OFFSET_S = settings.ORDER_TTL_S + settings.ORDER_GRACE_S + 1
    sweep()
    assert sent(broker_valkey) == [
        "payments.apply_notifications",
        "payments.close_orders",
        "payments.query_payments",
    ]


def test_request_that_used_its_attempts_is_given_up(broker_valkey: redis.Redis) -> None:
    request = make_request(make_buyer(), make_course(), now=clock.now())
    OrderRequest.objects.update(attempts=OrderRequest.MAX_ATTEMPTS)
    sweep()
    request.refresh_from_db()
    assert (request.status, request.error_slug, sent(broker_valkey)) == ("rejected", "order_failed", [])


def test_tasks_without_work_change_nothing() -> None:
    with nothing_changes():
        for task in (
            create_orders, apply_notifications, query_payments, close_orders, send_refunds, plan_bills,
            compare_bills, audit,
        ):  # fmt: skip
            task()


@pytest.mark.parametrize("task", [query_payments, close_orders, send_refunds], ids=lambda task: task.name)
def test_run_without_work_asks_for_the_time_before_and_after_and_only_reads_the_silence(task: Task) -> None:
    with CaptureQueriesContext(connection) as captured:
        task()
    statements = [statement["sql"] for statement in captured]
    assert sum("SELECT clock_timestamp()" in statement for statement in statements) == 2
    assert [words.split()[0] for words in statements if "shop_measurement" in words] == ["SELECT"]


def test_task_that_leaves_work_wakes_itself(
    broker_valkey: redis.Redis, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    monkeypatch.setattr("shop.domain.work.due_rows.DRAIN_S", 0)
    monkeypatch.setattr("shop.domain.ordering.creation.BATCH_SIZE", 1)
    monkeypatch.setattr("payments.domain.trades.inbox.BATCH_SIZE", 1)
    gateways = get_gateways()
    for _ in range(2):
        payment = make_payment(
            make_order(make_buyer(), make_course(), now=clock.now()), gateways.current, now=clock.now()
        )
        form = notification(payment)
        inbox.store_notification(
            gateways=gateways, provider="alipay", headers={}, body=urlencode(form).encode(), now=clock.now()
        )
        make_request(make_buyer(), make_course(), now=clock.now())
    settings.CLOCK_OFFSET_S = settings.ORDER_TTL_S + settings.ORDER_GRACE_S + 1
    for task in (create_orders, query_payments, close_orders, apply_notifications):
        task()
    assert sent(broker_valkey) == [
        "payments.apply_notifications",
        "payments.close_orders",
        "payments.query_payments",
        "shop.create_orders",
    ]


def test_closing_task_closes_what_is_due(settings: Settings) -> None:
    order = make_order(make_buyer(), make_course(), now=clock.now())
    settings.CLOCK_OFFSET_S = settings.ORDER_TTL_S + settings.ORDER_GRACE_S + 1
    close_orders()
    order.refresh_from_db()
    assert (order.status, Payment.objects.count()) == ("expired", 0)


def test_bills_of_past_days_are_planned_swept_and_asked_for_again(
    broker_valkey: redis.Redis, settings: Settings
) -> None:
    """No server listens at the gateway's address."""
    make_payment(
        make_order(make_buyer(), make_course(), now=clock.now()), get_gateways().current, now=clock.now()
    )
    settings.CLOCK_OFFSET_S = 2 * 24 * 3600
    plan_bills()
    assert Bill.objects.filter(attempts=0).count() == 2
    sweep()
    assert "payments.compare_bills" in sent(broker_valkey)
    compare_bills()
    bill = Bill.objects.earliest("day")
    assert (bill.status, bill.attempts, bill.last_error) == ("waiting", 1, "GatewayUnreachable: ConnectError")
    assert bill.available_at is not None
    assert bill.available_at > clock.now()


def test_without_a_gateway_no_bill_is_planned(alipay_settings: Settings) -> None:
    make_payment(
        make_order(make_buyer(), make_course(), now=clock.now()), get_gateways().current, now=clock.now()
    )
    alipay_settings.CLOCK_OFFSET_S = 2 * 24 * 3600
    alipay_settings.ALIPAY = alipay_settings.ALIPAY | {"APP_ID": ""}
    get_gateways.cache_clear()
    with nothing_changes():
        plan_bills()


def test_audit_reports_what_does_not_agree(caplog: pytest.LogCaptureFixture) -> None:
    buyer = make_buyer(beili=5)
    with unguarded("shop_account", "derived"):
        type(buyer).objects.filter(pk=buyer.pk).update(balance=6)
    audit()
    written = " ".join(str(record.msg) for record in caplog.records)
    assert "audit_broken" in written
    assert "balances_equal_the_fold" in written
    assert not Order.objects.exists()
