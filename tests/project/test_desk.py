"""The desk's pages: no value becomes markup, forms have readable texts, history and exports are right."""

import csv
import io
import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.db import models
from django.test import Client
from pytest_django import Settings

from payments.desk.exports import EXPORTS
from payments.models import Bill, BillDifference, Notification, Payment, Refund
from shop import clock
from shop.adminforms import CONSTRAINTS_IN_WORDS
from shop.desk import exports
from shop.models import (
    Account,
    Coupon,
    CouponRecord,
    Course,
    Enrolment,
    Order,
    OrderEvent,
    OrderRequest,
    PricePolicy,
)
from tests.factories import (
    make_buyer,
    make_coupon,
    make_course,
    make_order,
    make_record,
    make_request,
    policy_of,
)
from tests.payments.memorygateway import MemoryGateway
from tests.payments.order_scenario import ask_refund, make_difference, notify, pay

pytestmark = pytest.mark.django_db
# As an attribute, an element, and an Alpine expression.
HOSTILE = '"><b x-data="alert(1)" x-init="alert(2)">{{ 7 * 7 }}'


@pytest.fixture
def staff() -> Client:
    client = Client()
    client.force_login(Account.objects.create(username="operator", is_staff=True, is_superuser=True))
    return client


@pytest.fixture
def order() -> Order:
    gateway = MemoryGateway(clock.now)
    order = make_order(
        make_buyer(username="lufei", beili=10),
        make_course("30.00", name="Python"),
        beili=10,
        alipay="20.00",
        now=clock.now(),
    )
    payment = pay(order, gateway, now=clock.now())
    notify(gateway, payment, now=clock.now(), total_amount="0.01")
    ask_refund(order, now=clock.now())
    make_difference(order, now=clock.now())
    order.refresh_from_db()
    return order


def addresses(order: Order) -> list[str]:
    admin.autodiscover()  # as the URLs do, which may not have been loaded yet
    rows: list[Any] = [
        order, order.account, order.request, order.payments.get(), Refund.objects.get(),
        Notification.objects.latest("pk"), Enrolment.objects.get(), Bill.objects.get(),
        BillDifference.objects.get(),
        Coupon.objects.get(), CouponRecord.objects.get(), Course.objects.get(),
    ]  # fmt: skip
    found = ["/admin/", "/admin/search/?q=lufei", f"/admin/search/?q={order.order_number[:10]}"]
    for row in rows:
        base = f"/admin/{row._meta.app_label}/{row._meta.model_name}/"
        found += [base, f"{base}{row.pk}/change/", f"{base}{row.pk}/history/"]
        one: Any = admin.site._registry[type(row)]
        found += [f"{base}{row.pk}/deeds/{deed.name}/" for deed in getattr(one, "deeds", ())]
    return found


def test_no_value_becomes_markup(staff: Client, order: Order) -> None:
    make_record(order.account, make_coupon(value="1", name=HOSTILE))
    Course.objects.update(name=HOSTILE, brief=HOSTILE)
    Account.objects.filter(pk=order.account_id).update(first_name=HOSTILE, email=HOSTILE, phone=HOSTILE[:20])
    Order.objects.update(last_error=HOSTILE)
    Payment.objects.update(last_error=HOSTILE, available_at=clock.now(), attempts=1)
    Refund.objects.update(reason=HOSTILE, outcome=HOSTILE, reference=HOSTILE)
    Notification.objects.update(note=HOSTILE)
    Bill.objects.update(last_error=HOSTILE)
    explained = {
        "why": HOSTILE,
        "reference": HOSTILE,
        "explained_by": Account.objects.get(username="operator"),
    }
    BillDifference.objects.update(status="explained", ended_at=clock.now(), **explained)
    OrderRequest.objects.update(last_error=HOSTILE, error_message=HOSTILE)
    details = {"why": HOSTILE, "staff": HOSTILE, "staff_note": HOSTILE}
    OrderEvent.objects.create(
        order=order, kind="paid", at=clock.now(), cause=f"task:{HOSTILE}", details=details
    )
    LogEntry.objects.log_actions(
        Account.objects.get(username="operator").pk, [order], 2, HOSTILE, single_object=True
    )
    shown = 0
    for address in [*addresses(order), "/admin/admin/logentry/"]:
        answer = staff.get(address)
        assert answer.status_code == 200, address
        assert b'<b x-data="alert(1)"' not in answer.content, address
        assert (
            b"49" not in answer.content
            or b"{{ 7 * 7 }}" in answer.content
            or HOSTILE[:8].encode() not in answer.content
        ), address
        shown += b"&lt;b x-data=" in answer.content
    assert shown > 10


REFUSING_EMPTY = {"refund", "reject", "adjust_beili", "explain", "codes", "give_coupon", "exports"}
REFERENCES = re.compile(r'\b(?:for|aria-describedby|aria-labelledby|aria-controls)="([^"]*)"')


def lost_references(page: str) -> set[str]:
    """References to elements that the page doesn't have. An empty `for` labels nothing, too."""
    ids = set(re.findall(r'\bid="([^"]*)"', page))
    return {name for found in REFERENCES.findall(page) for name in found.split() or [""] if name not in ids}


