"""The operators' admin: every list and form opens with rows in it, and rows that move money can't be
edited.
"""

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission
from django.db import models
from django.test import Client
from django.urls import reverse

from payments.domain.refunds import requesting
from payments.models import Notification, Payment, Refund
from payments.states import NotificationStatus, Product
from shop import clock
from shop.domain import ledger
from shop.domain.ordering import creation, intake
from shop.domain.purchase import LineChoice, Purchase
from shop.models import (
    Account,
    Category,
    Coupon,
    CouponRecord,
    Course,
    Enrolment,
    LedgerTransfer,
    Order,
    OrderRequest,
    PricePolicy,
)
from shop.numbers import mint_number
from shop.states import CouponType, CourseStatus, CourseType

pytestmark = pytest.mark.django_db

EDITABLE = [Course, Coupon, Account, Category]
READ_ONLY = [CouponRecord, OrderRequest, Order, Enrolment, LedgerTransfer, Payment, Notification, Refund]


@dataclass
class Shop:
    """A buyer with a paid order, with 贝里 and a coupon, and an unpaid one; and a member of staff."""

    client: Client
    buyer: Account
    course: Course
    coupon: Coupon


def buy(
    buyer: Account, policy: PricePolicy, *, coupon_record_id: int | None, beili: int, alipay: str
) -> None:
    now = clock.now()
    line = LineChoice(policy.course_id, policy.pk, None)
    purchase = Purchase([line], coupon_record_id, beili, Decimal(alipay), None)
    intake.place_order(
        account=buyer, purchase=purchase, idempotency_key=mint_number(now), request_id="test", now=now
    )
    creation.create_due_orders(now=now, cause="test")


@pytest.fixture
def shop() -> Shop:
    now = clock.now()
    today = clock.shanghai_date(now)
    buyer = Account.objects.create(username="buyer")
    ledger.grant_beili(account=buyer, amount=500, key="grant:buyer", memo="", now=now)
    category = Category.objects.create(name="编程")
    course = Course.objects.create(
        name="Python", course_img="/static/shop/covers/01.svg", status=CourseStatus.ONLINE, category=category
    )
    policy = PricePolicy.objects.create(course=course, valid_period=30, price=Decimal("99.00"))
    coupon = Coupon.objects.create(
        name="立减十元",
        coupon_type=CouponType.FIXED,
        money_equivalent_value=10,
        quantity=5,
        open_date=today,
        close_date=today,
        coupon_valid_days=7,
    )
    record = CouponRecord.objects.create(
        coupon=coupon,
        account=buyer,
        number=mint_number(now),
        claimed_at=now,
        valid_from_date=today,
        valid_until_date=today + timedelta(days=6),
    )
    buy(buyer, policy, coupon_record_id=record.pk, beili=89, alipay="0.00")
    buy(buyer, policy, coupon_record_id=None, beili=0, alipay="99.00")
    buy(buyer, policy, coupon_record_id=None, beili=0, alipay="1.00")
    waiting = Order.objects.get(status="awaiting_payment")
    payment = Payment.objects.create(
        order=waiting,
        product=Product.PAGE,
        out_trade_no="TRADE1",
        amount=Decimal("99.00"),
        app_id="app",
        seller_id="seller",
        created_at=now,
        expires_at=now,
    )
    for key, status, reason in [
        ("one", NotificationStatus.QUARANTINED, "amount_differs"),
        ("two", NotificationStatus.APPLIED, ""),
        ("three", NotificationStatus.QUARANTINED, "unknown_order"),
    ]:
        Notification.objects.create(
            business_key=key,
            notify_id=key,
            out_trade_no=f"TRADE-{key}",
            trade_status="TRADE_SUCCESS",
            raw_body="a=b",
            status=status,
            reason=reason,
            payment=payment,
            received_at=now,
            handled_at=now,
        )
    paid = Order.objects.get(status="paid")
    # A refund requested at the moment of the payment would be approved automatically.
    later = clock.now() + timedelta(minutes=1)
    requesting.request_refund(
        account_id=buyer.pk,
        order_number=paid.order_number,
        course_ids=None,
        reason="买错了",
        now=later,
        cause="test",
    )
    staff = Account.objects.create(username="operator", is_staff=True, is_superuser=True)
    client = Client()
    client.force_login(staff)
    return Shop(client, buyer, course, coupon)


