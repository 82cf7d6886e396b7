"""The desk in English and in Chinese: every page, refusals and success messages.

The log and the books stay Chinese.
"""

import csv
import io
import re
from collections.abc import Iterator
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.conf import settings
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group
from django.contrib.contenttypes.models import ContentType
from django.test import Client
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext

from payments.desk.exports import EXPORTS
from payments.models import Notification, Payment, Refund
from project import translations
from project.roles import ROLES, ensure_roles
from shop import clock
from shop.desk.exports import write_csv
from shop.domain.coupons import coupons
from shop.models import (
    Account,
    Category,
    Coupon,
    CouponCode,
    CouponRecord,
    Course,
    Enrolment,
    Order,
    OrderEvent,
    OrderRequest,
)
from shop.states import CouponType
from shop.texts import describe_coupon
from tests.clients import Api
from tests.factories import make_buyer, make_coupon, make_course, make_order, make_record, make_request
from tests.payments.memorygateway import MemoryGateway
from tests.payments.order_scenario import ask_refund, make_difference, notify, pay

pytestmark = pytest.mark.django_db
CHINESE = re.compile(r"[\u3001-\u301f\u4e00-\u9fff\uff08-\uff1b][^<\n]{0,30}")
# The languages' own names; the names of roles from `manage.py setup_roles`, which shops may change; and
# Django's names of link tables, which are set when it is loaded.
NAMES = ("简体中文", "中文", *ROLES, "组-权限 关系", "关系", "发放")
UNSEEN = re.compile(r"<!--.*?-->|<style.*?</style>", re.DOTALL)


@pytest.fixture
def order() -> Order:
    """An order with rows in every table of its page, all with English texts."""
    gateway, now = MemoryGateway(clock.now), clock.now()
    buyer, course = make_buyer(username="lufei", beili=10), make_course("30.00", name="Python")
    Course.objects.filter(pk=course.pk).update(category=Category.objects.create(name="Web"))
    coupon = make_coupon(value="1", name="Spring")
    record = make_record(buyer, coupon)
    order = make_order(buyer, course, beili=10, alipay="19.00", global_coupon=record, now=now)
    payment = pay(order, gateway, now=now)
    notify(gateway, payment, now=now, total_amount="0.01")
    ask_refund(order, now=now)
    make_difference(order, now=now)
    Refund.objects.update(reason="wrong course")
    waiting = make_request(make_buyer(), make_course("20.00", name="Rust"), now=now)
    OrderRequest.objects.filter(pk=waiting.pk).update(
        status="rejected",
        decided_at=now,
        error_slug="order_failed",
        available_at=None,
        dead_at=now,
        last_error="boom",
    )
    operator = Account.objects.create(username="operator", is_staff=True, is_superuser=True)
    CouponCode.objects.create(coupon=coupon, code="ABCDEFGH", batch="b1", created_by=operator, created_at=now)
    Payment.objects.update(last_error="boom", available_at=now, attempts=1)
    for kind in OrderEvent.Kind:
        details = {
            "why": "a reason",
            "days": 3,
            "beili": 2,
            "coupons": 1,
            "what": "payment",
            "explanation": "goodwill",
            "product": "page",
        }
        OrderEvent.objects.create(order=order, kind=kind, at=now, cause="task:t", details=details)
    ensure_roles()
    order.refresh_from_db()
    return order


def staff(language: str) -> Client:
    client = Client(headers={"Accept-Language": language})
    client.force_login(Account.objects.get(username="operator"))
    return client


def addresses(order: Order) -> Iterator[str]:
    """Each page of each table, and the other pages."""
    yield from (
        "/admin/",
        "/admin/exports/",
        "/admin/search/?q=lufei",
        f"/admin/search/?q={order.order_number[:10]}",
        "/admin/search/?q=zzzz",
    )
    yield from ("/admin/password_change/", "/admin/shop/", "/admin/payments/", "/admin/search/?q=boom")
    for model, table in admin.site._registry.items():
        base = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
        yield base
        yield f"{base}add/"
        row = model._default_manager.order_by("-pk").first()
        if row is None:
            continue
        yield from (f"{base}{row.pk}/change/", f"{base}{row.pk}/history/", f"{base}{row.pk}/delete/")
        deeds: Any = getattr(table, "deeds", ())
        yield from (f"{base}{row.pk}/deeds/{deed.name}/" for deed in deeds)
    yield f"/admin/shop/order/{order.pk}/change/"
    yield f"/admin/shop/account/{order.account_id}/change/"
    yield f"/admin/shop/account/{order.account_id}/password/"
    yield f"/admin/shop/account/{order.account_id}/deeds/give_coupon/"
    yield f"/admin/payments/notification/{Notification.objects.earliest('pk').pk}/change/"


def chinese_of(page: str) -> list[str]:
    """Chinese on the page, except names and log entries."""
    page = UNSEEN.sub("", unescape(page))
    for told in sorted(
        {*NAMES, *LogEntry.objects.values_list("change_message", flat=True)}, key=len, reverse=True
    ):
        page = page.replace(told, "") if told else page
    return CHINESE.findall(page)


