"""How often an open payment is queried: less often the longer its buyer is away, and at once when they
return.
"""

from datetime import datetime, timedelta

import pytest
import redis
from pytest_django import Settings

from payments.domain.trades import confirming, polling
from payments.domain.trades.attempts import intent_of
from payments.gateways import ConfiguredGateways
from payments.models import Payment
from payments.states import Product
from shop import valkey as shop_valkey
from shop.models import Order
from tests.factories import NOW, make_buyer, make_course, make_order
from tests.payments.domain.conftest import Clock
from tests.payments.memorygateway import MemoryGateway
from tests.payments.settle import make_payment
from tests.variants import first_of

pytestmark = pytest.mark.django_db
# The number of queries of an abandoned payment at one per minute.
ONCE_A_MINUTE = 32


@pytest.fixture
def gateway(clock: Clock) -> MemoryGateway:
    return MemoryGateway(lambda: clock.now)


@pytest.fixture
def payment(gateway: MemoryGateway) -> Payment:
    made = make_payment(make_order(make_buyer(), make_course("99.00")), gateway)
    gateway.page_url(intent_of(made))
    return made


def queries(gateway: MemoryGateway) -> int:
    return gateway.calls.count("query")


def sweep(gateway: MemoryGateway, clock: Clock) -> None:
    """Does what the workers do every few seconds."""
    from payments.domain.trades import expiry

    gateways = ConfiguredGateways(gateway)
    polling.hasten_watched_payments(now=clock.now)
    polling.query_due_payments(gateways=gateways, now=clock.now, cause="test")
    expiry.close_due_orders(gateways=gateways, now=clock.now, cause="test")


def live(gateway: MemoryGateway, clock: Clock, *, until: datetime, step_s: float = 5) -> None:
    while clock.now < until:
        clock.now += timedelta(seconds=step_s)
        sweep(gateway, clock)


def is_over(payment: Payment) -> bool:
    return Order.objects.get(pk=payment.order_id).status != "awaiting_payment"


@pytest.mark.parametrize("scans", [False, True])
@pytest.mark.parametrize("step_s", first_of(5, 1, 17))
def test_abandoned_payment_costs_eight_queries_at_most(
    payment: Payment, gateway: MemoryGateway, clock: Clock, scans: bool, step_s: float
) -> None:
    if scans:
        gateway.scan(payment.out_trade_no)
    live(gateway, clock, until=payment.order.closes_at + timedelta(seconds=60), step_s=step_s)
    assert is_over(payment)
    assert queries(gateway) <= 8 < ONCE_A_MINUTE


@pytest.mark.parametrize("paid_after_s", [1, 29, 31, 89, 95, 149, 200])
def test_immediate_payment_is_found_as_early_as_with_minutely_queries(
    payment: Payment, gateway: MemoryGateway, clock: Clock, paid_after_s: int, settings: Settings
) -> None:
    """There is no notification, and nobody looks at the order."""
    live(gateway, clock, until=NOW + timedelta(seconds=paid_after_s), step_s=1)
    gateway.pay(payment.out_trade_no)
    first, interval = settings.PAYMENT_FIRST_QUERY_S, settings.PAYMENT_QUERY_INTERVAL_S
    next_minute = next(at for n in range(40) if (at := first + n * interval) >= paid_after_s)
    live(gateway, clock, until=NOW + timedelta(seconds=next_minute), step_s=1)
    assert Order.objects.get(pk=payment.order_id).status == "paid"


@pytest.mark.parametrize("away_s", [300, 900, 1500])
def test_payment_is_found_within_an_interval_after_a_visit(
    payment: Payment,
    gateway: MemoryGateway,
    clock: Clock,
    valkey: redis.Redis,
    away_s: int,
    settings: Settings,
) -> None:
    live(gateway, clock, until=NOW + timedelta(seconds=away_s))
    gateway.pay(payment.out_trade_no)
    valkey.sadd(shop_valkey.WATCHED_ORDERS, payment.order.order_number)
    live(gateway, clock, until=clock.now + timedelta(seconds=5))
    # Its last query was more than an interval ago, so the next sweep queries it.
    assert Order.objects.get(pk=payment.order_id).status == "paid"


def test_control_without_a_visit_it_is_found_later(
    payment: Payment, gateway: MemoryGateway, clock: Clock
) -> None:
    """The control of the test above: the buyer's visit brings the query forward."""
    live(gateway, clock, until=NOW + timedelta(seconds=900))
    gateway.pay(payment.out_trade_no)
    live(gateway, clock, until=clock.now + timedelta(seconds=60))
    assert not is_over(payment)


def test_payment_of_a_visiting_buyer_is_found_as_early_as_with_minutely_queries(
    payment: Payment, gateway: MemoryGateway, clock: Clock, valkey: redis.Redis
) -> None:
    for _ in range(60):
        valkey.sadd(shop_valkey.WATCHED_ORDERS, payment.order.order_number)
        live(gateway, clock, until=clock.now + timedelta(seconds=20))
    gateway.pay(payment.out_trade_no)
    paid_at = clock.now
    while not is_over(payment):
        live(gateway, clock, until=clock.now + timedelta(seconds=5))
    assert clock.now - paid_at <= timedelta(seconds=65)


def test_return_from_the_cashier_triggers_a_query_at_once(
    payment: Payment, gateway: MemoryGateway, clock: Clock
) -> None:
    live(gateway, clock, until=NOW + timedelta(seconds=900))
    gateway.pay(payment.out_trade_no)
    confirming.note_return(payment, now=clock.now)
    sweep(gateway, clock)
    assert is_over(payment)


def test_visit_does_not_hurry_a_payment_that_is_being_queried(
    payment: Payment, valkey: redis.Redis, clock: Clock
) -> None:
    lease = NOW + timedelta(seconds=45)
    Payment.objects.update(attempts=1, available_at=lease, asked_at=NOW - timedelta(minutes=5))
    valkey.sadd(shop_valkey.WATCHED_ORDERS, payment.order.order_number)
    assert polling.hasten_watched_payments(now=NOW + timedelta(seconds=10)) == 1
    assert Payment.objects.get().available_at == lease


def test_visit_does_not_hurry_the_first_query(payment: Payment, valkey: redis.Redis) -> None:
    first = Payment.objects.get().available_at
    valkey.sadd(shop_valkey.WATCHED_ORDERS, payment.order.order_number)
    assert polling.hasten_watched_payments(now=NOW + timedelta(seconds=10)) == 0
    assert Payment.objects.get().available_at == first


@pytest.mark.parametrize("product", [Product.PAGE, Product.QR])
def test_query_times_count_from_when_the_buyer_was_seen(
    payment: Payment, product: Product, settings: Settings
) -> None:
    Payment.objects.update(product=product)
    ages = (0, 30, 90, 180, 181, 420, 1500)
    waits = [
        polling.next_query_at(payment, now=NOW + timedelta(seconds=age)) - NOW - timedelta(seconds=age)
        for age in ages
    ]
    assert [wait.total_seconds() for wait in waits] == [60, 60, 60, 60, 181, 420, 1500]
