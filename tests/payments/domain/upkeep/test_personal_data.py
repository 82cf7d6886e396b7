"""Personal data is purged in time, exported and erased, and the books stay complete."""

import io
import json
from datetime import timedelta
from pathlib import Path
from typing import Any, TypedDict
from urllib.parse import urlencode

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.core.management import CommandError, call_command
from django.test import Client
from django_otp.plugins.otp_totp.models import TOTPDevice
from knox.models import AuthToken
from pytest_django import Settings

from payments.domain.trades import inbox
from payments.domain.upkeep.personal_data import anonymise_account
from payments.domain.upkeep.retention import KEPT_FIELDS, purge_personal_data
from payments.errors import AccountInUse, AccountIsStaff
from payments.gateways import ConfiguredGateways
from payments.models import Notification
from shop.models import Account, LedgerTransfer, Order, OrderLine
from tests.clients import Api
from tests.factories import NOW, make_buyer, make_course, make_order, make_request
from tests.guards import unguarded
from tests.payments.memorygateway import MemoryGateway
from tests.payments.order_scenario import approve, ask_refund, assert_books_are_right, notify, send, start
from tests.shopping import V1, check_out, put_in_cart
from tests.unchanged import nothing_changes

pytestmark = pytest.mark.django_db


class BuyersFields(TypedDict):
    """A notification's fields about the buyer."""

    buyer_id: str
    buyer_logon_id: str
    fund_bill_list: str
    passback_params: str


BUYERS: BuyersFields = {
    "buyer_id": "2088000000000009",
    "buyer_logon_id": "luf***@example.com",
    "fund_bill_list": "[{}]",
    "passback_params": "luffy",
}
MARKS = ("lufei", "路飞", "luf***", "2088000000000009", "不想学了", "luffy", "13900007777")


@pytest.fixture
def gateway() -> MemoryGateway:
    return MemoryGateway(lambda: NOW)


@pytest.fixture
def buyer() -> Account:
    account = make_buyer(username="lufei", beili=20, password="correct horse battery")
    account.first_name, account.last_name, account.email = "路飞", "蒙其", "lufei@example.com"
    account.phone = "13900007777"
    account.save()
    return account


@pytest.fixture
def order(buyer: Account, gateway: MemoryGateway) -> Order:
    """Paid, with one course refunded."""
    order = make_order(buyer, make_course("30.00"), make_course("20.00"))
    payment = start(order, gateway)
    gateway.pay(payment.out_trade_no)
    notify(gateway, payment, **BUYERS)
    order.refresh_from_db()
    line = OrderLine.objects.filter(order=order).earliest("pk")
    approve(ask_refund(order, line.course_id))
    send(gateway)
    return order


def notification() -> Notification:
    return Notification.objects.earliest("pk")


def dump() -> str:
    """All text in the database."""
    from django.apps import apps

    return "\n".join(str(list(model._default_manager.values())) for model in apps.get_models())


def test_notification_loses_what_is_personal_and_keeps_what_proves(order: Order, settings: Settings) -> None:
    settings.PERSONAL_DATA_DAYS = 30
    with nothing_changes():
        assert purge_personal_data(now=NOW + timedelta(days=30), limit=10) == 0
    before = notification().fields
    assert set(BUYERS) <= set(before)
    assert (
        purge_personal_data(now=NOW + timedelta(days=30, seconds=1), limit=10) == Notification.objects.count()
    )
    after = notification()
    assert after.raw_body == ""
    assert after.fields == {name: value for name, value in before.items() if name in KEPT_FIELDS}
    assert {"trade_no", "out_trade_no", "total_amount", "trade_status"} <= set(after.fields)
    with nothing_changes():
        assert purge_personal_data(now=NOW + timedelta(days=60), limit=10) == 0
    assert_books_are_right()


def test_what_an_older_release_stored_twice_is_purged_from_both(order: Order, settings: Settings) -> None:
    settings.PERSONAL_DATA_DAYS = 30
    row = notification()
    Notification.objects.filter(pk=row.pk).update(form=dict(row.fields))
    assert purge_personal_data(now=NOW + timedelta(days=31), limit=10) == Notification.objects.count()
    after = notification()
    assert (after.raw_body, set(BUYERS) & set(after.form or {})) == ("", set())
    assert after.fields["trade_no"] == row.fields["trade_no"]


def test_repeated_delivery_is_still_known_after_the_purge(
    order: Order, gateway: MemoryGateway, settings: Settings
) -> None:
    settings.PERSONAL_DATA_DAYS = 1
    form = notification().fields
    assert purge_personal_data(now=NOW + timedelta(days=2), limit=10)
    with nothing_changes():
        assert not inbox.store_notification(
            gateways=ConfiguredGateways(gateway),
            provider=gateway.name,
            headers={},
            body=urlencode(form).encode(),
            now=NOW,
        )


@pytest.mark.parametrize(
    ("status", "changes"),
    [
        ("received", {"available_at": NOW, "handled_at": None}),
        ("asked", {"handled_at": None}),
        ("quarantined", {"reason": "wrong_amount"}),
    ],
)
def test_unhandled_notifications_keep_their_signed_text(
    order: Order, settings: Settings, status: str, changes: dict[str, Any]
) -> None:
    with unguarded("payments_notification"):
        Notification.objects.update(status=status, **changes)
    with nothing_changes():
        assert purge_personal_data(now=NOW + timedelta(days=10_000), limit=10) == 0