def test_english_pages_contain_no_chinese(order: Order) -> None:
    client, left, seen = staff("en"), {}, 0
    for address in addresses(order):
        answer = client.get(address)
        assert answer.status_code in {200, 403}, address
        if answer.status_code == 200:
            assert answer["Content-Language"] == "en"
            seen += 1
        if found := chinese_of(answer.content.decode()):
            left[address] = found
    assert left == {}
    assert seen > 80


def test_chinese_pages_contain_no_english(order: Order) -> None:
    """Among our own texts. Chinese is the default without a preference."""
    ours = {
        form
        for entry in translations.read("django")
        if entry.id
        for form in translations.forms_of(entry.string)
        if len(form) > 12
    }
    client, left = Client(), {}
    client.force_login(Account.objects.get(username="operator"))
    for address in addresses(order):
        answer = client.get(address)
        page = UNSEEN.sub("", unescape(answer.content.decode()))
        if found := [text for text in ours if text in page]:
            left[address] = found
        if answer.status_code == 200:
            assert ("运营后台" in page, answer["Content-Language"]) == (True, "zh-CN"), address
    assert left == {}


def test_lists_filters_and_parts_are_english(order: Order) -> None:
    client, left = staff("en"), {}
    for query in (
        "shop/order/?status__exact=paid&day=1d",
        "payments/refund/?waiting=approve",
        "payments/payment/?dead=yes",
        "payments/billdifference/?status__exact=open",
        "payments/bill/?dead=yes",
        "shop/couponcode/?state=open",
        "days/",
    ):
        if found := chinese_of(client.get(f"/admin/{query}").content.decode()):
            left[query] = found
    assert left == {}


def test_login_page_has_the_language_too() -> None:
    page = (
        Client(headers={"Accept-Language": "en"})
        .post("/admin/login/", {"username": "x", "password": "y"})
        .content.decode()
    )
    assert "Course Shop desk" in page
    assert chinese_of(page) == []


def test_second_factor_is_asked_for_in_english(settings: Any) -> None:
    settings.STAFF_TOTP = True
    page = Client(headers={"Accept-Language": "en"}).post("/admin/login/", {}).content.decode()
    assert "One-time code" in page
    assert "Enter username, password and one-time code." in page
    assert chinese_of(page) == []


def test_operator_chooses_the_language_and_stays_where_they_are(order: Order) -> None:
    client = staff("zh-CN")
    page = client.get("/admin/shop/order/").content.decode()
    assert f'action="{reverse("set-language")}"' in page
    answer = client.post(
        "/language/",
        {"language": "en"},
        headers={"Referer": "http://testserver/admin/shop/order/"},
        follow=True,
    )
    assert answer.redirect_chain in (
        [("http://testserver/admin/shop/order/", 302)],
        [("/admin/shop/order/", 302)],
    )
    assert answer["Content-Language"] == "en"
    assert "Order number" in answer.content.decode()


def test_refusals_are_english(order: Order) -> None:
    client = staff("en")
    oneself = Account.objects.get(username="operator")
    for address, form, said in (
        (f"/admin/shop/account/{oneself.pk}/deeds/adjust_beili/", {"amount": "1", "why": "x", "token": "t"},
            "You can't give anything to your own account."),
        (f"/admin/shop/account/{order.account_id}/deeds/adjust_beili/",
            {"amount": "0", "why": "x", "token": "t"}, "Enter an amount other than 0."),
        (f"/admin/shop/account/{order.account_id}/deeds/adjust_beili/", {"amount": "5", "token": "t"},
            "Enter a reason."),
        (f"/admin/shop/account/{order.account_id}/deeds/adjust_beili/",
            {"amount": "-99999", "why": "x", "token": "t"}, "Not enough Beili."),
        (f"/admin/shop/order/{order.pk}/deeds/cancel/", {"why": "x"}, ("The order can't be cancelled in its "
                                                                      "current status.")),
        ("/admin/shop/coupon/add/", {"name": "x", "coupon_type": "2", "scope": "course"}, "Choose a course."),
        ("/admin/exports/", {"kind": "orders", "since": "2026-01-02", "until": "2026-01-01"},
            "The last day can't be before the first, and an export covers at most 366 days."),
    ):  # fmt: skip
        page = unescape(client.post(address, form).content.decode())
        assert said in page, address
        assert chinese_of(page) == [], address
    assert not LogEntry.objects.exists()


def test_deed_is_confirmed_in_english_and_logged_in_chinese(order: Order) -> None:
    client = staff("en")
    buyer = order.account
    for address, form, said, logged in (
        (f"/admin/shop/account/{buyer.pk}/deeds/adjust_beili/",
            {"amount": "5", "why": "because", "token": "t"}, "Done: 1 account(s).", "发放 5 贝里：because"),
        (f"/admin/shop/account/{buyer.pk}/deeds/end_logins/", {}, "0 login(s) of lufei ended.",
            "结束所有登录"),
        (f"/admin/shop/orderrequest/{OrderRequest.objects.latest('pk').pk}/deeds/pick_up/", {},
            "Done: 1 order request(s).", "重新处理"),
    ):  # fmt: skip
        page = client.post(address, form, follow=True).content.decode()
        assert said in page
        assert chinese_of(page) == []
        assert LogEntry.objects.latest("pk").change_message == logged


