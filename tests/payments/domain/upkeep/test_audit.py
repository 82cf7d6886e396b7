"""Every rule of the audit is broken by SQL, one at a time: the rule is named, with the row.

Triggers and constraints that forbid it are disabled.
"""

from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from pytest_django import DjangoDbBlocker

from payments.domain.upkeep.audit.run import RULES, run_audit
from payments.gateways.protocol import TradeStatus
from payments.models import Payment
from payments.states import Product
from shop import clock as shop_clock
from shop.models import Order
from shop.states import CourseType
from tests.factories import NOW, make_buyer, make_course, make_order, make_record, make_request
from tests.payments.domain.conftest import Clock
from tests.payments.memorygateway import MemoryGateway
from tests.payments.order_scenario import approve, ask, ask_refund, notify, pay, send, start
from tests.unchanged import MODELS, undone

pytestmark = pytest.mark.django_db

PAID = "(SELECT id FROM shop_order WHERE status = 'paid' ORDER BY id LIMIT 1)"
OPEN = "(SELECT id FROM shop_order WHERE status = 'awaiting_payment' ORDER BY id LIMIT 1)"
OPEN_ORDER = f"shop_order WHERE id = {OPEN}"
INSERT = (
    "INSERT INTO shop_ledgertransfer (key, debit, credit, currency, amount, account_id, "
    "order_id, memo, created_at)"
)


def drop(table: str, constraint: str) -> str:
    return f"ALTER TABLE {table} DROP CONSTRAINT {constraint}"


