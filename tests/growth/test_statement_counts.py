"""Counts what an order costs PostgreSQL and the broker under load: figures that don't depend on the
machine.
"""

from urllib.parse import urlencode

import pytest
import redis
from django.db import connection
from django.test.utils import CaptureQueriesContext

from payments.domain.trades import inbox
from payments.gateways import ConfiguredGateways
from payments.gateways.alipay import AlipayGateway
from payments.models import Notification
from shop import clock
from shop.domain.ordering import creation
from shop.models import Enrolment, Order
from shop.states import CouponType
from shop.tasks import create_orders
from tests.clients import Api, answered
from tests.factories import make_buyer, make_coupon, make_course, make_order, make_record
from tests.payments.alipay_side import notification
from tests.payments.settle import make_payment
from tests.shopping import body_of, post_order, with_coupon

pytestmark = pytest.mark.django_db(transaction=True)
CROWD = 4 * creation.BATCH_SIZE


def test_order_costs_hardly_more_than_its_own_statement_and_no_message(broker_valkey: redis.Redis) -> None:
    """Each has two courses, a coupon on one of them, a global one, and 贝里.

    Counted from the POST to the commit, BEGIN and COMMIT included.
    """
    first, second = make_course("100.00"), make_course("100.00")
    on_course = make_coupon(CouponType.THRESHOLD, "20", minimum="100", course=first, quantity=CROWD)
    on_order = make_coupon(CouponType.PERCENT, off_percent=90, quantity=CROWD)
    requests = []
    for _ in range(CROWD):
        buyer = make_buyer(beili=30)
        body = body_of(
            first, second, alipay="132.00", balance=30, coupon_record_id=make_record(buyer, on_order).pk
        )
        requests.append((Api(buyer), with_coupon(body, make_record(buyer, on_course))))
    with CaptureQueriesContext(connection) as captured:
        for api, body in requests:
            answered(post_order(api, body), 202)
        taken_in = len(captured)
        messages = broker_valkey.llen("orders")
        create_orders()
    assert Order.objects.filter(status="awaiting_payment").count() == CROWD
    assert taken_in == CROWD
    assert len(captured) <= 1.25 * CROWD
    assert messages <= 0.2 * CROWD


def test_notification_costs_hardly_more_than_its_own_row(gateway: AlipayGateway) -> None:
    """From the inbox to the enrolment, with the row of the inbox itself."""
    course = make_course("99.00")
    forms = []
    for _ in range(CROWD):
        order = make_order(make_buyer(), course, now=clock.now())
        forms.append(notification(make_payment(order, gateway, now=clock.now())))
    with CaptureQueriesContext(connection) as captured:
        for form in forms:
            inbox.store_notification(
                gateways=ConfiguredGateways(gateway),
                provider=gateway.name,
                headers={},
                body=urlencode(form).encode(),
                now=clock.now(),
            )
        inbox.apply_due_notifications(gateways=ConfiguredGateways(gateway), now=clock.now(), cause="test")
    assert (Enrolment.objects.count(), Notification.objects.filter(status="applied").count()) == (
        CROWD,
        CROWD,
    )
    assert len(captured) <= 1.55 * CROWD


def test_light_load_is_one_order_a_task(broker_valkey: redis.Redis) -> None:
    """The same code with one order: no more statements than a batch."""
    api, course = Api(make_buyer()), make_course("99.00")
    with CaptureQueriesContext(connection) as captured:
        answered(post_order(api, body_of(course, alipay="99.00")), 202)
        create_orders()
    assert (Order.objects.count(), broker_valkey.llen("orders")) == (1, 1)
    assert len(captured) <= 18


def test_light_load_is_one_notification_a_task(gateway: AlipayGateway) -> None:
    form = notification(
        make_payment(
            make_order(make_buyer(), make_course("99.00"), now=clock.now()), gateway, now=clock.now()
        )
    )
    with CaptureQueriesContext(connection) as captured:
        inbox.store_notification(
            gateways=ConfiguredGateways(gateway),
            provider=gateway.name,
            headers={},
            body=urlencode(form).encode(),
            now=clock.now(),
        )
        inbox.apply_due_notifications(gateways=ConfiguredGateways(gateway), now=clock.now(), cause="test")
    assert Enrolment.objects.count() == 1
    assert len(captured) <= 19