def test_edit_is_logged_in_chinese(order: Order) -> None:
    course = Course.objects.get(name="Python")
    policy = course.price_policies.get()
    body = {
        "name": "Python", "course_img": course.course_img, "course_type": "2", "status": "0",
        "position": str(course.position), "brief": "",
        "category": str(course.category_id), "price_policies-TOTAL_FORMS": "1",
        "price_policies-INITIAL_FORMS": "1",
        "price_policies-0-id": str(policy.pk), "price_policies-0-course": str(course.pk),
        "price_policies-0-valid_period": "60",
        "price_policies-0-price": "30.00",
    }  # fmt: skip
    assert staff("en").post(f"/admin/shop/course/{course.pk}/change/", body).status_code == 302
    told = LogEntry.objects.get().get_change_message()
    assert "课程类型：付费 → 学位课程" in told
    assert "有效期：1个月 → 2个月" in told


@pytest.mark.parametrize("kind", list(EXPORTS))
def test_export_is_the_same_in_every_language(order: Order, kind: str) -> None:
    today = str(clock.shanghai_date(clock.now()))
    files = []
    for language in ("zh-CN", "en"):
        answer: Any = staff(language).post("/admin/exports/", {"kind": kind, "since": today, "until": today})
        files.append(b"".join(answer.streaming_content).decode())
    day = clock.now().replace(hour=0, minute=0, second=0, microsecond=0)
    with translation.override("en"):
        files.append(
            "".join(write_csv(EXPORTS[kind], since=day - timedelta(days=1), until=day + timedelta(days=2)))
        )
    assert files[0] == files[1] == files[2]
    assert CHINESE.search(next(csv.reader(io.StringIO(files[0])))[0])
    told = set(LogEntry.objects.values_list("change_message", flat=True))
    assert len(told) == 1
    assert told.pop().startswith("导出")


def test_labels_of_the_api_are_always_chinese(order: Order) -> None:
    api = Api(order.account)
    paths = (
        f"courses/{Course.objects.get(name='Python').pk}/", "courses/", f"orders/{order.order_number}/",
        f"orders/{order.order_number}/refunds/", "enrolments/", "coupons/mine/", "balance/",
    )  # fmt: skip
    answers = [
        [api.get(f"/api/v1/{path}", headers={"Accept-Language": asked}).json() for path in paths]
        for asked in ("zh-CN", "en")
    ]
    assert answers[0] == answers[1]
    course, _, found, refunds, *_ = [one["data"] for one in answers[1]]
    assert (course["type"], course["price_policy_list"][0]["period"]) == ("付费", "1个月")
    assert {"支付成功", "订单已创建"} <= {event["text"] for event in found["timeline"]}
    assert [refund["status_text"] for refund in refunds] == ["待处理"]


def test_labels_of_enumerations_are_never_translated() -> None:
    """They are values in the API and keys of the scripts' catalogue."""
    with translation.override("en"):
        assert str(OrderEvent.Kind.PAID.label) == "支付成功"
        assert OrderEvent(kind="paid").get_kind_display() == "Paid"


def test_desk_describes_coupons_as_buyers_see_them() -> None:
    kinds = (
        (Coupon(coupon_type=CouponType.FIXED, money_equivalent_value="30.00"), "¥30 off"),
        (
            Coupon(
                coupon_type=CouponType.THRESHOLD, money_equivalent_value="20.50", minimum_consume="100.00"
            ),
            "¥20.5 off ¥100",
        ),
        (Coupon(coupon_type=CouponType.PERCENT, off_percent=79), "21% off"),
        (Coupon(coupon_type=CouponType.PERCENT, off_percent=90), "10% off"),
    )
    for coupon, english in kinds:
        coupon.name = english
        coupon.clean_fields(exclude={"open_date", "close_date"})
        terms = coupons.terms_of(coupon)
        assert describe_coupon(terms, translate=gettext) == describe_coupon(terms) != english
        with translation.override("en"):
            assert describe_coupon(terms, translate=gettext) == english
            assert describe_coupon(terms) != english  # the API's labels are Chinese for everybody


def test_permissions_are_named_in_english(order: Order) -> None:
    page = unescape(
        staff("en").get(f"/admin/auth/group/{Group.objects.latest('pk').pk}/change/").content.decode()
    )
    assert "May grant or deduct Beili" in page
    assert "Can add Order line" in page
    assert ContentType.objects.get_for_model(Enrolment).pk
    assert CouponRecord.objects.exists()
    chinese = unescape(
        staff("zh-CN").get(f"/admin/auth/group/{Group.objects.latest('pk').pk}/change/").content.decode()
    )
    assert "可发放或扣除贝里" in chinese


def test_default_is_chinese() -> None:
    assert settings.LANGUAGE_CODE == "zh-hans"
    assert Client().get("/admin/login/")["Content-Language"] == "zh-CN"
