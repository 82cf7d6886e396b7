"""Bills and differences on the desk: found from the dashboard, and explained."""

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from payments.models import Bill, BillDifference
from payments.states import DifferenceStatus
from shop import clock
from shop.models import Account, Order
from tests.factories import make_buyer, make_course, make_order
from tests.payments.memorygateway import MemoryGateway
from tests.payments.order_scenario import columns, make_difference, pay
from tests.unchanged import nothing_changes

pytestmark = pytest.mark.django_db
LIST = "/admin/payments/billdifference/?status__exact=open"


@pytest.fixture
def staff() -> Client:
    client = Client()
    client.force_login(Account.objects.create(username="nami", is_staff=True, is_superuser=True))
    return client


@pytest.fixture
def order() -> Order:
    order = make_order(make_buyer(), make_course("30.00"), now=clock.now())
    pay(order, MemoryGateway(clock.now), now=clock.now())
    return order


@pytest.fixture
def difference(order: Order) -> BillDifference:
    return make_difference(order, now=clock.now())


def figure(staff: Client, title: str) -> tuple[str, str]:
    """A figure on the dashboard, and the list that it links to."""
    [found] = [one for one in staff.get("/admin/").context["figures"] if one.title == title]
    return found.value, found.url


def test_dashboard_counts_what_its_list_shows(staff: Client, order: Order) -> None:
    assert figure(staff, "待说明的对账差异") == ("0", LIST)
    difference = make_difference(order, now=clock.now())
    count, url = figure(staff, "待说明的对账差异")
    assert count == "1"
    assert list(staff.get(url).context["cl"].result_list) == [difference]


def test_bills_that_were_given_up_are_counted_and_picked_up(staff: Client) -> None:
    bill = Bill.objects.create(
        provider="alipay", app_id="1", day="2026-03-02", dead_at=clock.now(), attempts=300, last_error="x"
    )
    count, url = figure(staff, "放弃的对账单")
    assert count == "1"
    assert list(staff.get(url).context["cl"].result_list) == [bill]
    answer = staff.post(f"/admin/payments/bill/{bill.pk}/deeds/pick_up/", {"why": "支付宝已恢复"})
    assert answer.status_code == 302
    assert columns(bill, "dead_at", "attempts") == (None, 0)
    assert bill.__class__.objects.get().available_at is not None


def test_order_page_shows_its_differences(staff: Client, difference: BillDifference) -> None:
    page = staff.get(f"/admin/shop/order/{difference.order_id}/change/").content.decode()
    assert "金额不一致" in page
    assert "¥29.99" in page
    assert f"/admin/payments/billdifference/{difference.pk}/deeds/explain/" in page
    assert "的对账单有差异" in page


def test_order_page_without_differences_does_not_mention_them(staff: Client, order: Order) -> None:
    page = staff.get(f"/admin/shop/order/{order.pk}/change/")
    assert page.context["page"].differences == []
    assert 'aria-label="对账差异"' not in page.content.decode()


def test_difference_is_explained_with_who_when_why_and_a_reference(
    staff: Client, difference: BillDifference
) -> None:
    address = f"/admin/payments/billdifference/{difference.pk}/deeds/explain/"
    with nothing_changes():
        assert "请选择一项差异" in staff.post(address, {"why": ""}).content.decode()
    assert staff.post(address, {"why": "渠道优惠", "reference": "工单 7"}).status_code == 302
    assert columns(difference, "status", "explained_by__username", "why", "reference") == (
        DifferenceStatus.EXPLAINED, "nami", "渠道优惠", "工单 7",
    )  # fmt: skip
    assert LogEntry.objects.get().get_change_message() == "说明对账差异：渠道优惠"
    page = staff.get(f"/admin/shop/order/{difference.order_id}/change/").content.decode()
    assert "对账差异已说明" in page
    assert address not in page


def test_several_differences_are_explained_at_once(staff: Client, difference: BillDifference) -> None:
    body = {"action": "explain", "_selected_action": [difference.pk], "why": "测试数据", "confirmed": "1"}
    staff.post(LIST, body)
    assert columns(difference, "status") == (DifferenceStatus.EXPLAINED,)


def test_difference_cannot_be_edited(staff: Client, difference: BillDifference) -> None:
    for page in ("add/", f"{difference.pk}/delete/"):
        assert staff.get(f"/admin/payments/billdifference/{page}").status_code == 403
    with nothing_changes():
        staff.post(f"/admin/payments/billdifference/{difference.pk}/change/", {"status": "explained"})
