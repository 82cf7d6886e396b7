"""Everything that moves money locks in one order: accounts, orders, payments, refunds.

So no two transactions can deadlock.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection

from payments.domain.refunds import deciding, explaining, sending
from payments.domain.trades import expiry, inbox, polling
from payments.gateways import ConfiguredGateways
from payments.gateways.protocol import TradeStatus
from payments.models import Refund
from payments.states import Product
from shop.domain.orders import closing
from shop.models import Order
from shop.models.work import GATEWAY_ATTEMPTS
from tests.factories import make_buyer, make_course, make_order, make_record
from tests.payments.domain.conftest import Clock
from tests.payments.memorygateway import Fault, MemoryGateway
from tests.payments.order_scenario import approve, ask, ask_refund, notify, pay, reject, send, start

# Real transactions, since their locks are observed.
pytestmark = pytest.mark.django_db(transaction=True)

ORDER = ("shop_account", "shop_order", "payments_payment", "payments_refund")
LOCKS = re.compile(r'^\s*(?:UPDATE "?(\w+)"?|SELECT .*? FROM "?(\w+)"?.* FOR (?:NO KEY )?UPDATE)', re.DOTALL)


@contextmanager
def watched() -> Iterator[list[list[str]]]:
    """The tables in which each transaction of the block locks rows, in the order of their first lock."""
    seen: list[list[str]] = []
    current: object = None

    def watch(run: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        nonlocal current
        block = connection.atomic_blocks[0] if connection.atomic_blocks else None
        if block is None or block is not current:
            seen.append([])
        current = block
        if (match := LOCKS.match(sql)) and (table := match[1] or match[2]) in ORDER and table not in seen[-1]:
            seen[-1].append(table)
        return run(sql, params, many, context)

    with connection.execute_wrapper(watch):
        yield seen


@pytest.fixture
def gateway(clock: Clock) -> MemoryGateway:
    return MemoryGateway(clock)


@pytest.fixture
def order() -> Order:
    buyer = make_buyer(beili=5)
    return make_order(buyer, make_course("20.00"), beili=1, global_coupon=make_record(buyer), alipay="9.00")


def settle(order: Order, gateway: MemoryGateway, clock: Clock) -> None:
    pay(order, gateway)


def settle_late(order: Order, gateway: MemoryGateway, clock: Clock) -> None:
    payment = start(order, gateway)
    closing.request_cancel(
        account_id=order.account_id, order_number=order.order_number, now=clock.now, cause="test"
    )
    expiry.close_due_orders(gateways=ConfiguredGateways(gateway), now=clock.now, cause="test")
    gateway.pay(payment.out_trade_no)
    notify(gateway, payment)
    ask(gateway)
    send(gateway)


def reopen(order: Order, gateway: MemoryGateway, clock: Clock) -> None:
    payment = start(order, gateway)
    clock.now = order.closes_at
    expiry.close_due_orders(gateways=ConfiguredGateways(gateway), now=clock.now, cause="test")
    gateway.pay(payment.out_trade_no, is_late=True)
    notify(gateway, payment, now=clock.now)
    ask(gateway, now=clock.now)


def change_product(order: Order, gateway: MemoryGateway, clock: Clock) -> None:
    gateway.scan(start(order, gateway).out_trade_no)
    start(order, gateway, product=Product.QR)


def poll_unseen(order: Order, gateway: MemoryGateway, clock: Clock) -> None:
    first = start(order, gateway)
    gateway.scan(first.out_trade_no)
    start(order, gateway, product=Product.WAP)
    gateway.trades[first.out_trade_no].status = TradeStatus.WAITING  # its close got lost
    gateway.pay(first.out_trade_no)
    inbox.note_return(out_trade_no=first.out_trade_no, now=clock.now)
    notify(gateway, first)
    clock.now = order.closes_at
    for _ in range(2):
        polling.query_due_payments(
            gateways=ConfiguredGateways(gateway), now=clock.advance(minutes=1), cause="test"
        )


def decide_refunds(order: Order, gateway: MemoryGateway, clock: Clock) -> None:
    pay(order, gateway)
    reject(ask_refund(order))
    refund = approve(ask_refund(order))
    gateway.faults = [Fault.LOST_AFTER]
    send(gateway)
    Refund.objects.filter(pk=refund.pk).update(attempts=GATEWAY_ATTEMPTS)
    assert sending.give_up_refunds(now=clock.advance(hours=1)) == 1
    approve(refund, now=clock.now)
    send(gateway, now=clock.now)


def refuse_refund(order: Order, gateway: MemoryGateway, clock: Clock) -> None:
    payment = pay(order, gateway)
    gateway.end_refund_window(payment.out_trade_no)
    approve(ask_refund(order))
    send(gateway)


def give_back_before_the_word(order: Order, gateway: MemoryGateway, clock: Clock) -> None:
    payment = start(order, gateway)
    gateway.pay(payment.out_trade_no)
    gateway.console_refund(payment.out_trade_no, "CONSOLE1", payment.amount)
    notify(gateway, payment)
    for _ in range(3):
        ask(gateway, now=clock.advance(minutes=1))
        send(gateway, now=clock.now)


def explain_refunds_elsewhere(order: Order, gateway: MemoryGateway, clock: Clock) -> None:
    payment = pay(order, gateway)
    for number in ("CONSOLE1", "CONSOLE2"):
        gateway.console_refund(payment.out_trade_no, number, Decimal("1.00"))
        notify(gateway, payment)
        send(gateway)
        refund = Refund.objects.get(out_request_no=number)
        explaining.explain_external_refund(
            refund.pk, course_ids=None, staff=make_buyer(), why="", now=clock.now, cause="test"
        )
    gateway.console_refund(payment.out_trade_no, "CONSOLE3", Decimal("7.00"))
    notify(gateway, payment)
    send(gateway)


def pay_by_other_means(order: Order, gateway: MemoryGateway, clock: Clock) -> None:
    refuse_refund(order, gateway, clock)
    gateways, refund = ConfiguredGateways(gateway), Refund.objects.get()
    deciding.mark_refund_paid_elsewhere(
        refund.pk, gateways=gateways, reference="BANK1", staff=make_buyer(), now=clock.now, cause="test"
    )


DEEDS = [
    settle, settle_late, reopen, change_product, poll_unseen, decide_refunds, refuse_refund,
    give_back_before_the_word,
    explain_refunds_elsewhere, pay_by_other_means,
]  # fmt: skip


@pytest.mark.parametrize("deed", DEEDS)
def test_locks_are_taken_in_one_order(
    order: Order, gateway: MemoryGateway, clock: Clock, deed: Callable[[Order, MemoryGateway, Clock], None]
) -> None:
    with watched() as transactions:
        deed(order, gateway, clock)
    several = [tables for tables in transactions if len(tables) > 1]
    assert several
    for tables in several:
        assert tables == sorted(tables, key=ORDER.index)


def test_control_the_watch_sees_a_wrong_order(order: Order) -> None:
    from django.db import transaction

    from shop.models import Account

    with watched() as transactions, transaction.atomic():
        list(Order.objects.select_for_update(no_key=True))
        Account.objects.filter(pk=order.account_id).update(balance=4)
    assert transactions == [["shop_order", "shop_account"]]