# Rule → the statements that break it, and which other rules they break, too.
BREAKS: dict[str, tuple[list[str], set[str]]] = {
    "bills_are_accounted_for": (
        [
            (
                "INSERT INTO payments_bill (provider, app_id, day, status, compared_at, trade_count, "
                "trade_total, refund_count, refund_total, fee_total) "
                "VALUES ('memory', '1', '2026-03-02', 'compared', now(), 1, 1, 0, 0, 0)"
            ),
            (
                "INSERT INTO payments_billentry (bill_id, kind, trade_no, out_trade_no, out_request_no, "
                "amount, fee) SELECT id, 'trade', 'T1', 'NOBODYS', '', 1, 0 FROM payments_bill"
            ),
        ],
        set(),
    ),
    "transfers_balance": (
        [
            drop("shop_ledgertransfer", "transfer_within_one_currency"),
            (
                f"{INSERT} SELECT 'x', 'coupon_subsidy', 'beili_spent', 'BEILI', 1, account_id, NULL, '', "
                f"created_at FROM shop_order WHERE id = {PAID}"
            ),
        ],
        set(),
    ),
    "balances_equal_the_fold": (
        [
            (
                f"UPDATE shop_account SET balance = balance + 1 WHERE id = (SELECT account_id "
                f"FROM shop_order WHERE id = {PAID})"
            )
        ],
        set(),
    ),
    "held_beili_belong_to_orders": (
        [
            (
                f"UPDATE shop_account SET held_balance = held_balance + 1, balance = balance - 1 WHERE id = "
                f"(SELECT account_id FROM {OPEN_ORDER})"
            ),
            (
                f"{INSERT} SELECT 'x', 'beili_available', 'beili_held', 'BEILI', 1, account_id, NULL, '', "
                f"created_at FROM shop_order WHERE id = {OPEN}"
            ),
        ],
        set(),
    ),
    "orders_add_up": (
        [
            (
                f"UPDATE shop_orderline SET list_price = list_price + 1, course_discount = course_discount "
                f"+ 1 WHERE order_id = {OPEN}"
            )
        ],
        set(),
    ),
    "coupons_once": (
        [
            drop("shop_couponrecord", "coupon_record_status_matches_order"),
            f"UPDATE shop_couponrecord SET status = 'unused', order_id = NULL WHERE order_id = {OPEN}",
        ],
        set(),
    ),
    "coupons_not_orphaned": (
        [
            (
                f"UPDATE shop_couponrecord SET status = 'reserved', used_at = NULL, order_id = {PAID} WHERE "
                f"status = 'unused'"
            )
        ],
        set(),
    ),
    "campaigns_within_quantity": (["UPDATE shop_coupon SET claimed_count = claimed_count + 1"], set()),
    "paid_orders_delivered_once": (
        [
            (
                f"DELETE FROM shop_enrolment WHERE order_line_id IN (SELECT id FROM shop_orderline WHERE "
                f"order_id = {PAID})"
            )
        ],
        set(),
    ),
    "orders_paid_by_money": (
        [f"UPDATE payments_payment SET is_surplus = true WHERE order_id = {PAID}"],
        {"money_has_a_place", "surplus_goes_back"},
    ),
    "money_has_a_place": (
        [
            (
                f"{INSERT} SELECT 'x', 'alipay_cash', 'unapplied', 'CNY', 1, account_id, NULL, "
                f"'', created_at FROM shop_order WHERE id = {PAID}"
            )
        ],
        set(),
    ),
    "payments_are_booked": (
        ["UPDATE shop_ledgertransfer SET key = 'cash:nobody' WHERE key LIKE 'cash:%' AND order_id = " + PAID],
        set(),
    ),
    "surplus_goes_back": (
        [
            "DELETE FROM payments_refund WHERE kind = 'surplus'",
            "UPDATE payments_payment SET refund_committed = 0, refunded_amount = 0 WHERE is_surplus",
        ],
        set(),
    ),
    "refunds_fit_payments": (
        ["UPDATE payments_payment SET refund_committed = 1 WHERE order_id = " + PAID],
        set(),
    ),
    "refunds_fit_orders": ([f"UPDATE shop_order SET refunded_amount = 1 WHERE id = {PAID}"], set()),
    "sales_equal_orders": (
        [
            (
                f"{INSERT} SELECT 'x', 'coupon_subsidy', 'sales', 'CNY', 1, account_id, id, '', "
                f"created_at FROM shop_order WHERE id = {PAID}"
            )
        ],
        set(),
    ),
    "requests_decided_once": (
        [
            drop("shop_orderrequest", "order_request_status_matches_decision"),
            "UPDATE shop_orderrequest SET status = 'created' WHERE status = 'pending'",
        ],
        set(),
    ),
    "work_is_not_lost": (["UPDATE payments_payment SET available_at = NULL WHERE status = 'open'"], set()),
    "work_is_done_in_time": (
        ["UPDATE payments_payment SET available_at = '2026-03-02 03:44Z' WHERE status = 'open'"],
        set(),
    ),
    "refunds_equal_the_gateways": (
        ["UPDATE payments_payment SET refund_told = 1 WHERE order_id = " + PAID],
        set(),
    ),
    "external_refunds_are_explained": (
        [
            (
                f"{INSERT} SELECT 'x', 'external_refunds', 'refunds', 'CNY', 1, account_id, id, "
                f"'', created_at FROM shop_order WHERE id = {PAID}"
            )
        ],
        set(),
    ),
    "whole_refunds_end_orders": (
        [
            (
                "UPDATE payments_refund SET kind = 'external', explanation = '', explained_at = NULL WHERE "
                "status = 'succeeded' AND kind = 'order'"
            ),
            """
         UPDATE payments_payment AS payment SET refund_committed = 0, external_refunded = refunded_amount
         FROM payments_refund AS refund
         WHERE refund.payment_id = payment.id AND refund.kind = 'external'
         """,
            "UPDATE shop_order SET status = 'paid', refunded_at = NULL WHERE status = 'refunded'",
        ],
        {"external_refunds_are_explained", "refunds_fit_orders"},
    ),
    "paid_words_are_heard": (
        [
            """
            UPDATE payments_notification AS notification SET out_trade_no = payment.out_trade_no
            FROM payments_payment AS payment
            WHERE payment.status = 'open' AND notification.id = (SELECT min(id) FROM payments_notification)
            """
        ],
        set(),
    ),
    "keys_make_one_order": (
        [
            drop("shop_orderrequest", "order_request_idempotency_key"),
            (
                "UPDATE shop_orderrequest SET idempotency_key = 'same', account_id = (SELECT min(account_id) "
                "FROM shop_order) WHERE status = 'created'"
            ),
        ],
        set(),
    ),
    "access_is_what_was_bought": (
        [
            (
                f"UPDATE shop_enrolment SET valid_until = valid_until - interval '1 day' WHERE "
                f"order_line_id IN (SELECT id FROM shop_orderline WHERE order_id = {PAID})"
            )
        ],
        set(),
    ),
    "access_has_no_gaps": (
        [
            (
                f"UPDATE shop_enrolment SET valid_from = valid_from + interval '1 day', valid_until = "
                f"valid_until + interval '1 day' WHERE order_line_id IN (SELECT id FROM shop_orderline WHERE "
                f"order_id = {PAID})"
            )
        ],
        set(),
    ),
}


