"""Notifications: what they hold, when they come, and what counts as an answer."""

import time
from itertools import pairwise

import pytest

from tests.payments.simulator.process import APP_ID, SELLER_ID, Simulator
from tests.payments.simulator.shop import GatewayAliPay, Shop

DOCUMENTED = [240, 600, 600, 3600, 7200, 21_600, 54_000]


def test_first_delivery_follows_payment_at_once(simulator: Simulator, shop: Shop) -> None:
    cashier = simulator.open_order("C1", notify_url=shop.url)
    simulator.http.post(f"{cashier}/login")
    paid_at = time.monotonic()
    simulator.http.post(f"{cashier}/pay")
    shop.wait_for(1)
    assert time.monotonic() - paid_at < 0.5


def test_headers_and_fields_are_the_real_ones(simulator: Simulator, sdk: GatewayAliPay, shop: Shop) -> None:
    simulator.pay_order(
        "C1", notify_url=shop.url, body="正文", passback_params="a%3Db", subject="微服务 100%"
    )
    received = shop.wait_for(1)[0]
    assert received.headers["Content-Type"] == "application/x-www-form-urlencoded; text/html; charset=UTF-8"
    assert received.headers["User-Agent"] == "Mozilla/4.0"
    fields = received.fields()
    assert sdk.is_genuine(fields)
    assert set(fields) == {
        "notify_time", "notify_type", "notify_id", "app_id", "auth_app_id", "charset", "version", "sign_type",
        "sign", "trade_no",
        "out_trade_no", "trade_status", "total_amount", "receipt_amount", "invoice_amount",
        "buyer_pay_amount", "point_amount", "subject",
        "body", "passback_params", "buyer_id", "buyer_logon_id", "seller_id", "seller_email", "gmt_create",
        "gmt_payment", "fund_bill_list",
    }  # fmt: skip
    assert {
        name: fields[name]
        for name in (
            "app_id",
            "seller_id",
            "subject",
            "body",
            "passback_params",
            "total_amount",
            "fund_bill_list",
        )
    } == {
        "app_id": APP_ID,
        "seller_id": SELLER_ID,
        "subject": "微服务 100%",
        "body": "正文",
        "passback_params": "a%3Db",
        "total_amount": "19.90",
        "fund_bill_list": '[{"amount":"19.90","fundChannel":"ALIPAYACCOUNT"}]',
    }
    assert (len(fields["trade_no"]), len(fields["notify_id"]), len(fields["sign"])) == (28, 34, 344)


def test_without_notify_url_there_is_none(simulator: Simulator) -> None:
    simulator.pay_order("C1")
    assert simulator.order("C1")["notifications"] == []


def test_refused_notification_comes_eight_times_at_the_documented_intervals(
    simulator: Simulator, sdk: GatewayAliPay, shop: Shop
) -> None:
    shop.answer = (200, b"fail")
    simulator.freeze()
    simulator.pay_order("C1", notify_url=shop.url)
    shop.wait_for(1)
    simulator.advance(26 * 3600)
    notification = simulator.order("C1")["notifications"][0]
    times = [delivery["sent_at"] for delivery in notification["deliveries"]]
    assert [round(later - earlier, 3) for earlier, later in pairwise(times)] == DOCUMENTED
    assert (notification["state"], notification["next_at"]) == ("exhausted", None)
    simulator.advance(30 * 86_400)
    assert len(shop.received) == 8

    messages = [received.fields() for received in shop.received]
    assert {message["notify_id"] for message in messages} == {notification["notify_id"]}
    assert len({message["notify_time"] for message in messages}) == 8
    assert len({message["sign"] for message in messages}) == 8
    assert all(sdk.is_genuine(message) for message in messages)


@pytest.mark.parametrize(
    "answer",
    [
        (200, b'"success"'), (200, b"success\n"), (200, b"SUCCESS"), (200, b"\xef\xbb\xbfsuccess"),
        (200, b"<p>success</p>"), (200, b""),
        (201, b"success"), (500, b"success"), (404, b"success"),
    ],
)  # fmt: skip
def test_anything_but_the_seven_bytes_is_refused(
    simulator: Simulator, shop: Shop, answer: tuple[int, bytes]
) -> None:
    shop.answers = [answer]
    simulator.pay_order("C1", notify_url=shop.url)
    shop.wait_for(1)
    simulator.advance(241)
    notification = simulator.order("C1")["notifications"][0]
    assert [delivery["is_accepted"] for delivery in notification["deliveries"]] == [False, True]
    assert notification["state"] == "delivered"


def test_success_ends_the_notification(simulator: Simulator, shop: Shop) -> None:
    simulator.pay_order("C1", notify_url=shop.url)
    shop.wait_for(1)
    simulator.advance(2 * 86_400)
    assert len(shop.received) == 1