def address(model: type[models.Model], page: str, *args: Any) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)


def snapshot(model: type[models.Model]) -> list[dict[str, Any]]:
    return list(model._default_manager.order_by("pk").values())


def test_every_table_of_ours_is_in_the_admin() -> None:
    admin.autodiscover()  # as the URLs do, which may not have been loaded yet
    ours = {model for model in admin.site._registry if model._meta.app_label in {"shop", "payments"}}
    assert {*EDITABLE, *READ_ONLY} <= ours


@pytest.mark.parametrize("model", [*EDITABLE, *READ_ONLY])
def test_list_and_detail_open_with_rows(shop: Shop, model: type[models.Model]) -> None:
    rows = model._default_manager.all()
    assert rows.exists()
    listed = shop.client.get(address(model, "changelist"))
    assert listed.status_code == 200
    assert listed.context["cl"].result_count == rows.count()
    for row in rows:
        assert shop.client.get(address(model, "change", row.pk)).status_code == 200


@pytest.mark.parametrize("model", [*EDITABLE, *READ_ONLY])
def test_search_opens(shop: Shop, model: type[models.Model]) -> None:
    assert shop.client.get(address(model, "changelist"), {"q": "buyer"}).status_code == 200


@pytest.mark.parametrize("model", READ_ONLY)
def test_money_rows_cannot_be_added_changed_or_deleted(shop: Shop, model: type[models.Model]) -> None:
    before = snapshot(model)
    pk = before[0]["id"]
    assert shop.client.get(address(model, "add")).status_code == 403
    assert shop.client.post(address(model, "add"), {}).status_code == 403
    assert (
        shop.client.post(address(model, "change", pk), {"status": "paid", "amount": "0.01"}).status_code
        == 403
    )
    assert shop.client.post(address(model, "delete", pk), {"post": "yes"}).status_code == 403
    action = {"action": "delete_selected", "index": "0", "_selected_action": [pk], "post": "yes"}
    shop.client.post(address(model, "changelist"), action)
    assert snapshot(model) == before


def test_order_shows_lines_events_and_transfers(shop: Shop) -> None:
    order = Order.objects.get(status="paid")
    page = shop.client.get(address(Order, "change", order.pk)).content.decode()
    assert [word in page for word in ("Python", "订单已创建", "支付成功", "锁定贝里")] == [True] * 4


def test_balance_cannot_be_edited(shop: Shop) -> None:
    before = Account.objects.values("balance", "held_balance").get(pk=shop.buyer.pk)
    url = address(Account, "change", shop.buyer.pk)
    form = shop.client.get(url).context["adminform"].form
    assert not {"balance", "held_balance"} & set(form.fields)
    shop.client.post(url, {"username": "buyer", "is_active": "on", "balance": "999999", "held_balance": "1"})
    assert Account.objects.values("balance", "held_balance").get(pk=shop.buyer.pk) == before


def test_account_cannot_be_deleted(shop: Shop) -> None:
    assert shop.client.post(address(Account, "delete", shop.buyer.pk), {"post": "yes"}).status_code == 403


def test_quarantined_notifications_come_first(shop: Shop) -> None:
    listed = shop.client.get(address(Notification, "changelist")).context["cl"].result_list
    assert [row.business_key for row in listed] == ["three", "one", "two"]
    waiting = shop.client.get(address(Notification, "changelist"), {"status__exact": "quarantined"}).context[
        "cl"
    ]
    assert waiting.result_count == 2


def decide(client: Client, action: str, **fields: str) -> Any:
    data = {"action": action, "index": "0", "_selected_action": [Refund.objects.get().pk], **fields}
    return client.post(address(Refund, "changelist"), data, follow=True)


def test_refund_is_approved_by_whom_it_says(shop: Shop) -> None:
    assert "已处理 1 笔退款。" in decide(shop.client, "approve").content.decode()
    refund = Refund.objects.select_related("approved_by").get()
    assert refund.approved_by is not None
    assert (refund.status, refund.approved_by.username) == ("requested", "operator")


def test_refund_is_rejected_with_a_reason(shop: Shop) -> None:
    decide(shop.client, "reject", why="已经学完")
    refund = Refund.objects.get()
    assert (refund.status, refund.outcome) == ("rejected", "已经学完")