@pytest.fixture(scope="module", autouse=True)
def _shop(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """A shop with one order of every kind, at the same moment for all tests. Each undoes what it breaks."""
    with django_db_blocker.unblock(), pytest.MonkeyPatch.context() as patch, undone():
        patch.setattr(shop_clock, "now", lambda: NOW)
        make_shop(MemoryGateway(Clock()))
        yield


def make_shop(gateway: MemoryGateway) -> None:
    """Orders: paid, a degree that hasn't started, waiting with an attempt, expired with late money on its way
    back, refunded; and a request.
    """
    paid_buyer, waiting_buyer = make_buyer(beili=5), make_buyer(beili=5)
    pay(
        make_order(
            paid_buyer, make_course("20.00"), beili=1, global_coupon=make_record(paid_buyer), alipay="9.00"
        ),
        gateway,
    )
    waiting = make_order(
        waiting_buyer, make_course("20.00"), beili=1, global_coupon=make_record(waiting_buyer), alipay="9.00"
    )
    start(waiting, gateway)
    make_record(make_buyer())
    degree = make_course(
        "8.00", course_type=CourseType.DEGREE, starts_on=shop_clock.shanghai_date(NOW) + timedelta(days=9)
    )
    pay(make_order(make_buyer(), degree), gateway)
    back = make_order(make_buyer(), make_course("8.00"))
    pay(back, gateway)
    refund = approve(ask_refund(back))
    send(gateway)
    refund.refresh_from_db()
    double = make_order(make_buyer(), make_course("7.00"))
    first = start(double, gateway)
    gateway.scan(first.out_trade_no)
    second = start(double, gateway, product=Product.QR)
    gateway.trades[first.out_trade_no].status = TradeStatus.WAITING  # its close was lost
    for payment in (second, first):
        gateway.pay(payment.out_trade_no)
        notify(gateway, payment)
    ask(gateway)
    make_request(make_buyer(), make_course("3.00"))


def broken() -> dict[str, Any]:
    return {verdict.rule.name: verdict for verdict in run_audit(now=NOW) if verdict.broken_count}


def test_every_rule_is_broken_here() -> None:
    assert set(BREAKS) == {rule.name for rule in RULES}


def test_healthy_shop_passes() -> None:
    assert Order.objects.count() == 5
    assert Payment.objects.filter(is_surplus=True).count() == 1
    out = StringIO()
    call_command("audit", stdout=out)
    assert out.getvalue().endswith(f"All {len(RULES)} rules hold.\n")


@pytest.mark.parametrize("name", [rule.name for rule in RULES])
def test_broken_rule_is_named_with_its_row(name: str) -> None:
    statements, also = BREAKS[name]
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # pending checks of foreign keys forbid ALTER TABLE
        for model in MODELS:
            cursor.execute(f"ALTER TABLE {model._meta.db_table} DISABLE TRIGGER USER")
        for statement in statements:
            cursor.execute(statement)
    found = broken()
    assert set(found) == {name} | also
    assert found[name].broken_count == len(found[name].rows) >= 1
    out = StringIO()
    with pytest.raises(SystemExit) as exit_:
        call_command("audit", stdout=out)
    assert exit_.value.code == 1
    text = out.getvalue()
    assert f"{name:28} BROKEN" in text
    assert found[name].rule.says in text
    assert "  ".join(f"{column}={value}" for column, value in found[name].rows[0].items()) in text
    assert f"{len(found)} of {len(RULES)} rules are broken." in text
