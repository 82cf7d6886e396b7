"""A shop with a past."""

import psycopg
import pytest
from django.conf import settings
from django.db import connection

from bench import past, world
from project.local.postgres import SUPERUSER
from tests.payments.conftest import alipay_settings, gateway

__all__ = ["alipay_settings", "gateway"]
# Enough that PostgreSQL prefers any index to reading a whole table.
ORDERS = 8_000


@pytest.fixture
def history(transactional_db: None) -> None:
    """So many paid orders with all that belongs to them, and as many that wait for their money."""

    def connect() -> psycopg.Connection[tuple[object, ...]]:
        database = settings.DATABASES["default"]
        return psycopg.connect(
            dbname=connection.settings_dict["NAME"],
            user=SUPERUSER,
            password=database["PASSWORD"],
            host=database["HOST"],
            port=database["PORT"],
            autocommit=True,
        )

    with connect() as own:
        world.add_catalogue(own)
    past.add_orders(connect, ORDERS, is_paid=True, per_buyer=4)
    past.add_orders(connect, ORDERS, is_paid=False)
    with connect() as own:
        past.postpone_deadlines(own)
        own.execute("VACUUM ANALYZE")
