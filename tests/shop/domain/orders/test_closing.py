"""Cancelling and closing orders, and reopening them for late payments."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import transaction

from shop.domain.orders import closing
from shop.errors import OrderNotCancellable, OrderNotFound, StaleState
from shop.models import Account, CouponRecord, Order
from shop.states import CouponRecordStatus, OrderStatus
from tests.factories import NOW, make_buyer, make_course, make_order, make_record
from tests.unchanged import nothing_changes

pytestmark = pytest.mark.django_db


@pytest.fixture
def order() -> Order:
    buyer = make_buyer(beili=20)
    return make_order(buyer, make_course("99.00"), global_coupon=make_record(buyer), beili=9, alipay="80.00")


def cancel(order: Order) -> Order:
    return closing.request_cancel(
        account_id=order.account_id, order_number=order.order_number, now=NOW, cause="test"
    )


def close(order: Order) -> None:
    closing.close_orders([order], now=NOW, cause="test")


def reopen(order: Order) -> bool:
    with transaction.atomic():
        return closing.reopen_order(order, now=NOW, cause="test")


def holdings(order: Order) -> tuple[str, int, int, str]:
    order = Order.objects.get(pk=order.pk)
    account = Account.objects.get(pk=order.account_id)
    return (
        order.status,
        account.balance,
        account.held_balance,
        CouponRecord.objects.get(account=account).status,
    )


def test_cancel_makes_the_order_due_and_releases_nothing_yet(order: Order) -> None:
    cancelled = cancel(order)
    assert (cancelled.cancel_requested_at, cancelled.available_at, cancelled.status) == (
        NOW,
        NOW,
        OrderStatus.AWAITING_PAYMENT,
    )
    assert holdings(order) == (OrderStatus.AWAITING_PAYMENT, 11, 9, CouponRecordStatus.RESERVED)


def test_cancelling_twice_is_once(order: Order) -> None:
    cancel(order)
    with nothing_changes():
        cancel(order)
    order.refresh_from_db()
    close(order)
    with nothing_changes():
        assert cancel(order).status == OrderStatus.CANCELLED


def test_paid_expired_or_foreign_order_cannot_be_cancelled(order: Order) -> None:
    free = make_order(make_buyer(beili=5), make_course("5.00"), beili=5, alipay="0.00")
    expired = make_order(make_buyer(), make_course("5.00"))
    close(expired)
    with nothing_changes():
        for over in (free, expired):
            with pytest.raises(OrderNotCancellable):
                cancel(over)
        with pytest.raises(OrderNotFound):
            closing.request_cancel(
                account_id=free.account_id, order_number=order.order_number, now=NOW, cause="test"
            )


@pytest.mark.parametrize("by_buyer", [True, False])
def test_closing_gives_coupon_and_beili_back(order: Order, *, by_buyer: bool) -> None:
    if by_buyer:
        cancel(order)
        order.refresh_from_db()
    close(order)
    status = OrderStatus.CANCELLED if by_buyer else OrderStatus.EXPIRED
    assert holdings(order) == (status, 20, 0, CouponRecordStatus.UNUSED)
    assert list(order.events.order_by("id").values_list("kind", flat=True))[-1] == status


def test_closing_twice_is_refused(order: Order) -> None:
    close(order)
    with nothing_changes(), pytest.raises(StaleState):
        close(order)


def test_expired_order_takes_everything_again(order: Order) -> None:
    close(order)
    assert reopen(order) is True
    assert holdings(order) == (OrderStatus.PAID, 11, 0, CouponRecordStatus.USED)
    assert order.transfers.filter(key=f"rehold:{order.order_number}").count() == 1


def test_only_an_expired_order_is_reopened(order: Order) -> None:
    with nothing_changes(), pytest.raises(StaleState):
        reopen(order)
    cancel(order)
    order.refresh_from_db()
    close(order)
    with nothing_changes(), pytest.raises(StaleState):
        reopen(order)


def take_coupon(order: Order) -> None:
    buyer = Account.objects.get(pk=order.account_id)
    make_order(
        buyer, make_course("11.00"), global_coupon=CouponRecord.objects.get(account=buyer), alipay="1.00"
    )


def let_coupon_end(order: Order) -> None:
    CouponRecord.objects.update(valid_until_date=NOW.date() - timedelta(days=1))


def mark_coupon_expired(order: Order) -> None:
    CouponRecord.objects.update(
        valid_until_date=NOW.date() - timedelta(days=1), status=CouponRecordStatus.EXPIRED
    )


def take_beili(order: Order) -> None:
    make_order(Account.objects.get(pk=order.account_id), make_course("16.00"), beili=12, alipay="4.00")


@pytest.mark.parametrize("lose", [take_coupon, let_coupon_end, mark_coupon_expired, take_beili])
def test_order_whose_coupon_or_beili_are_gone_stays_expired(
    order: Order, lose: Callable[[Order], None]
) -> None:
    """Whether or not the coupon clean-up has run meanwhile."""
    close(order)
    lose(order)
    with nothing_changes():
        assert reopen(order) is False