def test_refund_is_decided_once(shop: Shop) -> None:
    decide(shop.client, "reject", why="已经学完")
    before = snapshot(Refund)
    assert "这笔退款已经处理过了。" in decide(shop.client, "approve").content.decode()
    assert snapshot(Refund) == before


def test_staff_with_view_permission_only_decide_nothing(shop: Shop) -> None:
    viewer = Account.objects.create(username="viewer", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_refund"))
    client = Client()
    client.force_login(viewer)
    before = snapshot(Refund)
    assert decide(client, "approve").status_code == 200
    assert snapshot(Refund) == before


def policy_rows(course: Course, *prices: tuple[str, str, str]) -> dict[str, str]:
    fields = {
        "price_policies-TOTAL_FORMS": str(len(prices)),
        "price_policies-INITIAL_FORMS": str(course.price_policies.count()),
    }
    for position, (pk, period, price) in enumerate(prices):
        prefix = f"price_policies-{position}-"
        fields |= {
            f"{prefix}id": pk,
            f"{prefix}course": str(course.pk),
            f"{prefix}valid_period": period,
            f"{prefix}price": price,
        }
    return fields


def test_course_is_edited_with_its_prices(shop: Shop) -> None:
    policy = shop.course.price_policies.get()
    fields = {
        "name": "Python 3",
        "course_img": "/static/shop/covers/02.svg",
        "course_type": "0",
        "status": "0",
        "position": "3",
    }
    rows = policy_rows(shop.course, (str(policy.pk), "30", "89.00"), ("", "90", "189.00"))
    response = shop.client.post(address(Course, "change", shop.course.pk), fields | rows)
    assert response.status_code == 302
    shop.course.refresh_from_db()
    assert (shop.course.name, list(shop.course.price_policies.values_list("valid_period", "price"))) == (
        "Python 3",
        [(30, Decimal("89.00")), (90, Decimal("189.00"))],
    )


def test_negative_price_is_refused_with_a_message(shop: Shop) -> None:
    policy = shop.course.price_policies.get()
    fields = {"name": "Python", "course_img": "/x.svg", "course_type": "0", "status": "0", "position": "0"}
    response = shop.client.post(
        address(Course, "change", shop.course.pk),
        fields | policy_rows(shop.course, (str(policy.pk), "30", "-1.00")),
    )
    assert response.status_code == 200
    assert PricePolicy.objects.get().price == Decimal("99.00")


def test_price_that_cannot_be_paid_is_refused_with_a_message(shop: Shop) -> None:
    policy = shop.course.price_policies.get()
    fields = {"name": "Python", "course_img": "/x.svg", "course_type": "0", "status": "0", "position": "0"}
    rows = policy_rows(shop.course, (str(policy.pk), "30", "100000000.01"))
    response = shop.client.post(address(Course, "change", shop.course.pk), fields | rows)
    assert "价格不能超过支付宝单笔上限 100000000.00 元。" in response.content.decode()
    assert PricePolicy.objects.get().price == Decimal("99.00")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("coupon_valid_days", "36501"),
        ("coupon_valid_days", "0"),
        ("quantity", "2147483648"),
        ("money_equivalent_value", "10000000000.00"),
    ],
)
def test_number_beyond_all_bounds_is_refused_with_a_message(shop: Shop, field: str, value: str) -> None:
    fields = {
        "name": "新活动", "coupon_type": "0", "money_equivalent_value": "1", "minimum_consume": "0",
        "scope": "order", "quantity": "10",
        "open_date": "2026-01-01", "close_date": "2026-12-31", "coupon_valid_days": "7",
    }  # fmt: skip
    response = shop.client.post(address(Coupon, "add"), fields | {field: value})
    assert (response.status_code, Coupon.objects.count()) == (200, 1)
    assert response.context["adminform"].form.errors


def test_terms_of_a_claimed_campaign_stay(shop: Shop) -> None:
    form = shop.client.get(address(Coupon, "change", shop.coupon.pk)).context["adminform"].form
    assert not {
        "coupon_type",
        "money_equivalent_value",
        "off_percent",
        "minimum_consume",
        "scope",
        "course",
        "claimed_count",
    } & set(form.fields)
    assert {"name", "quantity", "close_date"} <= set(form.fields)
    assert shop.client.post(address(Coupon, "delete", shop.coupon.pk), {"post": "yes"}).status_code == 403