def test_labels_hints_and_errors_belong_to_their_fields(staff: Client, order: Order) -> None:
    """Empty and refused forms of deeds, exports and the second factor."""
    lost = {}
    make_record(order.account, make_coupon(value="1", name="Spring"))
    forms = [one for one in addresses(order) if "/deeds/" in one]
    for address in [*forms, "/admin/exports/", "/admin/", "/admin/search/?q=lufei"]:
        pages = [staff.get(address)]
        if address.rsplit("/", 2)[1] in REFUSING_EMPTY:
            pages.append(staff.post(address, {}))
        for page in pages:
            assert page.status_code == 200, address
            if found := lost_references(page.content.decode()):
                lost[address] = found
    assert lost == {}


def test_pages_offer_no_search_but_the_desks(staff: Client, order: Order) -> None:
    """The theme's palette, which a key opens, would look for its results on a page of ours."""
    for address in ("/admin/", f"/admin/shop/order/{order.pk}/change/"):
        assert "extended=1" not in staff.get(address).content.decode()


def test_notification_without_an_amount_shows_none(staff: Client, order: Order) -> None:
    Notification.objects.update(raw_body="")
    page = staff.get(f"/admin/shop/order/{order.pk}/change/").content.decode()
    assert "¥–" not in page


def test_constraints_of_edited_tables_have_messages() -> None:
    named = {
        one.name
        for model in (Course, PricePolicy, Coupon, Account)
        for one in model._meta.constraints
        if isinstance(one, models.CheckConstraint)
    }
    assert named == set(CONSTRAINTS_IN_WORDS)


CAMPAIGN = {
    "name": "九折", "coupon_type": "2", "money_equivalent_value": "0", "off_percent": "90",
    "minimum_consume": "0", "scope": "order",
    "quantity": "10", "open_date": "2026-01-01", "close_date": "2026-12-31", "coupon_valid_days": "7",
}  # fmt: skip


@pytest.mark.parametrize(
    ("wrong", "field", "words"),
    [
        ({"off_percent": ""}, "off_percent", "请填写 1 到 99：7.9 折写 79。"),
        ({"money_equivalent_value": "5"}, "money_equivalent_value", "折扣券不填减免金额，请填 0。"),
        ({"coupon_type": "0"}, "money_equivalent_value", "请填写减免金额，须大于 0。"),
        (
            {"coupon_type": "1", "off_percent": "", "money_equivalent_value": "5"},
            "minimum_consume",
            "满减券请填写满多少可用。",
        ),
        ({"scope": "course"}, "course", "请选择课程。"),
        ({"close_date": "2025-12-31"}, "close_date", "结束日期不能早于开始日期。"),
        ({"coupon_valid_days": ""}, "coupon_valid_days", "请填写有效期的起止日期，或领取后有效天数。"),
        ({"valid_begin_date": "2026-01-01"}, "valid_end_date", "有开始日期就要有结束日期。"),
    ],
)
def test_campaign_form_explains_each_error(
    staff: Client, wrong: dict[str, str], field: str, words: str
) -> None:
    answer = staff.post("/admin/shop/coupon/add/", CAMPAIGN | wrong)
    assert answer.status_code == 200
    assert answer.context["adminform"].form.errors[field] == [words]
    assert "coupon_" not in str(answer.context["adminform"].form.errors.get_json_data().get("__all__", ""))
    assert not Coupon.objects.exists()


def test_saving_a_campaign_shows_what_it_does(staff: Client) -> None:
    answer = staff.post("/admin/shop/coupon/add/", CAMPAIGN, follow=True)
    assert "9折。¥50.00 → ¥45.00；¥99.00 → ¥89.10" in answer.content.decode()


def test_history_shows_the_old_and_the_new_price(staff: Client) -> None:
    course = make_course("99.00", name="Python")
    policy = policy_of(course)
    body = {
        "name": "Python 3", "course_img": course.course_img, "course_type": "0", "status": "0",
        "position": str(course.position), "brief": "",
        "price_policies-TOTAL_FORMS": "1", "price_policies-INITIAL_FORMS": "1",
        "price_policies-0-id": str(policy.pk),
        "price_policies-0-course": str(course.pk), "price_policies-0-valid_period": "30",
        "price_policies-0-price": "89.00",
    }  # fmt: skip
    assert staff.post(f"/admin/shop/course/{course.pk}/change/", body).status_code == 302
    told = LogEntry.objects.get().get_change_message()
    assert "课程名称：Python → Python 3" in told
    assert "价格（元）：99.00 → 89.00" in told


def export(
    staff: Client, kind: str, *, since: str = "2020-01-01", until: str = "2020-12-31"
) -> list[list[str]]:
    answer: Any = staff.post("/admin/exports/", {"kind": kind, "since": since, "until": until})
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    text = b"".join(answer.streaming_content).decode()
    assert text.startswith(exports.BOM)
    return list(csv.reader(io.StringIO(text[1:])))


