"""Whatever happens to Alipay's notification, the order is paid once: one capture, one cash transfer, one
enrolment.
"""

import time
from typing import Any

import httpx
import pytest

from project.local.waiting import wait_until
from tests.journeys.shopping import PATIENCE_S, Buyer, control, pay, simple_body
from tests.nodes.shop_stack import ShopStack

pytestmark = [pytest.mark.journey, pytest.mark.xdist_group("journeys"), pytest.mark.timeout(240)]


@pytest.fixture
def order(shop: ShopStack, buyer: Buyer) -> dict[str, Any]:
    """An order that awaits ¥69 and holds 10 贝里."""
    return buyer.follow(buyer.place(simple_body(shop, beili=10)))


def assert_paid_once(shop: ShopStack, buyer: Buyer, order: dict[str, Any]) -> None:
    number = order["order_number"]
    paid = buyer.follow(number, while_status="awaiting_payment")
    assert paid["status"] == "paid"
    assert [event["kind"] for event in paid["timeline"]].count("paid") == 1
    causes = shop.rows(
        "SELECT split_part(key, ':', 1) AS cause FROM shop_ledgertransfer t JOIN shop_order o ON o.id = "
        "t.order_id WHERE order_number = %s",
        number,
    )
    assert sorted(row["cause"] for row in causes) == ["capture", "cash", "hold", "redeem", "sale"]
    assert len(buyer.api.get("enrolments/")["results"]) == 1


def count_deliveries(shop: ShopStack, out_trade_no: str) -> int:
    """How often the shop has answered `success`."""
    deliveries = control(shop, "GET", f"deliveries?out_trade_no={out_trade_no}")["deliveries"]
    return sum(bool(delivery["is_accepted"]) for delivery in deliveries)


def inbox(shop: ShopStack, out_trade_no: str) -> list[dict[str, Any]]:
    return shop.rows(
        "SELECT status, reason FROM payments_notification WHERE out_trade_no = %s ORDER BY id", out_trade_no
    )


def wait_until_handled(shop: ShopStack, out_trade_no: str, *, count: int = 1) -> None:
    def is_handled() -> bool:
        rows = inbox(shop, out_trade_no)
        return len(rows) >= count and all(row["status"] != "received" for row in rows)

    assert wait_until(is_handled, timeout_s=PATIENCE_S), inbox(shop, out_trade_no)


def test_notification_in_copies_one_after_the_other(
    shop: ShopStack, buyer: Buyer, order: dict[str, Any]
) -> None:
    out_trade_no = buyer.open_cashier(order["order_number"])
    control(
        shop, "POST", "faults", {"kind": "duplicate", "params": {"count": 4}, "out_trade_no": out_trade_no}
    )
    pay(shop, out_trade_no)
    assert wait_until(lambda: count_deliveries(shop, out_trade_no) == 5, timeout_s=PATIENCE_S)
    assert_paid_once(shop, buyer, order)
    wait_until_handled(shop, out_trade_no)
    assert len(inbox(shop, out_trade_no)) == 1


def test_notification_in_copies_at_once(shop: ShopStack, buyer: Buyer, order: dict[str, Any]) -> None:
    out_trade_no = buyer.open_cashier(order["order_number"])
    control(
        shop, "POST", "faults", {"kind": "concurrent", "params": {"count": 7}, "out_trade_no": out_trade_no}
    )
    pay(shop, out_trade_no)
    assert wait_until(lambda: count_deliveries(shop, out_trade_no) == 8, timeout_s=PATIENCE_S)
    assert_paid_once(shop, buyer, order)
    wait_until_handled(shop, out_trade_no)
    assert len(inbox(shop, out_trade_no)) == 1


def test_notification_repeated_after_the_order_was_paid(
    shop: ShopStack, buyer: Buyer, order: dict[str, Any]
) -> None:
    out_trade_no = buyer.open_cashier(order["order_number"])
    pay(shop, out_trade_no)
    assert_paid_once(shop, buyer, order)
    [notification] = control(shop, "GET", f"notifications?out_trade_no={out_trade_no}")["notifications"]
    for fresh in (True, False):
        control(shop, "POST", f"notifications/{notification['notify_id']}/replay", {"fresh": fresh})
    # Other facts about the same trade: a separate notification, which finds the payment paid.
    control(
        shop, "POST", "notifications/craft", {"out_trade_no": out_trade_no, "trade_status": "TRADE_FINISHED"}
    )
    wait_until_handled(shop, out_trade_no, count=2)
    assert_paid_once(shop, buyer, order)
    assert inbox(shop, out_trade_no)[1] == {"status": "ignored", "reason": "already_applied"}


def test_notification_while_the_worker_is_down(shop: ShopStack, buyer: Buyer, order: dict[str, Any]) -> None:
    out_trade_no = buyer.open_cashier(order["order_number"])
    shop.worker.kill("SIGKILL")
    pay(shop, out_trade_no)
    assert wait_until(lambda: count_deliveries(shop, out_trade_no) == 1, timeout_s=PATIENCE_S)
    assert inbox(shop, out_trade_no) == [{"status": "received", "reason": ""}]
    shop.broker.lose_everything()

    shop.worker.restart()
    shop.worker.ready()
    started = time.monotonic()
    assert_paid_once(shop, buyer, order)
    print(f"recovery: {time.monotonic() - started:.2f} s after the worker was ready")