def test_quantity_below_what_is_claimed_is_refused(shop: Shop) -> None:
    fields = {
        "name": "立减十元",
        "quantity": "0",
        "open_date": "2026-01-01",
        "close_date": "2026-12-31",
        "coupon_valid_days": "7",
    }
    response = shop.client.post(address(Coupon, "change", shop.coupon.pk), fields)
    assert response.context["adminform"].form.errors == {"quantity": ["已领取 1 张，数量不能更少。"]}
    assert Coupon.objects.get().quantity == 5


def test_new_campaign_is_edited_freely(shop: Shop) -> None:
    fields = {
        "name": "九折",
        "coupon_type": "2",
        "money_equivalent_value": "0",
        "off_percent": "90",
        "minimum_consume": "0",
        "scope": "order",
        "quantity": "10",
        "open_date": "2026-01-01",
        "close_date": "2026-12-31",
        "coupon_valid_days": "7",
    }
    assert shop.client.post(address(Coupon, "add"), fields).status_code == 302
    assert Coupon.objects.filter(name="九折", off_percent=90, claimed_count=0).count() == 1


def test_impossible_campaign_is_refused_with_a_message(shop: Shop) -> None:
    fields = {
        "name": "错",
        "coupon_type": "2",
        "money_equivalent_value": "5",
        "off_percent": "90",
        "minimum_consume": "0",
        "scope": "order",
    }
    dates = {
        "quantity": "10",
        "open_date": "2026-01-01",
        "close_date": "2026-12-31",
        "coupon_valid_days": "7",
    }
    response = shop.client.post(address(Coupon, "add"), fields | dates)
    assert response.status_code == 200
    assert Coupon.objects.count() == 1


@pytest.mark.parametrize("path", ["/admin/", "/admin/shop/order/"])
def test_buyers_are_sent_to_the_staff_login(shop: Shop, path: str) -> None:
    client = Client()
    client.force_login(shop.buyer)
    response = client.get(path)
    assert (response.status_code, response["Location"]) == (302, f"/admin/login/?next={path}")


def posted(form: Any, **edits: Any) -> dict[str, Any]:
    """What a browser posts for a form after some edits: every other field with the value that was shown."""
    data: dict[str, Any] = {}
    for bound in form:
        value = bound.value()
        shown = [str(item) for item in value] if isinstance(value, list) else value
        for name, there in (
            (bound.html_name, edits.get(bound.name, shown)),
            (bound.html_initial_name, shown),
        ):
            if isinstance(there, bool):
                data |= {name: str(there)} if there or name == bound.html_initial_name else {}
            elif not bound.field.disabled:
                data[name] = "" if there is None else there
    return data


def test_field_that_was_not_edited_keeps_what_others_made_of_it(shop: Shop) -> None:
    """The page is opened, the course goes offline, and then the page is saved with another name."""
    url = address(Course, "change", shop.course.pk)
    page = shop.client.get(url)
    fields = posted(page.context["adminform"].form, name="Python 3")
    for formset in page.context["inline_admin_formsets"]:
        fields |= posted(formset.formset.management_form)
        for row in formset.formset.forms:
            fields |= posted(row)
    Course.objects.update(status=CourseStatus.OFFLINE)
    PricePolicy.objects.update(price="199.00")
    assert shop.client.post(url, fields).status_code == 302
    assert Course.objects.values_list("name", "status").get() == ("Python 3", CourseStatus.OFFLINE)
    assert PricePolicy.objects.get().price == Decimal("199.00")


def test_list_that_was_open_changes_only_the_edited_cell(shop: Shop) -> None:
    url = address(Course, "changelist")
    formset = shop.client.get(url).context["cl"].formset
    fields = posted(formset.management_form) | posted(formset.forms[0], position=9) | {"_save": "1"}
    Course.objects.update(status=CourseStatus.OFFLINE)
    assert shop.client.post(url, fields).status_code == 302
    assert Course.objects.values_list("position", "status").get() == (9, CourseStatus.OFFLINE)