def test_purge_works_in_batches_and_can_be_disabled(order: Order, settings: Settings) -> None:
    count = Notification.objects.count()
    settings.PERSONAL_DATA_DAYS = 0
    assert purge_personal_data(now=NOW + timedelta(days=10_000), limit=10) == 0
    settings.PERSONAL_DATA_DAYS = 1
    done = [purge_personal_data(now=NOW + timedelta(days=10_000), limit=1) for _ in range(count + 1)]
    assert done == [1] * count + [0]


def test_export_has_everything_except_secrets(buyer: Account, order: Order, tmp_path: Path) -> None:
    _, token = AuthToken.objects.create(user=buyer)
    stranger = make_order(make_buyer(username="zoro"), make_course())
    put_in_cart(Api(buyer), make_course())
    file = tmp_path / "lufei.json"
    call_command("export_account", "lufei", "--output", str(file))
    assert file.stat().st_mode & 0o777 == 0o600
    found = json.loads(file.read_text())
    assert found["account"][0]["email"] == "lufei@example.com"
    assert [row["order_number"] for row in found["orders"]] == [order.order_number]
    assert (len(found["order_lines"]), len(found["refunds"]), len(found["cart"])) == (2, 1, 1)
    assert found["notifications"][0]["form"]["buyer_logon_id"] == BUYERS["buyer_logon_id"]
    text = file.read_text()
    for secret in (token, buyer.password, stranger.order_number, "zoro"):
        assert secret not in text
    with pytest.raises(CommandError):
        call_command("export_account", "lufei", "--output", str(file))
    with pytest.raises(CommandError):
        call_command("export_account", "nobody")
    out = io.StringIO()
    call_command("export_account", "lufei", stdout=out)
    assert set(json.loads(out.getvalue())) == set(found)


@pytest.mark.django_db(transaction=True)
def test_anonymised_buyer_has_no_personal_data_and_the_books_stay(buyer: Account, order: Order) -> None:
    api, course = Api(buyer), make_course()
    put_in_cart(api, course)
    check_out(api, course)
    buyer.user_permissions.add(Permission.objects.get(codename="view_order"))
    TOTPDevice.objects.create(user=buyer, name="x")
    orders, transfers = list(Order.objects.values()), list(LedgerTransfer.objects.values())
    assert any(mark in dump() for mark in MARKS)
    erased = anonymise_account(buyer.pk, now=NOW + timedelta(days=1))
    words = dump()
    assert [mark for mark in MARKS if mark in words] == []
    assert (erased.username, erased.is_active, erased.has_usable_password()) == (
        f"anonymised-{buyer.pk}",
        False,
        False,
    )
    assert not AuthToken.objects.filter(user=buyer).exists()
    assert api.get(f"{V1}/cart/").status_code == 401
    assert (list(Order.objects.values()), list(LedgerTransfer.objects.values())) == (orders, transfers)
    assert Account.objects.get(pk=buyer.pk).balance == buyer.balance
    assert_books_are_right()
    from shop import valkey

    assert not [
        key
        for key in valkey.client().scan_iter()
        if key.startswith(("cart:", "checkouts:")) or key.endswith(":priced")
    ]
    again = anonymise_account(buyer.pk, now=NOW + timedelta(days=2))
    assert again.username == erased.username


@pytest.mark.parametrize("what", ["orders", "order_requests", "refunds", "notifications"])
def test_buyer_with_unfinished_business_is_not_erased(
    buyer: Account, order: Order, gateway: MemoryGateway, what: str
) -> None:
    if what == "orders":
        make_order(buyer, make_course())
    elif what == "order_requests":
        make_request(buyer, make_course())
    elif what == "refunds":
        ask_refund(order)
    else:
        with unguarded("payments_notification"):
            Notification.objects.filter(pk=notification().pk).update(
                status="quarantined", reason="wrong_amount"
            )
    with nothing_changes(), pytest.raises(AccountInUse) as refusal:
        anonymise_account(buyer.pk, now=NOW)
    assert refusal.value.details == {"under_way": [what]}


def test_staff_are_not_anonymised(buyer: Account) -> None:
    for rank in ("is_staff", "is_superuser"):
        Account.objects.update(is_staff=False, is_superuser=False)
        Account.objects.update(**{rank: True})
        with nothing_changes(), pytest.raises(AccountIsStaff):
            anonymise_account(buyer.pk, now=NOW)


def test_command_requires_confirmation(buyer: Account, order: Order) -> None:
    for arguments in (["lufei"], ["nobody", "--yes"]):
        with nothing_changes(), pytest.raises(CommandError):
            call_command("anonymise_account", *arguments)
    call_command("anonymise_account", "lufei", "--yes", stdout=io.StringIO())
    assert not Account.objects.filter(username="lufei").exists()


@pytest.mark.parametrize("may", [True, False])
def test_deed_in_the_admin(buyer: Account, order: Order, may: bool) -> None:
    staff = make_buyer(username="operator")
    Account.objects.filter(pk=staff.pk).update(is_staff=True)
    names = ["view_account", *(["anonymise_account"] if may else [])]
    staff.user_permissions.set(Permission.objects.filter(codename__in=names))
    browser = Client()
    browser.force_login(staff)
    body = {"action": "anonymise", "_selected_action": [buyer.pk]}
    with nothing_changes():
        asked = browser.post("/admin/shop/account/", body)
    assert ("不可恢复" in asked.content.decode()) is may
    browser.post("/admin/shop/account/", {**body, "confirmed": "yes"})
    assert Account.objects.filter(username="lufei").exists() is not may
    entries = [(entry.object_repr, entry.get_change_message()) for entry in LogEntry.objects.all()]
    assert entries == ([(f"anonymised-{buyer.pk}", "抹除个人信息")] if may else [])
