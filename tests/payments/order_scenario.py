"""Steps that tests of payments share: an order, its attempt, and the gateway's reports about it."""

from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from payments.domain.bills.differences import note_differences
from payments.domain.refunds import deciding, requesting, sending
from payments.domain.trades import attempts, inbox, polling
from payments.domain.upkeep.audit.run import run_audit
from payments.gateways import ConfiguredGateways
from payments.models import Bill, BillDifference, BillEntry, Notification, Payment, Refund
from payments.states import BillRowKind, BillStatus, Product
from shop.clock import shanghai_date
from shop.models import Order
from shop.money import FEN
from tests.factories import NOW, make_buyer
from tests.payments.memorygateway import MemoryGateway


def start(
    order: Order, gateway: MemoryGateway, *, product: Product = Product.PAGE, now: datetime = NOW
) -> Payment:
    """Opens the order's attempt."""
    return attempts.start_payment(
        order=order, product=product, gateways=ConfiguredGateways(gateway), now=now, cause="test"
    ).payment


def notify(
    gateway: MemoryGateway, payment: Payment, *, now: datetime = NOW, without: str = "", **changes: str
) -> Notification:
    """Delivers a notification of the trade's current status, with some fields changed, and applies it.

    Returns the inbox's row.
    """
    form = gateway.form(gateway.trades[payment.out_trade_no]) | changes
    form.pop(without, None)
    inbox.store_notification(
        gateways=ConfiguredGateways(gateway),
        provider=gateway.name,
        headers={},
        body=urlencode(form).encode(),
        now=now,
    )
    # It is due by PostgreSQL's clock, which has moved on if `now` is the present.
    due_at = Notification.objects.latest("pk").available_at or now
    inbox.apply_due_notifications(gateways=ConfiguredGateways(gateway), now=max(now, due_at), cause="test")
    return Notification.objects.latest("pk")


def pay(order: Order, gateway: MemoryGateway, *, now: datetime = NOW) -> Payment:
    """The buyer pays the order, and the shop is notified."""
    payment = start(order, gateway, now=now)
    assert gateway.pay(payment.out_trade_no)
    notify(gateway, payment, now=now)
    payment.refresh_from_db()
    order.refresh_from_db()
    return payment


def ask_refund(order: Order, *course_ids: int, now: datetime = NOW) -> Refund:
    """The buyer requests a refund for some courses of the order, or for all."""
    return requesting.request_refund(
        account_id=order.account_id,
        order_number=order.order_number,
        course_ids=list(course_ids) or None,
        reason="不想学了",
        now=now,
        cause="test",
    )


def approve(refund: Refund, *, now: datetime = NOW) -> Refund:
    return deciding.approve_refund(refund.pk, staff=make_buyer(), now=now, cause="test")


def reject(refund: Refund, *, now: datetime = NOW) -> Refund:
    gateways = ConfiguredGateways(MemoryGateway(lambda: now))  # a requested refund isn't queried
    return deciding.reject_refund(
        refund.pk, gateways=gateways, staff=make_buyer(), why="超过期限", now=now, cause="test"
    )


def send(gateway: MemoryGateway, *, now: datetime = NOW) -> None:
    """Sends due refunds like a worker."""
    sending.send_due_refunds(gateways=ConfiguredGateways(gateway), now=now, cause="test")


def ask(gateway: MemoryGateway, *, now: datetime = NOW) -> None:
    """Queries due payments like a worker."""
    polling.query_due_payments(gateways=ConfiguredGateways(gateway), now=now, cause="test")


def make_difference(order: Order, *, now: datetime = NOW) -> BillDifference:
    """A bill of the order's day with a fen less for its payment."""
    payment = Payment.objects.filter(order=order).latest("pk")
    bill = Bill.objects.create(
        provider=payment.provider,
        app_id=payment.app_id,
        day=shanghai_date(now),
        status=BillStatus.COMPARED,
        compared_at=now,
    )
    BillEntry.objects.create(
        bill=bill,
        kind=BillRowKind.TRADE,
        trade_no=payment.trade_no or "",
        out_trade_no=payment.out_trade_no,
        amount=payment.amount - FEN,
        fee=0,
    )
    note_differences(bill, now=now)
    return BillDifference.objects.latest("pk")


def transfers(order: Order) -> dict[str, str]:
    """The order's transfers: cause → "debit>credit amount"."""
    rows = order.transfers.order_by("id").values_list("key", "debit", "credit", "amount")
    return {key.split(":")[0]: f"{debit}>{credit} {amount}" for key, debit, credit, amount in rows}


def timeline(order: Order) -> list[str]:
    return list(order.events.order_by("id").values_list("kind", flat=True))


def assert_books_are_right() -> None:
    """Every rule of `manage.py audit` holds."""
    broken = {verdict.rule.name: verdict.rows for verdict in run_audit(now=NOW) if verdict.broken_count}
    assert broken == {}, broken


def columns(row: Any, *names: str) -> tuple[Any, ...]:
    """The current values of a row's columns in the database."""
    values: tuple[Any, ...] = type(row).objects.values_list(*names).get(pk=row.pk)
    return values
