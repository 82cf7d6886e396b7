"""What each role may do to an account: every field of every form is posted, and no privileges are gained."""

from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission
from django.core.management import call_command
from django.forms.models import model_to_dict
from django.test import Client
from knox.models import AuthToken
from pytest_django import Settings

from project.roles import ROLES, ensure_roles
from shop.accountadmin import AccountAdmin
from shop.domain import ledger
from shop.models import Account
from tests.factories import NOW, make_buyer

pytestmark = pytest.mark.django_db
RIGHTS = (
    "is_superuser",
    "is_staff",
    "groups",
    "user_permissions",
    "password",
    "username",
    "balance",
    "held_balance",
    "login_generation",
)


@pytest.fixture(autouse=True)
def cheap_hashes(settings: Settings) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    ensure_roles()


def staff(*permissions: str, role: str | None = None, is_superuser: bool = False) -> Account:
    account = make_buyer(
        username=f"staff-{role or '-'.join(permissions) or is_superuser}"[:100],
        password="correct horse battery",
    )
    account.is_staff, account.is_superuser = True, is_superuser
    account.save()
    if role:
        account.groups.add(Group.objects.get(name=role))
    for permission in permissions:
        app, codename = permission.split(".")
        account.user_permissions.add(Permission.objects.get(content_type__app_label=app, codename=codename))
    return account


def browser_of(account: Account) -> Client:
    browser = Client()
    browser.force_login(account)
    return browser


def rights_of(account: Account) -> dict[str, Any]:
    fields = model_to_dict(Account.objects.get(pk=account.pk), RIGHTS)
    return {
        **fields,
        "groups": {group.pk for group in fields["groups"]},
        "user_permissions": {one.pk for one in fields["user_permissions"]},
    }


def everything(**changes: Any) -> dict[str, Any]:
    """A form with every field of accounts and of Django's own forms."""
    permission = Permission.objects.get(codename="change_account")
    return {
        "username": "raised", "first_name": "娜美", "last_name": "", "email": "nami@example.com",
        "is_active": "on", "is_staff": "on",
        "is_superuser": "on", "groups": [group.pk for group in Group.objects.all()],
        "user_permissions": [permission.pk], "balance": "9999",
        "held_balance": "9", "password": "x", "login_generation": "5", "date_joined_0": "2020-01-01",
        "date_joined_1": "00:00",
        "last_login_0": "2020-01-01", "last_login_1": "00:00", "_save": "1", **changes,
    }  # fmt: skip


WHO = [*ROLES, "shop.change_account", "every permission of accounts and groups"]


def actor(who: str) -> Account:
    if who in ROLES:
        return staff(role=who)
    if who == "shop.change_account":
        return staff("shop.view_account", who)
    account = staff()
    account.user_permissions.set(
        Permission.objects.filter(content_type__app_label__in=["shop", "auth", "knox", "otp_totp", "admin"])
    )
    return account


@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize("whom", ["buyer", "oneself", "other staff", "superuser"])
def test_no_form_grants_privileges(who: str, whom: str) -> None:
    acting = actor(who)
    target = {
        "buyer": make_buyer,
        "oneself": lambda: acting,
        "other staff": lambda: staff(role="客服" if who != "客服" else "店长"),
        "superuser": lambda: staff(is_superuser=True),
    }[whom]()
    before, browser = rights_of(target), browser_of(acting)
    passwords = {
        "password1": "another long phrase",
        "password2": "another long phrase",
        "usable_password": "true",
    }
    assert browser.post(f"/admin/shop/account/{target.pk}/change/", everything()).status_code in {302, 403}
    assert browser.post(f"/admin/shop/account/{target.pk}/password/", passwords).status_code == 403
    assert browser.post(f"/admin/shop/account/{target.pk}/delete/", {"post": "yes"}).status_code == 403
    assert rights_of(target) == before
    may_change = whom == "buyer" and who not in ROLES
    assert Account.objects.get(pk=target.pk).email == ("nami@example.com" if may_change else "")


