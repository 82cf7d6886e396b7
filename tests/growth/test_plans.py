"""Every statement of the busy paths on large tables: PostgreSQL finds its rows by an index."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import Any

import psycopg
import pytest
from django.db import connection
from django.test import Client

from payments.domain.trades import expiry, polling
from payments.gateways import ConfiguredGateways
from payments.gateways.alipay import AlipayGateway
from payments.models import Payment
from payments.tasks import apply_notifications
from project.local.waiting import wait_until
from shop import clock
from shop.domain import sql
from shop.domain.accounts import tokens
from shop.domain.coupons import coupons
from shop.domain.measures import measurements, totals
from shop.domain.orders import closing
from shop.models import Account, Coupon, Course, Order
from tests.clients import Api, answered
from tests.factories import make_buyer
from tests.payments.alipay_side import encoded, notification
from tests.payments.domain.conftest import Clock
from tests.payments.memorygateway import MemoryGateway
from tests.payments.settle import make_payment
from tests.shopping import V1, body_of, check_out, order_of, put_in_cart
from worker.tasks import sweep

GROWN = {
    "shop_account", "shop_couponrecord", "shop_orderrequest", "shop_order", "shop_orderline",
    "shop_orderevent", "shop_ledgertransfer",
    "shop_enrolment", "payments_payment", "payments_notification",
}  # fmt: skip


# PostgreSQL's estimate of the cost of planning a statement of three tables.
PLANNING_COST = 10.0


def numbered(sql: str) -> str:
    """The statement as the server sees it: `$1` where the driver has `%s` or `%(name)s`."""
    names: dict[str, int] = {}

    def number(place: re.Match[str]) -> str:
        name = place[1] or f"position {len(names)}"
        return f"${names.setdefault(name, len(names) + 1)}"

    return re.sub(r"%(?:\((\w+)\))?s", number, sql).replace("%%", "%")


def _parsed(row: Any) -> Any:
    [explained] = json.loads(row[0]) if isinstance(row[0], str) else row[0]
    return explained["Plan"]


def scans(plan: dict[str, Any]) -> Iterator[str]:
    """The large tables that a plan scans in full."""
    if plan["Node Type"] == "Seq Scan" and plan["Relation Name"] in GROWN:
        yield plan["Relation Name"]
    for inner in plan.get("Plans", []):
        yield from scans(inner)


@contextmanager
def watched() -> Iterator[dict[str, list[str]]]:
    """Yields the statements that run in the block, each with the large tables that it scans in full."""
    seen: dict[str, list[str]] = {}

    def watch(run: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.split(None, 1)[0] in {"SELECT", "INSERT", "UPDATE", "DELETE", "WITH"}:
            with psycopg.ClientCursor(connection.connection) as cursor:
                custom = _parsed(cursor.execute(f"EXPLAIN (FORMAT JSON) {sql}", params).fetchone())
                generic = _parsed(
                    cursor.execute(f"EXPLAIN (FORMAT JSON, GENERIC_PLAN) {numbered(sql)}").fetchone()
                )
            # A prepared statement switches to the generic plan when that isn't estimated to cost more than
            # planning each time.
            settled = generic if generic["Total Cost"] <= custom["Total Cost"] + PLANNING_COST else custom
            seen[" ".join(sql.split())[:300]] = sorted({*scans(custom), *scans(settled)})
        return run(sql, params, many, context)

    with connection.execute_wrapper(watch):
        yield seen


def buy(buyer: Account, gateway: AlipayGateway) -> None:
    """From the cart to the course, with every page that a buyer opens on the way."""
    api, course = Api(buyer), Course.objects.earliest("pk")
    for campaign in Coupon.objects.filter(pk__in=[3, 4]):
        coupons.claim_coupon(account=buyer, coupon_id=campaign.pk, now=clock.now())
    put_in_cart(api, course)
    check_out(api, course)
    seen = order_of(api, body_of(course, alipay=str(course.price_policies.get().price)))
    order = Order.objects.get(order_number=seen["order_number"])
    payment = make_payment(order, gateway, now=clock.now())
    answer = Client().generic(
        "POST",
        f"{V1}/payments/alipay/notify/",
        encoded(notification(payment)),
        content_type="application/x-www-form-urlencoded",
    )
    assert answer.content == b"success"
    apply_notifications()
    paid = api.get(f"{V1}/orders/{order.order_number}/")
    assert answered(paid)["status"] == "paid"
    for page in ("orders/", "orders/?status=paid", "enrolments/", "balance/", "coupons/mine/", "cart/"):
        answered(api.get(f"{V1}/{page}"))


def upkeep(gateway: MemoryGateway) -> None:
    """Background work: the sweep, a payment query, an order's expiry, expired coupons and tokens."""
    sweep()
    Payment.objects.filter(pk=Payment.objects.filter(status="open").order_by("pk").values("pk")[:1]).update(
        available_at=clock.now()
    )
    polling.query_due_payments(gateways=ConfiguredGateways(gateway), now=clock.now(), cause="test")
    waiting = Order.objects.filter(status="awaiting_payment").order_by("-pk")[0]
    closing.request_cancel(
        account_id=waiting.account_id, order_number=waiting.order_number, now=clock.now(), cause="test"
    )
    expiry.close_due_orders(gateways=ConfiguredGateways(gateway), now=clock.now(), cause="test")
    waiting.refresh_from_db()
    assert waiting.status == "cancelled"
    coupons.expire_records(now=clock.now() - timedelta(days=1), limit=1000)
    tokens.purge_tokens(now=clock.now())
    assert Client().get("/metrics").status_code == 200


def is_folded(total: totals.Total) -> bool:
    """Adds up once more; whether all rows are included now."""
    totals.fold(total, now=clock.now())
    [(highest,)] = sql.read(f"SELECT max(id) FROM {total.table}", [])
    found = measurements.find(total.name)
    return found is not None and bool(found.value["up_to"] == highest)


def in_place_of_alipay() -> MemoryGateway:
    """A gateway with the credentials that the history's attempts were made with."""
    gateway = MemoryGateway(
        Clock(), app_id=Payment.objects.filter(status="open").values_list("app_id", flat=True)[0]
    )
    gateway.name = "alipay"
    return gateway


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("history", "alipay_settings")
def test_busy_statements_read_no_grown_table_from_end_to_end(gateway: AlipayGateway) -> None:
    with watched() as control:
        assert Order.objects.filter(cash_due="123456.00").count() == 0
    assert list(control.values()) == [["shop_order"]]  # a scan without an index is noticed

    in_memory = in_place_of_alipay()
    # once in a shop's life everything is added up; transactions of other tests must have ended
    for total in totals.TOTALS:
        assert wait_until(partial(is_folded, total), timeout_s=60, poll_s=0.5)
    with watched() as seen:
        buy(make_buyer(), gateway)
        upkeep(in_memory)
    assert len(seen) > 60
    scanning = {sql: tables for sql, tables in seen.items() if tables}
    assert scanning == {}
