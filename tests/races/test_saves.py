"""Staff save while buyers order and claim: the staff's changes are saved, and the buyers' aren't lost."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection, models
from django.db.models.signals import pre_save
from django.test import Client
from django.urls import reverse

from shop.domain.coupons import coupons
from shop.domain.ordering import creation
from shop.models import Account, Coupon, CouponRecord, Course, Order, OrderRequest
from shop.models.base import SavesChanges
from tests.guards import unguarded
from tests.invariants import check_invariants, query_django

pytestmark = [pytest.mark.race, pytest.mark.django_db(transaction=True)]

PASSWORD = "correct horse battery 9"
Place = Callable[..., OrderRequest]


@contextmanager
def before_saving(model: type[models.Model], deed: Callable[[], object]) -> Iterator[None]:
    """Runs and commits `deed` on another connection after the next row of `model` was loaded, just before it
    is saved.
    """
    left = [deed]

    def interrupt(**_: Any) -> None:
        if left:
            thread = threading.Thread(target=_done, args=[left.pop()])
            thread.start()
            thread.join()

    pre_save.connect(interrupt, sender=model)
    try:
        yield
    finally:
        pre_save.disconnect(interrupt, sender=model)
    assert not left, "nothing was saved"


def _done(deed: Callable[[], object]) -> None:
    try:
        deed()
    finally:
        connection.close()


@pytest.fixture
def staff(transactional_db: None) -> Client:
    client = Client()
    client.force_login(Account.objects.create(username="operator", is_staff=True, is_superuser=True))
    return client


@pytest.fixture
def buyer(make_buyers: Callable[..., list[Account]]) -> Account:
    [buyer] = make_buyers(1, beili=1000)
    return buyer


def reset_password(staff: Client, buyer: Account, **_: Any) -> None:
    url = reverse("admin:auth_user_password_change", args=[buyer.pk])
    response = staff.post(url, {"password1": PASSWORD, "password2": PASSWORD, "usable_password": "true"})
    assert response.status_code == 302


def edit_account(staff: Client, buyer: Account, **_: Any) -> None:
    url = reverse("admin:shop_account_change", args=[buyer.pk])
    fields = {
        "username": buyer.username,
        "email": "new@example.com",
        "is_active": "on",
        "date_joined_0": "2026-01-01",
        "date_joined_1": "00:00",
    }
    assert staff.post(url, fields).status_code == 302
    assert Account.objects.get(pk=buyer.pk).email == "new@example.com"


def run_changepassword(staff: Client, buyer: Account, *, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "django.contrib.auth.management.commands.changepassword.getpass.getpass", lambda prompt: PASSWORD
    )
    call_command("changepassword", buyer.username)


def set_password(staff: Client, buyer: Account, **_: Any) -> None:
    stale = Account.objects.get(pk=buyer.pk)
    stale.set_password(PASSWORD)
    stale.save()


def log_in(staff: Client, buyer: Account, **_: Any) -> None:
    """The staff site's login stores its time on the account."""
    Client().force_login(buyer)
    assert Account.objects.get(pk=buyer.pk).last_login is not None


@pytest.mark.parametrize("save", [reset_password, edit_account, run_changepassword, set_password, log_in])
def test_account_is_saved_while_its_buyer_orders(
    staff: Client,
    buyer: Account,
    place: Place,
    now: datetime,
    monkeypatch: pytest.MonkeyPatch,
    save: Callable[..., None],
) -> None:
    request = place(buyer, "key", beili=10)
    with before_saving(Account, lambda: creation.create_orders([request.pk], now=now, cause="race")):
        save(staff, buyer, monkeypatch=monkeypatch)
    buyer.refresh_from_db()
    assert (buyer.balance, buyer.held_balance, Order.objects.count()) == (990, 10, 1)
    assert buyer.check_password(PASSWORD) == (save in (reset_password, run_changepassword, set_password))
    check_invariants(query_django, is_idle=False)


def test_database_refuses_a_whole_old_account(
    buyer: Account, place: Place, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Django's own save of all loaded columns, as any code could call it."""
    request = place(buyer, "key", beili=10)
    monkeypatch.setattr(SavesChanges, "_changed", all_columns)
    with (
        before_saving(Account, lambda: creation.create_orders([request.pk], now=now, cause="race")),
        pytest.raises(IntegrityError, match="moves balance, held_balance only with shop_ledgertransfer"),
    ):
        set_password(Client(), buyer)
    buyer.refresh_from_db()
    assert (buyer.balance, buyer.held_balance, buyer.check_password(PASSWORD)) == (990, 10, False)


def test_control_without_both_an_old_balance_comes_back(
    staff: Client, buyer: Account, place: Place, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = place(buyer, "key", beili=10)
    monkeypatch.setattr(SavesChanges, "_changed", all_columns)
    with (
        unguarded("shop_account", "derived"),
        before_saving(Account, lambda: creation.create_orders([request.pk], now=now, cause="race")),
    ):
        set_password(staff, buyer)
    buyer.refresh_from_db()
    assert (buyer.balance, buyer.held_balance) == (1000, 0)


def all_columns(row: models.Model) -> list[str]:
    return [field.name for field in row._meta.concrete_fields if not field.primary_key]


def test_campaign_is_edited_while_its_coupons_are_claimed(
    staff: Client, campaign: Coupon, make_buyers: Callable[..., list[Account]], now: datetime
) -> None:
    Coupon.objects.update(quantity=60)
    [buyer] = make_buyers(1)
    fields = {
        "name": campaign.name, "brief": "新的介绍", "coupon_type": "0", "money_equivalent_value": "10.00",
        "minimum_consume": "0.00",
        "scope": "order", "quantity": "60", "open_date": campaign.open_date,
        "close_date": campaign.close_date, "coupon_valid_days": "7",
    }  # fmt: skip
    with before_saving(Coupon, lambda: coupons.claim_coupon(account=buyer, coupon_id=campaign.pk, now=now)):
        assert staff.post(reverse("admin:shop_coupon_change", args=[campaign.pk]), fields).status_code == 302
    campaign.refresh_from_db()
    assert (campaign.brief, campaign.claimed_count, CouponRecord.objects.count()) == ("新的介绍", 1, 1)
    check_invariants(query_django)


def test_list_of_courses_is_saved_while_a_price_and_a_name_change(staff: Client, policy: Any) -> None:
    """`list_editable`: the row's other columns keep others' changes."""
    course = Course.objects.get()
    rows = {
        "form-TOTAL_FORMS": "1",
        "form-INITIAL_FORMS": "1",
        "form-0-id": course.pk,
        "form-0-status": "0",
        "form-0-position": "9",
    }
    with before_saving(Course, lambda: Course.objects.update(name="改名")):
        assert staff.post(reverse("admin:shop_course_changelist"), {**rows, "_save": "1"}).status_code == 302
    course.refresh_from_db()
    assert (course.name, course.position) == ("改名", 9)
