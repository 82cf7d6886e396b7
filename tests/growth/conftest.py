"""A shop with a long history."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db import connection

from payments.gateways.alipay import AlipayGateway
from payments.models import Payment
from project.local.history import multiply
from project.local.postgres import SUPERUSER
from shop import clock
from shop.models import Order
from tests.databases import open_session
from tests.emptying import list_tables
from tests.factories import make_buyer
from tests.orderlives import make_waiting
from tests.payments.conftest import alipay_settings, gateway
from tests.payments.settle import make_payment, notify

__all__ = ["alipay_settings", "gateway"]
# Enough that PostgreSQL prefers any index to reading a whole table.
ORDERS = 8_000
# This many of each kind go through the shop; the others are copies of them.
BOUGHT = 40


@pytest.fixture
def history(transactional_db: None, gateway: AlipayGateway) -> Iterator[None]:
    """Paid orders with everything that belongs to them, and as many orders that await payment."""
    for number in range(2 * BOUGHT):
        payment = make_payment(
            Order.objects.get(order_number=make_waiting(make_buyer())), gateway, now=clock.now()
        )
        if number % 2:
            notify(gateway, payment, now=clock.now(), notify_id=f"{number:034}")
    # Nothing becomes due during a measurement.
    Order.objects.filter(available_at__isnull=False).update(available_at=clock.now() + timedelta(days=3650))
    Payment.objects.filter(available_at__isnull=False).update(available_at=clock.now() + timedelta(days=3650))
    with open_session(role=SUPERUSER) as superuser:
        superuser.autocommit = True
        multiply(superuser, ORDERS // BOUGHT - 1)
        superuser.execute("VACUUM ANALYZE")
        yield
        # Deleting row by row would take longer than creating them did. Ids restart, since other tests expect
        # small ones.
        with connection.cursor() as cursor:
            tables = list_tables(cursor)
        superuser.execute(f"TRUNCATE {', '.join(tables)} RESTART IDENTITY")