@pytest.mark.parametrize("who", WHO)
def test_only_superusers_create_staff_or_roles(who: str) -> None:
    browser, group = browser_of(actor(who)), Group.objects.get(name="客服")
    permissions = list(Permission.objects.values_list("pk", flat=True))
    count = group.permissions.count()
    new = everything(
        username="new-one",
        password1="another long phrase",
        password2="another long phrase",
        usable_password="true",
    )
    browser.post("/admin/shop/account/add/", new)
    assert not Account.objects.filter(username="new-one", is_staff=True).exists()
    assert not Account.objects.filter(username="new-one", is_superuser=True).exists()
    for path, body in (
        (f"/admin/auth/group/{group.pk}/change/", {"name": "客服", "permissions": permissions}),
        ("/admin/auth/group/add/", {"name": "new", "permissions": permissions}),
        (f"/admin/auth/group/{group.pk}/delete/", {"post": "yes"}),
        ("/admin/otp_totp/totpdevice/add/", {"user": "1"}),
        ("/admin/knox/authtoken/add/", {"user": "1"}),
        ("/admin/auth/permission/add/", {"name": "x"}),
    ):
        assert browser.post(path, body).status_code in {403, 404}, path
    assert group.permissions.count() == count
    assert Group.objects.count() == len(ROLES)


def test_superuser_makes_staff() -> None:
    """The control: the same form, posted by a superuser."""
    target, browser = make_buyer(), browser_of(staff(is_superuser=True))
    assert browser.post(f"/admin/shop/account/{target.pk}/change/", everything()).status_code == 302
    raised = Account.objects.get(pk=target.pk)
    assert (raised.username, raised.is_staff, raised.is_superuser, raised.groups.count()) == (
        "raised",
        True,
        True,
        len(ROLES),
    )
    assert (raised.balance, raised.login_generation) == (0, 0)
    passwords = {
        "password1": "another long phrase",
        "password2": "another long phrase",
        "usable_password": "true",
    }
    AuthToken.objects.create(user=raised)
    assert browser.post(f"/admin/shop/account/{target.pk}/password/", passwords).status_code == 302
    assert Account.objects.get(pk=target.pk).check_password("another long phrase")
    assert not AuthToken.objects.exists()
    AuthToken.objects.create(user=raised)
    assert (
        browser.post(
            f"/admin/shop/account/{target.pk}/password/", {"usable_password": "false", "unset-password": "1"}
        ).status_code
        == 302
    )
    assert not Account.objects.get(pk=target.pk).has_usable_password()
    assert not AuthToken.objects.exists()


def test_form_leaves_a_balance_that_changes_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    """`tests/races/test_saves.py` has the control."""
    target, browser = make_buyer(), browser_of(staff(is_superuser=True))
    save = AccountAdmin.save_model

    def be_overtaken(self: Any, request: Any, obj: Any, form: Any, change: Any) -> None:
        ledger.grant_beili(account=Account.objects.get(pk=target.pk), amount=7, key="k", memo="m", now=NOW)
        save(self, request, obj, form, change)

    monkeypatch.setattr(AccountAdmin, "save_model", be_overtaken)
    browser.post(f"/admin/shop/account/{target.pk}/change/", everything())
    found = Account.objects.get(pk=target.pk)
    assert (found.balance, found.username) == (7, "raised")


def test_disabling_in_the_form_ends_logins() -> None:
    target, browser = make_buyer(), browser_of(actor("shop.change_account"))
    AuthToken.objects.create(user=target)
    body = everything()
    del body["is_active"]
    browser.post(f"/admin/shop/account/{target.pk}/change/", body)
    found = Account.objects.get(pk=target.pk)
    assert (found.is_active, found.email, found.login_generation) == (False, "nami@example.com", 1)
    assert not AuthToken.objects.exists()


@pytest.mark.parametrize(
    ("who", "may"), [("客服", True), ("财务", False), ("店长", False), ("shop.change_account", False)]
)
def test_ending_all_logins_needs_its_permission(who: str, may: bool) -> None:
    buyer, boss, browser = make_buyer(), staff(is_superuser=True), browser_of(actor(who))
    for account in (buyer, boss):
        AuthToken.objects.create(user=account)
    browser.post("/admin/shop/account/", {"action": "end_logins", "_selected_action": [buyer.pk, boss.pk]})
    assert AuthToken.objects.filter(user=buyer).exists() is not may
    assert AuthToken.objects.filter(user=boss).exists()
    from django.contrib.admin.models import LogEntry

    assert [entry.object_id for entry in LogEntry.objects.all()] == ([str(buyer.pk)] if may else [])


def test_roles_are_made_once_and_keep_what_was_added() -> None:
    group = Group.objects.get(name="客服")
    extra = Permission.objects.get(codename="add_course")
    group.permissions.add(extra)
    call_command("setup_roles")
    assert extra in group.permissions.all()
    assert Group.objects.count() == len(ROLES)
    sensitive = {
        "change_account",
        "add_account",
        "change_group",
        "add_group",
        "add_permission",
        "change_permission",
        "add_totpdevice",
    }
    for name in ROLES:
        held = set(Group.objects.get(name=name).permissions.values_list("codename", flat=True))
        assert not held & sensitive