def test_redirects_are_not_followed(simulator: Simulator, shop: Shop) -> None:
    shop.answer = (302, b"")
    shop.headers = {"Location": shop.url}
    simulator.pay_order("C1", notify_url=shop.url)
    shop.wait_for(1)
    simulator.advance(10)
    assert len(shop.received) == 1
    assert simulator.order("C1")["notifications"][0]["deliveries"][0]["status"] == 302


def test_unreachable_shop_is_tried_again(simulator: Simulator, shop: Shop) -> None:
    simulator.pay_order("C1", notify_url="http://127.0.0.1:9/notify")
    simulator.advance(250)
    deliveries = simulator.order("C1")["notifications"][0]["deliveries"]
    assert [
        (delivery["attempt"], delivery["status"], delivery["error"].split(":")[0]) for delivery in deliveries
    ] == [
        (1, None, "ConnectError"),
        (2, None, "ConnectError"),
    ]


def test_a_shop_that_hangs_does_not_hold_up_others(simulator: Simulator, shop: Shop) -> None:
    slow = Shop(delay_s=2)
    stop = slow.start()
    try:
        # More than there are senders.
        for number in range(20):
            simulator.pay_order(f"S{number}", notify_url=slow.url)
        started = time.monotonic()
        simulator.pay_order("C1", notify_url=shop.url)
        shop.wait_for(1)
        assert time.monotonic() - started < 1
    finally:
        stop()


def test_a_shop_that_is_too_slow_counts_as_refusing(simulator: Simulator, shop: Shop) -> None:
    simulator.control("PATCH", "/settings", {"delivery_timeout_real_s": 0.2})
    shop.delay_s = 0.6
    simulator.pay_order("C1", notify_url=shop.url)
    simulator.advance(1)
    delivery = simulator.order("C1")["notifications"][0]["deliveries"][0]
    assert (delivery["is_accepted"], delivery["error"].split(":")[0]) == (False, "ReadTimeout")


@pytest.mark.parametrize(
    ("product", "states"), [("page", ["TRADE_SUCCESS"]), ("wap", ["TRADE_SUCCESS", "TRADE_CLOSED"])]
)
def test_products_differ_in_what_they_notify(
    simulator: Simulator, sdk: GatewayAliPay, shop: Shop, product: str, states: list[str]
) -> None:
    ask = getattr(sdk, f"api_alipay_trade_{product}_pay")
    simulator.show_page(ask(subject="x", out_trade_no="C1", total_amount="1.00", notify_url=shop.url))
    simulator.control("POST", "/trades/C1/pay", {})
    sdk.api_alipay_trade_refund(refund_amount="1.00", out_trade_no="C1", out_request_no="R1")
    assert [item["trade_status"] for item in simulator.order("C1")["notifications"]] == states


def test_unpaid_timeout_of_a_page_trade_is_notified_only_when_asked_for(
    simulator: Simulator, shop: Shop
) -> None:
    simulator.control("PATCH", "/settings", {"notify_triggers": {"page": ["WAIT_BUYER_PAY", "TRADE_CLOSED"]}})
    cashier = simulator.open_order("C1", notify_url=shop.url, timeout_express="5m")
    simulator.http.post(f"{cashier}/login")
    simulator.advance(400)
    waiting, closed = (received.fields() for received in shop.wait_for(2))
    assert (waiting["trade_status"], closed["trade_status"]) == ("WAIT_BUYER_PAY", "TRADE_CLOSED")
    assert "refund_fee" not in closed
    assert "gmt_payment" not in closed
    assert closed["gmt_close"] > waiting["gmt_create"]


def test_retry_intervals_are_a_setting(simulator: Simulator, shop: Shop) -> None:
    simulator.control("PATCH", "/settings", {"retry_intervals_s": [0, 0, 5]})
    shop.answer = (200, b"fail")
    simulator.pay_order("C1", notify_url=shop.url)
    shop.wait_for(3)
    simulator.advance(6)
    assert len(shop.wait_for(4)) == 4


def test_a_scaled_clock_brings_retries_by_itself(simulator: Simulator, shop: Shop) -> None:
    shop.answer = (500, b"")
    simulator.control("PUT", "/clock", {"scale": 3600})
    simulator.pay_order("C1", notify_url=shop.url)
    assert len(shop.wait_for(4)) >= 4


def test_notification_first_holds_the_pay_button(simulator: Simulator, shop: Shop) -> None:
    simulator.control("PATCH", "/settings", {"return_order": "notification_first"})
    shop.delay_s = 0.3
    simulator.pay_order("C1", notify_url=shop.url)
    assert len(shop.received) == 1


def test_return_first_holds_the_notification(simulator: Simulator, shop: Shop) -> None:
    simulator.control("PATCH", "/settings", {"return_order": "return_first"})
    simulator.pay_order("C1", notify_url=shop.url)
    time.sleep(0.3)
    assert shop.received == []
    assert len(shop.wait_for(1)) == 1