def test_notification_while_the_broker_is_down(shop: ShopStack, buyer: Buyer, order: dict[str, Any]) -> None:
    out_trade_no = buyer.open_cashier(order["order_number"])
    shop.broker.kill("SIGKILL")
    pay(shop, out_trade_no)
    assert wait_until(lambda: count_deliveries(shop, out_trade_no) == 1, timeout_s=PATIENCE_S)
    shop.broker.restart()
    shop.broker.ready()
    started = time.monotonic()
    assert_paid_once(shop, buyer, order)
    print(f"recovery: {time.monotonic() - started:.2f} s after the broker was back")


def test_notification_delivered_again_when_the_shop_was_down(
    shop: ShopStack, buyer: Buyer, order: dict[str, Any]
) -> None:
    out_trade_no = buyer.open_cashier(order["order_number"])
    shop.web.kill("SIGKILL")
    pay(shop, out_trade_no)
    assert wait_until(
        lambda: bool(control(shop, "GET", f"deliveries?out_trade_no={out_trade_no}")["deliveries"]),
        timeout_s=PATIENCE_S,
    )
    shop.web.restart()
    shop.web.ready()
    assert wait_until(shop.is_ready, timeout_s=PATIENCE_S)
    [notification] = control(shop, "GET", f"notifications?out_trade_no={out_trade_no}")["notifications"]
    # Alipay's next attempt would come after four minutes; here it comes now.
    control(shop, "POST", f"notifications/{notification['notify_id']}/replay", {"fresh": True})
    assert_paid_once(shop, buyer, order)


def test_query_makes_up_for_a_lost_notification(shop: ShopStack, buyer: Buyer, order: dict[str, Any]) -> None:
    out_trade_no = buyer.open_cashier(order["order_number"])
    control(shop, "POST", "faults", {"kind": "drop", "times": None, "out_trade_no": out_trade_no})
    # Skips the half minute until the first query.
    shop.rows("UPDATE payments_payment SET available_at = now() WHERE out_trade_no = %s", out_trade_no)
    pay(shop, out_trade_no)
    started = time.monotonic()
    assert_paid_once(shop, buyer, order)
    print(f"recovery: {time.monotonic() - started:.2f} s after the payment")
    assert inbox(shop, out_trade_no) == []


def test_buyer_coming_back_triggers_the_query(shop: ShopStack, buyer: Buyer, order: dict[str, Any]) -> None:
    """The return page comes before the notification, which never comes."""
    out_trade_no = buyer.open_cashier(order["order_number"])
    control(shop, "POST", "faults", {"kind": "drop", "times": None, "out_trade_no": out_trade_no})
    with httpx.Client(trust_env=False, timeout=20, base_url=shop.simulator_url) as browser:
        page = browser.get(order["pay_url"], follow_redirects=True)
        browser.post(f"{page.url.path}/login", data={"account": "buyer@example.com"})
        way_back = browser.post(f"{page.url.path}/pay").headers["Location"]
        assert way_back.startswith(f"{shop.web_url}/api/v1/payments/alipay/return/?")
        forged = browser.get(way_back.replace("total_amount=69.00", "total_amount=0.01"))
        returned = browser.get(way_back)
    assert (forged.status_code, forged.headers["Location"]) == (302, "/orders/")
    assert (returned.status_code, returned.headers["Location"]) == (302, f"/orders/{order['order_number']}/")
    assert_paid_once(shop, buyer, order)
    assert inbox(shop, out_trade_no) == []


def test_late_notification_after_the_query_changes_nothing(
    shop: ShopStack, buyer: Buyer, order: dict[str, Any]
) -> None:
    out_trade_no = buyer.open_cashier(order["order_number"])
    control(shop, "POST", "faults", {"kind": "drop", "out_trade_no": out_trade_no})
    shop.rows("UPDATE payments_payment SET available_at = now() WHERE out_trade_no = %s", out_trade_no)
    pay(shop, out_trade_no)
    assert_paid_once(shop, buyer, order)
    control(
        shop, "POST", "notifications/craft", {"out_trade_no": out_trade_no, "trade_status": "TRADE_SUCCESS"}
    )
    wait_until_handled(shop, out_trade_no)
    assert inbox(shop, out_trade_no) == [{"status": "ignored", "reason": "already_applied"}]
    assert_paid_once(shop, buyer, order)


@pytest.mark.parametrize("kind", ["wrong_key", "tamper", "sha1", "sign_type_rsa", "json_body"])
def test_forged_notification_is_refused_and_leaves_nothing(
    shop: ShopStack, buyer: Buyer, order: dict[str, Any], kind: str
) -> None:
    out_trade_no = buyer.open_cashier(order["order_number"])
    control(shop, "POST", "faults", {"kind": kind, "out_trade_no": out_trade_no})
    pay(shop, out_trade_no)
    assert wait_until(
        lambda: bool(control(shop, "GET", f"deliveries?out_trade_no={out_trade_no}")["deliveries"]),
        timeout_s=PATIENCE_S,
    )
    assert count_deliveries(shop, out_trade_no) == 0
    assert inbox(shop, out_trade_no) == []
    [notification] = control(shop, "GET", f"notifications?out_trade_no={out_trade_no}")["notifications"]
    control(shop, "POST", f"notifications/{notification['notify_id']}/replay", {"fresh": True})
    assert_paid_once(shop, buyer, order)
