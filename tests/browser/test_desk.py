"""An operator finds and fixes problems from the dashboard alone, without SQL or a shell."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from project.local.waiting import wait_until
from tests.browser.operator import Operator
from tests.browser.shopper import DESKTOP
from tests.journeys.shopping import Buyer, control, pay, simple_body
from tests.nodes.shop_stack import ShopStack

COURSE = "Redis 从用到懂"


@pytest.fixture
def operator(browser: Browser, shop: ShopStack) -> Iterator[Operator]:
    with Operator.at_desk(browser, shop, DESKTOP) as someone:
        yield someone
        assert someone.errors == []


def status_of(shop: ShopStack, order_number: str) -> Any:
    return shop.value("SELECT status FROM shop_order WHERE order_number = %s", order_number)


def test_payment_that_an_outage_left_behind(operator: Operator, buyer: Buyer, shop: ShopStack) -> None:
    order_number = buyer.buy(COURSE)
    control(shop, "POST", "faults", {"kind": "drop", "times": 100})
    control(shop, "POST", "faults", {"kind": "http_error", "times": 10000, "method": "alipay.trade.query"})
    out_trade_no = buyer.open_cashier(order_number)
    pay(shop, out_trade_no)
    # After a day of outage the attempts are used up.
    shop.rows(
        "UPDATE payments_payment SET attempts = 300, available_at = now() WHERE out_trade_no = %s",
        out_trade_no,
    )
    operator.wait_for_figure("放弃的支付查询")
    control(shop, "DELETE", "faults")
    operator.open_figure("放弃的支付查询")
    operator.picture("payments")
    operator.page.get_by_role("link", name=order_number, exact=True).click()
    expect(operator.page.locator(".desk-notice").first).to_contain_text("已放弃查询")
    operator.picture("order-stuck")
    operator.do("重新处理", why="支付宝已恢复")
    operator.wait_for("支付成功")
    operator.told("支付宝已恢复")
    assert status_of(shop, order_number) == "paid"


def test_quarantined_notification(operator: Operator, buyer: Buyer, shop: ShopStack) -> None:
    order_number, out_trade_no = buyer.buy_paid()
    control(
        shop,
        "POST",
        "notifications/craft",
        {"out_trade_no": out_trade_no, "fields": {"total_amount": "0.01"}},
    )
    operator.wait_for_figure("待人工处理的通知")
    operator.open_figure("待人工处理的通知")
    operator.picture("notifications")
    operator.search_for(order_number)
    operator.wait_for("待人工处理")
    operator.do("确认无需处理", why="金额被改过，订单已按真实金额付清")
    operator.wait_for("支付通知已核对，无需处理")
    operator.told("金额被改过")
    found = shop.rows(
        "SELECT status, note FROM payments_notification WHERE out_trade_no = %s AND note <> ''", out_trade_no
    )
    assert [row["status"] for row in found] == ["ignored"]


def test_external_partial_refund(operator: Operator, buyer: Buyer, shop: ShopStack) -> None:
    order_number, out_trade_no = buyer.buy_paid()
    control(shop, "POST", f"trades/{out_trade_no}/refund", {"amount": "5.00"})
    operator.wait_for_figure("待说明的渠道侧退款")
    operator.open_figure("待说明的渠道侧退款")
    operator.picture("refunds")
    operator.page.get_by_role("link", name=order_number, exact=True).first.click()
    operator.wait_for("待说明用途")
    operator.do("渠道侧退款：善意补偿，课程保留", why="课程卡顿，补偿五元")
    operator.told("课程卡顿，补偿五元")
    expect(operator.page.locator(".desk-notice")).to_have_count(0)
    assert status_of(shop, order_number) == "paid"


def test_refund_that_is_finally_refused(operator: Operator, buyer: Buyer, shop: ShopStack) -> None:
    control(shop, "POST", "faults", {"kind": "not_refundable", "times": 1})
    order_number, _ = buyer.buy_paid()
    buyer.api.post(f"orders/{order_number}/refunds/", {"reason": "买错了"})
    operator.open_figure("待批准的退款")
    operator.page.get_by_role("link", name=order_number, exact=True).first.click()
    operator.do("批准所选退款（失败的会再次提交）")
    operator.wait_for("退款失败")
    operator.open_figure("失败的退款")
    operator.page.get_by_role("link", name=order_number, exact=True).first.click()
    operator.do("已通过其他方式退款", number="工行转账 20261127-7")
    operator.told("工行转账 20261127-7")
    operator.picture("order-refunded")
    assert status_of(shop, order_number) == "refunded"


def test_order_request_that_was_given_up(operator: Operator, buyer: Buyer, shop: ShopStack) -> None:
    shop.worker.kill("SIGSTOP")
    order_number = buyer.place(simple_body(shop, COURSE))
    # For example, it killed eight workers.
    shop.rows(
        "UPDATE shop_orderrequest SET attempts = 8, last_error = 'OSError: disk' WHERE order_number = %s",
        order_number,
    )
    shop.worker.kill("SIGCONT")
    operator.wait_for_figure("放弃的下单请求")
    operator.open_figure("放弃的下单请求")
    operator.picture("requests")
    operator.page.get_by_role("link", name=order_number, exact=True).click()
    operator.do("重新处理")
    assert buyer.follow(order_number, while_status="pending")["status"] in {"awaiting_payment"}
    assert wait_until(
        lambda: bool(shop.rows("SELECT id FROM shop_order WHERE order_number = %s", order_number)),
        timeout_s=20,
    )
    operator.search_for(order_number)
    expect(operator.page.get_by_text("待支付").first).to_be_visible()


def test_access_that_a_buyer_lost(operator: Operator, buyer: Buyer, shop: ShopStack) -> None:
    phone = f"139{buyer.account_id:08d}"
    shop.rows("UPDATE shop_account SET phone = %s WHERE id = %s", phone, buyer.account_id)
    order_number, _ = buyer.buy_paid()
    operator.search_for(order_number)
    operator.do("收回", why="误以为是转卖")
    operator.wait_for("课程已由客服收回")
    operator.search_for(phone)
    operator.picture("search")
    operator.page.locator("section", has_text="邮箱").get_by_role("link").first.click()
    operator.picture("buyer")
    operator.do("开通或延长课程", course=COURSE, days="30", why="误收回，补偿")
    operator.told("已处理 1 个账户。")
    assert "active" in str(buyer.api.get("enrolments/"))
    operator.do("发放或扣除贝里", amount="20", why="致歉")
    operator.told("致歉")
    assert int(buyer.api.get("balance/")["balance"]) == 220


def test_campaign_that_went_out_wrong(operator: Operator, buyer: Buyer, shop: ShopStack) -> None:
    name = f"一折{buyer.account_id}"
    operator.go("/admin/shop/coupon/add/")
    operator.page.fill("[name=name]", name)
    operator.page.select_option("[name=coupon_type]", label="折扣券")
    operator.page.fill("[name=off_percent]", "10")
    operator.page.fill("[name=quantity]", "100")
    operator.page.fill("[name=open_date]", "2020-01-01")
    operator.page.fill("[name=close_date]", "2019-12-31")
    operator.page.fill("[name=coupon_valid_days]", "30")
    operator.page.get_by_role("button", name="保存", exact=True).click()
    operator.told("结束日期不能早于开始日期。")
    operator.picture("campaign-error")
    operator.page.fill("[name=close_date]", "2099-12-31")
    operator.page.get_by_role("button", name="保存", exact=True).click()
    operator.told("1折")
    record_id = buyer.claim(name)
    operator.open_dashboard()
    operator.page.locator("#nav-sidebar-apps a", has_text="优惠券活动").click()
    operator.picture("campaigns")
    operator.page.get_by_role("link", name=name, exact=True).click()
    operator.picture("campaign")
    operator.do("提前结束活动", takes_back="yes", why="一折写错了，应为九折")
    operator.told("收回 1 张券")
    assert shop.value("SELECT status FROM shop_couponrecord WHERE id = %s", record_id) == "expired"
    operator.go("/admin/exports/")
    operator.picture("exports")
