"""Every function of the domain that takes an id, with one that nobody has: people type addresses, forms are
old, and a row that a page has shown may be gone. Each refuses it as a DomainError, or has its own answer
below.
"""

import inspect
import pkgutil
from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from importlib import import_module
from types import ModuleType
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.messages.storage.cookie import CookieStorage
from django.test import RequestFactory

import payments.domain
import shop.domain
from payments.domain.trades.outcomes import Outcome
from payments.gateways import ConfiguredGateways
from payments.gateways.protocol import RefundMovement
from shop.domain.orders.granting import grant_access
from shop.errors import DomainError, NotFound
from shop.models import Account, Order
from shop.request_id import KEY
from tests.factories import NOW, make_buyer, make_course, make_purchase
from tests.payments.memorygateway import MemoryGateway
from tests.unchanged import nothing_changes

pytestmark = pytest.mark.django_db
UNKNOWN, UNKNOWN_NUMBER = 999_999_999, "2026030212000000ZZZZZZZZZZZZZZZZ"
# Functions that look whether there is something, remove what there is, or take a row that their caller holds.
ANSWERS: dict[str, Any] = {
    "shop.domain.catalogue.exists": False,
    "shop.domain.checkout.cart.read_choices": {},
    "shop.domain.checkout.cart.remove_from_cart": None,
    "shop.domain.checkout.checkouts.find_checkout": None,
    "shop.domain.checkout.store.find_latest": None,
    "shop.domain.checkout.store.remove_checkouts": None,
    "shop.domain.coupons.codes.withdraw_codes": 0,
    "shop.domain.locks.lock_code": None,
    "shop.domain.locks.lock_coupon": None,
    "shop.domain.locks.lock_own_order": None,
    "shop.domain.locks.lock_unused_of_campaign": [],
    "shop.domain.ordering.order_share.check_open_orders": None,
    "shop.domain.polling.order_view.find_whole_order": None,
    "payments.domain.locks.lock_handled_notifications": [],
    "payments.domain.trades.expiry.close_due_order": None,
    "payments.domain.trades.inbox.note_return": None,
    "payments.domain.trades.inbox.quarantine_asked": None,
    "payments.domain.trades.polling.query_payment": None,
    "payments.domain.upkeep.retention.redact_notifications_of": 0,
}
# What takes an id and isn't about a row of its own.
NOT_ASKED = {
    "shop.domain.catalogue.list_courses": "filters",
    "shop.domain.checkout.requote.quote_choices": "chooses from a checkout that the caller has",
    "shop.domain.checkout.snapshot.find_coupon": "chooses from a checkout that the caller has",
    "shop.domain.checkout.store.add_checkout": "makes one",
    "shop.domain.checkout.store.queue_again": "of a checkout that the caller has found",
    "shop.domain.coupons.coupons.fits_course": "compares",
    "shop.domain.ordering.intake.place_order": "accepts whatever; a worker decides",
    "shop.domain.orders.finding.missing_order": "returns the error itself",
    "shop.domain.orders.paylinks.pay_url": "signs",
    "shop.domain.polling.answer_cache.answer_poll": "caches",
    "shop.domain.polling.answer_cache.read_answer": "caches",
    "shop.domain.polling.presence.note_watched": "notes a number that a poll has found",
    "shop.domain.work.due_rows.put_back": "of a row that the worker has claimed",
    "payments.domain.trades.inbox.store_notification": "of a request's id",
    "payments.domain.refunds.requesting.list_refunds": "lists",
}
IDS = ("_id", "_no", "pk", "code", "order_number")


def modules(package: ModuleType) -> Iterator[ModuleType]:
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        yield import_module(found.name)


def functions() -> dict[str, Callable[..., Any]]:
    """Public functions with a parameter that is the id or the number of a row."""
    return {
        f"{module.__name__}.{name}": function
        for package in (shop.domain, payments.domain)
        for module in modules(package)
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__
        and not name.startswith("_")
        and any(parameter.endswith(IDS) for parameter in inspect.signature(function).parameters)
    }


ASKED = sorted(set(functions()) - set(NOT_ASKED))


def arguments(function: Callable[..., Any]) -> dict[str, Any]:
    account = make_buyer()
    gateway = MemoryGateway(lambda: NOW)
    values: dict[str, Any] = {
        "account": account, "staff": account, "now": NOW, "before": NOW, "since": NOW, "limit": 10,
        "expires_at": NOW + timedelta(hours=1), "gateways": ConfiguredGateways(gateway),
        "order_number": UNKNOWN_NUMBER, "out_trade_no": UNKNOWN_NUMBER, "checkout_id": "unknown",
        "code": "UNKNOWN", "course_ids": [UNKNOWN], "amount": 5, "days": 30, "count": 1, "takes_back": True,
        "number": "R1", "movement": RefundMovement("R1", Decimal("1.00"), NOW),
        "outcome": Outcome.CONTRADICTED,
        "purchase": make_purchase, "old_password": "old", "password": "new", "email": "a@example.com",
        "phone": "",
    }  # fmt: skip
    text = {"why": "x", "cause": "test", "reference": "x", "token": "t", "reason": "x"}
    found = {}
    for name in inspect.signature(function).parameters:
        if name in values or name in text:
            found[name] = values.get(name, text.get(name))
        elif name.endswith("_id"):
            found[name] = UNKNOWN
    return found


@pytest.mark.parametrize("name", ASKED)
def test_an_unknown_id_is_refused_and_changes_nothing(name: str) -> None:
    function = functions()[name]
    given = arguments(function)
    with nothing_changes():
        if name in ANSWERS:
            assert function(**given) == ANSWERS[name]
            return
        with pytest.raises(DomainError) as raised:
            function(**given)
    assert raised.value.slug


def test_access_for_nobody_is_refused() -> None:
    """Although there is such a course."""
    staff, course = make_buyer(), make_course()
    with nothing_changes(), pytest.raises(NotFound):
        grant_access(
            account_id=UNKNOWN, course_id=course.pk, days=30, token="t", staff=staff, why="x", now=NOW,
            cause="test",
        )  # fmt: skip


def test_a_deed_on_a_row_that_is_gone_is_refused(rf: RequestFactory) -> None:
    """The page said that there is one; it has gone before the deed."""
    admin.autodiscover()  # as the URLs do, which may not have been loaded yet
    staff = Account.objects.create(username="operator", is_staff=True, is_superuser=True)
    table: Any = admin.site._registry[Order]
    deed = next(one for one in table.deeds if one.name == "move_deadline")
    request = rf.post("/admin/")
    request.user, request.META[KEY] = staff, "request"
    request._messages = said = CookieStorage(request)  # type: ignore[attr-defined]
    order = Order(pk=UNKNOWN, order_number=UNKNOWN_NUMBER)
    with nothing_changes():
        data = {"why": "x", "minutes": 60}
        assert table.perform(request, [order], deed, data) == 0
    assert [str(one) for one in said] == [f"{UNKNOWN_NUMBER}：订单不存在。"]


def test_the_tables_name_functions() -> None:
    assert {*ANSWERS, *NOT_ASKED} <= set(functions())