def test_account_that_was_blocked_meanwhile_stays_blocked(shop: Shop) -> None:
    url = address(Account, "change", shop.buyer.pk)
    fields = posted(shop.client.get(url).context["adminform"].form, email="new@example.com")
    Account.objects.filter(pk=shop.buyer.pk).update(is_active=False, username="renamed")
    assert shop.client.post(url, fields).status_code == 302
    assert Account.objects.values_list("email", "is_active", "username").get(pk=shop.buyer.pk) == (
        "new@example.com",
        False,
        "renamed",
    )


def test_campaign_edited_in_two_tabs_keeps_both_edits(shop: Shop) -> None:
    url = address(Coupon, "change", shop.coupon.pk)
    fields = posted(shop.client.get(url).context["adminform"].form, brief="新的介绍")
    Coupon.objects.update(quantity=60)
    assert shop.client.post(url, fields).status_code == 302
    assert Coupon.objects.values_list("brief", "quantity").get() == ("新的介绍", 60)


def course_form(
    shop: Shop, course: Course, *, prices: list[dict[str, Any]] | None = None, **edits: Any
) -> Any:
    """Saves a course's page after some edits; `prices` are edits of its rows of prices, in their order."""
    url = address(Course, "change", course.pk)
    page = shop.client.get(url)
    fields = posted(page.context["adminform"].form, **edits)
    for formset in page.context["inline_admin_formsets"]:
        fields |= posted(formset.formset.management_form)
        for row, edit in zip(formset.formset.forms, [*(prices or []), *[{}] * 9], strict=False):
            fields |= posted(row, **edit)
    return shop.client.post(url, fields)


def test_course_for_members_has_no_price(shop: Shop) -> None:
    before = snapshot(Course)
    assert (
        "VIP专享课程向会员开放，不单独定价" in course_form(shop, shop.course, course_type=1).content.decode()
    )
    assert snapshot(Course) == before
    assert course_form(shop, shop.course, course_type=1, prices=[{"DELETE": True}]).status_code == 302
    assert (Course.objects.get().course_type, PricePolicy.objects.count()) == (CourseType.VIP_ONLY, 0)
    assert "随会员开放" in shop.client.get(address(Course, "changelist")).content.decode()


@pytest.mark.parametrize(
    ("kind", "days", "complaint"),
    [
        (0, 30, "只有学位课程有开课日期"),
        (3, 30, "只有学位课程有开课日期"),
        (2, 731, "开课日期最多在两年以内"),
        (2, 730, None),
    ],
)
def test_first_day_is_a_degrees_and_in_sight(shop: Shop, kind: int, days: int, complaint: str | None) -> None:
    # sold courses can't become memberships, which is tested elsewhere
    Enrolment.objects.all().delete()
    day = clock.shanghai_date(clock.now()) + timedelta(days=days)
    response = course_form(shop, shop.course, course_type=kind, starts_on=day.isoformat())
    assert response.status_code == (200 if complaint else 302)
    assert complaint is None or complaint in response.content.decode()
    assert Course.objects.get().starts_on == (None if complaint else day)


def test_edit_of_a_course_grants_no_membership(shop: Shop) -> None:
    before = snapshot(Course)
    assert (
        "已经售出，不能在VIP会员和其他类型之间更改"
        in course_form(shop, shop.course, course_type=3).content.decode()
    )
    assert snapshot(Course) == before
    unsold = Course.objects.create(name="会员", course_img="/x")
    assert course_form(shop, unsold, course_type=3).status_code == 302
    assert course_form(shop, unsold, course_type=0).status_code == 302


def test_coupon_for_a_course_without_a_price_is_refused(shop: Shop) -> None:
    vip = Course.objects.create(name="专享", course_img="/x", course_type=CourseType.VIP_ONLY)
    new = {"name": "券", "coupon_type": 0, "money_equivalent_value": "5", "minimum_consume": "0",
        "scope": "course", "course": vip.pk,
           "quantity": 1, "open_date": "2026-01-01", "close_date": "2026-02-01",
           "coupon_valid_days": 7}  # fmt: skip
    response = shop.client.post(address(Coupon, "add"), new)
    assert "VIP专享课程不单独出售" in response.content.decode()
    assert Coupon.objects.count() == 1
    assert shop.client.post(address(Coupon, "add"), new | {"course": shop.course.pk}).status_code == 302


def test_category_in_use_cannot_be_deleted(shop: Shop) -> None:
    category = Category.objects.get()
    shop.client.post(address(Category, "delete", category.pk), {"post": "yes"})
    assert Category.objects.get() == category