@pytest.mark.parametrize("kind", list(EXPORTS))
def test_export_has_the_rows_of_its_days(
    staff: Client, order: Order, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "PART", 1)
    today = clock.shanghai_date(clock.now())
    head, *rows = export(staff, kind, since=str(today), until=str(today))
    expected = {"orders": 1, "lines": 1, "payments": 1, "refunds": 1}.get(kind)
    assert len(rows) == expected if expected else len(rows) > 3
    assert all(len(row) == len(head) for row in rows)
    yesterday = str(today - timedelta(days=1))
    assert export(staff, kind, since=yesterday, until=yesterday) == [head]
    assert LogEntry.objects.filter(change_message__startswith="导出").count() == 2


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_export_defuses_formulas(staff: Client, order: Order, text: str) -> None:
    Refund.objects.update(reason=text)
    today = str(clock.shanghai_date(clock.now()))
    head, row = export(staff, "refunds", since=today, until=today)
    assert row[head.index("原因")] == f"'{text}".replace("\r", "\n") or row[head.index("原因")] == f"'{text}"


@pytest.mark.parametrize(
    "days", [("2026-01-02", "2026-01-01"), ("2020-01-01", "2026-01-01"), ("x", "2026-01-01")]
)
def test_export_of_invalid_days(staff: Client, days: tuple[str, str]) -> None:
    answer = staff.post("/admin/exports/", {"kind": "orders", "since": days[0], "until": days[1]})
    assert (answer.status_code, "Content-Disposition" in answer) == (200, False)
    assert not LogEntry.objects.exists()


def test_staff_give_nothing_to_themselves(staff: Client) -> None:
    oneself = Account.objects.get(username="operator")
    answer = staff.post(
        f"/admin/shop/account/{oneself.pk}/deeds/adjust_beili/", {"amount": "100", "why": "x", "token": "t"}
    )
    assert "不能给自己的账户发放或开通。" in answer.content.decode()
    oneself.refresh_from_db()
    assert oneself.balance == 0


def test_form_leads_back_to_our_own_pages_alone(staff: Client) -> None:
    buyer = make_buyer()
    address = f"/admin/shop/account/{buyer.pk}/deeds/adjust_beili/"
    for wanted, expected in (
        ("/admin/shop/order/", "/admin/shop/order/"),
        ("https://evil.example/", f"/admin/shop/account/{buyer.pk}/change/"),
        ("//evil.example/", f"/admin/shop/account/{buyer.pk}/change/"),
        ("javascript:alert(1)", f"/admin/shop/account/{buyer.pk}/change/"),
    ):
        answer = staff.post(address, {"amount": "1", "why": "x", "token": wanted[:30], "next": wanted})
        assert answer["Location"] == expected


def test_traces_lead_to_flower_and_to_the_log(staff: Client, order: Order, settings: Settings) -> None:
    address = f"/admin/shop/order/{order.pk}/change/"
    OrderEvent.objects.create(order=order, kind="paid", at=clock.now(), cause="task:abc", details={})
    OrderEvent.objects.create(order=order, kind="paid", at=clock.now(), cause="request:r1", details={})
    assert "https://flower" not in staff.get(address).content.decode()
    settings.DESK_FLOWER_URL, settings.DESK_LOG_URL = "https://flower.example", "https://log.example/?q={id}"
    page = staff.get(address).content.decode()
    assert 'href="https://flower.example/task/abc"' in page
    assert 'href="https://log.example/?q=r1"' in page


def test_search_finds_a_purchase_by_the_id_of_its_requests(
    staff: Client, order: Order, settings: Settings
) -> None:
    other = make_order(make_buyer(), make_course("10.00"), now=clock.now())
    Order.objects.filter(pk=order.pk).update(trace_id="0f" * 16)
    payment = Payment.objects.get(order=order)
    Notification.objects.create(
        business_key="k", notify_id="n", out_trade_no=payment.out_trade_no, trade_status="TRADE_SUCCESS",
        raw_body="",
        status="applied", payment=payment, received_at=clock.now(), handled_at=clock.now(),
        request_id="1e" * 16,
    )  # fmt: skip
    for text in ("0f" * 16, f"request:{'0f' * 16}", "1e" * 16):
        page = staff.get("/admin/search/", {"q": text}).content.decode()
        assert order.order_number in page
        assert other.order_number not in page
    settings.DESK_LOG_URL = "https://log.example/?q={id}"
    assert (
        f'href="https://log.example/?q={"0f" * 16}"'
        in staff.get(f"/admin/shop/order/{order.pk}/change/").content.decode()
    )


def test_request_that_was_given_up_has_its_button(staff: Client) -> None:
    request = make_request(make_buyer(), make_course("30.00"), now=clock.now())
    OrderRequest.objects.filter(pk=request.pk).update(
        status="rejected",
        decided_at=clock.now(),
        error_slug="order_failed",
        available_at=None,
        dead_at=clock.now(),
    )
    assert "重新处理" in staff.get(f"/admin/shop/orderrequest/{request.pk}/change/").content.decode()
    staff.post(f"/admin/shop/orderrequest/{request.pk}/deeds/pick_up/", {})
    assert OrderRequest.objects.values_list("status", flat=True).get() == "pending"
    assert LogEntry.objects.get().change_message == "重新处理"
